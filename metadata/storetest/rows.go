package storetest

import (
	"cmp"
	"fmt"
	"slices"

	"cofre/metadata"
)

// walk gives all live rows of the suite's bucket, read in pages of limit rows.
func (s *suite) walk(limit int) []metadata.Record {
	s.Helper()
	var all []metadata.Record
	var after *metadata.Record
	for {
		page, err := s.store.Rows(s.ctx, s.bucket, after, limit)
		s.must(err)
		if len(page) > limit {
			s.Fatalf("%d rows on a page of %d", len(page), limit)
		}
		all = append(all, page...)
		if len(page) < limit {
			return all
		}
		after = &all[len(all)-1]
	}
}

// inOrder is what a walk gives of the records.
func inOrder(recs []metadata.Record) []metadata.Record {
	var want []metadata.Record
	for _, rec := range recs {
		want = append(want, *listed(rec))
	}
	slices.SortFunc(want, func(a, b metadata.Record) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), b.Committed.Compare(a.Committed))
	})
	return want
}

var rowTests = map[string]func(*suite){
	"GiveEveryLiveRowOnceInOrderOfKey": func(s *suite) {
		var added []metadata.Record
		for _, key := range append(oddKeys(), manyKeys(60)...) {
			added = append(added, s.add(s.record(key), metadata.Committed))
		}
		for i := range 12 { // a key whose versions are on several pages
			rec := s.add(s.version("photos/2026/00000030.jpeg", fmt.Sprint("v", i)), metadata.Committed)
			s.later(rec.Committed) // so that no two have one time
			added = append(added, rec)
		}
		elsewhere := s.record("a")
		elsewhere.Bucket += "2"
		s.must(s.store.Add(s.ctx, elsewhere, metadata.Committed))
		for _, limit := range []int{1, 5, len(added), 1000} {
			s.equal(s.walk(limit), inOrder(added))
		}
	},
	"LeaveTombstonesOut": func(s *suite) {
		old := s.add(s.record("k"), metadata.Committed)
		rec := s.record("k")
		rec.Began = s.later(old.Committed)
		rec = s.add(rec, metadata.Committed)
		s.equal(s.walk(10), []metadata.Record{*listed(rec)})
	},
	"OfAnEmptyBucketAreNone": func(s *suite) {
		if got := s.walk(10); len(got) != 0 {
			s.Errorf("%v", got)
		}
	},
	"GoOnBehindARowThatIsGoneMeanwhile": func(s *suite) {
		var added []metadata.Record
		for _, key := range []string{"a", "b", "c"} {
			added = append(added, s.add(s.record(key), metadata.Committed))
		}
		first, err := s.store.Rows(s.ctx, s.bucket, nil, 2)
		s.must(err)
		s.must(s.store.Tombstone(s.ctx, metadata.Deletion{
			Bucket: s.bucket, Key: "b", VersionID: metadata.NullVersion, Began: s.later(added[1].Committed)}))
		rest, err := s.store.Rows(s.ctx, s.bucket, &first[1], 2)
		s.must(err)
		s.equal(rest, []metadata.Record{*listed(added[2])})
	},
}
