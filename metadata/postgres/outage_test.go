package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cofre/metadata"
	"cofre/metadata/postgres"
	"cofre/metadata/storetest"
)

func newRecord(store metadata.Store, key string) metadata.Record {
	rec := metadata.Record{
		Bucket: "b", Key: key, VersionID: metadata.NullVersion, BackendETag: rand.Text(), Size: 1, Began: store.Now()}
	rand.Read(rec.Envelope[:])
	return rec
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patiently bounds a call that must end by itself: the bound only keeps a broken one from hanging the tests.
func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 6000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never came about: %s", what)
}

// through gives the URL of the same database by way of a gate.
func through(t *testing.T, rawURL string) (*storetest.Gate, string) {
	t.Helper()
	u, err := url.Parse(rawURL)
	must(t, err)
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "5432")
	}
	gate := storetest.NewGate(t, host)
	u.Host = gate.Addr()
	return gate, u.String()
}

// terminate ends every connection of the role to the database, as a restart of the server does.
func terminate(t *testing.T, url string) {
	t.Helper()
	exec(t, url, `
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()`)
}

func TestReplicasMayStartAtOnce(t *testing.T) {
	s := newServer(t)
	url := s.database(t)
	var starting sync.WaitGroup
	stores := make([]*postgres.Store, 6)
	for i := range stores {
		starting.Go(func() {
			store, err := postgres.Open(patiently(t), url, postgres.Config{})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			stores[i] = store
		})
	}
	starting.Wait()
	for _, store := range stores {
		if store == nil {
			t.Fatal("not all replicas started")
		}
		defer store.Close()
	}
	rec := newRecord(stores[0], "k")
	must(t, stores[0].Add(patiently(t), rec, metadata.Committed))
	for _, store := range stores {
		got, err := store.Latest(patiently(t), "b", "k", "")
		must(t, err)
		if got.Envelope != rec.Envelope {
			t.Error("replicas see different rows")
		}
	}
}

func TestReopenedStoreHasWhatWasAdded(t *testing.T) {
	s := newServer(t)
	url := s.database(t)
	first := s.open(t, url)
	rec := newRecord(first, "k")
	must(t, first.Add(patiently(t), rec, metadata.Committed))
	must(t, first.Close())
	_, err := s.open(t, url).ByEnvelope(patiently(t), "b", "k", rec.Envelope)
	must(t, err)
}

func TestOpenKeepsThePasswordOutOfErrors(t *testing.T) {
	for _, url := range []string{
		"postgres://u:hunter2@127.0.0.1:1/db?connect_timeout=1",
		"postgres://u:hunter2@127.0.0.1:port/db",
		"postgres://u:hunter2@127.0.0.1/db?sslmode=maybe",
		"host=127.0.0.1 port=1 user=u password=hunter2",
	} {
		store, err := postgres.Open(patiently(t), url, postgres.Config{})
		if err == nil {
			store.Close()
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %v", url, err)
		}
	}
}

func TestLocksHoldAcrossReplicas(t *testing.T) {
	s := newServer(t)
	url := s.database(t)
	a, b := s.open(t, url), s.open(t, url)
	lock, err := a.LockKey(patiently(t), "b", "k")
	must(t, err)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.LockKey(short, "b", "k"); !errors.Is(err, metadata.ErrLockTimeout) {
		t.Errorf("lock held by another replica: %v, want ErrLockTimeout", err)
	}
	waited := make(chan error, 1)
	go func() {
		lock, err := b.LockKey(patiently(t), "b", "k")
		if err == nil {
			err = lock.Held(patiently(t))
			lock.Unlock()
		}
		waited <- err
	}()
	lock.Unlock()
	must(t, <-waited)
}

func TestLockEndsWithItsConnection(t *testing.T) {
	s := newServer(t)
	url := s.database(t)
	a, b := s.open(t, url), s.open(t, url)
	rec := newRecord(a, "k")
	must(t, a.Add(patiently(t), rec, metadata.Committed))
	for name, use := range map[string]func(metadata.Lock) error{
		"held":   func(lock metadata.Lock) error { return lock.Held(patiently(t)) },
		"latest": func(lock metadata.Lock) error { _, err := lock.Latest(patiently(t), "b", "k", ""); return err },
		"by envelope": func(lock metadata.Lock) error {
			_, err := lock.ByEnvelope(patiently(t), "b", "k", rec.Envelope)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			lock, err := a.LockKey(patiently(t), "b", "k")
			must(t, err)
			must(t, lock.Held(patiently(t)))
			terminate(t, url)
			if err := use(lock); err == nil || errors.Is(err, metadata.ErrNotFound) {
				t.Errorf("error %v after the connection was lost", err)
			}
			if err := lock.Held(patiently(t)); !errors.Is(err, metadata.ErrLockLost) {
				t.Errorf("held: %v, want ErrLockLost", err)
			}
			other, err := b.LockKey(patiently(t), "b", "k") // it is free, though the first was not unlocked
			must(t, err)
			lock.Unlock()
			must(t, other.Held(patiently(t)))
			other.Unlock()
		})
	}
}

