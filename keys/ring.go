package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// StateTTL bounds how long a Ring acts on a KEK's state without asking the store again: what another replica changed is
// seen within it, as long as the store answers.
const StateTTL = 10 * time.Second

const (
	// retryStore spaces the questions to a store that does not answer.
	retryStore = time.Second
	// storeTimeout bounds one question to the store. It is well below StateTTL, so that an answer is never older than that.
	storeTimeout = 5 * time.Second
	// flightTimeout bounds all work on one KEK, writing the documents of a new one included.
	flightTimeout = 30 * time.Second
)

// RingConfig is what a Ring works with. All but Refresh, Clock, AcceptClosed and Rotate are required.
type RingConfig struct {
	Identity *Identity
	Trust    func() *TrustList // the list in force, asked anew each time; never changed once given
	// Refresh has Trust give the list that the store has now. It is asked where a KEK is not made because another process has
	// changed the list: so writers need not wait until that is noticed. Nil: they wait.
	Refresh func(context.Context) error
	Store   Store
	System  System
	Clock   func() time.Time // nil: time.Now
	// AcceptClosed is the operator's word on objects under a closed KEK of which the store has no record (docs/FORMAT.md
	// section 7 rule 4): a KEK whose id it accepts is given as read-only by this Ring, and stays closed in the store. Nil
	// accepts none.
	AcceptClosed func(KEKID) bool
	// Rotate says when active KEKs are replaced by themselves; the zero value: never.
	Rotate RotatePolicy
}

// Ring makes and opens the KEKs of all buckets, and keeps the opened ones in memory and nowhere else. It is safe for
// concurrent use.
//
// Work on one KEK is done once however many callers want it, and detached from all of them: a caller that gives up takes
// nothing away from the others. While the store does not answer, KEKs that are open keep working in the state last seen.
type Ring struct {
	identity *Identity
	trust    func() *TrustList
	refresh  func(context.Context) error // of RingConfig.Refresh; may be nil
	store    Store
	system   System
	clock    func() time.Time
	accept   func(KEKID) bool // of RingConfig.AcceptClosed; never nil
	rotate   RotatePolicy

	mu      sync.Mutex // guards buckets and all below it; never held during a call to store or system
	buckets map[string]*bucketRing
}

// bucketRing is what is open of one bucket. Forget drops it whole: work that is still under way then ends in the dropped
// one, and what it found is not remembered.
type bucketRing struct {
	open    map[slot]openKEK
	flights map[slot]*flight
	use     use // of the active KEK
}

// slot names what is asked for: the KEK of an id, or the active KEK, whichever id it has. They are kept apart by a field of
// its own, so that no id that an envelope can carry ever means "the active one".
type slot struct {
	id      KEKID
	active  bool
	deposit bool // the active one of a site that deposits: it is in memory alone
}

// openKEK is a KEK in memory with what the store said of it.
type openKEK struct {
	kek    KEK
	state  KEKState
	seen   time.Time // when the store was asked for the state
	failed time.Time // when it was last asked and did not answer; zero once it has

	// Of a deposit KEK: to whom it was granted, and the trust list by which. It was made when it was seen.
	granted []SiteID
	list    uint64
}

// due says whether a KEK in memory should be read or made again, and whether it must not be used before that has happened.
func (r *Ring) due(bucket string, s slot, k openKEK) (ask, wait bool) {
	if s.deposit {
		over := !r.mayDeposit(bucket, k)
		return over, over
	}
	return k.due(r.clock())
}

// due says whether the state should be read again, and whether it is too old to be used before that has happened.
func (k openKEK) due(now time.Time) (ask, wait bool) {
	age := now.Sub(k.seen)
	sinceFailure := now.Sub(k.failed)
	if age < 0 || sinceFailure < 0 { // the clock was set back
		return true, true
	}
	ask = age >= StateTTL/2 && sinceFailure >= retryStore
	// A store that has just failed to answer is not waited for again and again: reads go on while it is down.
	wait = age >= StateTTL && sinceFailure >= StateTTL
	return ask, wait
}

