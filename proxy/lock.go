package proxy

import (
	"context"
	"errors"
	"sync"

	"cofre/metadata"
	"cofre/s3api"
)

// keyLocks keeps one waiter per key and process in front of the store's lock, so that a crowd of writers on one key holds
// one connection, not one each. The zero value is ready.
type keyLocks struct {
	mu    sync.Mutex
	locks map[string]*keyLock
}

type keyLock struct {
	token   chan struct{} // holds one token while the lock is free
	waiters int           // owned by keyLocks.mu
}

// lock waits for the key's turn in this process until ctx ends.
func (k *keyLocks) lock(ctx context.Context, bucket, key string) (unlock func(), err error) {
	name := bucket + "\x00" + key
	k.mu.Lock()
	if k.locks == nil {
		k.locks = make(map[string]*keyLock)
	}
	l := k.locks[name]
	if l == nil {
		l = &keyLock{token: make(chan struct{}, 1)}
		l.token <- struct{}{}
		k.locks[name] = l
	}
	l.waiters++
	k.mu.Unlock()

	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.waiters--; l.waiters == 0 {
			delete(k.locks, name)
		}
	}
	select {
	case <-l.token:
		return func() { l.token <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, metadata.ErrLockTimeout
	}
}

// commitLock is held while a condition is judged and the write it allows is committed.
type commitLock struct {
	metadata.Lock
	release func()
}

// lockKey takes the process's and then the store's lock of a key; both within Limits.LockWait.
func (h *Handler) lockKey(ctx context.Context, bucket, key string) (*commitLock, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.LockWait)
	defer cancel()
	unlock, err := h.keyLocks.lock(ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	l, err := h.store.LockKey(ctx, bucket, key)
	if err != nil {
		unlock()
		if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, metadata.ErrUnavailable) {
			err = metadata.ErrLockTimeout
		}
		return nil, err
	}
	return &commitLock{Lock: l, release: unlock}, nil
}

// Unlock gives both locks back. It may be called once; no lock at all is none to give back.
func (l *commitLock) Unlock() {
	if l == nil {
		return
	}
	l.Lock.Unlock()
	l.release()
}

// lockUpload takes the lock under which one Complete or Abort of an upload runs; SlowDown where another takes too long.
func (h *Handler) lockUpload(ctx context.Context, id string) (metadata.Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.LockWait)
	defer cancel()
	l, err := h.store.LockUpload(ctx, id)
	if errors.Is(err, metadata.ErrLockTimeout) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, metadata.ErrUnavailable) {
		return nil, s3api.ErrSlowDown
	}
	return l, err
}
