package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cofre/internal/pause"
)

// Holding is one KEK of a bucket as the store knows it, and the sites for which the system bucket has a grant of it. The
// storage operator may hide grants or add worthless ones: it is what is shown, never what is decided by alone.
type Holding struct {
	StoredKEK
	Holders   []SiteID // in order; whoever made the grants
	Endorsers []SiteID
}

// Holdings gives the bucket's KEKs in order of age, and behind them those that lie in the system bucket only: KEKs of other
// sites that this one has not needed yet, or cannot open. Of those ID, Bucket and, where the record can be read, Creator
// and Created are set, and State is 0.
func (r *Ring) Holdings(ctx context.Context, bucket string) ([]Holding, error) {
	if err := checkBucket(bucket); err != nil {
		return nil, fmt.Errorf("list KEKs: %w", err)
	}
	stored, err := r.store.KEKs(ctx, bucket)
	if err != nil {
		return nil, fmt.Errorf("list KEKs of bucket %.80q: %w", bucket, unavailable(err))
	}
	names, err := r.system.List(ctx, kekPrefix(bucket))
	if err != nil {
		return nil, fmt.Errorf("list KEKs of bucket %.80q: %w", bucket, unavailable(err))
	}
	all := make([]Holding, len(stored))
	at := make(map[KEKID]int, len(stored))
	for i, s := range stored {
		all[i].StoredKEK = s
		at[s.ID] = i
	}
	for _, name := range names {
		d, ok := ParseDocumentName(name)
		if !ok || d.Bucket != bucket {
			continue
		}
		i, known := at[d.KEK]
		if !known {
			i = len(all)
			at[d.KEK] = i
			all = append(all, Holding{StoredKEK: StoredKEK{Bucket: bucket, ID: d.KEK}})
		}
		switch d.Kind {
		case GrantDocument:
			all[i].Holders = append(all[i].Holders, d.Site)
		case EndorsementDocument:
			all[i].Endorsers = append(all[i].Endorsers, d.Site)
		}
	}
	for i := len(stored); i < len(all); i++ {
		if record, err := r.fetchRecord(ctx, bucket, all[i].ID); err == nil {
			all[i].Creator, all[i].Created = record.Creator, record.Created
		}
	}
	return all, nil
}

// Rotate takes the bucket's active KEK of this site out of use for new objects and makes the next one. Other replicas seal
// under the old one for at most StateTTL more; everything under it stays as readable as it was.
func (r *Ring) Rotate(ctx context.Context, bucket string) (old KEKID, now KEK, err error) {
	if trust := r.trust(); trust != nil && trust.OwnDeposit(bucket) {
		return old, KEK{}, fmt.Errorf("rotate KEK of bucket %.80q: %w: it deposits there, and each process changes its own KEK within a day", bucket, ErrMayNotWrite)
	}
	active, err := r.store.ActiveKEK(ctx, bucket, r.identity.ID())
	switch {
	case errors.Is(err, ErrKEKNotFound):
	case err != nil:
		return old, KEK{}, fmt.Errorf("rotate KEK of bucket %.80q: %w", bucket, unavailable(err))
	default:
		if err := r.store.SetKEKState(ctx, bucket, active.ID, ReadOnly); err != nil {
			return old, KEK{}, fmt.Errorf("rotate KEK of bucket %.80q: %w", bucket, unavailable(err))
		}
	}
	r.Forget(bucket)
	now, err = r.Active(ctx, bucket)
	return active.ID, now, err
}

// Revocation is what Revoke did.
type Revocation struct {
	Closed   []KEKID // KEKs that the site could open, of whomever; they seal nothing more
	Endorsed []KEKID // the site's own KEKs, which this site vouches for from now on
	Removed  int     // grants to the site taken from the system bucket
	Active   KEKID   // under which this site seals from now on
}

// Revoke ends a site's part in a bucket, once the trust list names it no more (ErrUntrusted while it still does). Every KEK that
// it could open is closed, its grants are removed, its own records are endorsed and granted anew so that members go on believing
// what lies there, and this site gets a new active KEK. The whole bucket must have been healed before: an object under a closed KEK
// is believed only where the store has its record (docs/FORMAT.md section 7 rule 4). It may be repeated after a failure.
//
// What the site could open is not taken from the backend alone, whose operator can hide grants: a KEK made while the list
// named the site was granted to it.
func (r *Ring) Revoke(ctx context.Context, bucket string, site SiteID) (Revocation, error) {
	var done Revocation
	trust := r.trust()
	if trust == nil || len(trust.Roles(bucket, site)) > 0 {
		return done, fmt.Errorf("revoke site %s: %w: the trust list names it for bucket %.80q", site, ErrUntrusted, bucket)
	}
	// Before anything is closed, since any replica may make the next KEK from then on.
	if err := r.passed(ctx, trust.lastLeft(bucket, site)); err != nil {
		return done, fmt.Errorf("revoke site %s: %w", site, err)
	}
	// Those that were never needed here are taken over first, so that they can be closed too.
	if _, err := r.Import(ctx, bucket); err != nil {
		return done, fmt.Errorf("revoke site %s: %w", site, err)
	}
	held, err := r.Holdings(ctx, bucket)
	if err != nil {
		return done, fmt.Errorf("revoke site %s: %w", site, err)
	}
	defer r.Forget(bucket)
	for _, k := range held {
		if err := r.revokeKEK(ctx, trust, k, site, &done); err != nil {
			return done, fmt.Errorf("revoke site %s from KEK %s: %w", site, k.ID, err)
		}
	}
	r.Forget(bucket)
	if trust.Is(bucket, r.identity.ID(), Member) {
		if err := r.activeWithout(ctx, bucket, site, &done); err != nil {
			return done, fmt.Errorf("revoke site %s: %w", site, err)
		}
	}
	return done, nil
}

