// Package storetest is the conformance suite of metadata.Store: what every store and every wrapper of one must do. A
// store's own tests say only how to open an empty one.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cofre/checksum"
	"cofre/metadata"
)

// Open gives a new, empty store that shares nothing with another one. The suite closes it.
type Open func(t *testing.T) metadata.Store

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	group := func(name string, tests map[string]func(*suite)) {
		t.Run(name, func(t *testing.T) {
			store := openStore(t, open)
			for name, test := range tests {
				t.Run(name, func(t *testing.T) { test(newSuite(t, store)) })
			}
		})
	}
	group("Record", recordTests)
	group("Tombstone", tombstoneTests)
	group("Page", pageTests)
	group("Rows", rowTests)
	group("Lock", lockTests)
	group("Upload", uploadTests)
	group("Job", jobTests)
	group("Sweep", sweepTests)
	group("UploadPart", uploadPartTests)
	group("KEK", kekTests)
	group("Race", raceTests)
	// These look at the whole store or end it, so each has its own.
	for _, tests := range []map[string]func(*suite){wholeTests, identityTests} {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) { test(newSuite(t, openStore(t, open))) })
		}
	}
	// These look at whole stores too, and empty both before.
	t.Run("Dump", func(t *testing.T) {
		store, other := openStore(t, open), openStore(t, open)
		for name, test := range dumpTests {
			t.Run(name, func(t *testing.T) {
				s := newSuite(t, store)
				s.other = other
				s.must(store.Load(s.ctx, true, Rows(nil)))
				s.must(other.Load(s.ctx, true, Rows(nil)))
				test(s)
			})
		}
	})
}

func openStore(t *testing.T, open Open) metadata.Store {
	t.Helper()
	store := open(t)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return store
}

// suite is one test with a bucket of its own in a store that it shares with others.
type suite struct {
	*testing.T
	ctx    context.Context
	store  metadata.Store
	bucket string
	other  metadata.Store // one more of the kind, in dumpTests
}

func newSuite(t *testing.T, store metadata.Store) *suite {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // a stuck store fails the test, not the run
	t.Cleanup(cancel)
	return &suite{T: t, ctx: ctx, store: store, bucket: "bucket-" + unique()}
}

// unique is a string that no other call gives.
func unique() string { return rand.Text() }

func random[T interface {
	~[16]byte | ~[32]byte | ~[metadata.EnvelopeSize]byte
}]() (v T) {
	for i, b := range randomBytes(len(v)) {
		v[i] = b
	}
	return v
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// record is a new single-part object of the key, written by a request that begins now.
func (s *suite) record(key string) metadata.Record {
	return metadata.Record{
		Bucket:      s.bucket,
		Key:         key,
		VersionID:   metadata.NullVersion,
		Envelope:    random[metadata.Envelope](),
		BackendETag: unique(),
		Size:        1 << 40,
		ETag:        "d41d8cd98f00b204e9800998ecf8427e",
		Checksum:    metadata.Checksum{Algorithm: checksum.CRC64NVME, Type: checksum.FullObject, Value: randomBytes(8)},
		ContentType: "text/plain; charset=\xff",
		Began:       s.store.Now(),
	}
}

// version is a record of another version than the null one.
func (s *suite) version(key, id string) metadata.Record {
	rec := s.record(key)
	rec.VersionID = id
	return rec
}

func parts(n int) []metadata.Part {
	ps := make([]metadata.Part, n)
	for i := range ps {
		ps[i] = metadata.Part{
			Number: i + 1, Size: int64(5<<20 + i), Salt: random[[16]byte](), MD5: randomBytes(16),
			Checksum: metadata.Checksum{Algorithm: checksum.SHA256, Value: randomBytes(32)},
		}
	}
	return ps
}

// add adds the record and gives it back as the store has it.
func (s *suite) add(rec metadata.Record, origin metadata.Origin) metadata.Record {
	s.Helper()
	s.must(s.store.Add(s.ctx, rec, origin))
	return s.byEnvelope(rec)
}

// byEnvelope reads the row of the record's envelope.
func (s *suite) byEnvelope(rec metadata.Record) metadata.Record {
	s.Helper()
	got, err := s.store.ByEnvelope(s.ctx, rec.Bucket, rec.Key, rec.Envelope)
	s.must(err)
	return got
}

// later waits until a request that begins would begin after t by the store's clock, and gives that time. That it comes
// at all is part of the contract: Now may lag behind, not stand still.
func (s *suite) later(t time.Time) time.Time {
	s.Helper()
	for s.ctx.Err() == nil {
		if now := s.store.Now(); now.After(t) {
			return now
		}
		time.Sleep(time.Millisecond)
	}
	s.Fatalf("Now() never came behind %v", t)
	return time.Time{}
}

func (s *suite) live(rec metadata.Record) {
	s.Helper()
	if got := s.byEnvelope(rec); !got.Tombstoned.IsZero() {
		s.Errorf("row of %q version %q is a tombstone, want it live", rec.Key, rec.VersionID)
	}
}

func (s *suite) dead(rec metadata.Record) {
	s.Helper()
	got := s.byEnvelope(rec)
	if got.Tombstoned.IsZero() {
		s.Errorf("row of %q version %q is live, want a tombstone", rec.Key, rec.VersionID)
	} else if got.Tombstoned.Before(got.Committed) {
		s.Errorf("tombstoned at %v, before it was committed at %v", got.Tombstoned, got.Committed)
	}
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// wantErr checks that err matches want.
func (s *suite) wantErr(err, want error) {
	s.Helper()
	if !isError(err, want) {
		s.Errorf("error %v, want %v", err, want)
	}
}

// equal compares; an empty slice equals nil.
func (s *suite) equal(got, want any, opts ...cmp.Option) {
	s.Helper()
	if diff := cmp.Diff(want, got, append(opts, cmpopts.EquateEmpty())...); diff != "" {
		s.Errorf("differs (-want +got):\n%s", diff)
	}
}

// asAdded compares a row with what was added, but for the times that the store sets.
func (s *suite) asAdded(got, want metadata.Record) {
	s.Helper()
	// cmp takes half a minute for ten thousand parts under the race detector: it looks at them only if they differ.
	ignored := []string{"Committed", "Tombstoned", "Began"}
	if slices.EqualFunc(got.Parts, want.Parts, samePart) {
		ignored = append(ignored, "Parts")
	}
	s.equal(got, want, cmpopts.IgnoreFields(metadata.Record{}, ignored...))
	if d := want.Began.Sub(got.Began); d < 0 || d > time.Microsecond {
		s.Errorf("began %v, want %v or the microsecond below it", got.Began, want.Began)
	}
	if got.Committed.IsZero() || got.Committed.Location() != time.UTC {
		s.Errorf("committed %v, want the store's time in UTC", got.Committed)
	}
}

func samePart(a, b metadata.Part) bool {
	return a.Number == b.Number && a.Size == b.Size && a.Salt == b.Salt && bytes.Equal(a.MD5, b.MD5) &&
		a.Checksum.Algorithm == b.Checksum.Algorithm && a.Checksum.Type == b.Checksum.Type &&
		bytes.Equal(a.Checksum.Value, b.Checksum.Value)
}