// NewRing makes a Ring. It asks nothing of store and system yet.
func NewRing(c RingConfig) *Ring {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.AcceptClosed == nil {
		c.AcceptClosed = func(KEKID) bool { return false }
	}
	return &Ring{
		identity: c.Identity, trust: c.Trust, refresh: c.Refresh, store: c.Store, system: c.System, clock: c.Clock, accept: c.AcceptClosed,
		rotate: c.Rotate, buckets: make(map[string]*bucketRing),
	}
}

// Active gives the bucket's active KEK of this site, under which new objects are sealed. At first use it makes one: record
// and grants are durable in the system bucket, and the KEK in the store, before it is returned. Of several replicas that do
// so at once, the one whom the store accepts wins, and all return its KEK. Where this site deposits, the KEK is this
// process's own, in memory alone, and is good for wrapping within the next minute (docs/FORMAT.md section 7 rule 5).
//
// Errors: ErrKEKUnavailable when store or system bucket do not answer, ErrMayNotWrite when the trust list does not have this
// site as a member of the bucket or has it deposit for nobody, ErrUntrusted when the store's documents are not what this
// site signed.
func (r *Ring) Active(ctx context.Context, bucket string) (KEK, error) {
	k, err := r.getActive(ctx, bucket)
	if errors.Is(err, errOvertaken) && r.refresh != nil && r.refresh(ctx) == nil {
		k, err = r.getActive(ctx, bucket)
	}
	if err != nil {
		return KEK{}, fmt.Errorf("open active KEK of bucket %.80q: %w", bucket, err)
	}
	r.used(bucket, k.kek.ID())
	return k.kek, nil
}

func (r *Ring) getActive(ctx context.Context, bucket string) (openKEK, error) {
	trust := r.trust()
	return r.get(ctx, bucket, slot{active: true, deposit: trust != nil && trust.OwnDeposit(bucket)})
}

// Open gives the KEK of that id: from memory, else from the store, else from the system bucket. What is found there is
// believed by rules 1 and 2 of docs/FORMAT.md section 7 and then kept in the store as read-only, or as closed when its
// creator's trust has been withdrawn. The state is at most StateTTL old while the store answers.
//
// Errors: ErrNotRecipient when the KEK is there and no grant is ours; ErrKEKUnavailable when it may come by waiting;
// ErrUntrusted when a document is there that must not be believed (a sign of tampering); ErrCommit when the key is not
// the record's; ErrKEKConflict when the store knows the id by another document.
func (r *Ring) Open(ctx context.Context, bucket string, id KEKID) (KEK, KEKState, error) {
	k, err := r.get(ctx, bucket, slot{id: id})
	if err != nil {
		return KEK{}, 0, fmt.Errorf("open KEK %s of bucket %.80q: %w", id, bucket, err)
	}
	return k.kek, k.state, nil
}

// CheckObject refuses an object under a KEK that Open gave which the trust list in force does not let the KEK's creator
// write: see TrustList.CheckObject.
func (r *Ring) CheckObject(kek KEK, objectKey string) error {
	trust := r.trust()
	if trust == nil {
		return fmt.Errorf("check object: %w: there is no trust list", ErrUntrusted)
	}
	return trust.CheckObject(kek, objectKey)
}

// CheckCopy refuses to wrap a copy's DEK by a KEK that is another site's deposit KEK (rule 3): that site's objects are
// read, verified and sealed anew. So is everything that a site which deposits itself copies: it seals under nothing that it
// can open again.
func (r *Ring) CheckCopy(kek KEK) error {
	trust := r.trust()
	if trust == nil || kek.Creator() != r.identity.ID() && trust.Deposits(kek) || trust.OwnDeposit(kek.Bucket()) {
		return fmt.Errorf("check copy: %w: KEK of site %s", ErrUntrusted, kek.Creator())
	}
	return nil
}

