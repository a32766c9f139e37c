package row_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

// anyBytes are strings in which the ends of the byte range are frequent.
var anyBytes = rapid.Custom(func(t *rapid.T) string {
	return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 'b', 0xfe, 0xff}), 0, 4).Draw(t, "bytes"))
})

func TestPrefixEndBoundsExactlyTheRangeOfThePrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix, s := anyBytes.Draw(t, "prefix"), anyBytes.Draw(t, "s")
		end, ok := row.PrefixEnd(prefix)
		inRange := s >= prefix && (!ok || s < end)
		if inRange != strings.HasPrefix(s, prefix) {
			t.Fatalf("prefix %q, end %q %v: %q in range %v", prefix, end, ok, s, inRange)
		}
	})
}

func TestUploadMarkersAreWhatS3SaysTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keyMarker, idMarker := anyBytes.Draw(t, "key marker"), anyBytes.Draw(t, "id marker")
		key, id := "k"+anyBytes.Draw(t, "key"), "i"+anyBytes.Draw(t, "id") // neither is ever empty
		if rapid.Bool().Draw(t, "same key") {
			key = keyMarker
			if key == "" {
				return
			}
		}
		var want bool
		switch {
		case keyMarker == "":
			want = true
		case idMarker == "":
			want = key > keyMarker
		default:
			want = key > keyMarker || key == keyMarker && id > idMarker
		}
		k, i := row.UploadMarkers(keyMarker, idMarker)
		if got := key > k || key == k && id > i; got != want {
			t.Fatalf("markers %q %q: upload %q %q listed %v", keyMarker, idMarker, key, id, got)
		}
	})
}

func TestChecksumTypesSurviveTheirColumn(t *testing.T) {
	for _, want := range []checksum.Type{"", checksum.FullObject, checksum.Composite} {
		code, err := row.TypeCode(want)
		if err != nil || row.Type(code) != want {
			t.Errorf("type %q is %d, %v and back %q", want, code, err, row.Type(code))
		}
	}
	if _, err := row.TypeCode("HALF_OBJECT"); err == nil {
		t.Error("an unknown type has a code")
	}
	if got := row.Type(77); got != "" {
		t.Errorf("an unknown code is type %q", got)
	}
}

// table is the index of live rows as a page meets it, in order of key.
type table []metadata.Record

// read answers a page as the stores do, and says how many rows were read.
func (rows table) read(entries []metadata.Entry) (recs []*metadata.Record, read int) {
	p := row.NewPage("b", entries)
	first, last, limit := p.Span()
	for _, r := range rows {
		if r.Key >= first && r.Key <= last && read < limit {
			p.Scanned([]byte(r.Key), []byte(r.BackendETag), r)
			read++
		}
	}
	lookups, anyETags := p.Rest()
	for _, l := range lookups {
		for _, r := range rows {
			if r.Key == l.Key && (!l.Any && r.BackendETag == l.ETag || l.Any && slices.Contains(anyETags, r.BackendETag)) {
				p.Found([]byte(r.Key), []byte(r.BackendETag), r)
				read++
			}
		}
	}
	return p.Records(), read
}

// Whatever rows and entries there are: a page is what looking for each entry by itself gives.
func TestPageIsWhatEachEntryAloneWouldGet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string, n int) string {
			return string(rune('a' + rapid.IntRange(0, n).Draw(t, what)))
		}
		crowd := draw("crowded key", 5) // its rows alone fill a scan
		var rows table
		for i := range rapid.IntRange(0, 300).Draw(t, "rows") {
			key := crowd
			if i%3 == 0 {
				key = draw("key", 5)
			}
			rows = append(rows, metadata.Record{
				Key: key, BackendETag: draw("etag", 3), Size: int64(i),
				Committed: time.Unix(int64(rapid.IntRange(0, 1000).Draw(t, "committed")*1000+i), 0),
			})
		}
		slices.SortStableFunc(rows, func(a, b metadata.Record) int { return strings.Compare(a.Key, b.Key) })
		entries := make([]metadata.Entry, rapid.IntRange(1, 12).Draw(t, "entries"))
		for i := range entries {
			entries[i] = metadata.Entry{Key: draw("key", 6), BackendETag: draw("etag", 4)}
		}
		before := slices.Clone(entries)
		got, read := rows.read(entries)
		if !slices.Equal(entries, before) {
			t.Fatal("the caller's entries were changed")
		}
		bound := 2*len(entries) + 64
		for i, e := range entries {
			var want *metadata.Record
			for _, r := range rows {
				if r.Key == e.Key {
					bound++
				}
				if r.Key == e.Key && r.BackendETag == e.BackendETag && (want == nil || want.Committed.Before(r.Committed)) {
					want = &r
				}
			}
			switch {
			case want == nil && got[i] == nil:
			case want == nil || got[i] == nil || got[i].Size != want.Size:
				t.Fatalf("entry %v: %v, want %v", e, got[i], want)
			case got[i].Bucket != "b" || got[i].Key != e.Key || got[i].BackendETag != e.BackendETag:
				t.Fatalf("entry %v: %v", e, got[i])
			}
		}
		if read > bound {
			t.Fatalf("%d rows read for %d entries, more than %d", read, len(entries), bound)
		}
	})
}

func TestVersionIsItsColumn(t *testing.T) {
	for _, v := range []string{"", metadata.NullVersion, "null\x00", "\xff"} {
		if got := row.Version([]byte(v)); got != v {
			t.Errorf("version %q is %q", v, got)
		}
	}
}

func TestEnvelopeHashTellsEnvelopesApart(t *testing.T) {
	var a, b metadata.Envelope
	b[metadata.EnvelopeSize-1] = 1
	if bytes.Equal(row.EnvelopeHash(a), row.EnvelopeHash(b)) || len(row.EnvelopeHash(a)) != 32 {
		t.Error("two envelopes have one hash")
	}
}