func TestLockWaitsForAFreeConnectionNoLongerThanItsContext(t *testing.T) {
	s := newServer(t)
	store, err := postgres.Open(patiently(t), s.database(t), postgres.Config{LockConns: 1})
	must(t, err)
	defer store.Close()
	lock, err := store.LockKey(patiently(t), "b", "k")
	must(t, err)
	defer lock.Unlock()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := store.LockKey(short, "b", "another"); !errors.Is(err, metadata.ErrLockTimeout) {
		t.Errorf("lock without a free connection: %v, want ErrLockTimeout", err)
	}
	upload, err := store.LockUpload(patiently(t), "u") // of another pool
	must(t, err)
	upload.Unlock()
}

func TestBrokenConnectionsAreRepairedUnderway(t *testing.T) {
	s := newServer(t)
	url := s.database(t)
	store := s.open(t, url)
	for range 5 {
		terminate(t, url)
		rec := newRecord(store, "k")
		must(t, store.Add(patiently(t), rec, metadata.Committed))
		_, err := store.ByEnvelope(patiently(t), "b", "k", rec.Envelope)
		must(t, err)
	}
	eventually(t, "the store is healthy", store.Healthy)
}

func TestStoreThatIsAwayIsUnavailableAndComesBack(t *testing.T) {
	s := newServer(t)
	gate, url := through(t, s.database(t))
	store := s.open(t, url)
	rec := newRecord(store, "k")
	must(t, store.Add(patiently(t), rec, metadata.Committed))
	for name, away := range map[string]func(bool){"refused": gate.Refuse, "silent": gate.Silence} {
		t.Run(name, func(t *testing.T) {
			before := store.Now()
			away(true)
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				_, err := store.Latest(ctx, "b", "k", "")
				cancel()
				if !errors.Is(err, metadata.ErrUnavailable) || errors.Is(err, metadata.ErrNotFound) {
					t.Errorf("latest: %v, want ErrUnavailable", err)
				}
			}
			eventually(t, "the store is unhealthy", func() bool { return !store.Healthy() })
			if now := store.Now(); now.Before(before) {
				t.Errorf("now went from %v to %v while the store was away", before, now)
			}
			away(false)
			eventually(t, "the store is healthy again", store.Healthy)
			eventually(t, "the store answers again", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err := store.Latest(ctx, "b", "k", "")
				return err == nil
			})
		})
	}
}

func TestUnavailableIsNotTheCallersFault(t *testing.T) {
	s := newServer(t)
	store := s.open(t, s.database(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Latest(ctx, "b", "k", ""); !errors.Is(err, context.Canceled) || errors.Is(err, metadata.ErrUnavailable) {
		t.Errorf("latest of a caller that went away: %v, want context.Canceled", err)
	}
	if !store.Healthy() {
		t.Error("a caller that went away made the store unhealthy")
	}
}

// A request that began by a clock which the server's has since fallen behind compares times of two clocks: it must not
// make tombstones by them.
func TestBeganAheadOfTheServerMakesNoTombstones(t *testing.T) {
	s := newServer(t)
	store := s.open(t, s.database(t))
	old := newRecord(store, "k")
	must(t, store.Add(patiently(t), old, metadata.Committed))
	rec := newRecord(store, "k")
	rec.Began = time.Now().Add(time.Hour)
	must(t, store.Add(patiently(t), rec, metadata.Committed))
	must(t, store.Tombstone(patiently(t), metadata.Deletion{Bucket: "b", Key: "k", VersionID: metadata.NullVersion, Began: rec.Began}))
	for _, r := range []metadata.Record{old, rec} {
		got, err := store.ByEnvelope(patiently(t), "b", "k", r.Envelope)
		must(t, err)
		if !got.Tombstoned.IsZero() {
			t.Errorf("a tombstone was made by a time that lies ahead")
		}
	}
}