// Close closes all KEKs of a bucket that was deleted, and forgets them: a bucket made again under the name gets new ones.
func (r *Ring) Close(ctx context.Context, bucket string) error {
	// Forgotten behind the store's answer, so that work which read the old state is dropped; and after an error too, since
	// the store may have closed them although its answer was lost.
	defer r.Forget(bucket)
	if err := r.store.CloseKEKs(ctx, bucket); err != nil {
		return fmt.Errorf("close KEKs of bucket %.80q: %w", bucket, unavailable(err))
	}
	return nil
}

// Forget drops what is in memory of a bucket. The next use asks the store, or makes another KEK to deposit under.
func (r *Ring) Forget(bucket string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.buckets[bucket]; b != nil {
		retire(b.open[slot{active: true, deposit: true}])
	}
	delete(r.buckets, bucket)
}

// get answers from memory while it may, and reads the state again in good time, so that callers seldom wait for it.
func (r *Ring) get(ctx context.Context, bucket string, s slot) (openKEK, error) {
	if err := ctx.Err(); err != nil {
		return openKEK{}, err
	}
	r.mu.Lock()
	b, known := r.buckets[bucket]
	if known {
		if k, open := b.open[s]; open {
			ask, wait := r.due(bucket, s, k)
			if ask && !wait {
				r.join(ctx, bucket, s)
			}
			if !wait {
				r.mu.Unlock()
				return k, nil
			}
		}
	}
	f := r.join(ctx, bucket, s)
	r.mu.Unlock()
	return f.wait(ctx)
}

// read does the work of a flight: it asks the store, and makes or imports a KEK that the store does not have.
func (r *Ring) read(ctx context.Context, bucket string, s slot, known openKEK) (openKEK, error) {
	if err := checkBucket(bucket); err != nil {
		return openKEK{}, err
	}
	if s.deposit {
		return r.mintDeposit(ctx, bucket)
	}
	asked := r.clock()
	stored, err := r.ask(ctx, bucket, s)
	if err == nil && s.active {
		r.watch(ctx, stored)
	}
	switch {
	case err == nil && !known.kek.IsZero() && known.kek.ID() == stored.ID:
		return r.refreshed(known, stored, s, asked)
	case err == nil:
		return r.openStored(stored, s, asked)
	case errors.Is(err, ErrKEKNotFound) && s.active:
		return r.mint(ctx, bucket)
	case errors.Is(err, ErrKEKNotFound) && known.kek.IsZero():
		return r.importKEK(ctx, bucket, s.id)
	case !known.kek.IsZero():
		known.failed = r.clock()
		return known, nil
	}
	return openKEK{}, unavailable(err)
}

func (r *Ring) ask(ctx context.Context, bucket string, s slot) (StoredKEK, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if s.active {
		return r.store.ActiveKEK(ctx, bucket, r.identity.ID())
	}
	return r.store.KEK(ctx, bucket, s.id)
}

// refreshed takes over what may change: the state. The documents of an id never do, so they are not read again.
func (r *Ring) refreshed(known openKEK, stored StoredKEK, s slot, asked time.Time) (openKEK, error) {
	state, err := r.stateFor(s, stored)
	if err != nil {
		return openKEK{}, err
	}
	return openKEK{kek: known.kek, state: state, seen: asked}, nil
}

// stateFor is the state to act on: only a KEK of this site's own is ever active here, and no other seals.
func (r *Ring) stateFor(s slot, stored StoredKEK) (KEKState, error) {
	state := stored.State
	if !state.Valid() {
		return 0, fmt.Errorf("%w: %s in the store", ErrMalformed, state)
	}
	if state == Active && stored.Creator != r.identity.ID() {
		state = ReadOnly
	}
	if state == Closed && r.accept(stored.ID) {
		state = ReadOnly
	}
	if s.active && state != Active {
		return 0, fmt.Errorf("%w: %s KEK given as the active one", ErrUntrusted, state)
	}
	return state, nil
}

// unavailable marks an error of store or system as one that may pass, unless it says something more exact.
func unavailable(err error) error {
	if errors.Is(err, ErrKEKConflict) || errors.Is(err, ErrKEKUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrKEKUnavailable, err)
}
