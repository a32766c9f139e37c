package proxy_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"cofre/keys"
	"cofre/metadata"
	"cofre/proxy"
)

// The faults of the metadata store. "store-down" lasts until the step is over, and is known to cofre; the others strike one call.
var storeFaults = []string{
	"store-down", // nothing is answered, and the pool knows it
	"store-fail", // a call is lost
	"store-lose", // the store acts, and its answer is lost
}

// faultyStore is a store that can be lost: the real one is exchanged below it, as a database is below its replicas.
type faultyStore struct {
	metadata.Store
	strike
	down atomic.Bool
	// exact leaves the age of guards as it is: where requests run at the same time.
	exact bool
}

// do makes a call, or has it fail.
func (f *faultyStore) do(call func() error) error {
	kind, first := f.next()
	gone := fmt.Errorf("%w: a fault of the test", metadata.ErrUnavailable)
	switch {
	case kind == "store-down", kind == "store-fail" && first:
		return gone
	case kind == "store-lose" && first:
		if err := call(); err != nil {
			return err
		}
		return gone
	}
	return call()
}

func got[T any](f *faultyStore, call func() (T, error)) (v T, err error) {
	err = f.do(func() error {
		v, err = call()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

func (f *faultyStore) Healthy() bool { return !f.down.Load() && f.Store.Healthy() }

func (f *faultyStore) Add(ctx context.Context, r metadata.Record, o metadata.Origin) error {
	return f.do(func() error { return f.Store.Add(ctx, r, o) })
}

func (f *faultyStore) Latest(ctx context.Context, bucket, key, version string) (metadata.Record, error) {
	return got(f, func() (metadata.Record, error) { return f.Store.Latest(ctx, bucket, key, version) })
}

func (f *faultyStore) ByEnvelope(ctx context.Context, bucket, key string, env metadata.Envelope) (metadata.Record, error) {
	return got(f, func() (metadata.Record, error) { return f.Store.ByEnvelope(ctx, bucket, key, env) })
}

func (f *faultyStore) Page(ctx context.Context, bucket string, entries []metadata.Entry) ([]*metadata.Record, error) {
	return got(f, func() ([]*metadata.Record, error) { return f.Store.Page(ctx, bucket, entries) })
}

func (f *faultyStore) Tombstone(ctx context.Context, d ...metadata.Deletion) error {
	return f.do(func() error { return f.Store.Tombstone(ctx, d...) })
}

func (f *faultyStore) CreateUpload(ctx context.Context, up metadata.Upload) error {
	return f.do(func() error { return f.Store.CreateUpload(ctx, up) })
}

func (f *faultyStore) Upload(ctx context.Context, bucket, key, id string) (metadata.Upload, error) {
	return got(f, func() (metadata.Upload, error) { return f.Store.Upload(ctx, bucket, key, id) })
}

func (f *faultyStore) Uploads(ctx context.Context, bucket, prefix, key, id string, limit int) ([]metadata.Upload, error) {
	return got(f, func() ([]metadata.Upload, error) { return f.Store.Uploads(ctx, bucket, prefix, key, id, limit) })
}

func (f *faultyStore) AddPart(ctx context.Context, id string, part metadata.UploadPart) error {
	return f.do(func() error { return f.Store.AddPart(ctx, id, part) })
}

func (f *faultyStore) PartAttempts(ctx context.Context, id string, number int) ([]metadata.UploadPart, error) {
	return got(f, func() ([]metadata.UploadPart, error) { return f.Store.PartAttempts(ctx, id, number) })
}

func (f *faultyStore) SetIntent(ctx context.Context, id string, intent []byte) error {
	return f.do(func() error { return f.Store.SetIntent(ctx, id, intent) })
}

func (f *faultyStore) FinishUpload(ctx context.Context, id string, result []byte, rec metadata.Record) error {
	return f.do(func() error { return f.Store.FinishUpload(ctx, id, result, rec) })
}

func (f *faultyStore) DeleteUpload(ctx context.Context, id string) error {
	return f.do(func() error { return f.Store.DeleteUpload(ctx, id) })
}

func (f *faultyStore) LockKey(ctx context.Context, bucket, key string) (metadata.Lock, error) {
	return got(f, func() (metadata.Lock, error) { return f.Store.LockKey(ctx, bucket, key) })
}

func (f *faultyStore) LockUpload(ctx context.Context, id string) (metadata.Lock, error) {
	return got(f, func() (metadata.Lock, error) { return f.Store.LockUpload(ctx, id) })
}

func (f *faultyStore) ActiveKEK(ctx context.Context, bucket string, creator keys.SiteID) (keys.StoredKEK, error) {
	return got(f, func() (keys.StoredKEK, error) { return f.Store.ActiveKEK(ctx, bucket, creator) })
}

func (f *faultyStore) AddKEK(ctx context.Context, k keys.StoredKEK) (keys.StoredKEK, error) {
	return got(f, func() (keys.StoredKEK, error) { return f.Store.AddKEK(ctx, k) })
}

// GuardBucket says, unless exact, that all replicas know of the guard by now: one step is played after another, so that no writer who asked before
// is still under way, and the two seconds which it takes to be sure would be most of the test.
func (f *faultyStore) GuardBucket(ctx context.Context, bucket string) (time.Duration, error) {
	age, err := f.Store.GuardBucket(ctx, bucket)
	if f.exact {
		return age, err
	}
	return age + proxy.GuardSettled, err
}
