package storetest

import (
	"time"

	"cofre/keys"
	"cofre/metadata"
)

// objectIDOf is the object id in an envelope (docs/FORMAT.md section 4).
func objectIDOf(env metadata.Envelope) keys.ObjectID { return keys.ObjectID(env[4:20]) }

// bury makes tombstones of rows, and gives a time behind all of them.
func (s *suite) bury(recs ...metadata.Record) time.Time {
	s.Helper()
	var last time.Time
	for _, rec := range recs {
		d := metadata.Deletion{Bucket: rec.Bucket, Key: rec.Key, VersionID: rec.VersionID, Began: s.later(s.byEnvelope(rec).Committed)}
		s.must(s.store.Tombstone(s.ctx, d))
		last = s.byEnvelope(rec).Tombstoned
	}
	return s.later(last)
}

// swept sweeps until nothing is left. Other tests of the store keep no tombstone that they come back to from another time than now.
func (s *suite) swept(before time.Time) (total int) {
	s.Helper()
	for {
		n, err := s.store.SweepTombstones(s.ctx, before, 2)
		s.must(err)
		if total += n; n < 2 {
			return total
		}
	}
}

var sweepTests = map[string]func(*suite){
	"TakesOldTombstonesAlone": func(s *suite) {
		// The store is shared with other tests: only what lies before this bucket's own first tombstone is swept there.
		old := s.record("old")
		old.Parts = parts(3)
		old, live := s.add(old, metadata.Committed), s.add(s.record("live"), metadata.Committed)
		behind := s.bury(old)
		young := s.add(s.record("young"), metadata.Committed)
		s.bury(young)
		if n := s.swept(behind); n < 1 {
			s.Errorf("%d swept", n)
		}
		_, err := s.store.ByEnvelope(s.ctx, s.bucket, "old", old.Envelope)
		s.wantErr(err, metadata.ErrNotFound)
		known, err := s.store.Known(s.ctx, s.bucket, "old", metadata.NullVersion)
		s.must(err)
		if known {
			s.Error("a swept tombstone is known")
		}
		s.live(live)
		s.dead(young)
	},
	"LeavesPartsToAnotherVersionOfTheEnvelope": func(s *suite) {
		first := s.version("k", "v1")
		first.Parts = parts(3)
		restored := first
		restored.VersionID = "v2"
		first = s.add(first, metadata.Committed)
		s.must(s.store.Add(s.ctx, restored, metadata.Healed))
		behind := s.bury(first) // the version v1 alone
		s.swept(behind)
		got, err := s.store.Latest(s.ctx, s.bucket, "k", "")
		s.must(err)
		if got.VersionID != "v2" || len(got.Parts) != 3 {
			s.Errorf("left is %+v", got)
		}
	},
	"ASweptObjectCanBeWrittenAgain": func(s *suite) {
		rec := s.record("k")
		rec.Parts = parts(2)
		rec = s.add(rec, metadata.Committed)
		s.swept(s.bury(rec))
		s.must(s.store.Add(s.ctx, rec, metadata.Healed))
		if got := s.byEnvelope(rec); len(got.Parts) != 2 || !got.Tombstoned.IsZero() {
			s.Errorf("healed to %+v", got)
		}
	},
	"LayoutsInUse": func(s *suite) {
		inParts := func(key string) metadata.Record {
			rec := s.record(key)
			rec.Parts = parts(2)
			return s.add(rec, metadata.Committed)
		}
		live, gone, buried, single, up := inParts("live"), inParts("gone"), inParts("buried"), s.add(s.record("single"), metadata.Committed), s.upload("u")
		s.must(s.store.CreateUpload(s.ctx, up))
		behind := s.bury(gone)
		s.bury(buried)
		elsewhere := s.record("other bucket")
		elsewhere.Bucket, elsewhere.Parts = s.bucket+"2", parts(1)
		s.must(s.store.Add(s.ctx, elsewhere, metadata.Committed))
		ids := []keys.ObjectID{
			objectIDOf(gone.Envelope), objectIDOf(live.Envelope), keys.NewObjectID(), objectIDOf(up.Envelope), objectIDOf(single.Envelope),
			objectIDOf(elsewhere.Envelope), objectIDOf(buried.Envelope), objectIDOf(live.Envelope),
		}
		used, err := s.store.LayoutsInUse(s.ctx, s.bucket, ids, behind)
		s.must(err)
		s.equal(used, []bool{false, true, false, true, false, false, true, true})
		used, err = s.store.LayoutsInUse(s.ctx, s.bucket, nil, behind)
		s.must(err)
		s.equal(len(used), 0)
	},
	"StateIsKeptAndForgotten": func(s *suite) {
		want := func(state string) {
			s.Helper()
			got, err := s.store.SweepState(s.ctx, s.bucket)
			s.must(err)
			s.equal(string(got), state)
		}
		want("")
		for _, state := range []string{`{"key":"a"}`, `{"key":"b"}`, ""} {
			s.must(s.store.SetSweepState(s.ctx, s.bucket, []byte(state)))
			want(state)
		}
	},
}
