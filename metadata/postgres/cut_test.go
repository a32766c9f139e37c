package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"cofre/internal/longtest"
	"cofre/keys"
	"cofre/metadata"
	"cofre/metadata/postgres"
	"cofre/metadata/postgres/postgrestest"
)

// cutAt is where answers of the server are broken off, in bytes: between and within its messages.
var cutAt = []int{0, 1, 5, 9, 14, 20, 27, 35, 50, 80, 130, 200, 300}

// quiet keeps the pinger from being the one whose answer is cut.
func quiet() postgres.Config {
	return postgres.Config{Conns: 4, LockConns: 4, PingEvery: time.Hour, Timeout: 20 * time.Second}
}

func openWith(t *testing.T, url string, cfg postgres.Config) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(patiently(t), url, cfg)
	must(t, err)
	t.Cleanup(func() { store.Close() })
	return store
}

func newPart(number int) metadata.UploadPart {
	p := metadata.UploadPart{Number: number, Size: 1, MD5: make([]byte, 16), ETag: rand.Text(), BackendETag: rand.Text()}
	rand.Read(p.Attempt[:])
	p.Salt = p.Attempt
	return p
}

func newUpload(key string) metadata.Upload {
	up := metadata.Upload{ID: rand.Text(), Bucket: "b", Key: key, Initiator: "i"}
	rand.Read(up.Envelope[:])
	return up
}

// TestACommitWhoseAnswerIsLostIsFoundOut breaks the connection off at each place of the server's answer, after it has committed or before.
// Each call then has the outcome that it would have had, nothing is done twice, and no lock stays.
func TestACommitWhoseAnswerIsLostIsFoundOut(t *testing.T) {
	s := newServer(t)
	direct := s.database(t)
	gate, url := through(t, direct)
	store, other := openWith(t, url, quiet()), openWith(t, direct, quiet())
	ctx := patiently(t)
	calls := map[string]func(t *testing.T) (call func() error, check func(t *testing.T)){
		"Add": func(t *testing.T) (func() error, func(*testing.T)) {
			rec := newRecord(store, "add")
			return func() error { return store.Add(ctx, rec, metadata.Committed) }, func(t *testing.T) { isLatest(t, other, rec) }
		},
		"Add in the place of another": func(t *testing.T) (func() error, func(*testing.T)) {
			must(t, store.Add(ctx, newRecord(store, "again"), metadata.Committed))
			rec := newRecord(store, "again")
			return func() error { return store.Add(ctx, rec, metadata.Committed) }, func(t *testing.T) { isLatest(t, other, rec) }
		},
		"Tombstone": func(t *testing.T) (func() error, func(*testing.T)) {
			rec := newRecord(store, "dead")
			must(t, store.Add(ctx, rec, metadata.Committed))
			gone := metadata.Deletion{Bucket: "b", Key: "dead", VersionID: metadata.NullVersion, Began: store.Now()}
			return func() error { return store.Tombstone(ctx, gone) }, func(t *testing.T) {
				if _, err := other.Latest(ctx, "b", "dead", ""); !errors.Is(err, metadata.ErrNotFound) {
					t.Errorf("a deleted record: %v", err)
				}
			}
		},
		"CreateUpload": func(t *testing.T) (func() error, func(*testing.T)) {
			up := newUpload("create")
			return func() error { return store.CreateUpload(ctx, up) }, func(t *testing.T) { inState(t, other, up, metadata.UploadOpen) }
		},
		"AddPart": func(t *testing.T) (func() error, func(*testing.T)) {
			up, part := newUpload("part"), newPart(1)
			must(t, store.CreateUpload(ctx, up))
			return func() error { return store.AddPart(ctx, up.ID, part) }, func(t *testing.T) {
				parts, attempts, err := other.UploadParts(ctx, up.ID, 0, 10)
				if err != nil || len(parts) != 1 || attempts[0] != 1 {
					t.Errorf("%d parts, attempts %v, %v: want the one that was sent", len(parts), attempts, err)
				}
			}
		},
		"SetIntent": func(t *testing.T) (func() error, func(*testing.T)) {
			up := newUpload("intent")
			must(t, store.CreateUpload(ctx, up))
			return func() error { return store.SetIntent(ctx, up.ID, []byte("intent")) }, func(t *testing.T) { inState(t, other, up, metadata.UploadCompleting) }
		},
		"FinishUpload": func(t *testing.T) (func() error, func(*testing.T)) {
			up := newUpload("finish")
			must(t, store.CreateUpload(ctx, up))
			must(t, store.AddPart(ctx, up.ID, newPart(1)))
			must(t, store.SetIntent(ctx, up.ID, []byte("intent")))
			rec := newRecord(store, "finish")
			return func() error { return store.FinishUpload(ctx, up.ID, []byte("result"), rec) }, func(t *testing.T) {
				inState(t, other, up, metadata.UploadCompleted)
				isLatest(t, other, rec)
			}
		},
		"DeleteUpload": func(t *testing.T) (func() error, func(*testing.T)) {
			up := newUpload("delete")
			must(t, store.CreateUpload(ctx, up))
			return func() error { return store.DeleteUpload(ctx, up.ID) }, func(t *testing.T) {
				if _, err := other.Upload(ctx, "b", "delete", up.ID); !errors.Is(err, metadata.ErrNotFound) {
					t.Errorf("a deleted upload: %v", err)
				}
			}
		},
		"LockKey":    lockCall(store.LockKey, other.LockKey),
		"LockUpload": lockCall(func(ctx context.Context, _, id string) (metadata.Lock, error) { return store.LockUpload(ctx, id) }, func(ctx context.Context, _, id string) (metadata.Lock, error) { return other.LockUpload(ctx, id) }),
	}
	cuts := 0
	for name, make := range calls {
		t.Run(name, func(t *testing.T) {
			for _, n := range cutAt {
				call, check := make(t)
				gate.Cut(n)
				err := call()
				gate.Cut(-1)
				if err != nil {
					t.Errorf("cut after %d bytes: %v", n, err)
				}
				check(t)
				if err := call(); err != nil {
					t.Errorf("called again after a cut after %d bytes: %v", n, err)
				}
				check(t)
				cuts++
			}
		})
	}
	eventually(t, "no lock and no transaction is left", func() bool { return postgrestest.Busy(t, direct) == 0 })
	longtest.Figure(t, "answers of PostgreSQL broken off", cuts)
}

