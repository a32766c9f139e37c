// Package keystest is test support for everything that works with keys: an in-memory store and system bucket which keep
// the contracts of keys.Store and keys.System to the letter, and which fail on demand, before or after taking effect.
package keystest

import (
	"context"
	"errors"
	"sync"
)

// ErrDown is the error of a fake that was told to fail.
var ErrDown = errors.New("fake is down")

// When says at which point of a call a fault strikes.
type When uint8

// The points at which a call can fail.
const (
	Before When = iota + 1 // nothing has happened
	After                  // the call took effect and its answer was lost
	Never                  // this call passes: the fault behind it is for a later one
)

// Faults is how a fake is made to fail. Methods are named as they are in the interface. It is safe for concurrent use.
type Faults struct {
	mu    sync.Mutex
	down  bool
	next  map[string][]When
	held  map[string]chan struct{}
	calls map[string]int
}

// SetDown makes every call fail before it takes effect, until it is set back.
func (f *Faults) SetDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

// FailNext makes one more call of the method fail. Faults of one method strike in the order in which they were asked for.
func (f *Faults) FailNext(method string, when When) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = make(map[string][]When)
	}
	f.next[method] = append(f.next[method], when)
}

// Hold makes calls of the method wait before they take effect until release is called or their context ends.
func (f *Faults) Hold(method string) (release func()) {
	gate := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		f.held = make(map[string]chan struct{})
	}
	f.held[method] = gate
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.held[method] == gate {
			delete(f.held, method)
			close(gate)
		}
	}
}

// Calls is how often the method has been called.
func (f *Faults) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// enter counts the call, waits where it is held, and gives the fault that strikes it. finish turns the call's own outcome
// into what the caller sees.
func (f *Faults) enter(ctx context.Context, method string) (finish func(error) error, err error) {
	f.mu.Lock()
	if f.calls == nil {
		f.calls = make(map[string]int)
	}
	f.calls[method]++
	gate := f.held[method]
	down := f.down
	var fault When
	if faults := f.next[method]; len(faults) > 0 {
		fault, f.next[method] = faults[0], faults[1:]
	}
	f.mu.Unlock()

	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if down || fault == Before {
		return nil, ErrDown
	}
	return func(err error) error {
		if fault == After {
			return ErrDown
		}
		return err
	}, nil
}
