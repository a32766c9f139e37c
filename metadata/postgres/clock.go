package postgres

import (
	"sync"
	"sync/atomic"
	"time"
)

// drift is how much faster the server's clock and the local one may run against each other: one tenth. Linux never slews
// its clocks by more (adjtimex, and with it ntpd and chrony, ends there), so the allowance is safe even while a clock is
// being corrected. It costs little: a sample is about a second old, so Now lags by a tenth of a second at most, and all
// that follows is that an object replaced within that time, through another process than the one that wrote it, keeps a
// live row until the next write. What this process itself writes is a sample as well.
const drift = 10

// clock is a lower bound of the server's clock, from memory.
//
// A sample is the server's clock as a statement read it, s, with the local monotonic times before it was sent, t0, and
// after the answer had come, t1. The server read s at some moment between the two. So at the local time t >= t1 at least
// t - t1 has passed since, and the server's clock shows at least
//
//	s + (t - t1) (1 - 1/drift)
//
// as long as it was not set back. Of two samples the one that gives the later time is the better bound, since both hold:
// that prefers short round trips, where t1 is close to the moment of s. Later samples win in the end, because the
// allowance for drift grows with age.
//
// A server whose clock was set back, or another server after a failover, gives itself away with the next sample: its s
// is below what the bound was at t0. Then the old sample no longer holds, and is dropped. In the meantime Now may be
// ahead; a commit whose Began is ahead of the server's clock makes no tombstones (see addRecord), so what is left of the
// danger is a writer that began within that second, on the same key as one that committed within it.
type clock struct {
	mu   sync.Mutex // held while a sample is added
	best atomic.Pointer[sample]
}

type sample struct {
	store time.Time // the server's clock, UTC
	local time.Time // t1, with its monotonic reading
}

// at is the bound at the local time t.
func (s *sample) at(t time.Time) time.Time {
	age := max(t.Sub(s.local), 0)
	return s.store.Add(age - age/drift)
}

// add takes a sample. Samples of calls that overlap come in any order: only one that was asked for after the best one had
// come can show that the server's clock was set back.
func (c *clock) add(t0 time.Time, store time.Time, t1 time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := &sample{store: store.UTC(), local: t1}
	if best := c.best.Load(); best != nil {
		setBack := !t0.Before(best.local) && next.store.Before(best.at(t0))
		if !setBack && next.store.Before(best.at(t1)) {
			return // the old sample still says more
		}
	}
	c.best.Store(next)
}

// now is the bound at the local time t, in whole microseconds as the server counts; the zero time before the first sample.
func (c *clock) now(t time.Time) time.Time {
	best := c.best.Load()
	if best == nil {
		return time.Time{}
	}
	return best.at(t).Truncate(time.Microsecond)
}
