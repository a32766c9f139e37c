package keys

import (
	"context"
	"fmt"
)

// mint makes the bucket's first active KEK, or the next after a rotation.
//
// Grants are written before the record, so that a reader who finds the record finds its grant too and does not take a KEK
// in the making for one that is not for him. The store comes last: from then on the KEK may be used, and until then the
// documents of a maker that died describe a key which sealed nothing.
func (r *Ring) mint(ctx context.Context, bucket string) (openKEK, error) {
	trust := r.trust()
	if trust == nil || !trust.Is(bucket, r.identity.ID(), Member) {
		return openKEK{}, fmt.Errorf("make KEK: %w: this site is no member of the bucket", ErrUntrusted)
	}
	now := r.clock()
	kek := NewKEK(bucket, r.identity.ID())
	record, err := NewRecord(r.identity, kek, now)
	if err != nil {
		return openKEK{}, err
	}
	var own Grant
	for _, recipient := range trust.Recipients(bucket) { // this site is one: it is a member
		grant, err := NewGrant(r.identity, kek, recipient, now)
		if err != nil {
			return openKEK{}, err
		}
		if err := r.system.Put(ctx, GrantName(bucket, kek.ID(), recipient.ID), grant.Bytes()); err != nil {
			return openKEK{}, fmt.Errorf("write grant: %w", unavailable(err))
		}
		if recipient.ID == r.identity.ID() {
			own = grant
		}
	}
	if err := r.system.Put(ctx, RecordName(bucket, kek.ID()), record.Bytes()); err != nil {
		return openKEK{}, fmt.Errorf("write KEK record: %w", unavailable(err))
	}
	asked := r.clock()
	stored, err := r.store.AddKEK(ctx, storedKEK(record, own, Active))
	if err != nil {
		return openKEK{}, fmt.Errorf("store KEK: %w", unavailable(err))
	}
	// The store's answer is opened even when it is our own KEK: what was stored is proved to open before it seals.
	return r.openStored(stored, slot{active: true}, asked)
}

func storedKEK(r Record, grant Grant, state KEKState) StoredKEK {
	return StoredKEK{
		Bucket: r.Bucket, ID: r.ID, Creator: r.Creator, Record: r.Bytes(), Grant: grant.Bytes(), State: state,
		Created: r.Created,
	}
}

// Grant gives all KEKs of the bucket that the store knows, in whatever state, to one more recipient: a member or a
// recovery identity that the trust list has come to name. It may be repeated: a grant is written anew.
func (r *Ring) Grant(ctx context.Context, bucket string, recipient SiteID) error {
	trust := r.trust()
	if trust == nil || !trust.Is(bucket, recipient, Member) && !trust.Is(bucket, recipient, Recovery) {
		return fmt.Errorf("grant KEKs of bucket %.80q: %w: site %s", bucket, ErrUntrusted, recipient)
	}
	card, _ := trust.Card(recipient)
	stored, err := r.store.KEKs(ctx, bucket)
	if err != nil {
		return fmt.Errorf("grant KEKs of bucket %.80q: %w", bucket, unavailable(err))
	}
	for _, s := range stored {
		kek, _, err := r.Open(ctx, bucket, s.ID)
		if err != nil {
			return fmt.Errorf("grant KEKs: %w", err)
		}
		grant, err := NewGrant(r.identity, kek, card, r.clock())
		if err != nil {
			return fmt.Errorf("grant KEKs: %w", err)
		}
		if err := r.system.Put(ctx, GrantName(bucket, s.ID, recipient), grant.Bytes()); err != nil {
			return fmt.Errorf("grant KEK %s: write grant: %w", s.ID, unavailable(err))
		}
	}
	return nil
}
