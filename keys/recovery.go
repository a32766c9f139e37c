package keys

import (
	"context"
	"errors"
	"fmt"
)

// RecoveryGrants says what GrantRecovery came to.
type RecoveryGrants struct {
	Granted int // grants that were missing and are there now
	Missing int // grants that are missing still
}

// GrantRecovery gives every KEK of the bucket that this site can open, in whatever state, to the recovery identities of the
// trust list that have no grant of it: those made before such an identity was trusted, and those of other members. KEKs that
// lie in the system bucket only are taken into the store on the way. It goes on behind a failure, and gives the first one.
//
// Which grants are there is told by names alone. The storage operator can put worthless documents under those names: that the
// identity really opens everything is for the members to prove from time to time (docs/FORMAT.md section 7 rule 6).
func (r *Ring) GrantRecovery(ctx context.Context, bucket string) (done RecoveryGrants, err error) {
	trust := r.trust()
	if trust == nil || !trust.Is(bucket, r.identity.ID(), Member) {
		return done, nil // whoever is no member grants nothing
	}
	recipients := trust.cards(bucket, Recovery)
	if len(recipients) == 0 {
		return done, nil
	}
	held, err := r.heldNames(ctx, bucket)
	if err != nil {
		return done, err
	}
	if err = r.importUnknown(ctx, bucket, held); err != nil {
		return done, err
	}
	stored, err := r.store.KEKs(ctx, bucket)
	if err != nil {
		return done, fmt.Errorf("grant KEKs of bucket %.80q: %w", bucket, unavailable(err))
	}
	for _, s := range stored {
		var lacking []Card
		for _, card := range recipients {
			if !held[GrantName(bucket, s.ID, card.ID)] {
				lacking = append(lacking, card)
			}
		}
		n, grantErr := r.grantTo(ctx, s, lacking)
		done.Granted += n
		done.Missing += len(lacking) - n
		if err == nil {
			err = grantErr
		}
	}
	return done, err
}

// heldNames is the names of all documents about the bucket's KEKs.
func (r *Ring) heldNames(ctx context.Context, bucket string) (map[string]bool, error) {
	names, err := r.system.List(ctx, kekPrefix(bucket))
	if err != nil {
		return nil, fmt.Errorf("list KEKs of bucket %.80q: %w", bucket, unavailable(err))
	}
	held := make(map[string]bool, len(names))
	for _, name := range names {
		held[name] = true
	}
	return held, nil
}

// importUnknown opens the KEKs that the store may not know, which takes them into it. Those that are none of this site's
// business, or that it must not believe, are passed over.
func (r *Ring) importUnknown(ctx context.Context, bucket string, names map[string]bool) error {
	for name := range names {
		id, ok := parseRecordName(bucket, name)
		if !ok || !names[GrantName(bucket, id, r.identity.ID())] {
			continue
		}
		if _, _, err := r.Open(ctx, bucket, id); errors.Is(err, ErrKEKUnavailable) {
			return err
		}
	}
	return nil
}

// grantTo gives one stored KEK to recipients, and says to how many.
func (r *Ring) grantTo(ctx context.Context, s StoredKEK, recipients []Card) (granted int, err error) {
	if len(recipients) == 0 {
		return 0, nil
	}
	kek, _, err := r.Open(ctx, s.Bucket, s.ID)
	if err != nil {
		return 0, fmt.Errorf("grant KEK %s: %w", s.ID, err)
	}
	for _, card := range recipients {
		grant, err := NewGrant(r.identity, kek, card, r.clock())
		if err != nil {
			return granted, fmt.Errorf("grant KEK %s: %w", s.ID, err)
		}
		if err := r.system.Put(ctx, GrantName(s.Bucket, s.ID, card.ID), grant.Bytes()); err != nil {
			return granted, fmt.Errorf("grant KEK %s: write grant: %w", s.ID, unavailable(err))
		}
		granted++
	}
	return granted, nil
}
