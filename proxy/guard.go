package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/maypok86/otter/v2"

	"cofre/internal/pause"
	"cofre/metadata"
	"cofre/s3api"
)

// guardTTL is how long a process remembers whether a bucket is guarded. guardSettled is the age at which every process knows
// of a guard: each has asked again, and whoever had looked just before has committed.
const (
	guardTTL     = time.Second
	guardSettled = 2 * time.Second
)

// guards knows the buckets in which every writer takes the key's lock.
//
// A condition is judged and the write that it allows is committed under that lock. Where the backend's own condition is
// exact as well (a PUT into a bucket that never had versioning) nobody else needs to care. Where it is not (RGW 16: versioned
// buckets, Complete, DELETE), a writer without a condition could come between the two, and lose what it wrote or undo what
// was judged: so it takes the lock too. That costs two round trips to the metadata store for each write, which is why it
// begins with the first such condition in a bucket and not before.
type guards struct {
	cache *otter.Cache[string, guardState]
}

// guardState is what a process knows of a bucket's guard. That there is one tells writers without conditions to take the lock; a
// writer with one may rely on it only when all processes know of it.
type guardState int

const (
	unguarded guardState = iota
	guardSet
	guardKnown // to all
)

func newGuards() *guards {
	return &guards{otter.Must(&otter.Options[string, guardState]{
		MaximumSize:      10_000,
		ExpiryCalculator: otter.ExpiryWriting[string, guardState](guardTTL),
	})}
}

// guarded says whether writers without conditions take the lock in this bucket.
func (h *Handler) guarded(ctx context.Context, bucket string) (bool, error) {
	if state, ok := h.guards.cache.GetIfPresent(bucket); ok {
		return state != unguarded, nil
	}
	is, err := h.store.BucketGuarded(ctx, bucket)
	if err != nil {
		return false, err
	}
	state := unguarded
	if is {
		state = guardSet
	}
	h.guards.cache.Set(bucket, state)
	return is, nil
}

// guard makes every writer of the bucket take the key's lock, and returns when all do.
func (h *Handler) guard(ctx context.Context, bucket string) error {
	if state, _ := h.guards.cache.GetIfPresent(bucket); state == guardKnown {
		return nil
	}
	age, err := h.store.GuardBucket(ctx, bucket)
	if err != nil {
		return err
	}
	if err := pause.For(ctx, guardSettled-age); err != nil {
		return err
	}
	h.guards.cache.Set(bucket, guardKnown)
	return nil
}

// lockWriter takes the key's lock for a write or delete without condition, nil where the bucket is not guarded.
func (h *Handler) lockWriter(ctx context.Context, bucket, key string) (*commitLock, error) {
	is, err := h.guarded(ctx, bucket)
	if err != nil || !is {
		return nil, err
	}
	lock, err := h.lockKey(ctx, bucket, key)
	if errors.Is(err, metadata.ErrLockTimeout) {
		return nil, s3api.ErrSlowDown // this request has no condition that could be in conflict with anything
	}
	return lock, err
}
