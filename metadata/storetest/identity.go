package storetest

import (
	"slices"
	"sync"
	"time"

	"cofre/keys"
	"cofre/metadata"
)

// identityTests are about rows that are sealed to the site's identity; each has a store of its own.
var identityTests = map[string]func(*suite){
	"TakesAnotherIdentityAllAtOnce": func(s *suite) {
		to := random[keys.SiteID]()
		active := s.addKEK(s.kek(random[keys.SiteID](), keys.Active))
		closed := s.addKEK(s.kek(random[keys.SiteID](), keys.Closed))
		s.must(s.store.AddCredential(s.ctx, credential("C1\x00")))
		open, plain, done := s.upload("open"), s.upload("plain"), s.upload("done")
		open.SealedDEK, done.SealedDEK = randomBytes(60), randomBytes(60)
		plain.SealedDEK = nil
		for _, up := range []metadata.Upload{open, plain, done} {
			s.must(s.store.CreateUpload(s.ctx, up))
		}
		s.must(s.store.SetIntent(s.ctx, done.ID, []byte("intent")))
		s.must(s.store.FinishUpload(s.ctx, done.ID, []byte("result"), s.record(done.Key)))
		s.must(s.store.SetTrustList(s.ctx, 7, []byte("old")))

		s.wantErr(s.store.TakeIdentity(s.ctx, to, 8, []byte("new")), metadata.ErrConflict)
		next := s.stageAll(to, 1)
		if len(next) != 4 {
			s.Fatalf("%d rows were staged, want two KEKs, a credential and an upload", len(next))
		}
		s.equal(s.readKEK(active), active) // nothing is seen of it yet
		s.wantErr(s.store.TakeIdentity(s.ctx, random[keys.SiteID](), 8, []byte("new")), metadata.ErrConflict)
		s.wantErr(s.store.TakeIdentity(s.ctx, to, 7, []byte("new")), keys.ErrKEKConflict)
		late := s.addKEK(s.kek(to, keys.Active))
		s.wantErr(s.store.TakeIdentity(s.ctx, to, 8, []byte("new")), metadata.ErrConflict)
		s.equal(s.readKEK(active), active)
		for id, sealed := range s.stageAll(to, 100) {
			next[id] = sealed
		}

		s.must(s.store.TakeIdentity(s.ctx, to, 8, []byte("new")))
		s.must(s.store.TakeIdentity(s.ctx, to, 8, []byte("new"))) // the answer was lost
		active.State = keys.ReadOnly
		for _, want := range []keys.StoredKEK{active, closed, late} {
			want.Grant = next[string(want.ID[:])]
			s.equal(s.readKEK(want), want)
		}
		c, err := s.store.Credential(s.ctx, "C1\x00")
		s.must(err)
		s.equal(c.SealedSecret, next["C1\x00"])
		up, err := s.store.Upload(s.ctx, open.Bucket, open.Key, open.ID)
		s.must(err)
		s.equal(up.SealedDEK, next[open.ID])
		number, list, err := s.store.TrustList(s.ctx)
		s.must(err)
		s.equal(number, uint64(8))
		s.equal(list, []byte("new"))
		_, err = s.store.ActiveKEK(s.ctx, active.Bucket, active.Creator)
		s.wantErr(err, keys.ErrKEKNotFound)
	},
	"StagedRowsCountOnlyAsTheyStand": func(s *suite) {
		to := random[keys.SiteID]()
		s.must(s.store.AddCredential(s.ctx, credential("C")))
		s.stageAll(to, 10)
		s.must(s.store.DeleteCredential(s.ctx, "C"))
		again := credential("C") // the same id with another secret
		s.must(s.store.AddCredential(s.ctx, again))
		s.wantErr(s.store.TakeIdentity(s.ctx, to, 1, []byte("new")), metadata.ErrConflict)
		next := s.stageAll(to, 10)
		s.must(s.store.TakeIdentity(s.ctx, to, 1, []byte("new")))
		c, err := s.store.Credential(s.ctx, "C")
		s.must(err)
		s.equal(c.SealedSecret, next["C"])
	},
	"StagedRowsComeInPages": func(s *suite) {
		to := random[keys.SiteID]()
		var want []string
		for _, id := range []string{"A", "B", "C\x00", "D", "E\xff"} {
			s.must(s.store.AddCredential(s.ctx, credential(id)))
			want = append(want, id)
		}
		s.must(s.store.StageSealed(s.ctx, random[keys.SiteID](), metadata.SealedRow{Kind: metadata.SealedCredential, ID: "B"}, nil))
		var got []string
		for after := ""; ; {
			rows, err := s.store.UnstagedRows(s.ctx, to, metadata.SealedCredential, after, 2)
			s.must(err)
			for _, r := range rows {
				got = append(got, r.ID)
			}
			if len(rows) < 2 {
				break
			}
			after = rows[1].ID
		}
		if !slices.Equal(got, want) {
			s.Errorf("%q, want %q", got, want)
		}
		if _, err := s.store.UnstagedRows(s.ctx, to, 9, "", 1); err == nil {
			s.Error("took a kind that there is not")
		}
	},
	"NothingStagedOutlivesItsUpload": func(s *suite) {
		for name, end := range map[string]func(metadata.Upload){
			"deleted": func(up metadata.Upload) { s.must(s.store.DeleteUpload(s.ctx, up.ID)) },
			"finished": func(up metadata.Upload) {
				s.finished(up, "result")
				s.sweepAll()
			},
			"dropped": func(up metadata.Upload) {
				s.must(s.store.DropBucket(s.ctx, up.Bucket, s.later(s.read(up).Created)))
			},
		} {
			to, up, other := random[keys.SiteID](), s.sealedUpload(name), s.sealedUpload("other")
			other.Bucket += "2"
			s.must(s.store.CreateUpload(s.ctx, up))
			s.must(s.store.CreateUpload(s.ctx, other))
			s.stageAll(to, 10)
			end(up)
			s.must(s.store.CreateUpload(s.ctx, up)) // the same row once more: what was staged of it would count again
			if got := s.unstagedUploads(to); !slices.Equal(got, []string{up.ID}) {
				s.Errorf("%s: %q are not staged, want %q", name, got, up.ID)
			}
		}
	},
	"StagingAndTheEndOfAnUploadMayMeet": func(s *suite) {
		to := random[keys.SiteID]()
		for n := range 40 {
			up := s.sealedUpload("k")
			row := metadata.SealedRow{Kind: metadata.SealedUpload, ID: up.ID, Sealed: up.SealedDEK, Beside: up.Envelope[:]}
			s.must(s.store.CreateUpload(s.ctx, up))
			var staged error
			var wg sync.WaitGroup
			wg.Go(func() { staged = s.store.StageSealed(s.ctx, to, row, randomBytes(70)) })
			if n%2 == 0 {
				s.must(s.store.DeleteUpload(s.ctx, up.ID))
			} else {
				s.must(s.store.DropBucket(s.ctx, up.Bucket, s.later(s.read(up).Created)))
			}
			wg.Wait()
			s.must(staged)
			s.must(s.store.CreateUpload(s.ctx, up))
			s.equal(s.unstagedUploads(to), []string{up.ID})
			s.must(s.store.DeleteUpload(s.ctx, up.ID))
		}
	},
	"NothingIsStagedOfAnUploadThatIsOver": func(s *suite) {
		to, up := random[keys.SiteID](), s.sealedUpload("k")
		row := metadata.SealedRow{Kind: metadata.SealedUpload, ID: up.ID, Sealed: up.SealedDEK, Beside: up.Envelope[:]}
		s.must(s.store.StageSealed(s.ctx, to, row, randomBytes(70))) // it is not there
		s.must(s.store.CreateUpload(s.ctx, up))
		s.equal(s.unstagedUploads(to), []string{up.ID})
		s.finished(up, "result")
		s.must(s.store.StageSealed(s.ctx, to, row, randomBytes(70)))
		s.sweepAll()
		s.must(s.store.CreateUpload(s.ctx, up))
		s.equal(s.unstagedUploads(to), []string{up.ID})
	},
}

