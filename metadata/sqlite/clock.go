package sqlite

import (
	"sync"
	"time"
)

// reserve is how far ahead of the last time given out the clock row is set, so that it is written once a second at most.
const reserve = int64(time.Second)

// clock is the store's clock: the local wall clock, made strictly rising. Two readings never give the same time, and a
// wall clock that is set back makes it go on in steps of a nanosecond until the wall has caught up. So what was committed
// before a request began has a smaller time than the request, even within one tick of the wall clock.
//
// Across restarts it rises because the row of the table clock is above every time that stands in the file.
type clock struct {
	wall func() time.Time

	mu   sync.Mutex
	last int64 // nanoseconds since 1970
}

func newClock(wall func() time.Time, reserved int64) *clock {
	return &clock{wall: wall, last: reserved}
}

// tick gives a time greater than all before it, in nanoseconds since 1970.
func (c *clock) tick() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, c.wall().UnixNano())
	return c.last
}

// raise makes every time that is given from now on greater than t.
func (c *clock) raise(t int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, t)
}

// toNanos is t as a column holds it. The zero time, which lies outside what 64 bits of nanoseconds can hold, is 0.
func toNanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
