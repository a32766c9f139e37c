package storetest

import (
	"fmt"
	"math/rand/v2"

	"cofre/metadata"
)

// manyKeys are n different keys as a real bucket has them.
func manyKeys(n int) []string {
	ks := make([]string, n)
	for i := range ks {
		ks[i] = fmt.Sprintf("photos/2026/%08d.jpeg", i)
	}
	return ks
}

// listed is what Page fills of a record.
func listed(rec metadata.Record) *metadata.Record {
	return &metadata.Record{
		Bucket: rec.Bucket, Key: rec.Key, VersionID: rec.VersionID, BackendETag: rec.BackendETag, Size: rec.Size, ETag: rec.ETag,
		Checksum:  metadata.Checksum{Algorithm: rec.Checksum.Algorithm, Type: rec.Checksum.Type},
		Committed: rec.Committed,
	}
}

func (s *suite) page(entries ...metadata.Entry) []*metadata.Record {
	s.Helper()
	got, err := s.store.Page(s.ctx, s.bucket, entries)
	s.must(err)
	if len(got) != len(entries) {
		s.Fatalf("%d rows for %d entries", len(got), len(entries))
	}
	return got
}

func entry(rec metadata.Record) metadata.Entry {
	return metadata.Entry{Key: rec.Key, BackendETag: rec.BackendETag}
}

var pageTests = map[string]func(*suite){
	"AlignsThousandRowsAndMisses": func(s *suite) {
		var entries []metadata.Entry
		var want []*metadata.Record
		for i, key := range append(oddKeys(), manyKeys(1000-len(oddKeys()))...) {
			rec := s.record(key)
			if i%2 == 0 {
				rec.Parts = parts(2)
			}
			entries = append(entries, entry(rec))
			if i%10 == 9 {
				want = append(want, nil) // never added
				continue
			}
			want = append(want, listed(s.add(rec, metadata.Committed)))
		}
		s.equal(s.page(entries...), want)
	},
	"WithoutEntriesIsEmpty": func(s *suite) {
		s.add(s.record("k"), metadata.Committed)
		s.page()
	},
	"JoinsByKeyAndBackendETag": func(s *suite) {
		rec := s.add(s.record("k"), metadata.Committed)
		other := s.add(s.record("other"), metadata.Committed)
		elsewhere := s.record("only elsewhere")
		elsewhere.Bucket += "2"
		s.must(s.store.Add(s.ctx, elsewhere, metadata.Committed))
		s.equal(s.page(
			metadata.Entry{Key: "k", BackendETag: other.BackendETag},
			metadata.Entry{Key: "k", BackendETag: ""},
			entry(elsewhere),
			entry(rec), entry(other), entry(rec),
		), []*metadata.Record{nil, nil, nil, listed(rec), listed(other), listed(rec)})
	},
	"EntriesShareNoRecord": func(s *suite) {
		rec := s.add(s.record("k"), metadata.Committed)
		got := s.page(entry(rec), entry(rec))
		if got[0] == got[1] {
			s.Error("two entries share one record: a caller that changes one changes both")
		}
	},
	"LeavesTombstonesOut": func(s *suite) {
		old := s.add(s.record("k"), metadata.Committed)
		rec := s.record("k")
		rec.Began = s.later(old.Committed)
		rec = s.add(rec, metadata.Committed)
		s.equal(s.page(entry(old), entry(rec)), []*metadata.Record{nil, listed(rec)})
		s.equal(s.page(entry(old)), []*metadata.Record{nil})
	},
	"TakesTheRowCommittedLast": func(s *suite) {
		// Two copies of one body have one backend ETag, and different client ETags at most.
		one := s.add(s.version("k", "v1"), metadata.Committed)
		two := s.version("k", "v2")
		two.BackendETag, two.ETag = one.BackendETag, "two"
		s.later(one.Committed)
		two = s.add(two, metadata.Committed)
		s.equal(s.page(entry(one)), []*metadata.Record{listed(two)})
	},
	"ThousandVersionsOfOneKey": func(s *suite) {
		var entries []metadata.Entry
		var want []*metadata.Record
		for i := range 1000 {
			rec := s.version("k", fmt.Sprint("v", i))
			rec.BackendETag = fmt.Sprintf("%032d", i)
			s.must(s.store.Add(s.ctx, rec, metadata.Committed))
			entries, want = append(entries, entry(rec)), append(want, &rec)
		}
		for i, got := range s.page(entries...) {
			if got == nil || got.VersionID != want[i].VersionID {
				s.Fatalf("entry %d: %v, want version %s", i, got, want[i].VersionID)
			}
		}
	},
	"FewKeysAmongThousandsOfOthers": func(s *suite) {
		// A listing by delimiter shows a/, b/ ... and the keys between; the store has all that lies below them.
		for i := range 500 {
			s.must(s.store.Add(s.ctx, s.record(fmt.Sprintf("b/%04d", i)), metadata.Committed))
		}
		first, middle := s.add(s.record("a"), metadata.Committed), s.add(s.record("b/0250x"), metadata.Committed)
		entries := []metadata.Entry{entry(first), {Key: "b/"}, entry(middle)}
		want := []*metadata.Record{listed(first), nil, listed(middle)}
		for i := range 300 { // more live rows of one key than the scan would see, some of them asked for
			last := s.version("c", fmt.Sprint("v", i))
			last = s.add(last, metadata.Committed)
			if i%100 == 0 {
				entries, want = append(entries, entry(last)), append(want, listed(last))
			}
		}
		s.equal(s.page(entries...), want)
		random := rand.New(rand.NewPCG(3, 4))
		random.Shuffle(len(entries), func(i, j int) {
			entries[i], entries[j] = entries[j], entries[i]
			want[i], want[j] = want[j], want[i]
		})
		s.equal(s.page(entries...), want)
	},
	"AgreesWithTheRowsOneByOne": func(s *suite) {
		// A small space of keys, ETags and versions, so that every kind of meeting comes about.
		random := rand.New(rand.NewPCG(1, 2))
		pick := func(from string) string { return string(from[random.IntN(len(from))]) }
		newest := make(map[metadata.Entry]metadata.Record)
		for range 250 {
			rec := s.version(pick("ab\x00\xffABcd"), pick("123456789"))
			rec.BackendETag = pick("xyz\x00")
			rec = s.add(rec, metadata.Healed)
			s.later(rec.Committed) // so that no two have one time
			newest[entry(rec)] = rec
		}
		for range 20 {
			var entries []metadata.Entry
			var want []*metadata.Record
			for range random.IntN(60) {
				e := metadata.Entry{Key: pick("ab\x00\xffABcde"), BackendETag: pick("xyz\x00-")}
				entries = append(entries, e)
				if rec, there := newest[e]; there {
					want = append(want, listed(rec))
				} else {
					want = append(want, nil)
				}
			}
			s.equal(s.page(entries...), want)
		}
	},
}
