package keys

import "context"

// flight is work on one slot that several callers wait for. It is written once, before done is closed.
type flight struct {
	done   chan struct{}
	result openKEK
	err    error
}

// wait gives the flight's result, or the error of ctx if that ends first.
func (f *flight) wait(ctx context.Context) (openKEK, error) {
	select {
	case <-f.done:
		return f.result, f.err
	case <-ctx.Done():
		return openKEK{}, ctx.Err()
	}
}

// join gives the flight that is under way for the slot, or starts one. r.mu is held.
//
// A flight outlives the caller that started it: it keeps that caller's context values but not its end, and is bounded by
// flightTimeout instead. So it always runs to its end, and a caller who gives up never fails the others.
func (r *Ring) join(ctx context.Context, bucket string, s slot) *flight {
	b := r.buckets[bucket]
	if b == nil {
		b = &bucketRing{open: make(map[slot]openKEK), flights: make(map[slot]*flight)}
		r.buckets[bucket] = b
	}
	if f := b.flights[s]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	b.flights[s] = f
	known := b.open[s]
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		f.result, f.err = r.read(ctx, bucket, s, known)
		r.land(bucket, b, s, f)
		close(f.done)
	}()
	return f
}

// land remembers what a flight brought. An error is not remembered: the next caller asks anew.
func (r *Ring) land(bucket string, b *bucketRing, s slot, f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(b.flights, s)
	retire(b.open[s])
	if r.buckets[bucket] != b {
		retire(f.result)
	}
	if f.err == nil {
		b.open[s] = f.result
	} else {
		delete(b.open, s)
	}
	if len(b.open) == 0 && len(b.flights) == 0 && r.buckets[bucket] == b {
		delete(r.buckets, bucket) // so that names of buckets that are not there do not pile up
	}
}
