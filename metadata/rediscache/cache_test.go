package rediscache_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/rediscache"
	"cofre/metadata/storetest"
)

// spy is a store that counts reads, and lets a test act between a read of the store and its answer.
type spy struct {
	metadata.Store

	mu    sync.Mutex
	reads int
	after func() // called once, when the next read has its answer
}

func (s *spy) read() {
	s.mu.Lock()
	s.reads++
	after := s.after
	s.after = nil
	s.mu.Unlock()
	if after != nil {
		after()
	}
}

func (s *spy) Latest(ctx context.Context, bucket, key, versionID string) (metadata.Record, error) {
	defer s.read()
	return s.Store.Latest(ctx, bucket, key, versionID)
}

func (s *spy) ByEnvelope(ctx context.Context, bucket, key string, env metadata.Envelope) (metadata.Record, error) {
	defer s.read()
	return s.Store.ByEnvelope(ctx, bucket, key, env)
}

// count gives the reads since the last count.
func (s *spy) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.reads
	s.reads = 0
	return n
}

func newRecord(store metadata.Store, key string) metadata.Record {
	rec := metadata.Record{
		Bucket: "b", Key: key, VersionID: metadata.NullVersion, BackendETag: rand.Text(), Size: 42, ETag: "e\xff\x00",
		Checksum:    metadata.Checksum{Algorithm: checksum.SHA1, Type: checksum.Composite, Value: []byte{0, 255}},
		ContentType: "a/\xff", Began: store.Now(),
		Parts: []metadata.Part{{Number: 3, Size: 7, Salt: [16]byte{1}, MD5: make([]byte, 16), Checksum: metadata.Checksum{Algorithm: checksum.CRC32}}},
	}
	rand.Read(rec.Envelope[:])
	return rec
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// two gives two replicas over one store and one Redis, and the store.
func two(t *testing.T) (a, b *rediscache.Store, store *spy) {
	url := storetest.Server(t, "redis", "COFRE_TEST_REDIS")
	store = &spy{Store: inner(t)}
	config := rediscache.Config{Prefix: "cofre-test-" + rand.Text() + ":", Timeout: 5 * time.Second}
	return wrap(t, store, url, config), wrap(t, store, url, config), store
}

func latest(t *testing.T, store metadata.Store, key string) metadata.Record {
	t.Helper()
	rec, err := store.Latest(t.Context(), "b", key, "")
	must(t, err)
	return rec
}

func TestReplicasShareWhatOneHasRead(t *testing.T) {
	a, b, store := two(t)
	rec := newRecord(a, "k\x00\xff")
	must(t, a.Add(t.Context(), rec, metadata.Committed))
	want := latest(t, a, rec.Key)
	byEnvelope, err := a.ByEnvelope(t.Context(), "b", rec.Key, rec.Envelope)
	must(t, err)
	if n := store.count(); n != 2 {
		t.Fatalf("%d reads of the store, want the first of each kind", n)
	}
	for _, replica := range []*rediscache.Store{a, b} {
		for range 3 {
			if diff := cmp.Diff(want, latest(t, replica, rec.Key), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("from the cache (-store +cache):\n%s", diff)
			}
			got, err := replica.ByEnvelope(t.Context(), "b", rec.Key, rec.Envelope)
			must(t, err)
			if diff := cmp.Diff(byEnvelope, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("by envelope from the cache (-store +cache):\n%s", diff)
			}
		}
	}
	if n := store.count(); n != 0 {
		t.Errorf("the store was read %d times, want none: all was cached", n)
	}
	if s := b.Stats(); s.Hits != 6 || s.Misses != 0 || s.Failures != 0 || s.Open {
		t.Errorf("stats %+v, want 6 hits", s)
	}
}

func TestWritesOfOneReplicaAreSeenByAll(t *testing.T) {
	ctx := t.Context()
	var rec metadata.Record
	writes := map[string]func(t *testing.T, a *rediscache.Store){
		"Add":       func(t *testing.T, a *rediscache.Store) { must(t, a.Add(ctx, newRecord(a, "k"), metadata.Committed)) },
		"AddHealed": func(t *testing.T, a *rediscache.Store) { must(t, a.Add(ctx, newRecord(a, "k"), metadata.Healed)) },
		"Tombstone": func(t *testing.T, a *rediscache.Store) {
			must(t, a.Tombstone(ctx,
				metadata.Deletion{Bucket: "b", Key: "other", VersionID: metadata.NullVersion, Began: a.Now()},
				metadata.Deletion{Bucket: "b", Key: "k", VersionID: metadata.NullVersion, Began: a.Now()}))
		},
		"DropBucket": func(t *testing.T, a *rediscache.Store) { must(t, a.DropBucket(ctx, "b", a.Now())) },
		"FinishUpload": func(t *testing.T, a *rediscache.Store) {
			up := metadata.Upload{ID: rand.Text(), Bucket: "b", Key: "k"}
			must(t, a.CreateUpload(ctx, up))
			must(t, a.SetIntent(ctx, up.ID, []byte("i")))
			must(t, a.FinishUpload(ctx, up.ID, nil, newRecord(a, "k")))
		},
		"Revive": func(t *testing.T, a *rediscache.Store) {
			must(t, a.Tombstone(ctx, metadata.Deletion{Bucket: "b", Key: "k", VersionID: metadata.NullVersion, Began: a.Now()}))
			must(t, a.Add(ctx, newRecord(a, "k"), metadata.Committed))
			latest(t, a, "k")
			must(t, a.Revive(ctx, "b", "k", rec.Envelope))
		},
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			a, b, store := two(t)
			rec = newRecord(a, "k")
			must(t, a.Add(ctx, rec, metadata.Committed))
			for _, replica := range []*rediscache.Store{a, b} {
				latest(t, replica, "k")
				_, err := replica.ByEnvelope(ctx, "b", "k", rec.Envelope)
				must(t, err)
			}
			write(t, a)
			for _, replica := range []*rediscache.Store{b, a} {
				want, wantErr := store.Store.Latest(ctx, "b", "k", "")
				got, err := replica.Latest(ctx, "b", "k", "")
				if errors.Is(err, metadata.ErrNotFound) != errors.Is(wantErr, metadata.ErrNotFound) {
					t.Errorf("latest: %v, the store says %v", err, wantErr)
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("latest (-store +cache):\n%s", diff)
				}
				want, wantErr = store.Store.ByEnvelope(ctx, "b", "k", rec.Envelope)
				got, err = replica.ByEnvelope(ctx, "b", "k", rec.Envelope)
				if errors.Is(err, metadata.ErrNotFound) != errors.Is(wantErr, metadata.ErrNotFound) {
					t.Errorf("by envelope: %v, the store says %v", err, wantErr)
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("by envelope (-store +cache):\n%s", diff)
				}
			}
		})
	}
}

