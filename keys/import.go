package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// importKEK takes a KEK that the store does not know from the system bucket, where everything is a mere claim until the
// trust list bears it out.
func (r *Ring) importKEK(ctx context.Context, bucket string, id KEKID) (openKEK, error) {
	trust := r.trust()
	if trust == nil {
		return openKEK{}, fmt.Errorf("import KEK: %w: there is no trust list", ErrUntrusted)
	}
	record, err := r.fetchRecord(ctx, bucket, id)
	if err != nil {
		return openKEK{}, err
	}
	if err := r.believe(ctx, trust, record); err != nil {
		if errors.Is(err, ErrUntrusted) && !trust.writes(record.Bucket, record.Creator) && !r.granted(ctx, record) {
			// A stranger's KEK, and nothing in it for this site: that is no finding, only none of its business.
			err = fmt.Errorf("%w: %w", ErrNotRecipient, err)
		}
		return openKEK{}, err
	}
	grant, err := r.fetchGrant(ctx, trust, record)
	if err != nil {
		return openKEK{}, err
	}
	if _, err := r.identity.OpenGrant(grant, record); err != nil {
		return openKEK{}, err
	}
	state := importState(trust, record)
	if state != Closed {
		leaver, err := r.grantedToLeaver(ctx, trust, record)
		if err != nil {
			return openKEK{}, err
		}
		if leaver {
			state = Closed
		}
	}
	return r.keep(ctx, record, grant, state)
}

// importState is never Active: what lies on the backend can never choose the key that seals (rule 3). The KEKs that a site which
// has left made, or could open, are closed (rule 4), as they were before the store was lost.
func importState(trust *TrustList, record Record) KEKState {
	for _, site := range trust.left(record.Bucket) {
		if trust.couldOpen(record.Bucket, site, record.Creator, record.Created) {
			return Closed
		}
	}
	if trust.withdrawn(record.Bucket, record.Creator) {
		return Closed
	}
	return ReadOnly
}

// grantedToLeaver says whether a grant of the KEK to a site that has left lies in the system bucket: of a member who has not revoked
// that site yet, or of a depositor who has not heard of it. The storage can hide such a grant; where it does not, nothing that appears
// under the KEK is believed.
func (r *Ring) grantedToLeaver(ctx context.Context, trust *TrustList, record Record) (bool, error) {
	for _, site := range trust.left(record.Bucket) {
		_, err := r.system.Get(ctx, GrantName(record.Bucket, record.ID, site))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, ErrSystemNotFound) {
			return false, fmt.Errorf("look for grants to sites that have left: %w", unavailable(err))
		}
	}
	return false, nil
}

// keep stores an imported KEK and opens what the store then holds, which is another replica's import if that came first.
func (r *Ring) keep(ctx context.Context, record Record, grant Grant, state KEKState) (openKEK, error) {
	asked := r.clock()
	stored, err := r.store.AddKEK(ctx, storedKEK(record, grant, state))
	if errors.Is(err, ErrKEKConflict) {
		// Two replicas may have met two grants of one record, since a grant can be made anew. The record never differs.
		held, heldErr := r.store.KEK(ctx, record.Bucket, record.ID)
		if heldErr == nil && bytes.Equal(held.Record, record.doc) {
			stored, err = held, nil
		}
	}
	if err != nil {
		return openKEK{}, fmt.Errorf("store KEK: %w", unavailable(err))
	}
	return r.openStored(stored, slot{id: record.ID}, asked)
}

func (r *Ring) fetchRecord(ctx context.Context, bucket string, id KEKID) (Record, error) {
	doc, err := r.system.Get(ctx, RecordName(bucket, id))
	if err != nil {
		// Not there may mean not there yet: replication between sites lags.
		return Record{}, fmt.Errorf("read KEK record: %w", unavailable(err))
	}
	record, err := ParseRecord(doc)
	if err != nil {
		return Record{}, fmt.Errorf("read KEK record: %w: %w", ErrUntrusted, err)
	}
	if record.ID != id || record.Bucket != bucket {
		return Record{}, fmt.Errorf("read KEK record: %w: of another KEK or bucket than its name says", ErrUntrusted)
	}
	return record, nil
}

