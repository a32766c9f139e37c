package rediscache

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// A write that goes by while the cache is being forgotten may be committed after that: it has to be forgotten again.
func TestBreakerForgetsAgainWhatItMissedMeanwhile(t *testing.T) {
	var (
		b        *breaker
		forgets  atomic.Int64
		closedAt = make(chan int64, 1)
	)
	b = newBreaker(func(context.Context) error {
		switch forgets.Add(1) {
		case 1:
			return errors.New("still away")
		case 2, 3:
			if !b.skipped() {
				t.Error("an invalidation was tried while the breaker is open")
			}
		}
		return nil
	})
	defer b.stop()
	b.lost()
	go func() {
		for !b.closed() {
			time.Sleep(time.Millisecond)
		}
		closedAt <- forgets.Load()
	}()
	if n := <-closedAt; n != 4 {
		t.Errorf("closed after the cache was forgotten %d times, want 4: once in vain, twice overtaken", n)
	}
	if b.skipped() {
		t.Error("a closed breaker skips")
	}
}

func TestBreakerToleratesAFewFailedReadsInARow(t *testing.T) {
	away := errors.New("away")
	b := newBreaker(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	defer b.stop()
	for range 10 {
		for range tolerated - 1 {
			b.read(away)
		}
		b.read(nil)
	}
	if !b.closed() {
		t.Fatal("open though no three reads in a row failed")
	}
	for range tolerated {
		b.read(away)
	}
	if b.closed() {
		t.Error("closed though three reads in a row failed")
	}
}
