package storetest

import (
	"fmt"
	"time"

	"cofre/metadata"
)

var tombstoneTests = map[string]func(*suite){
	"AWriteThatFollowsAtOnceTombstonesToo": func(s *suite) {
		// No pause but a request's own: a storage that puts the first object back must be found out all the same.
		for i := range 20 {
			first, second := s.record(fmt.Sprint("k", i)), s.record(fmt.Sprint("k", i))
			first.Began = s.store.Now()
			s.must(s.store.Add(s.ctx, first, metadata.Committed))
			time.Sleep(100 * time.Microsecond)
			second.Began = s.store.Now()
			s.must(s.store.Add(s.ctx, second, metadata.Committed))
			s.dead(first)
			s.live(second)
		}
	},
	"CommitTombstonesWhatItReplaced": func(s *suite) {
		a, b, other := s.record("k"), s.record("k"), s.record("other")
		for _, rec := range []metadata.Record{a, b, other} {
			// Both began before either was committed: the second leaves the first alone.
			s.must(s.store.Add(s.ctx, rec, metadata.Committed))
		}
		s.live(a)
		s.live(b)
		c := s.record("k")
		c.Began = s.later(s.byEnvelope(other).Committed)
		s.must(s.store.Add(s.ctx, c, metadata.Committed))
		s.dead(a)
		s.dead(b)
		s.live(c)
		s.live(other)
	},
	"ConcurrentWritersStay": func(s *suite) {
		began := s.store.Now()
		a := s.add(s.record("k"), metadata.Committed)
		for _, began := range []time.Time{began, a.Committed} { // not even the very moment is "before"
			b := s.record("k")
			b.Began = began
			s.must(s.store.Add(s.ctx, b, metadata.Committed))
			s.live(a)
			s.live(b)
		}
	},
	"UnknownBeganTombstonesNothing": func(s *suite) {
		a := s.add(s.record("k"), metadata.Committed)
		b := s.record("k")
		b.Began = time.Time{}
		s.later(a.Committed)
		s.must(s.store.Add(s.ctx, b, metadata.Committed))
		s.must(s.store.Tombstone(s.ctx, metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: metadata.NullVersion}))
		s.live(a)
		s.live(b)
	},
	"CommitTouchesNoVersionButNull": func(s *suite) {
		v1 := s.add(s.version("k", "v1"), metadata.Committed)
		null := s.record("k")
		null.Began = s.later(v1.Committed)
		null = s.add(null, metadata.Committed)
		v2 := s.version("k", "v2")
		v2.Began = s.later(null.Committed)
		s.must(s.store.Add(s.ctx, v2, metadata.Committed))
		again := s.version("k", "v1") // no backend gives a version twice; were it to, its row is no business of a PUT
		again.Began = v2.Began
		s.must(s.store.Add(s.ctx, again, metadata.Committed))
		for _, rec := range []metadata.Record{v1, null, v2, again} {
			s.live(rec)
		}
	},
	"HealTombstonesNothing": func(s *suite) {
		a := s.add(s.record("k"), metadata.Committed)
		b := s.record("k")
		b.Began = s.later(a.Committed)
		s.must(s.store.Add(s.ctx, b, metadata.Healed))
		s.live(a)
		s.live(b)
	},
	"AddNeverRevives": func(s *suite) {
		a := s.add(s.record("k"), metadata.Committed)
		began := s.later(a.Committed)
		s.must(s.store.Tombstone(s.ctx, metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: metadata.NullVersion, Began: began}))
		want := s.byEnvelope(a)
		s.dead(a)
		for _, origin := range []metadata.Origin{metadata.Healed, metadata.Committed} {
			a.Tombstoned = time.Time{}
			s.equal(s.add(a, origin), want)
		}
	},
	"CommitOfAHealedRowStillTombstones": func(s *suite) {
		// A reader may heal a new object before its writer comes to add the row.
		old := s.add(s.record("k"), metadata.Committed)
		rec := s.record("k")
		rec.Began = s.later(old.Committed)
		s.must(s.store.Add(s.ctx, rec, metadata.Healed))
		s.live(old)
		s.must(s.store.Add(s.ctx, rec, metadata.Committed))
		s.dead(old)
		s.live(rec)
	},
	"CommitOfARowHealedBeforeItBeganBuriesTheOthersAlone": func(s *suite) {
		// A Complete whose process died is asked for again, and finds its object there and healed.
		old := s.add(s.record("k"), metadata.Committed)
		rec := s.record("k")
		rec.Parts = parts(2)
		rec = s.add(rec, metadata.Healed)
		rec.Began = s.later(rec.Committed)
		s.must(s.store.Add(s.ctx, rec, metadata.Committed))
		s.dead(old)
		s.live(rec)
	},
	"DeletionTakesItsVersionOnly": func(s *suite) {
		v1, v2 := s.add(s.version("k", "v1"), metadata.Committed), s.add(s.version("k", "v2"), metadata.Committed)
		null := s.add(s.record("k"), metadata.Committed)
		other := s.add(s.version("other", "v1"), metadata.Committed)
		elsewhere := s.version("k", "v1")
		elsewhere.Bucket = s.bucket + "2"
		s.must(s.store.Add(s.ctx, elsewhere, metadata.Committed))
		began := s.later(s.byEnvelope(elsewhere).Committed)
		s.must(s.store.Tombstone(s.ctx, metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: "v1", Began: began}))
		s.dead(v1)
		for _, rec := range []metadata.Record{v2, null, other, elsewhere} {
			s.live(rec)
		}
		s.must(s.store.Tombstone(s.ctx, metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: metadata.NullVersion, Began: began}))
		s.dead(null)
		s.live(v2)
	},
	"DeletionSparesWhatWasCommittedAfterItBegan": func(s *suite) {
		began := s.store.Now()
		rec := s.add(s.record("k"), metadata.Committed)
		s.must(s.store.Tombstone(s.ctx,
			metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: metadata.NullVersion, Began: began},
			metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: metadata.NullVersion, Began: rec.Committed}))
		s.live(rec)
	},
	"ThousandDeletionsInOneCall": func(s *suite) {
		const n = 1000
		var deletions []metadata.Deletion
		var recs []metadata.Record
		for _, key := range append(manyKeys(n-len(oddKeys())), oddKeys()...) {
			rec := s.record(key)
			recs = append(recs, rec)
			s.must(s.store.Add(s.ctx, rec, metadata.Committed))
		}
		began := s.later(s.byEnvelope(recs[n-1]).Committed)
		for _, rec := range recs {
			deletions = append(deletions, metadata.Deletion{Bucket: s.bucket, Key: rec.Key, VersionID: metadata.NullVersion, Began: began})
		}
		spared := deletions[0]
		deletions = append(deletions[1:], deletions[n-1], metadata.Deletion{Bucket: s.bucket, Key: "absent", VersionID: "v", Began: began})
		s.must(s.store.Tombstone(s.ctx, deletions...))
		s.live(recs[0])
		for _, rec := range recs[1:] {
			s.dead(rec)
		}
		s.must(s.store.Tombstone(s.ctx))
		s.must(s.store.Tombstone(s.ctx, spared))
		s.dead(recs[0])
	},
	"TombstoneTwiceKeepsTheFirstTime": func(s *suite) {
		rec := s.add(s.record("k"), metadata.Committed)
		d := metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: metadata.NullVersion, Began: s.later(rec.Committed)}
		s.must(s.store.Tombstone(s.ctx, d))
		want := s.byEnvelope(rec)
		d.Began = s.later(want.Tombstoned)
		s.must(s.store.Tombstone(s.ctx, d))
		s.equal(s.byEnvelope(rec), want)
	},
	"ReviveBringsTheRowBack": func(s *suite) {
		rec := s.record("k")
		rec.Parts = parts(2)
		rec = s.add(rec, metadata.Committed)
		s.must(s.store.Tombstone(s.ctx,
			metadata.Deletion{Bucket: s.bucket, Key: "k", VersionID: metadata.NullVersion, Began: s.later(rec.Committed)}))
		s.dead(rec)
		for range 2 {
			s.must(s.store.Revive(s.ctx, s.bucket, "k", rec.Envelope))
			got, err := s.store.Latest(s.ctx, s.bucket, "k", "")
			s.must(err)
			s.equal(got, rec)
		}
		s.wantErr(s.store.Revive(s.ctx, s.bucket, "other", rec.Envelope), metadata.ErrNotFound)
		s.wantErr(s.store.Revive(s.ctx, s.bucket, "k", random[metadata.Envelope]()), metadata.ErrNotFound)
	},
	"DropBucketTombstonesItsRowsAndForgetsItsUploads": func(s *suite) {
		mine := []metadata.Record{s.add(s.record("a"), metadata.Committed), s.add(s.version("b", "v1"), metadata.Committed)}
		upload, other := s.upload("u"), s.upload("u")
		other.Bucket = s.bucket + "2"
		s.must(s.store.CreateUpload(s.ctx, upload))
		s.must(s.store.AddPart(s.ctx, upload.ID, uploadPart(1)))
		s.must(s.store.CreateUpload(s.ctx, other))
		elsewhere := s.record("a")
		elsewhere.Bucket = other.Bucket
		s.must(s.store.Add(s.ctx, elsewhere, metadata.Committed))

		began := s.later(s.byEnvelope(elsewhere).Committed)
		var after []metadata.Record
		for range 2 { // the bucket was made anew by someone while it was being dropped
			rec := s.record("after")
			rec.Began = began
			after = append(after, s.add(rec, metadata.Committed))
		}
		young := s.upload("u")
		s.must(s.store.CreateUpload(s.ctx, young))

		s.must(s.store.DropBucket(s.ctx, s.bucket, began))
		for _, rec := range mine {
			s.dead(rec)
		}
		for _, rec := range append(after, elsewhere) {
			s.live(rec)
		}
		_, err := s.store.Upload(s.ctx, upload.Bucket, upload.Key, upload.ID)
		s.wantErr(err, metadata.ErrNotFound)
		got, _, err := s.store.UploadParts(s.ctx, upload.ID, 0, 10)
		s.must(err)
		s.equal(got, []metadata.UploadPart{})
		for _, up := range []metadata.Upload{other, young} {
			_, err = s.store.Upload(s.ctx, up.Bucket, up.Key, up.ID)
			s.must(err)
		}
	},
}