// The race that a cache is made of: a reader has its row from the store, a writer replaces it and invalidates, and only
// then does the reader come to store what it read.
func TestReadInFlightStoresNoStaleRow(t *testing.T) {
	a, b, store := two(t)
	old := newRecord(a, "k")
	must(t, a.Add(t.Context(), old, metadata.Committed))
	rec := newRecord(b, "k")
	for _, prime := range []bool{false, true} { // with fences that stood before, and without any
		if prime {
			latest(t, b, "k")
			rec = newRecord(b, "k")
		}
		must(t, b.Tombstone(t.Context())) // nothing: no fence is touched
		store.mu.Lock()
		store.after = func() { must(t, b.Add(context.Background(), rec, metadata.Committed)) }
		store.mu.Unlock()
		if prime {
			must(t, a.Add(t.Context(), newRecord(a, "k"), metadata.Healed)) // the next read misses
		}
		latest(t, a, "k") // either answer is right for it
		for _, replica := range []*rediscache.Store{a, b} {
			if got := latest(t, replica, "k"); got.Envelope != rec.Envelope {
				t.Errorf("primed %v: a row that was replaced is served from the cache", prime)
			}
		}
	}
}

func TestTombstonesAndAbsenceAreNeverCached(t *testing.T) {
	a, _, store := two(t)
	rec := newRecord(a, "k")
	must(t, a.Add(t.Context(), rec, metadata.Committed))
	must(t, a.Tombstone(t.Context(), metadata.Deletion{Bucket: "b", Key: "k", VersionID: metadata.NullVersion, Began: a.Now()}))
	store.count()
	for range 2 {
		got, err := a.ByEnvelope(t.Context(), "b", "k", rec.Envelope)
		must(t, err)
		if got.Tombstoned.IsZero() {
			t.Error("a tombstone reads as a live row")
		}
		if _, err := a.Latest(t.Context(), "b", "k", ""); !errors.Is(err, metadata.ErrNotFound) {
			t.Errorf("latest: %v, want ErrNotFound", err)
		}
	}
	if n := store.count(); n != 4 {
		t.Errorf("%d reads of the store, want all 4", n)
	}
}

