package keys

import (
	"context"
	"errors"
	"fmt"
)

// mint makes the bucket's first active KEK, or the next after a rotation. The store comes last: from then on the KEK may be
// used, and until then the documents of a maker that died describe a key which sealed nothing.
func (r *Ring) mint(ctx context.Context, bucket string) (openKEK, error) {
	made, err := r.create(ctx, bucket)
	if err != nil {
		return openKEK{}, err
	}
	return r.activate(ctx, made)
}

// newKEK is a KEK that was published and that no store has yet.
type newKEK struct {
	record Record
	own    Grant
	trust  *TrustList // by which it was granted
}

// create draws a KEK of which this site is a recipient, and publishes it.
func (r *Ring) create(ctx context.Context, bucket string) (made newKEK, err error) {
	trust := r.trust()
	if trust == nil || !trust.Is(bucket, r.identity.ID(), Member) {
		return newKEK{}, fmt.Errorf("make KEK: %w: it is no member of bucket %.80q", ErrMayNotWrite, bucket)
	}
	if err := r.inForce(ctx, trust); err != nil {
		return newKEK{}, fmt.Errorf("make KEK: %w", err)
	}
	made.trust = trust
	made.record, made.own, err = r.publish(ctx, NewKEK(bucket, r.identity.ID()), trust.Recipients(bucket))
	return made, err
}

// errOvertaken says that the store has a newer trust list.
var errOvertaken = errors.New("trust list of the store is not in force here yet")

// inForce refuses to grant by a trust list that another process has changed and this one has not read yet. A site is distrusted
// before its KEKs are closed, so whoever finds no active KEK for that reason also finds the newer number.
func (r *Ring) inForce(ctx context.Context, trust *TrustList) error {
	number, _, err := r.store.TrustList(ctx)
	switch {
	case errors.Is(err, ErrNoTrustList):
		return nil
	case err != nil:
		return unavailable(err)
	case number > trust.Number():
		return fmt.Errorf("%w: %w: number %d", ErrKEKUnavailable, errOvertaken, number)
	}
	return nil
}

// publish writes the documents of a new KEK to the system bucket, and gives the record and, where this site is one of the
// recipients, its own grant. Grants are written before the record, so that a reader who finds the record finds its grant
// too and does not take a KEK in the making for one that is not for him.
func (r *Ring) publish(ctx context.Context, kek KEK, recipients []Card) (record Record, own Grant, err error) {
	bucket, now := kek.Bucket(), r.clock()
	if record, err = NewRecord(r.identity, kek, now); err != nil {
		return Record{}, Grant{}, err
	}
	for _, recipient := range recipients {
		grant, err := NewGrant(r.identity, kek, recipient, now)
		if err != nil {
			return Record{}, Grant{}, err
		}
		if err := r.system.Put(ctx, GrantName(bucket, kek.ID(), recipient.ID), grant.Bytes()); err != nil {
			return Record{}, Grant{}, fmt.Errorf("write grant: %w", unavailable(err))
		}
		if recipient.ID == r.identity.ID() {
			own = grant
		}
	}
	if err := r.system.Put(ctx, RecordName(bucket, kek.ID()), record.Bytes()); err != nil {
		return Record{}, Grant{}, fmt.Errorf("write KEK record: %w", unavailable(err))
	}
	return record, own, nil
}

// activate stores a published KEK as the one that seals. Where another is active already, that one is given. Where the trust list was
// changed since the KEK was granted, it is closed again, unused here: a site that has left may have a grant of it. Who distrusts a site
// after that question finds the KEK in the store.
func (r *Ring) activate(ctx context.Context, made newKEK) (openKEK, error) {
	asked := r.clock()
	stored, err := r.store.AddKEK(ctx, storedKEK(made.record, made.own, Active))
	if err != nil {
		return openKEK{}, fmt.Errorf("store KEK: %w", unavailable(err))
	}
	if overtaken := r.inForce(ctx, made.trust); overtaken != nil {
		if stored.ID == made.record.ID {
			if err := r.store.SetKEKState(ctx, stored.Bucket, stored.ID, Closed); err != nil {
				return openKEK{}, fmt.Errorf("close KEK of an overtaken trust list: %w", unavailable(err))
			}
		}
		return openKEK{}, fmt.Errorf("store KEK: %w", overtaken)
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
