package keys

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Succeed gives the list with which another identity of the same site begins: it takes over all that the old one said of other
// sites, and of itself where it deposits. The old identity is not on it, so no new KEK is granted to it and nothing that it
// signs from now on is believed; what it made before is endorsed instead (see Succession). The number is above the old one's.
func (t *TrustList) Succeed(next *Identity, at time.Time) *TrustList {
	list := NewTrustList(next, at)
	list.number = t.number + 1
	for _, e := range t.entries {
		switch {
		case e.Card.ID == next.ID() || t.founding(&e):
			continue
		case e.Card.ID == t.site:
			e.Card = next.Card()
		}
		list.entries = append(list.entries, e)
	}
	return list
}

// PrepareSuccessor has the list of the old identity grant to the next one what is made from now on, so that little is left to do when
// it takes over. Where the site deposits, the next identity is said to deposit too, since it shall read no more there than the old one.
func (t *TrustList) PrepareSuccessor(next Card, at time.Time) error {
	for _, e := range t.Entries() {
		if e.Role != Deposit || e.Card.ID != t.site || !e.live() {
			continue
		}
		if err := t.Trust(next, e.Bucket, Deposit, at, e.Prefixes...); err != nil {
			return err
		}
	}
	return t.Trust(next, "*", Member, at)
}

// Renumber gives the same list under the next number.
func (t *TrustList) Renumber() *TrustList {
	list := t.Clone()
	list.number++
	return list
}

// Succession gives what is sealed to a site's identity to the identity that takes its place. Each step may be repeated.
type Succession struct {
	Old, Next *Identity
	Trust     *TrustList // of Next: see TrustList.Succeed
	System    System
	Clock     func() time.Time
}

// KEK grants a KEK that the store has to the next identity, and gives the document of the new grant. It is signed by the next
// identity itself, and so is an endorsement of the record where the next list would not believe it otherwise: nothing depends
// on the old identity any more. Both are durable in the system bucket before the store learns of them; the record never changes.
func (s *Succession) KEK(ctx context.Context, recordDoc, grantDoc []byte) ([]byte, error) {
	record, err := ParseRecord(recordDoc)
	if err != nil {
		return nil, err
	}
	grant, err := ParseGrant(grantDoc)
	if err != nil {
		return nil, err
	}
	if grant.Recipient == s.Next.ID() {
		if _, err := s.Next.OpenGrant(grant, record); err != nil {
			return nil, err
		}
		return grantDoc, nil // exchanged before
	}
	kek, err := s.Old.OpenGrant(grant, record)
	if err != nil {
		return nil, err
	}
	next, err := NewGrant(s.Next, kek, s.Next.Card(), s.Clock())
	if err != nil {
		return nil, err
	}
	if err := s.System.Put(ctx, GrantName(record.Bucket, record.ID, s.Next.ID()), next.Bytes()); err != nil {
		return nil, fmt.Errorf("grant KEK %s: write grant: %w", record.ID, unavailable(err))
	}
	if s.Trust.AcceptRecord(record) != nil {
		name := EndorsementName(record.Bucket, record.ID, s.Next.ID())
		if err := s.System.Put(ctx, name, NewEndorsement(s.Next, record)); err != nil {
			return nil, fmt.Errorf("endorse KEK %s: %w", record.ID, unavailable(err))
		}
	}
	return next.Bytes(), nil
}

// UploadDEK seals the DEK of an open upload to the next identity.
func (s *Succession) UploadDEK(sealed, envelope []byte) ([]byte, error) {
	if _, err := s.Next.openUploadDEK(sealed, envelope); err == nil {
		return sealed, nil // exchanged before
	}
	dek, err := s.Old.openUploadDEK(sealed, envelope)
	if err != nil {
		return nil, err
	}
	return s.Next.sealUploadDEK(dek, envelope), nil
}

// Retire notes that the site had another identity before this one, which is trusted no more. Until that time other members may have
// granted it their KEKs, and nobody can tell from the storage whether they did; what this identity made was never granted to it.
// Revoke then closes what it could open, and so does an import after the store was lost. It is ErrMalformed for an identity that the
// list names otherwise: a site of its own, or this one.
func (t *TrustList) Retire(old Card, at time.Time) error {
	if t.Retired(old.ID) {
		return nil
	}
	if _, named := t.Card(old.ID); named {
		return fmt.Errorf("retire identity: %w: the trust list names %s as a site of its own", ErrMalformed, old.ID)
	}
	if err := old.Check(); err != nil {
		return fmt.Errorf("retire identity: %w", err)
	}
	t.entries = append(t.entries, TrustEntry{Bucket: "*", Card: old, Role: Member, Added: everBefore(), Withdrawn: time.Time(newTimestamp(at))})
	t.number++
	return nil
}

// Retired says whether Retire has noted that identity.
func (t *TrustList) Retired(site SiteID) bool {
	return slices.ContainsFunc(t.entries, func(e TrustEntry) bool { return e.Card.ID == site && e.Added.Equal(everBefore()) })
}

// everBefore is a time before any that a list notes by itself.
func everBefore() time.Time { return time.Unix(0, 0).UTC() }
