package sqlite

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"cofre/metadata"
)

// locks are the named locks of this process, which is the only one that has the file open: so they hold for all users
// of the store. Each is given in the order in which it was asked for.
type locks struct {
	mu sync.Mutex
	// waiting has an entry for each lock that is held: those who wait for it, first come first. Owner: mu.
	waiting map[string][]chan struct{}
}

func newLocks() *locks { return &locks{waiting: make(map[string][]chan struct{})} }

// take waits for the lock until ctx ends.
func (l *locks) take(ctx context.Context, name string) error {
	l.mu.Lock()
	queue, held := l.waiting[name]
	if !held {
		l.waiting[name] = nil
		l.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	l.waiting[name] = append(queue, mine)
	l.mu.Unlock()

	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	if !l.leave(name, mine) {
		l.give(name) // it came at the same moment: hand it on
	}
	return fmt.Errorf("%w: %w", metadata.ErrLockTimeout, context.Cause(ctx))
}

// leave takes a waiter out of the queue; false means that it is not there because the lock is its own already.
func (l *locks) leave(name string, mine chan struct{}) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range l.waiting[name] {
		if c == mine {
			l.waiting[name] = append(l.waiting[name][:i:i], l.waiting[name][i+1:]...)
			return true
		}
	}
	return false
}

// give hands the lock to the first who waits or, where nobody does, sets it free.
func (l *locks) give(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queue := l.waiting[name]
	if len(queue) == 0 {
		delete(l.waiting, name)
		return
	}
	l.waiting[name] = queue[1:]
	close(queue[0])
}

// LockKey implements metadata.Store.
func (s *Store) LockKey(ctx context.Context, bucket, key string) (metadata.Lock, error) {
	return s.lock(ctx, "lock key", keyLock(bucket, key))
}

// keyLock is the name of a key's lock. The length keeps ("a", "bc") and ("ab", "c") apart.
func keyLock(bucket, key string) string {
	return "key " + strconv.Itoa(len(bucket)) + " " + bucket + key
}

// LockUpload implements metadata.Store.
func (s *Store) LockUpload(ctx context.Context, uploadID string) (metadata.Lock, error) {
	return s.lock(ctx, "lock upload", "upload "+uploadID)
}

// LockJob implements metadata.Store.
func (s *Store) LockJob(ctx context.Context, id string) (metadata.Lock, error) {
	return s.lock(ctx, "lock job", "job "+id)
}

func (s *Store) lock(ctx context.Context, call, name string) (metadata.Lock, error) {
	if err := s.locks.take(ctx, name); err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	return &lock{Store: s, name: name}, nil
}

// lock implements metadata.Lock. Its reads are the store's: nobody waits for a lock on a connection here.
type lock struct {
	*Store
	name string
	once sync.Once
	lost bool // owner: the holder's goroutine
}

func (l *lock) Held(context.Context) error {
	if l.lost || l.isClosed() {
		return metadata.ErrLockLost
	}
	return nil
}

func (l *lock) Unlock() {
	l.once.Do(func() {
		l.lost = true
		l.locks.give(l.name)
	})
}
