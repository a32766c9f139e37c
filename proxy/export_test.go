package proxy

import (
	"context"
	"time"

	"cofre/s3api"
)

// GuardSettled is the age at which every process knows of a bucket's guard.
const GuardSettled = guardSettled

// GuardBucket makes every writer of the bucket take the key's lock.
func (h *Handler) GuardBucket(ctx context.Context, bucket string) error { return h.guard(ctx, bucket) }

// SweepStaged removes the staged files of before a time.
func (h *Handler) SweepStaged(ctx context.Context, before time.Time) error {
	return h.newSweeper(SweepConfig{}).scratch(ctx, SweptForm, stagedPrefix, before)
}

// Served says whether the operation is in the handler's table. A preflight is answered before it.
func Served(op s3api.Operation) bool {
	_, ok := operations[op]
	return ok || op == s3api.CORSPreflight
}

// WaitBriefly shortens what a walk waits for: other replicas that go on under an old KEK, and a storage that does not answer.
func WaitBriefly() { stateTTL, rewritePause = 200*time.Millisecond, 20*time.Millisecond }

// ForgetRecords has the next reader ask the store.
func (h *Handler) ForgetRecords() { h.records.forgetAll() }
