package keys

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// A deposit site writes and cannot read, not even what it wrote (docs/FORMAT.md section 7 rule 5). Its KEKs are granted to
// those who shall read and never to itself, and lie in the memory of one process and nowhere else.
const (
	// depositLifetime is when such a KEK is zeroed, counted from when it was made.
	depositLifetime = 24 * time.Hour
	// depositUse is for how long it is given out: well below its lifetime, since a request that was given it just before
	// has still to wrap its DEK.
	depositUse = 23 * time.Hour
	// depositGrace is what such a request has where the KEK goes before its time.
	depositGrace = time.Minute
)

// OwnDeposit says whether the list's own site deposits in that bucket: a line that names the site itself as a depositor wins
// over the one with which every list begins, by which it is a member of every bucket.
func (t *TrustList) OwnDeposit(bucket string) bool {
	for n := range t.entries { // by index: an entry is more than a KiB, and every write asks
		if t.ownDeposit(&t.entries[n], bucket) {
			return true
		}
	}
	return false
}

func (t *TrustList) ownDeposit(e *TrustEntry, bucket string) bool {
	return e.Card.ID == t.site && e.depositsIn(bucket)
}

func (e *TrustEntry) depositsIn(bucket string) bool {
	return e.Role == Deposit && e.live() && matchBucket(e.Bucket, bucket)
}

// CheckWrite refuses (ErrMayNotWrite) an object that the list's own site, where it deposits, may not write: readers would
// refuse it.
func (t *TrustList) CheckWrite(bucket, objectKey string) error {
	deposits := false
	for n := range t.entries {
		e := &t.entries[n]
		if !t.ownDeposit(e, bucket) {
			continue
		}
		if e.allowsKey(objectKey) {
			return nil
		}
		deposits = true
	}
	if deposits {
		return fmt.Errorf("check write: %w: it deposits in bucket %.80q, and the key is outside its prefixes", ErrMayNotWrite, bucket)
	}
	return nil
}

// CheckWrite refuses an object that this site may not write: see TrustList.CheckWrite.
func (r *Ring) CheckWrite(bucket, objectKey string) error {
	trust := r.trust()
	if trust == nil {
		return nil // Active refuses
	}
	return trust.CheckWrite(bucket, objectKey)
}

// mintDeposit makes the KEK under which this process deposits from now on. It enters no store: nobody here could open what
// the store would keep.
func (r *Ring) mintDeposit(ctx context.Context, bucket string) (openKEK, error) {
	trust := r.trust()
	if !trust.OwnDeposit(bucket) { // it has ceased to since it was asked, and what it makes now it would be granted itself
		return openKEK{}, fmt.Errorf("make KEK: %w: it does not deposit in bucket %.80q any more: try again", ErrKEKUnavailable, bucket)
	}
	recipients := trust.Recipients(bucket)
	if len(recipients) == 0 {
		return openKEK{}, fmt.Errorf("make KEK: %w: it deposits in bucket %.80q, and its trust list names nobody who could open that", ErrMayNotWrite, bucket)
	}
	if err := r.inForce(ctx, trust); err != nil {
		return openKEK{}, fmt.Errorf("make KEK: %w", err)
	}
	made := r.clock().Round(0) // by the wall clock, which goes on while the machine sleeps
	kek := NewKEK(bucket, r.identity.ID())
	kek.k.deposit = true
	if _, _, err := r.publish(ctx, kek, recipients); err != nil {
		kek.zero()
		return openKEK{}, err
	}
	time.AfterFunc(depositLifetime, kek.zero)
	return openKEK{kek: kek, state: Active, seen: made, granted: idsOf(recipients), list: trust.Number()}, nil
}

// mayDeposit says whether a KEK may still be given out: it is young enough, and those to whom it was granted are those who
// shall read now. One who has left must not read what is written from now on, one who came shall.
func (r *Ring) mayDeposit(bucket string, k openKEK) bool {
	age := r.clock().Round(0).Sub(k.seen)
	if age < 0 || age >= depositUse { // the clock may have been set back
		return false
	}
	trust := r.trust()
	if trust == nil {
		return false
	}
	return trust.Number() == k.list || slices.Equal(idsOf(trust.Recipients(bucket)), k.granted)
}

// retire ends a deposit KEK that is given out no more before its time.
func retire(k openKEK) {
	if !k.kek.IsZero() && k.kek.Deposit() {
		time.AfterFunc(depositGrace, k.kek.zero)
	}
}

func idsOf(cards []Card) []SiteID {
	ids := make([]SiteID, len(cards))
	for n, c := range cards {
		ids[n] = c.ID
	}
	return ids
}