func TestLockReadsAndPagesAreNeverCached(t *testing.T) {
	a, _, _ := two(t)
	rec := newRecord(a, "k")
	must(t, a.Add(t.Context(), rec, metadata.Committed))
	latest(t, a, "k")
	before := a.Stats()
	lock, err := a.LockKey(t.Context(), "b", "k")
	must(t, err)
	defer lock.Unlock()
	_, err = lock.Latest(t.Context(), "b", "k", "")
	must(t, err)
	_, err = lock.ByEnvelope(t.Context(), "b", "k", rec.Envelope)
	must(t, err)
	_, err = a.Page(t.Context(), "b", []metadata.Entry{{Key: "k", BackendETag: rec.BackendETag}})
	must(t, err)
	if after := a.Stats(); after != before {
		t.Errorf("stats went from %+v to %+v: a read that must not be cached asked Redis", before, after)
	}
}

func TestRecordOfManyPartsIsNotCached(t *testing.T) {
	a, _, store := two(t)
	rec := newRecord(a, "k")
	rec.Parts = make([]metadata.Part, 2000)
	for i := range rec.Parts {
		rec.Parts[i].Number = i + 1
	}
	must(t, a.Add(t.Context(), rec, metadata.Committed))
	for range 2 {
		if got := latest(t, a, "k"); len(got.Parts) != 2000 {
			t.Errorf("%d parts", len(got.Parts))
		}
	}
	if n := store.count(); n != 2 {
		t.Errorf("%d reads of the store, want 2", n)
	}
}

// Whatever stands in Redis under the cache's names, the answer is the store's.
func TestNonsenseInRedisIsAMiss(t *testing.T) {
	url := storetest.Server(t, "redis", "COFRE_TEST_REDIS")
	options, err := redis.ParseURL(url)
	must(t, err)
	client := redis.NewClient(options)
	defer client.Close()
	ctx := t.Context()
	names := func(prefix string) []string {
		all, err := client.Keys(ctx, prefix+"*").Result()
		must(t, err)
		return all
	}
	for name, spoil := range map[string]func(name string){
		"empty": func(name string) { must(t, client.Set(ctx, name, "", time.Minute).Err()) },
		"cut": func(name string) {
			value := client.Get(ctx, name).Val()
			must(t, client.Set(ctx, name, value[:len(value)-1], time.Minute).Err())
		},
		"garbage":    func(name string) { must(t, client.Append(ctx, name, "}{").Err()) },
		"wrong type": func(name string) { client.Del(ctx, name); must(t, client.LPush(ctx, name, "x").Err()) },
		"evicted":    func(name string) { must(t, client.Del(ctx, name).Err()) },
	} {
		t.Run(name, func(t *testing.T) {
			prefix := "cofre-test-" + rand.Text() + ":"
			cache := wrap(t, inner(t), url, rediscache.Config{Prefix: prefix, Timeout: 5 * time.Second})
			rec := newRecord(cache, "k")
			must(t, cache.Add(ctx, rec, metadata.Committed))
			want := latest(t, cache, "k")
			all := names(prefix)
			if len(all) != 4 {
				t.Fatalf("names %q, want an entry and three fences", all)
			}
			for _, name := range all {
				latest(t, cache, "k")
				spoil(name)
				if diff := cmp.Diff(want, latest(t, cache, "k"), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("with %s spoilt (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}
