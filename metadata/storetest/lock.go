package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cofre/metadata"
)

// soon ends before any patience does, and after a lock that is free was had.
const soon = 50 * time.Millisecond

func (s *suite) lockKey(key string) metadata.Lock {
	s.Helper()
	lock, err := s.store.LockKey(s.ctx, s.bucket, key)
	s.must(err)
	return lock
}

// refused checks that a lock cannot be had.
func (s *suite) refused(take func(context.Context) (metadata.Lock, error)) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, soon)
	defer cancel()
	lock, err := take(ctx)
	if err == nil {
		lock.Unlock()
	}
	s.wantErr(err, metadata.ErrLockTimeout)
	if errors.Is(err, metadata.ErrUnavailable) {
		s.Errorf("%v says that the store is not there", err)
	}
}

var lockTests = map[string]func(*suite){
	"GuardsHoldUntilTheBucketGoes": func(s *suite) {
		guarded := func() bool {
			is, err := s.store.BucketGuarded(s.ctx, s.bucket)
			s.must(err)
			return is
		}
		if guarded() {
			s.Fatal("guarded before anybody asked")
		}
		for range 2 {
			_, err := s.store.GuardBucket(s.ctx, s.bucket)
			s.must(err)
		}
		other, err := s.store.BucketGuarded(s.ctx, s.bucket+"x")
		s.must(err)
		if !guarded() || other {
			s.Fatal("another bucket is guarded, or this one is not")
		}
		first, err := s.store.GuardBucket(s.ctx, s.bucket)
		s.must(err)
		time.Sleep(20 * time.Millisecond)
		if age, err := s.store.GuardBucket(s.ctx, s.bucket); err != nil || age < first+10*time.Millisecond {
			s.Fatalf("a second call made the guard young again: %v, %v before: %v", age, first, err)
		}
		s.must(s.store.DropBucket(s.ctx, s.bucket, time.Unix(0, 0)))
		if !guarded() {
			s.Fatal("the guard of a younger bucket of the same name is gone")
		}
		s.must(s.store.DropBucket(s.ctx, s.bucket, time.Now().Add(time.Hour)))
		if guarded() {
			s.Fatal("guarded after the bucket was dropped")
		}
	},
	"HasOneHolder": func(s *suite) {
		key := func(ctx context.Context) (metadata.Lock, error) { return s.store.LockKey(ctx, s.bucket, "k") }
		upload := func(ctx context.Context) (metadata.Lock, error) { return s.store.LockUpload(ctx, s.bucket) }
		for _, take := range []func(context.Context) (metadata.Lock, error){key, upload} {
			for range 3 {
				lock, err := take(s.ctx)
				s.must(err)
				s.must(lock.Held(s.ctx))
				s.refused(take)
				s.must(lock.Held(s.ctx))
				lock.Unlock()
			}
		}
	},
	"NamesAreExact": func(s *suite) {
		var locks []metadata.Lock
		for _, key := range append([]string{"", "k", "k\x00"}, oddKeys()[:8]...) {
			lock, err := s.store.LockKey(s.ctx, s.bucket, key+"!")
			s.must(err)
			locks = append(locks, lock)
		}
		for _, names := range [][2]string{{s.bucket + "x", ""}, {s.bucket, "x"}} {
			lock, err := s.store.LockKey(s.ctx, names[0], names[1])
			s.must(err)
			locks = append(locks, lock)
		}
		lock, err := s.store.LockUpload(s.ctx, s.bucket+"x")
		s.must(err)
		for _, l := range append(locks, lock) {
			s.must(l.Held(s.ctx))
			l.Unlock()
		}
	},
	"EndedContextGetsNoLock": func(s *suite) {
		defer s.lockKey("k").Unlock()
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := s.store.LockKey(ctx, s.bucket, "k")
		s.wantErr(err, metadata.ErrLockTimeout)
	},
	"OutlivesTheContextItWasTakenWith": func(s *suite) {
		ctx, cancel := context.WithCancel(s.ctx)
		lock, err := s.store.LockKey(ctx, s.bucket, "k")
		s.must(err)
		defer lock.Unlock()
		cancel()
		s.refused(func(ctx context.Context) (metadata.Lock, error) { return s.store.LockKey(ctx, s.bucket, "k") })
		s.must(lock.Held(s.ctx))
		_, err = lock.Latest(s.ctx, s.bucket, "k", "")
		s.wantErr(err, metadata.ErrNotFound)
		s.must(lock.Held(s.ctx)) // "not found" is an answer
	},
	"UnlockTwiceFreesOnce": func(s *suite) {
		first := s.lockKey("k")
		first.Unlock()
		first.Unlock()
		s.wantErr(first.Held(s.ctx), metadata.ErrLockLost)
		second := s.lockKey("k")
		defer second.Unlock()
		first.Unlock()
		s.refused(func(ctx context.Context) (metadata.Lock, error) { return s.store.LockKey(ctx, s.bucket, "k") })
		s.wantErr(first.Held(s.ctx), metadata.ErrLockLost)
	},
	"GivenUpWaitHindersNobody": func(s *suite) {
		lock := s.lockKey("k")
		var waiting sync.WaitGroup
		for range 4 {
			waiting.Go(func() {
				s.refused(func(ctx context.Context) (metadata.Lock, error) { return s.store.LockKey(ctx, s.bucket, "k") })
			})
		}
		waiting.Wait()
		lock.Unlock()
		s.lockKey("k").Unlock()
	},
	"ReadsSeeWhatWasCommittedMeanwhile": func(s *suite) {
		old := s.add(s.record("k"), metadata.Committed)
		lock := s.lockKey("k")
		defer lock.Unlock()
		got, err := lock.Latest(s.ctx, s.bucket, "k", "")
		s.must(err)
		s.equal(got, old)

		rec := s.record("k")
		rec.Began, rec.Parts = s.later(old.Committed), parts(3)
		rec = s.add(rec, metadata.Committed)
		for _, version := range []string{"", metadata.NullVersion} {
			got, err = lock.Latest(s.ctx, s.bucket, "k", version)
			s.must(err)
			s.equal(got, rec)
		}
		got, err = lock.ByEnvelope(s.ctx, s.bucket, "k", old.Envelope)
		s.must(err)
		if got.Tombstoned.IsZero() {
			s.Error("row read under the lock is live, though it was replaced")
		}
		s.must(lock.Held(s.ctx))
	},
	"WaitersCannotStarveTheHolder": func(s *suite) {
		s.add(s.record("k"), metadata.Committed)
		lock := s.lockKey("k")
		ctx, cancel := context.WithCancel(s.ctx)
		var waiters sync.WaitGroup
		for range 100 {
			waiters.Go(func() {
				if waiter, err := s.store.LockKey(ctx, s.bucket, "k"); err == nil {
					waiter.Unlock()
				}
			})
		}
		time.Sleep(soon) // some wait now, in whatever order; the rule holds without this too
		for range 10 {
			_, err := lock.Latest(s.ctx, s.bucket, "k", "")
			s.must(err)
			s.must(lock.Held(s.ctx))
		}
		_, err := s.store.Latest(s.ctx, s.bucket, "k", "") // nor any other reader
		s.must(err)
		cancel()
		lock.Unlock()
		waiters.Wait()
	},
	"KeyUnderUploadNeverDeadlocks": func(s *suite) {
		var workers sync.WaitGroup
		for i := range 50 {
			workers.Go(func() {
				upload, err := s.store.LockUpload(s.ctx, fmt.Sprint(s.bucket, i))
				if err != nil {
					s.Errorf("lock upload: %v", err)
					return
				}
				defer upload.Unlock()
				key, err := s.store.LockKey(s.ctx, s.bucket, fmt.Sprint(i%20))
				if err != nil {
					s.Errorf("lock key: %v", err)
					return
				}
				key.Unlock()
			})
		}
		workers.Wait()
	},
	"ExcludesEachOther": func(s *suite) {
		var workers sync.WaitGroup
		count := 0 // guarded by the lock alone: the race detector watches it
		for range 8 {
			workers.Go(func() {
				for range 10 {
					lock, err := s.store.LockKey(s.ctx, s.bucket, "k")
					if err != nil {
						s.Errorf("lock key: %v", err)
						return
					}
					count++
					lock.Unlock()
				}
			})
		}
		workers.Wait()
		if count != 80 {
			s.Errorf("counted %d, want 80", count)
		}
	},
}