type lockFunc func(ctx context.Context, bucket, key string) (metadata.Lock, error)

// lockCall takes a lock and gives it back; others can have it then.
func lockCall(lock, others lockFunc) func(t *testing.T) (func() error, func(*testing.T)) {
	take := func(t *testing.T, lock lockFunc, key string) error {
		l, err := lock(patiently(t), "b", key)
		if err != nil {
			return err
		}
		defer l.Unlock()
		return l.Held(patiently(t))
	}
	return func(t *testing.T) (func() error, func(*testing.T)) {
		key := rand.Text()
		return func() error {
				err := take(t, lock, key)
				if errors.Is(err, metadata.ErrLockLost) {
					err = nil // said in time: nothing was written under it
				}
				return err
			}, func(t *testing.T) {
				if err := take(t, others, key); err != nil {
					t.Errorf("another replica's lock: %v", err)
				}
			}
	}
}

func isLatest(t *testing.T, store *postgres.Store, rec metadata.Record) {
	t.Helper()
	got, err := store.Latest(patiently(t), rec.Bucket, rec.Key, "")
	if err != nil || got.Envelope != rec.Envelope {
		t.Errorf("latest record: %v, want the one that was added", err)
	}
}

func inState(t *testing.T, store *postgres.Store, up metadata.Upload, want metadata.UploadState) {
	t.Helper()
	got, err := store.Upload(patiently(t), up.Bucket, up.Key, up.ID)
	if err != nil || got.State != want {
		t.Errorf("upload is in state %v, %v; want %v", got.State, err, want)
	}
}

// TestNoCallWaitsForASilentServerForEver: the caller has no deadline, and the server takes the question and says nothing.
func TestNoCallWaitsForASilentServerForEver(t *testing.T) {
	s := newServer(t)
	gate, url := through(t, s.database(t))
	store := openWith(t, url, postgres.Config{Timeout: 100 * time.Millisecond, PingEvery: 200 * time.Millisecond})
	ctx := context.Background()
	lock, err := store.LockKey(patiently(t), "b", "held")
	must(t, err)
	rec := newRecord(store, "k")
	gate.Silence(true)
	for name, call := range map[string]func() error{
		"Add":         func() error { return store.Add(ctx, rec, metadata.Committed) },
		"Latest":      func() error { _, err := store.Latest(ctx, "b", "k", ""); return err },
		"KEK":         func() error { _, err := store.KEK(ctx, "b", keys.KEKID{}); return err },
		"lock's read": func() error { _, err := lock.Latest(ctx, "b", "k", ""); return err },
		"lock held":   func() error { return lock.Held(ctx) },
	} {
		if err := call(); !errors.Is(err, metadata.ErrUnavailable) {
			t.Errorf("%s of a silent server: %v, want ErrUnavailable", name, err)
		}
	}
	eventually(t, "nothing is asked any more", func() bool {
		_, err := store.Latest(ctx, "b", "k", "")
		return errors.Is(err, metadata.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded)
	})
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := store.LockKey(short, "b", "k"); !errors.Is(err, metadata.ErrUnavailable) || errors.Is(err, metadata.ErrLockTimeout) {
		t.Errorf("lock of a silent server: %v, want ErrUnavailable: nobody has it", err)
	}
	lock.Unlock()
	gate.Silence(false)
	eventually(t, "it is asked again", func() bool { return store.Add(ctx, rec, metadata.Committed) == nil })
}

// TestForgottenConnectionsAreReplaced has all connections go dead without a word, while new ones work.
func TestForgottenConnectionsAreReplaced(t *testing.T) {
	s := newServer(t)
	gate, url := through(t, s.database(t))
	store := openWith(t, url, postgres.Config{Conns: 4, LockConns: 4, Timeout: 500 * time.Millisecond, PingTimeout: 300 * time.Millisecond, PingEvery: 50 * time.Millisecond})
	for range longtest.Rounds(t, 3) {
		rec := newRecord(store, "k")
		must(t, store.Add(patiently(t), rec, metadata.Committed))
		gate.Freeze()
		eventually(t, "records are written again", func() bool { return store.Add(patiently(t), newRecord(store, "k"), metadata.Committed) == nil })
		eventually(t, "locks are had again", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			lock, err := store.LockKey(ctx, "b", "k")
			if err != nil {
				return false
			}
			defer lock.Unlock()
			return lock.Held(ctx) == nil
		})
		eventually(t, "the store is healthy", store.Healthy)
	}
}
