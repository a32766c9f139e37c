package storetest

import (
	"slices"
	"sync"
	"time"

	"cofre/keys"
)

func (s *suite) kek(creator keys.SiteID, state keys.KEKState) keys.StoredKEK {
	return keys.StoredKEK{
		Bucket: s.bucket, ID: random[keys.KEKID](), Creator: creator, Record: randomBytes(500), Grant: randomBytes(2000),
		State: state, Created: time.Date(2026, 11, 22, 1, 2, 3, 4000, time.UTC),
	}
}

func (s *suite) addKEK(k keys.StoredKEK) keys.StoredKEK {
	s.Helper()
	got, err := s.store.AddKEK(s.ctx, k)
	s.must(err)
	return got
}

func (s *suite) readKEK(k keys.StoredKEK) keys.StoredKEK {
	s.Helper()
	got, err := s.store.KEK(s.ctx, k.Bucket, k.ID)
	s.must(err)
	return got
}

var kekTests = map[string]func(*suite){
	"AddThenReadGivesItBack": func(s *suite) {
		site := random[keys.SiteID]()
		for _, state := range []keys.KEKState{keys.Active, keys.ReadOnly, keys.Closed} {
			want := s.kek(site, state)
			s.equal(s.addKEK(want), want)
			s.equal(s.readKEK(want), want)
		}
		bare := keys.StoredKEK{Bucket: s.bucket, ID: random[keys.KEKID](), State: keys.ReadOnly}
		s.equal(s.addKEK(bare), bare)
		s.equal(s.readKEK(bare), bare)
	},
	"WhatIsNotThereIsNotFound": func(s *suite) {
		k := s.addKEK(s.kek(random[keys.SiteID](), keys.ReadOnly))
		_, err := s.store.KEK(s.ctx, s.bucket, random[keys.KEKID]())
		s.wantErr(err, keys.ErrKEKNotFound)
		_, err = s.store.KEK(s.ctx, s.bucket+"2", k.ID)
		s.wantErr(err, keys.ErrKEKNotFound)
		_, err = s.store.ActiveKEK(s.ctx, s.bucket, k.Creator) // there, but not active
		s.wantErr(err, keys.ErrKEKNotFound)
		s.wantErr(s.store.SetKEKState(s.ctx, s.bucket, random[keys.KEKID](), keys.Closed), keys.ErrKEKNotFound)
		s.wantErr(s.store.SetKEKState(s.ctx, s.bucket+"2", k.ID, keys.Closed), keys.ErrKEKNotFound)
		s.must(s.store.CloseKEKs(s.ctx, s.bucket+"2"))
		s.equal(s.readKEK(k), k)
	},
	"InvalidStateIsRefused": func(s *suite) {
		k := s.kek(random[keys.SiteID](), 0)
		if _, err := s.store.AddKEK(s.ctx, k); err == nil {
			s.Error("added a KEK without a state")
		}
		k.State = keys.Active
		s.addKEK(k)
		for _, state := range []keys.KEKState{0, keys.Closed + 1} {
			if err := s.store.SetKEKState(s.ctx, s.bucket, k.ID, state); err == nil {
				s.Errorf("set state %v", state)
			}
		}
	},
	"OneIsActivePerBucketAndCreator": func(s *suite) {
		here, there := random[keys.SiteID](), random[keys.SiteID]()
		first := s.addKEK(s.kek(here, keys.Active))
		second := s.kek(here, keys.Active)
		s.equal(s.addKEK(second), first)
		_, err := s.store.KEK(s.ctx, s.bucket, second.ID)
		s.wantErr(err, keys.ErrKEKNotFound)

		other := s.addKEK(s.kek(there, keys.Active))
		elsewhere := s.kek(here, keys.Active)
		elsewhere.Bucket += "2"
		s.equal(s.addKEK(elsewhere), elsewhere)
		for _, want := range []keys.StoredKEK{first, other, elsewhere} {
			got, err := s.store.ActiveKEK(s.ctx, want.Bucket, want.Creator)
			s.must(err)
			s.equal(got, want)
		}
		s.addKEK(s.kek(here, keys.ReadOnly)) // as many as there are of the others
		s.addKEK(s.kek(here, keys.ReadOnly))

		s.must(s.store.SetKEKState(s.ctx, s.bucket, first.ID, keys.ReadOnly))
		s.equal(s.addKEK(second), second)
	},
	"AddAgainKeepsWhatWasAccepted": func(s *suite) {
		first := s.addKEK(s.kek(random[keys.SiteID](), keys.Active))
		again := first
		again.Grant, again.State = randomBytes(10), keys.ReadOnly
		s.equal(s.addKEK(again), first)
		s.must(s.store.SetKEKState(s.ctx, s.bucket, first.ID, keys.Closed))
		again.State = keys.Active
		if got := s.addKEK(again); got.State != keys.Closed {
			s.Errorf("a closed KEK is %v after it was added again", got.State)
		}
	},
	"AnotherDocumentUnderAnIDIsAConflict": func(s *suite) {
		want := s.addKEK(s.kek(random[keys.SiteID](), keys.ReadOnly))
		record, creator, bucket := want, want, want
		record.Record = append(slices.Clone(want.Record[:len(want.Record)-1]), want.Record[len(want.Record)-1]^1)
		creator.Creator = random[keys.SiteID]()
		bucket.Bucket += "2"
		for _, k := range []keys.StoredKEK{record, creator, bucket} {
			for _, state := range []keys.KEKState{keys.Active, keys.ReadOnly, keys.Closed} {
				k.State = state
				_, err := s.store.AddKEK(s.ctx, k)
				s.wantErr(err, keys.ErrKEKConflict)
			}
		}
		s.equal(s.readKEK(want), want)
	},
	"StatesOnlyGoDown": func(s *suite) {
		states := []keys.KEKState{keys.Active, keys.ReadOnly, keys.Closed}
		for _, from := range states {
			for _, to := range states {
				k := s.addKEK(s.kek(random[keys.SiteID](), from))
				err := s.store.SetKEKState(s.ctx, s.bucket, k.ID, to)
				want := to
				if to < from {
					s.wantErr(err, keys.ErrKEKConflict)
					want = from
				} else {
					s.must(err)
				}
				if got := s.readKEK(k); got.State != want {
					s.Errorf("%v to %v gave %v", from, to, got.State)
				}
			}
		}
	},
	"CountsWhatIsSealedUnderEach": func(s *suite) {
		a, b := s.addKEK(s.kek(random[keys.SiteID](), keys.Active)), s.addKEK(s.kek(random[keys.SiteID](), keys.ReadOnly))
		count := func(k keys.StoredKEK, n, want int64) {
			s.Helper()
			got, err := s.store.CountKEK(s.ctx, k.Bucket, k.ID, n)
			s.must(err)
			s.equal(got, want)
		}
		count(a, 0, 0)
		count(a, 5, 5)
		count(b, 1<<40, 1<<40)
		count(a, 2, 7)
		s.must(s.store.SetKEKState(s.ctx, s.bucket, a.ID, keys.ReadOnly)) // another replica may seal on for a while
		count(a, 1, 8)
		_, err := s.store.CountKEK(s.ctx, s.bucket, random[keys.KEKID](), 1)
		s.wantErr(err, keys.ErrKEKNotFound)
		_, err = s.store.CountKEK(s.ctx, s.bucket+"2", a.ID, 1)
		s.wantErr(err, keys.ErrKEKNotFound)
		count(a, 0, 8)
		s.equal(s.readKEK(b), b)
	},
	"RacingCountersLoseNothing": func(s *suite) {
		k := s.addKEK(s.kek(random[keys.SiteID](), keys.Active))
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for range 10 {
					if _, err := s.store.CountKEK(s.ctx, s.bucket, k.ID, 3); err != nil {
						s.Errorf("count KEK: %v", err)
					}
				}
			})
		}
		workers.Wait()
		total, err := s.store.CountKEK(s.ctx, s.bucket, k.ID, 0)
		s.must(err)
		s.equal(total, int64(240))
	},
	"CloseTakesTheWholeBucket": func(s *suite) {
		a, b := s.addKEK(s.kek(random[keys.SiteID](), keys.Active)), s.addKEK(s.kek(random[keys.SiteID](), keys.ReadOnly))
		elsewhere := s.kek(a.Creator, keys.Active)
		elsewhere.Bucket += "2"
		s.addKEK(elsewhere)
		s.must(s.store.CloseKEKs(s.ctx, s.bucket))
		for _, k := range []keys.StoredKEK{a, b} {
			if got := s.readKEK(k); got.State != keys.Closed {
				s.Errorf("state %v after the bucket was closed", got.State)
			}
		}
		s.equal(s.readKEK(elsewhere), elsewhere)
		next := s.kek(a.Creator, keys.Active) // the name may be used again, under another KEK
		s.equal(s.addKEK(next), next)
	},
	"ListIsInOrderOfCreation": func(s *suite) {
		var want []keys.StoredKEK
		for i := range 5 {
			k := s.kek(random[keys.SiteID](), keys.KEKState(1+i%3))
			k.Created = k.Created.Add(-time.Duration(i/2) * time.Hour)
			want = append(want, s.addKEK(k))
		}
		slices.SortFunc(want, func(a, b keys.StoredKEK) int {
			if c := a.Created.Compare(b.Created); c != 0 {
				return c
			}
			return slices.Compare(a.ID[:], b.ID[:])
		})
		got, err := s.store.KEKs(s.ctx, s.bucket)
		s.must(err)
		s.equal(got, want)
		got, err = s.store.KEKs(s.ctx, s.bucket+"2")
		s.must(err)
		s.equal(got, []keys.StoredKEK{})
	},
	"BucketsWithKEKsComeInPages": func(s *suite) {
		// Other tests use the same store: what is between these two names is this test's own.
		first, last := s.bucket+"-", s.bucket+"."
		var want []string
		for i, name := range []string{"a", "b", "b2", "\xff\x00"} {
			for range 1 + i%2*3 {
				k := s.kek(random[keys.SiteID](), keys.KEKState(1+i%3))
				k.Bucket = first + name
				s.addKEK(k)
			}
			want = append(want, first+name)
		}
		var got []string
		for after := first; ; {
			page, err := s.store.KEKBuckets(s.ctx, after, 3)
			s.must(err)
			if len(page) > 3 {
				s.Fatalf("%d on a page of 3", len(page))
			}
			for _, name := range page {
				if name < last {
					got = append(got, name)
				}
			}
			if len(page) < 3 {
				break
			}
			after = page[len(page)-1]
		}
		s.equal(got, want)
	},
	"RacingAddersAgreeOnOne": func(s *suite) {
		site := random[keys.SiteID]()
		var workers sync.WaitGroup
		got := make([]keys.StoredKEK, 8)
		for i := range got {
			workers.Go(func() {
				k, err := s.store.AddKEK(s.ctx, s.kek(site, keys.Active))
				if err != nil {
					s.Errorf("add KEK: %v", err)
				}
				got[i] = k
			})
		}
		workers.Wait()
		want, err := s.store.ActiveKEK(s.ctx, s.bucket, site)
		s.must(err)
		for _, k := range got {
			s.equal(k, want)
		}
		all, err := s.store.KEKs(s.ctx, s.bucket)
		s.must(err)
		s.equal(all, []keys.StoredKEK{want})
	},
}
