package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"cofre/checksum"
	"cofre/metadata"
)

func (s *suite) upload(key string) metadata.Upload {
	return metadata.Upload{
		ID: "2~" + unique(), Bucket: s.bucket, Key: key, Envelope: random[metadata.Envelope](),
		Initiator: "AKIA" + unique(), ContentType: "image/\xff", Attributes: []byte(`{"a":"\u0000"}`),
		ChecksumAlgorithm: checksum.CRC32C, ChecksumType: checksum.Composite,
	}
}

// create creates the upload and gives it back as the store has it.
func (s *suite) create(up metadata.Upload) metadata.Upload {
	s.Helper()
	s.must(s.store.CreateUpload(s.ctx, up))
	return s.read(up)
}

func (s *suite) read(up metadata.Upload) metadata.Upload {
	s.Helper()
	got, err := s.store.Upload(s.ctx, up.Bucket, up.Key, up.ID)
	s.must(err)
	return got
}

// finished takes the upload through its life and gives the record that came of it.
func (s *suite) finished(up metadata.Upload, result string) metadata.Record {
	s.Helper()
	rec := s.record(up.Key)
	rec.Envelope, rec.Parts = up.Envelope, parts(2)
	s.must(s.store.SetIntent(s.ctx, up.ID, []byte("intent")))
	s.must(s.store.FinishUpload(s.ctx, up.ID, []byte(result), rec))
	return rec
}

