package backend

import (
	"context"
	"errors"
	"time"
)

// errStalled is the cause with which a request ends whose backend made no progress.
var errStalled = errors.New("backend made no progress in time")

// stallTimer cancels a request when the backend keeps us waiting for too long at one point. It runs only while we wait
// for the backend, never while we wait for the caller, so that a slow client is no fault of the backend and a transfer
// may take hours as long as it moves.
//
// One goroutine at a time waits for the backend on behalf of a request, so arm and disarm need no lock of their own.
type stallTimer struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// newStallTimer derives the context that the request must run in. stop must be called in the end.
func newStallTimer(ctx context.Context) (context.Context, *stallTimer) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := &stallTimer{cancel: cancel}
	t.timer = time.AfterFunc(time.Hour, func() { cancel(errStalled) })
	t.timer.Stop()
	return ctx, t
}

func (t *stallTimer) arm(d time.Duration) { t.timer.Reset(d) }

func (t *stallTimer) disarm() { t.timer.Stop() }

// stop ends the request's context and the timer.
func (t *stallTimer) stop() {
	t.timer.Stop()
	t.cancel(nil)
}