// activeWithout makes sure of an active KEK of which the site has no grant: a replica may have made one in between by a trust list that
// still named it.
func (r *Ring) activeWithout(ctx context.Context, bucket string, site SiteID, done *Revocation) error {
	for {
		active, err := r.Active(ctx, bucket)
		if err != nil {
			return err
		}
		name := GrantName(bucket, active.ID(), site)
		_, err = r.system.Get(ctx, name)
		if errors.Is(err, ErrSystemNotFound) {
			done.Active = active.ID()
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for a grant: %w", unavailable(err))
		}
		if err := r.store.SetKEKState(ctx, bucket, active.ID(), Closed); err != nil {
			return unavailable(err)
		}
		done.Closed = append(done.Closed, active.ID())
		if err := r.system.Delete(ctx, name); err != nil {
			return fmt.Errorf("remove grant: %w", unavailable(err))
		}
		done.Removed++
		r.Forget(bucket)
	}
}

// passed waits until the second in which a site left is over: documents tell whole seconds, and a KEK of that one would count as
// one that the site could open.
func (r *Ring) passed(ctx context.Context, left time.Time) error {
	wait := left.Add(time.Second).Sub(r.clock())
	if wait <= 0 || wait > time.Minute { // a clock that is off by so much is not waited for
		return nil
	}
	return pause.For(ctx, wait)
}

func (r *Ring) revokeKEK(ctx context.Context, trust *TrustList, k Holding, site SiteID, done *Revocation) error {
	granted := slices.Contains(k.Holders, site)
	known := k.State != 0
	if known && k.State != Closed && (granted || k.Creator == site || trust.couldOpen(k.Bucket, site, k.Creator, k.Created)) {
		if err := r.store.SetKEKState(ctx, k.Bucket, k.ID, Closed); err != nil {
			return unavailable(err)
		}
		done.Closed = append(done.Closed, k.ID)
	}
	if known && k.Creator == site && !slices.Contains(k.Endorsers, r.identity.ID()) {
		record, _, err := parseStored(k.StoredKEK)
		if err != nil {
			return err
		}
		if err := r.system.Put(ctx, EndorsementName(k.Bucket, k.ID, r.identity.ID()), NewEndorsement(r.identity, record)); err != nil {
			return fmt.Errorf("write endorsement: %w", unavailable(err))
		}
		done.Endorsed = append(done.Endorsed, k.ID)
	}
	if known {
		if err := r.regrant(ctx, trust, k, site); err != nil {
			return err
		}
	}
	if granted {
		if err := r.system.Delete(ctx, GrantName(k.Bucket, k.ID, site)); err != nil {
			return fmt.Errorf("remove grant: %w", unavailable(err))
		}
		done.Removed++
	}
	return nil
}

// regrant gives a KEK that the leaving site made or had granted to this one anew, signed by this site, to all who shall have
// it: once the store is lost, grants are all there is, and one that was signed by a site which has left is not believed.
func (r *Ring) regrant(ctx context.Context, trust *TrustList, k Holding, left SiteID) error {
	_, grant, err := parseStored(k.StoredKEK)
	if err != nil {
		return err
	}
	if k.Creator != left && grant.Granter != left {
		return nil
	}
	kek, _, err := r.Open(ctx, k.Bucket, k.ID)
	if err != nil {
		return err
	}
	for _, recipient := range trust.Recipients(k.Bucket) {
		grant, err := NewGrant(r.identity, kek, recipient, r.clock())
		if err != nil {
			return err
		}
		if err := r.system.Put(ctx, GrantName(k.Bucket, k.ID, recipient.ID), grant.Bytes()); err != nil {
			return fmt.Errorf("write grant: %w", unavailable(err))
		}
	}
	return nil
}

// couldOpen says whether a KEK of the bucket may have been granted to the site: whatever was made before its trust was withdrawn,
// since older KEKs are shared too. Whether a grant lies in the system bucket is not asked: the storage operator can hide it.
func (t *TrustList) couldOpen(bucket string, site, creator SiteID, created time.Time) bool {
	if creator == t.site && t.Retired(site) {
		return false // what this site made as itself it never granted to what it was before
	}
	return slices.ContainsFunc(t.lines(bucket, site), func(e *TrustEntry) bool {
		return e.Role != Deposit && (e.live() || !created.After(e.Withdrawn))
	})
}

// lastLeft is when a site that has left the bucket was last trusted for it.
func (t *TrustList) lastLeft(bucket string, site SiteID) (at time.Time) {
	for _, e := range t.lines(bucket, site) {
		if e.Withdrawn.After(at) {
			at = e.Withdrawn
		}
	}
	return at
}
