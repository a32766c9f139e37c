package storetest

import (
	"fmt"
	"sync"

	"cofre/metadata"
)

var raceTests = map[string]func(*suite){
	"ConcurrentWritersOfOneKeyLoseNothing": func(s *suite) {
		// Eight writers, one key: every row is there, no row was tombstoned by one that began before it was committed,
		// and what each saw committed before it began is a tombstone at the end.
		const writers, rounds = 8, 10
		recs := make([][]metadata.Record, writers)
		var workers sync.WaitGroup
		for w := range writers {
			workers.Go(func() {
				for range rounds {
					rec := s.record("k")
					if err := s.store.Add(s.ctx, rec, metadata.Committed); err != nil {
						s.Errorf("add: %v", err)
						return
					}
					recs[w] = append(recs[w], rec)
				}
			})
		}
		workers.Wait()
		var all []metadata.Record
		for _, own := range recs {
			for _, rec := range own {
				all = append(all, s.byEnvelope(rec))
			}
		}
		live := 0
		for _, a := range all {
			replaced := false
			for _, b := range all {
				replaced = replaced || a.Committed.Before(b.Began)
			}
			if a.Tombstoned.IsZero() {
				live++
			} else if !replaced {
				s.Errorf("tombstone of a row committed %v: no writer began after that", a.Committed)
			}
		}
		if live == 0 {
			s.Error("no row is live")
		}
		last := s.record("k")
		last.Began = s.later(all[0].Committed)
		for _, rec := range all {
			last.Began = s.later(rec.Committed)
		}
		s.must(s.store.Add(s.ctx, last, metadata.Committed))
		for _, rec := range all {
			s.dead(rec)
		}
		s.live(last)
	},
	"OneRecordAddedByManyIsOneRow": func(s *suite) {
		rec := s.record("k")
		rec.Parts = parts(50)
		var workers sync.WaitGroup
		for i := range 8 {
			workers.Go(func() {
				origin := metadata.Committed
				if i%2 == 0 {
					origin = metadata.Healed
				}
				if err := s.store.Add(s.ctx, rec, origin); err != nil {
					s.Errorf("add: %v", err)
				}
			})
		}
		workers.Wait()
		s.asAdded(s.byEnvelope(rec), rec)
		s.live(rec)
	},
	"DeletesInAnyOrderDoNotDeadlock": func(s *suite) {
		keys := manyKeys(100)
		var last metadata.Record
		for _, key := range keys {
			last = s.record(key)
			s.must(s.store.Add(s.ctx, last, metadata.Committed))
		}
		began := s.later(s.byEnvelope(last).Committed)
		var workers sync.WaitGroup
		for w := range 6 {
			workers.Go(func() {
				var deletions []metadata.Deletion
				for i := range keys {
					at := i
					if w%2 == 1 {
						at = len(keys) - 1 - i
					}
					deletions = append(deletions, metadata.Deletion{
						Bucket: s.bucket, Key: keys[at], VersionID: metadata.NullVersion, Began: began})
				}
				if err := s.store.Tombstone(s.ctx, deletions...); err != nil {
					s.Errorf("tombstone: %v", err)
				}
			})
			workers.Go(func() {
				for i := range 20 {
					rec := s.record(keys[(i*7+w)%len(keys)])
					if err := s.store.Add(s.ctx, rec, metadata.Committed); err != nil {
						s.Errorf("add: %v", err)
					}
				}
			})
		}
		workers.Wait()
	},
	"ReadersNeverSeeHalfARecord": func(s *suite) {
		var workers sync.WaitGroup
		for i := range 10 {
			rec := s.record(fmt.Sprint("k", i))
			rec.Parts = parts(100)
			workers.Go(func() {
				if err := s.store.Add(s.ctx, rec, metadata.Committed); err != nil {
					s.Errorf("add: %v", err)
				}
			})
			workers.Go(func() {
				for {
					got, err := s.store.Latest(s.ctx, s.bucket, rec.Key, "")
					if isError(err, metadata.ErrNotFound) {
						continue
					}
					if err != nil || len(got.Parts) != len(rec.Parts) {
						s.Errorf("latest: %d of %d parts, %v", len(got.Parts), len(rec.Parts), err)
					}
					return
				}
			})
		}
		workers.Wait()
	},
}
