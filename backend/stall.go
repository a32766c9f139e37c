package backend

import (
	"context"
	"errors"
	"time"
)

// errStalled is the cause with which a request ends whose backend made no progress.
var errStalled = errors.New("backend made no progress in time")

// progressStep is how many bytes a body must have moved for the wait to begin anew: one sealed chunk, near enough. One byte now
// and then is no progress.
const progressStep = 64 << 10

// stallTimer cancels a request when the backend keeps us waiting for too long. It runs only while we wait for the backend, never
// while we wait for the caller, so that a slow client is no fault of the backend and a transfer may take hours as long as it
// moves.
//
// One goroutine at a time waits for the backend on behalf of a request, so nothing here needs a lock of its own.
type stallTimer struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc

	began  time.Time     // of the present wait for a body; zero outside of one
	waited time.Duration // for a body, since it last moved progressStep
	moved  int64         // bytes since then
}

// newStallTimer derives the context that the request must run in. stop must be called in the end.
func newStallTimer(ctx context.Context) (context.Context, *stallTimer) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &stallTimer{cancel: cancel}
	t.timer = time.AfterFunc(time.Hour, func() { cancel(errStalled) })
	t.timer.Stop()
	return ctx, t
}

// arm begins a wait that ends the request after d.
func (t *stallTimer) arm(d time.Duration) { t.timer.Reset(d) }

func (t *stallTimer) disarm() { t.timer.Stop() }

// wait begins a wait for the body to move on, of which there may be as many as there must be: together they take at most d for
// each progressStep.
func (t *stallTimer) wait(d time.Duration) {
	t.began = time.Now()
	t.timer.Reset(d - t.waited)
}

// done ends such a wait, in which n bytes were moved. Without a wait it does nothing.
func (t *stallTimer) done(n int) {
	t.timer.Stop()
	if t.began.IsZero() {
		return
	}
	t.waited += time.Since(t.began)
	t.began = time.Time{}
	if t.moved += int64(n); t.moved >= progressStep {
		t.moved, t.waited = 0, 0
	}
}

// stop ends the request's context and the timer.
func (t *stallTimer) stop() {
	t.timer.Stop()
	t.cancel(nil)
}
