package export

import (
	"sync"

	"cofre/proxy"
	"cofre/s3api"
)

// run is one run of Run.
type run struct {
	src Source
	dst Destination
	c   Config

	mu     sync.Mutex // guards report, and the calls of c.Failed and c.Progress
	report Report
}

func (r *run) note(change func(*Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.report)
	r.c.Progress(r.report)
}

func (r *run) snapshot() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report
}

// done is an object that is at its destination.
type done struct {
	at   Place
	o    proxy.Object
	tags []s3api.Tag
}

// queue brings what ends in any order back into the order of keys: a manifest in order can be walked beside a listing.
type queue struct {
	dst Destination

	mu    sync.Mutex
	slots []slot
	next  int // the first slot that has not been told of
}

type slot struct {
	ended bool
	done  *done // nil for an object that failed or is gone
}

// add is called in order of key.
func (q *queue) add() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.slots = append(q.slots, slot{})
	return len(q.slots) - 1
}

// finish ends a slot, and tells the destination of all that have ended without a gap.
func (q *queue) finish(i int, d *done) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.slots[i] = slot{ended: true, done: d}
	for ; q.next < len(q.slots) && q.slots[q.next].ended; q.next++ {
		d := q.slots[q.next].done
		q.slots[q.next].done = nil
		if d == nil {
			continue
		}
		if err := q.dst.Done(d.at, d.o, d.tags); err != nil {
			return err
		}
	}
	return nil
}
