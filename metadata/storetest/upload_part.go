package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-cmp/cmp/cmpopts"

	"cofre/checksum"
	"cofre/metadata"
)

func sortUploads(ups []metadata.Upload) {
	slices.SortFunc(ups, func(a, b metadata.Upload) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID)) })
}

func uploadPart(number int) metadata.UploadPart {
	return metadata.UploadPart{
		Number: number, Attempt: random[[16]byte](), Salt: random[[16]byte](), Size: int64(5<<20 + number), MD5: randomBytes(16),
		ETag: unique(), BackendETag: unique(), Checksum: metadata.Checksum{Algorithm: checksum.CRC32, Value: randomBytes(4)},
	}
}

var withoutCommitted = cmpopts.IgnoreFields(metadata.UploadPart{}, "Committed")

var uploadPartTests = map[string]func(*suite){
	"AddThenListGivesItBack": func(s *suite) {
		up := s.create(s.upload("k"))
		want := []metadata.UploadPart{uploadPart(1), {Number: 2}, uploadPart(10000)}
		want[1].Attempt = random[[16]byte]()
		before := s.store.Now()
		for _, i := range []int{2, 0, 1} {
			s.must(s.store.AddPart(s.ctx, up.ID, want[i]))
		}
		got, attempts, err := s.store.UploadParts(s.ctx, up.ID, 0, 10)
		s.must(err)
		s.equal(got, want, withoutCommitted)
		s.equal(attempts, []int{1, 1, 1})
		for _, p := range got {
			if p.Committed.Before(before) {
				s.Errorf("part committed %v, want the store's time, at %v or later", p.Committed, before)
			}
		}
	},
	"NewestAttemptCounts": func(s *suite) {
		up := s.create(s.upload("k"))
		var tries []metadata.UploadPart
		for i := range 4 {
			number := []int{7, 7, 8, 7}[i]
			p := uploadPart(number)
			s.must(s.store.AddPart(s.ctx, up.ID, p))
			got, err := s.store.PartAttempts(s.ctx, up.ID, number)
			s.must(err)
			s.later(got[0].Committed)
			tries = append(tries, got[0])
			s.equal(got[0], p, withoutCommitted)
		}
		got, attempts, err := s.store.UploadParts(s.ctx, up.ID, 0, 10)
		s.must(err)
		s.equal(got, []metadata.UploadPart{tries[3], tries[2]})
		s.equal(attempts, []int{3, 1})
		got, err = s.store.PartAttempts(s.ctx, up.ID, 7)
		s.must(err)
		s.equal(got, []metadata.UploadPart{tries[3], tries[1], tries[0]})
		got, err = s.store.PartAttempts(s.ctx, up.ID, 9)
		s.must(err)
		s.equal(got, []metadata.UploadPart{})
	},
	"SameAttemptTwiceIsOne": func(s *suite) {
		up := s.create(s.upload("k"))
		p := uploadPart(1)
		s.must(s.store.AddPart(s.ctx, up.ID, p))
		want, err := s.store.PartAttempts(s.ctx, up.ID, 1)
		s.must(err)
		s.must(s.store.AddPart(s.ctx, up.ID, p))
		got, err := s.store.PartAttempts(s.ctx, up.ID, 1)
		s.must(err)
		s.equal(got, want)
	},
	"UploadsShareNoParts": func(s *suite) {
		a, b := s.create(s.upload("k")), s.create(s.upload("k"))
		s.must(s.store.AddPart(s.ctx, a.ID, uploadPart(1)))
		got, attempts, err := s.store.UploadParts(s.ctx, b.ID, 0, 10)
		s.must(err)
		if len(got)+len(attempts) != 0 {
			s.Errorf("upload has parts of another: %v", got)
		}
		got, _, err = s.store.UploadParts(s.ctx, unique(), 0, 10)
		s.must(err)
		s.equal(got, []metadata.UploadPart{})
	},
	"TenThousandPartsInPages": func(s *suite) {
		up := s.create(s.upload("k"))
		const count = 10000 / partStep
		var workers sync.WaitGroup
		for w := range 4 {
			workers.Go(func() {
				for i := w + 1; i <= count; i += 4 {
					if err := s.store.AddPart(s.ctx, up.ID, uploadPart(i*partStep)); err != nil {
						s.Errorf("add part %d: %v", i*partStep, err)
						return
					}
				}
			})
		}
		workers.Wait()
		s.must(s.store.AddPart(s.ctx, up.ID, uploadPart(5000)))
		seen := 0
		for {
			page, attempts, err := s.store.UploadParts(s.ctx, up.ID, seen*partStep, 333)
			s.must(err)
			for i, p := range page {
				seen++
				number, want := seen*partStep, 1
				if number == 5000 {
					want = 2
				}
				if p.Number != number || attempts[i] != want {
					s.Fatalf("part %d with %d attempts, want %d with %d", p.Number, attempts[i], number, want)
				}
			}
			if len(page) < 333 {
				break
			}
		}
		s.equal(seen, count)
		all, _, err := s.store.UploadParts(s.ctx, up.ID, 0, 10000)
		s.must(err)
		s.equal(len(all), count)
		rec := s.record("k")
		rec.Parts = parts(10000)
		s.must(s.store.SetIntent(s.ctx, up.ID, []byte("i")))
		s.must(s.store.FinishUpload(s.ctx, up.ID, []byte("r"), rec))
		s.asAdded(s.byEnvelope(rec), rec)
	},
	"PartsRaceCompleteAndAbort": func(s *suite) {
		// Whatever the order, nothing but the agreed errors comes up and nothing is left behind.
		for round := range 10 {
			up := s.create(s.upload(fmt.Sprint("k", round)))
			var workers sync.WaitGroup
			for n := range 4 {
				workers.Go(func() {
					err := s.store.AddPart(s.ctx, up.ID, uploadPart(n+1))
					if err != nil && !isError(err, metadata.ErrConflict) && !isError(err, metadata.ErrNotFound) {
						s.Errorf("add part: %v", err)
					}
				})
			}
			workers.Go(func() {
				if err := s.store.SetIntent(s.ctx, up.ID, []byte("i")); err != nil && !isError(err, metadata.ErrNotFound) {
					s.Errorf("set intent: %v", err)
				}
			})
			workers.Go(func() {
				if err := s.store.DeleteUpload(s.ctx, up.ID); err != nil {
					s.Errorf("delete upload: %v", err)
				}
			})
			workers.Wait()
			left, _, err := s.store.UploadParts(s.ctx, up.ID, 0, 10)
			s.must(err)
			s.equal(left, []metadata.UploadPart{})
		}
	},
}
