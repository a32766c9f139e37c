package rediscache

import (
	"context"
	"sync"
	"time"
)

const (
	// tolerated is how many reads in a row may fail before Redis is left alone.
	tolerated = 3
	// firstPause and longestPause bound the wait between tries to use it again; it doubles.
	firstPause   = 250 * time.Millisecond
	longestPause = 10 * time.Second
)

// breaker decides whether Redis is used. Once open, it closes only after everything that is cached was forgotten: for
// while it was open, writes went by that Redis knows nothing of.
type breaker struct {
	forget func(context.Context) error // deletes the fence of the whole cache
	done   sync.WaitGroup
	ended  context.Context
	end    context.CancelFunc

	mu     sync.Mutex
	failed int    // reads in a row; owner: mu
	open   bool   // owner: mu
	missed uint64 // invalidations that Redis does not know of; owner: mu
}

func newBreaker(forget func(context.Context) error) *breaker {
	b := &breaker{forget: forget}
	b.ended, b.end = context.WithCancel(context.Background())
	return b
}

// closed says whether Redis may be used.
func (b *breaker) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open
}

// read notes the outcome of a read or a fill.
func (b *breaker) read(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.failed = 0
		return
	}
	if b.failed++; b.failed >= tolerated {
		b.trip()
	}
}

// lost notes an invalidation that did not, or may not have, reached Redis. One is enough to open.
func (b *breaker) lost() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.missed++
	b.trip()
}

// skipped says that an invalidation has to be left out because the breaker is open, and notes it.
func (b *breaker) skipped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.missed++
	}
	return b.open
}

// trip opens the breaker and begins the search for the end of it. The caller holds mu.
func (b *breaker) trip() {
	if b.open || b.ended.Err() != nil {
		return
	}
	b.open = true
	b.done.Go(b.recover)
}

// recover tries until the cache is forgotten, then closes the breaker.
func (b *breaker) recover() {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		select {
		case <-b.ended.Done():
			return
		case <-time.After(pause):
		}
		for {
			b.mu.Lock()
			known := b.missed
			b.mu.Unlock()
			if b.forget(b.ended) != nil {
				break
			}
			if b.close(known) {
				return
			}
		}
	}
}

// close closes the breaker, unless an invalidation was missed since the count was known: it may have been committed after
// the cache was forgotten, so that has to be done again.
func (b *breaker) close(known uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.missed != known {
		return false
	}
	b.open, b.failed = false, 0
	return true
}

// stop ends the search.
func (b *breaker) stop() {
	b.mu.Lock()
	b.end() // under mu, so that no trip begins after it
	b.mu.Unlock()
	b.done.Wait()
}