// believe is rule 1: the creator's own signature, else the endorsement of any trusted member.
func (r *Ring) believe(ctx context.Context, trust *TrustList, record Record) error {
	refusal := trust.AcceptRecord(record)
	if refusal == nil {
		return nil
	}
	var missed error
	for _, member := range trust.Members(record.Bucket) {
		doc, err := r.system.Get(ctx, EndorsementName(record.Bucket, record.ID, member.ID))
		if errors.Is(err, ErrSystemNotFound) {
			continue
		}
		if err != nil {
			missed = err
			continue
		}
		e, err := ParseEndorsement(doc)
		if err == nil {
			err = trust.AcceptEndorsement(record, member.ID, e)
		}
		if err == nil {
			return nil
		}
		refusal = fmt.Errorf("%w; %w", refusal, err)
	}
	if missed != nil { // the endorsement that counts may be the one that could not be read
		return fmt.Errorf("read endorsement: %w", unavailable(missed))
	}
	return refusal // ErrUntrusted, from AcceptRecord
}

// granted says whether there is, or may be, a grant to this site, believable or not.
func (r *Ring) granted(ctx context.Context, record Record) bool {
	_, err := r.system.Get(ctx, GrantName(record.Bucket, record.ID, r.identity.ID()))
	return !errors.Is(err, ErrSystemNotFound)
}

func (r *Ring) fetchGrant(ctx context.Context, trust *TrustList, record Record) (Grant, error) {
	doc, err := r.system.Get(ctx, GrantName(record.Bucket, record.ID, r.identity.ID()))
	if errors.Is(err, ErrSystemNotFound) {
		return Grant{}, fmt.Errorf("read grant: %w", ErrNotRecipient)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("read grant: %w", unavailable(err))
	}
	grant, err := ParseGrant(doc)
	if err != nil {
		return Grant{}, fmt.Errorf("read grant: %w: %w", ErrUntrusted, err)
	}
	if err := trust.AcceptGrant(grant, record); err != nil {
		return Grant{}, err
	}
	return grant, nil
}

// Imported says what Import made of one KEK.
type Imported struct {
	ID  KEKID
	Err error // nil: the store has it; else as Open's errors
}

// Import takes all KEKs of a bucket from the system bucket into the store, as rebuild needs it, and compares those that the
// store already knows: a record that differs from the accepted one is reported as ErrKEKConflict and changes nothing. The
// error is for the whole: ErrKEKUnavailable when there is no answer.
func (r *Ring) Import(ctx context.Context, bucket string) ([]Imported, error) {
	if err := checkBucket(bucket); err != nil {
		return nil, fmt.Errorf("import KEKs: %w", err)
	}
	names, err := r.system.List(ctx, kekPrefix(bucket))
	if err != nil {
		return nil, fmt.Errorf("import KEKs of bucket %.80q: %w", bucket, unavailable(err))
	}
	var all []Imported
	for _, name := range names {
		if id, ok := parseRecordName(bucket, name); ok {
			all = append(all, Imported{ID: id, Err: r.importOrCompare(ctx, bucket, id)})
		}
	}
	return all, nil
}

func (r *Ring) importOrCompare(ctx context.Context, bucket string, id KEKID) error {
	stored, err := r.store.KEK(ctx, bucket, id)
	if errors.Is(err, ErrKEKNotFound) {
		_, _, err := r.Open(ctx, bucket, id)
		return err
	}
	if err != nil {
		return fmt.Errorf("compare KEK %s: %w", id, unavailable(err))
	}
	doc, err := r.system.Get(ctx, RecordName(bucket, id))
	if err != nil {
		return fmt.Errorf("compare KEK %s: %w", id, unavailable(err))
	}
	if !bytes.Equal(doc, stored.Record) {
		return fmt.Errorf("compare KEK %s: %w: the record in the system bucket differs", id, ErrKEKConflict)
	}
	return nil
}