var uploadTests = map[string]func(*suite){
	"CreateThenReadGivesItBack": func(s *suite) {
		bare := metadata.Upload{ID: unique(), Bucket: s.bucket, Key: "bare"}
		deposit := s.upload("\x00\xff")
		deposit.ID += "\x00\xff"
		deposit.SealedDEK = randomBytes(80)
		for _, want := range []metadata.Upload{bare, s.upload("k"), deposit} {
			before := s.store.Now()
			got := s.create(want)
			if got.Created.Before(before) {
				s.Errorf("created %v, want the store's time, at %v or later", got.Created, before)
			}
			want.State, want.Created = metadata.UploadOpen, got.Created
			s.equal(got, want)
		}
	},
	"StoreSetsStateAndTimes": func(s *suite) {
		up := s.upload("k")
		up.State, up.Intent, up.Result, up.Completed = metadata.UploadCompleted, []byte("i"), []byte("r"), time.Now()
		got := s.create(up)
		if got.State != metadata.UploadOpen || len(got.Intent)+len(got.Result) != 0 || !got.Completed.IsZero() {
			s.Errorf("a new upload is %v, intent %q, result %q, completed %v", got.State, got.Intent, got.Result, got.Completed)
		}
	},
	"CreateAgainIsNoErrorButAnotherOneIs": func(s *suite) {
		up := s.upload("k")
		want := s.create(up)
		s.must(s.store.CreateUpload(s.ctx, up))
		other := up
		other.Envelope = random[metadata.Envelope]()
		s.wantErr(s.store.CreateUpload(s.ctx, other), metadata.ErrConflict)
		s.equal(s.read(up), want)
	},
	"IsFoundByBucketKeyAndIDTogether": func(s *suite) {
		up := s.create(s.upload("k"))
		for _, other := range []metadata.Upload{
			{Bucket: up.Bucket + "2", Key: up.Key, ID: up.ID},
			{Bucket: up.Bucket, Key: "K", ID: up.ID},
			{Bucket: up.Bucket, Key: up.Key, ID: up.ID + "\x00"},
			{Bucket: up.Bucket, Key: up.Key},
		} {
			_, err := s.store.Upload(s.ctx, other.Bucket, other.Key, other.ID)
			s.wantErr(err, metadata.ErrNotFound)
		}
	},
	"LifeFromOpenToSwept": func(s *suite) {
		up := s.upload("k")
		up.SealedDEK = randomBytes(60)
		up = s.create(up)
		s.must(s.store.AddPart(s.ctx, up.ID, uploadPart(1)))
		s.must(s.store.SetIntent(s.ctx, up.ID, []byte("intent")))
		got := s.read(up)
		want := up
		want.State, want.Intent = metadata.UploadCompleting, []byte("intent")
		s.equal(got, want)
		s.wantErr(s.store.AddPart(s.ctx, up.ID, uploadPart(2)), metadata.ErrConflict)

		old := s.add(s.record("k"), metadata.Committed)
		rec := s.record("k")
		rec.Envelope, rec.Parts, rec.Began = up.Envelope, parts(3), s.later(old.Committed)
		s.must(s.store.FinishUpload(s.ctx, up.ID, []byte("result"), rec))
		got = s.read(up)
		want.State, want.Result, want.SealedDEK = metadata.UploadCompleted, []byte("result"), nil
		s.equal(got, want, cmpopts.IgnoreFields(metadata.Upload{}, "Completed"))
		if got.Completed.Before(got.Created) {
			s.Errorf("completed %v, created %v", got.Completed, got.Created)
		}
		s.asAdded(s.byEnvelope(rec), rec)
		s.dead(old)
		left, _, err := s.store.UploadParts(s.ctx, up.ID, 0, 10)
		s.must(err)
		s.equal(left, []metadata.UploadPart{})

		s.wantErr(s.store.AddPart(s.ctx, up.ID, uploadPart(3)), metadata.ErrConflict)
		s.wantErr(s.store.SetIntent(s.ctx, up.ID, []byte("intent")), metadata.ErrConflict)
		s.wantErr(s.store.SetIntent(s.ctx, up.ID, nil), metadata.ErrConflict)
	},
	"IntentMayBeTakenBack": func(s *suite) {
		up := s.create(s.upload("k"))
		s.must(s.store.AddPart(s.ctx, up.ID, uploadPart(1)))
		s.must(s.store.SetIntent(s.ctx, up.ID, nil)) // an open upload is open
		s.must(s.store.SetIntent(s.ctx, up.ID, []byte("one")))
		s.must(s.store.SetIntent(s.ctx, up.ID, []byte("one")))
		s.wantErr(s.store.SetIntent(s.ctx, up.ID, []byte("two")), metadata.ErrConflict)
		s.must(s.store.SetIntent(s.ctx, up.ID, nil))
		s.equal(s.read(up), up)
		s.must(s.store.AddPart(s.ctx, up.ID, uploadPart(2)))
		s.must(s.store.SetIntent(s.ctx, up.ID, []byte("two")))
		if got := s.read(up); string(got.Intent) != "two" {
			s.Errorf("intent %q, want the second", got.Intent)
		}
		got, _, err := s.store.UploadParts(s.ctx, up.ID, 0, 10)
		s.must(err)
		if len(got) != 2 {
			s.Errorf("%d parts after the intent was taken back, want 2", len(got))
		}
	},
	"WhatIsNotThereIsNotFound": func(s *suite) {
		id := "2~" + unique()
		s.wantErr(s.store.SetIntent(s.ctx, id, []byte("i")), metadata.ErrNotFound)
		s.wantErr(s.store.SetIntent(s.ctx, id, nil), metadata.ErrNotFound)
		s.wantErr(s.store.AddPart(s.ctx, id, uploadPart(1)), metadata.ErrNotFound)
		rec := s.record("k")
		s.wantErr(s.store.FinishUpload(s.ctx, id, nil, rec), metadata.ErrNotFound)
		s.must(s.store.DeleteUpload(s.ctx, id))
		_, err := s.store.ByEnvelope(s.ctx, s.bucket, "k", rec.Envelope)
		s.wantErr(err, metadata.ErrNotFound)
	},
	"FinishNeedsAnIntentAndItsOwnKey": func(s *suite) {
		up := s.create(s.upload("k"))
		rec := s.record("k")
		s.wantErr(s.store.FinishUpload(s.ctx, up.ID, []byte("r"), rec), metadata.ErrConflict)
		s.must(s.store.SetIntent(s.ctx, up.ID, []byte("i")))
		other := s.record("other")
		s.wantErr(s.store.FinishUpload(s.ctx, up.ID, []byte("r"), other), metadata.ErrNotFound)
		for _, rec := range []metadata.Record{rec, other} {
			_, err := s.store.ByEnvelope(s.ctx, s.bucket, rec.Key, rec.Envelope)
			s.wantErr(err, metadata.ErrNotFound)
		}
		if got := s.read(up); got.State != metadata.UploadCompleting {
			s.Errorf("state %v after a refused finish", got.State)
		}
	},
	"FinishTwiceKeepsTheFirst": func(s *suite) {
		up := s.create(s.upload("k"))
		rec := s.finished(up, "first")
		want, wantUp := s.byEnvelope(rec), s.read(up)
		s.must(s.store.FinishUpload(s.ctx, up.ID, []byte("second"), rec))
		s.equal(s.byEnvelope(rec), want)
		s.equal(s.read(up), wantUp)
	},
	"FinishOfAHealedRecordStillCompletes": func(s *suite) {
		up := s.create(s.upload("k"))
		rec := s.record("k")
		rec.Envelope, rec.Parts = up.Envelope, parts(2)
		healed := s.add(rec, metadata.Healed)
		s.must(s.store.SetIntent(s.ctx, up.ID, []byte("i")))
		s.must(s.store.FinishUpload(s.ctx, up.ID, []byte("r"), rec))
		s.equal(s.byEnvelope(rec), healed)
		if got := s.read(up); got.State != metadata.UploadCompleted {
			s.Errorf("state %v, want completed", got.State)
		}
	},
	"DeleteRemovesItInAnyState": func(s *suite) {
		open, completing, completed := s.create(s.upload("k")), s.create(s.upload("k")), s.create(s.upload("k"))
		s.must(s.store.AddPart(s.ctx, open.ID, uploadPart(1)))
		s.must(s.store.SetIntent(s.ctx, completing.ID, []byte("i")))
		rec := s.finished(completed, "r")
		for _, up := range []metadata.Upload{open, completing, completed} {
			s.must(s.store.DeleteUpload(s.ctx, up.ID))
			_, err := s.store.Upload(s.ctx, up.Bucket, up.Key, up.ID)
			s.wantErr(err, metadata.ErrNotFound)
		}
		left, err := s.store.PartAttempts(s.ctx, open.ID, 1)
		s.must(err)
		s.equal(left, []metadata.UploadPart{})
		s.live(rec)
	},
	"SweepTakesOldCompletedOnes": func(s *suite) {
		var completed []metadata.Upload
		for range 3 {
			up := s.create(s.upload("k"))
			s.finished(up, "r")
			completed = append(completed, s.read(up))
		}
		open := s.create(s.upload("k"))
		sweep := func(before time.Time, limit, want int) {
			s.Helper()
			n, err := s.store.SweepUploads(s.ctx, before, limit)
			s.must(err)
			if n != want {
				s.Errorf("swept %d, want %d", n, want)
			}
		}
		// The group's other tests leave completed uploads too; only this one sweeps.
		for {
			n, err := s.store.SweepUploads(s.ctx, completed[0].Completed, 2)
			s.must(err)
			if n == 0 {
				break
			}
		}
		s.read(completed[0])
		after := s.later(completed[2].Completed)
		sweep(after, 2, 2)
		s.read(completed[2]) // the oldest went first
		sweep(after, 2, 1)
		sweep(after, 2, 0)
		s.read(open)
	},
	"ListIsInOrderBehindItsMarkers": func(s *suite) {
		var all []metadata.Upload
		for _, key := range []string{"a", "a", "a", "a/b", "a/c", "a\x00", "b", "\xff", "\xff\xff"} {
			all = append(all, s.create(s.upload(key)))
		}
		elsewhere := s.upload("a")
		elsewhere.Bucket += "2"
		s.create(elsewhere)
		s.finished(s.create(s.upload("a")), "r")
		s.must(s.store.SetIntent(s.ctx, all[3].ID, []byte("i"))) // completing ones are listed
		all[3] = s.read(all[3])
		sortUploads(all)

		list := func(prefix, key, id string, limit int, want ...metadata.Upload) {
			s.Helper()
			got, err := s.store.Uploads(s.ctx, s.bucket, prefix, key, id, limit)
			s.must(err)
			s.equal(got, want)
		}
		list("", "", "", 100, all...)
		list("", "", "id alone means nothing", 100, all...)
		list("", "", "", 2, all[:2]...)
		list("", "a", "", 100, all[3:]...)
		list("", "a", all[0].ID, 100, all[1:]...)
		list("", "a", all[2].ID, 100, all[3:]...)
		list("", "a/bb", "x", 100, all[5:]...)
		list("", "\xff\xff", "", 100)
		list("a/", "", "", 100, all[4:6]...)
		list("a/", "a", "", 100, all[4:6]...)
		list("a/", "a/b", "", 100, all[5:6]...)
		list("\xff", "", "", 100, all[7:]...)
		list("a\x00", "", "", 100, all[3:4]...)
		list("nothing", "", "", 100)

		var paged []metadata.Upload
		for key, id := "", ""; ; {
			got, err := s.store.Uploads(s.ctx, s.bucket, "", key, id, 2)
			s.must(err)
			if len(got) == 0 {
				break
			}
			paged = append(paged, got...)
			key, id = got[len(got)-1].Key, got[len(got)-1].ID
		}
		s.equal(paged, all)
	},
	"OfManyIntentsOneWins": func(s *suite) {
		up := s.create(s.upload("k"))
		var workers sync.WaitGroup
		won := make(chan string, 8)
		for i := range 8 {
			workers.Go(func() {
				intent := fmt.Sprint("intent ", i)
				err := s.store.SetIntent(s.ctx, up.ID, []byte(intent))
				if err == nil {
					won <- intent
					return
				}
				s.wantErr(err, metadata.ErrConflict)
			})
		}
		workers.Wait()
		if len(won) != 1 {
			s.Fatalf("%d intents won, want 1", len(won))
		}
		if got := s.read(up); string(got.Intent) != <-won {
			s.Errorf("stored intent %q is not the winner's", got.Intent)
		}
	},
	"OfManyFinishesOneAnswerStays": func(s *suite) {
		up := s.create(s.upload("k"))
		s.must(s.store.SetIntent(s.ctx, up.ID, []byte("i")))
		rec := s.record("k")
		rec.Parts = parts(20)
		var workers sync.WaitGroup
		for i := range 8 {
			workers.Go(func() {
				if err := s.store.FinishUpload(s.ctx, up.ID, fmt.Append(nil, i), rec); err != nil {
					s.Errorf("finish: %v", err)
				}
			})
		}
		workers.Wait()
		want := s.read(up)
		s.must(s.store.FinishUpload(s.ctx, up.ID, []byte("late"), rec))
		s.equal(s.read(up), want)
		s.asAdded(s.byEnvelope(rec), rec)
	},
}
