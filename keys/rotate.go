package keys

import (
	"context"
	"fmt"
	"time"
)

// retryRotation spaces attempts to replace a KEK: each writes documents that stay.
const retryRotation = time.Minute

// RotatePolicy says when an active KEK is replaced by itself. It is looked at when the KEK's state is read again, so while
// the KEK is in use; neither bound is exact.
type RotatePolicy struct {
	After   time.Duration  // the age; 0: none
	Objects int64          // the number of objects sealed under it, by all replicas; 0: any
	Tell    func(Rotation) // told of each replacement and of each that failed; nil: nobody
}

// Rotation tells that an active KEK was replaced, or was to be, because of its age or of what was sealed under it.
type Rotation struct {
	Bucket  string
	Old     KEKID
	New     KEKID         // the active one from now on
	Age     time.Duration // of the old one
	Objects int64         // sealed under it, as far as was counted since it was opened here; 0 where nothing counts
	Err     error         // why it was not replaced; it seals on, and it is tried again
}

// use is how often the active KEK was given out and has not been counted in the store yet.
type use struct {
	id      KEKID
	n       int64
	busy    bool      // somebody is counting or replacing
	refused time.Time // when replacing it failed last
}

// used counts one object. It costs no question to the store: what gathers is counted there when the state is read again.
func (r *Ring) used(bucket string, id KEKID) {
	if r.rotate.Objects == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.buckets[bucket]; b != nil {
		b.use.add(id, 1)
	}
}

func (u *use) add(id KEKID, n int64) {
	if u.id != id {
		u.id, u.n = id, 0
	}
	u.n += n
}

// watch counts what was sealed under the active KEK, and replaces it where it is old or much used. It is called when the
// state has been read, and returns at once: nobody who wants to write waits for it, and the old KEK seals on if it fails.
func (r *Ring) watch(ctx context.Context, active StoredKEK) {
	age := r.clock().Sub(active.Created)
	old := r.rotate.After > 0 && age >= r.rotate.After
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.buckets[active.Bucket]
	if b == nil || b.use.busy {
		return
	}
	b.use.add(active.ID, 0)
	n := b.use.n
	if !old && n == 0 {
		return
	}
	b.use.n, b.use.busy = 0, true
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			b.use.busy = false
		}()
		total := r.countUse(ctx, b, active, n)
		if old || r.rotate.Objects > 0 && total >= r.rotate.Objects {
			r.replace(ctx, b, active, Rotation{Bucket: active.Bucket, Old: active.ID, Age: age, Objects: total})
		}
	}()
}

// countUse adds n to the store's count and gives the total, 0 where it is not known. What could not be counted is kept for
// the next time. Exactness is not promised: what a process had not counted when it ended is lost.
func (r *Ring) countUse(ctx context.Context, b *bucketRing, active StoredKEK, n int64) int64 {
	if n == 0 {
		return 0
	}
	total, err := r.store.CountKEK(ctx, active.Bucket, active.ID, n)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if b.use.id == active.ID {
			b.use.n += n
		}
	}
	return total
}

// replace makes the next active KEK. Of several replicas that do so at once the store accepts one, and all go on with its
// KEK. The documents are written before the old one leaves its state, so that a storage which does not take them changes
// nothing.
func (r *Ring) replace(ctx context.Context, b *bucketRing, old StoredKEK, told Rotation) {
	r.mu.Lock()
	early := b.use.id == old.ID && r.clock().Sub(b.use.refused) < retryRotation
	r.mu.Unlock()
	if early {
		return
	}
	next, mine, err := r.succeed(ctx, old)
	r.mu.Lock()
	if err != nil {
		b.use.refused = r.clock()
	} else if r.buckets[old.Bucket] == b {
		b.open[slot{active: true}] = next
	}
	r.mu.Unlock()
	if r.rotate.Tell == nil || err == nil && !mine {
		return // who won tells
	}
	if told.Err = err; err == nil {
		told.New = next.kek.ID()
	}
	r.rotate.Tell(told)
}

// succeed makes the KEK that comes after an active one. mine says that it is the one made here.
func (r *Ring) succeed(ctx context.Context, old StoredKEK) (next openKEK, mine bool, err error) {
	made, err := r.create(ctx, old.Bucket)
	if err != nil {
		return openKEK{}, false, err
	}
	if err := r.store.SetKEKState(ctx, old.Bucket, old.ID, ReadOnly); err != nil {
		return openKEK{}, false, fmt.Errorf("retire KEK %s: %w", old.ID, unavailable(err))
	}
	next, err = r.activate(ctx, made)
	return next, err == nil && next.kek.ID() == made.record.ID, err
}