func (s *suite) sealedUpload(key string) metadata.Upload {
	up := s.upload(key)
	up.SealedDEK = randomBytes(60)
	return up
}

// sweepAll forgets every completed upload.
func (s *suite) sweepAll() {
	s.Helper()
	n, err := s.store.SweepUploads(s.ctx, time.Now().Add(time.Hour), 10)
	s.must(err)
	s.equal(n, 1)
}

func (s *suite) unstagedUploads(to keys.SiteID) []string {
	s.Helper()
	rows, err := s.store.UnstagedRows(s.ctx, to, metadata.SealedUpload, "", 10)
	s.must(err)
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

// stageAll stages every row that is not staged yet, and gives what each is going to hold.
func (s *suite) stageAll(to keys.SiteID, page int) map[string][]byte {
	s.Helper()
	next := map[string][]byte{}
	for _, kind := range metadata.SealedKinds() {
		for {
			rows, err := s.store.UnstagedRows(s.ctx, to, kind, "", page)
			s.must(err)
			if len(rows) == 0 {
				break
			}
			for _, r := range rows {
				if r.Kind != kind || len(r.Sealed) == 0 || (kind != metadata.SealedCredential) != (len(r.Beside) > 0) {
					s.Fatalf("row %+v", r)
				}
				next[r.ID] = randomBytes(70)
				s.must(s.store.StageSealed(s.ctx, to, r, next[r.ID]))
			}
		}
	}
	return next
}
