package keys

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Roles is what the site is trusted as in that bucket, now. The list's own site that names itself as a depositor is one and
// nothing else: see OwnDeposit.
func (t *TrustList) Roles(bucket string, site SiteID) []Role {
	if site == t.site && t.OwnDeposit(bucket) {
		return []Role{Deposit}
	}
	var roles []Role
	for _, e := range t.lines(bucket, site) {
		if e.live() && !slices.Contains(roles, e.Role) {
			roles = append(roles, e.Role)
		}
	}
	return roles
}

// Is says whether the site is trusted as role in that bucket, now.
func (t *TrustList) Is(bucket string, site SiteID, role Role) bool {
	return slices.Contains(t.Roles(bucket, site), role)
}

// Card is the card that the list names for a site, whether its trust has been withdrawn or not.
func (t *TrustList) Card(site SiteID) (Card, bool) {
	for _, e := range t.entries {
		if e.Card.ID == site {
			return e.Card, true // all cards of an id have the same keys
		}
	}
	return Card{}, false
}

// Members is the cards of the bucket's members, each once, in the order of the list.
func (t *TrustList) Members(bucket string) []Card { return t.cards(bucket, Member) }

// Recipients is the cards to which every KEK of the bucket is granted: its members and the recovery identities. Where the list's own
// site deposits, it is none of them, and neither is any other that deposits there, whatever else it is: that may be the identity which
// takes this one's place (see PrepareSuccessor).
func (t *TrustList) Recipients(bucket string) []Card { return t.cards(bucket, Member, Recovery) }

func (t *TrustList) cards(bucket string, roles ...Role) []Card {
	var cards []Card
	seen := make(map[SiteID]bool)
	if t.OwnDeposit(bucket) {
		for n := range t.entries {
			if e := &t.entries[n]; e.depositsIn(bucket) {
				seen[e.Card.ID] = true
			}
		}
	}
	for _, e := range t.entries {
		if e.live() && slices.Contains(roles, e.Role) && matchBucket(e.Bucket, bucket) && !seen[e.Card.ID] {
			seen[e.Card.ID] = true
			cards = append(cards, e.Card)
		}
	}
	return cards
}

// withdrawn says whether the site was once trusted for the bucket and is so no more.
func (t *TrustList) withdrawn(bucket string, site SiteID) bool {
	return len(t.lines(bucket, site)) > 0 && len(t.Roles(bucket, site)) == 0
}

// left is the sites that were trusted for the bucket once and are granted no KEK of it any more. One that came back to deposit is
// one of them: it still has what it was granted before.
func (t *TrustList) left(bucket string) []SiteID {
	var sites []SiteID
	for _, e := range t.entries {
		id := e.Card.ID
		if e.live() || !matchBucket(e.Bucket, bucket) || id == t.site || slices.Contains(sites, id) {
			continue
		}
		if !t.Is(bucket, id, Member) && !t.Is(bucket, id, Recovery) {
			sites = append(sites, id)
		}
	}
	return sites
}

// AcceptRecord is rule 1 of docs/FORMAT.md section 7: a record is accepted when its creator is a trusted writer of the
// bucket and signed it. Where that does not hold, AcceptEndorsement may.
func (t *TrustList) AcceptRecord(r Record) error {
	if !t.writes(r.Bucket, r.Creator) {
		return fmt.Errorf("accept KEK record: %w: creator %s", ErrUntrusted, r.Creator)
	}
	card, _ := t.Card(r.Creator)
	if err := r.Verify(card); err != nil {
		return fmt.Errorf("accept KEK record: %w: %w", ErrUntrusted, err)
	}
	return nil
}

// AcceptEndorsement is the other half of rule 1: the record's payload signed by a trusted member of the bucket other than
// its creator.
func (t *TrustList) AcceptEndorsement(r Record, endorser SiteID, e Endorsement) error {
	if endorser == r.Creator || !t.Is(r.Bucket, endorser, Member) {
		return fmt.Errorf("accept endorsement: %w: endorser %s", ErrUntrusted, endorser)
	}
	card, _ := t.Card(endorser)
	if err := e.Verify(card, r); err != nil {
		return fmt.Errorf("accept endorsement: %w: %w", ErrUntrusted, err)
	}
	return nil
}

// AcceptGrant says whether the grant is one of that record's KEK, signed by a trusted member of the bucket. A deposit site
// is no member, but nobody else could grant the KEKs that it creates (rule 5): it may grant those and no others.
func (t *TrustList) AcceptGrant(g Grant, r Record) error {
	if g.KEK != r.ID || g.Bucket != r.Bucket {
		return fmt.Errorf("accept grant: %w: of another KEK or bucket than the record", ErrUntrusted)
	}
	deposits := g.Granter == r.Creator && t.Is(g.Bucket, g.Granter, Deposit)
	if !deposits && !t.Is(g.Bucket, g.Granter, Member) {
		return fmt.Errorf("accept grant: %w: granter %s", ErrUntrusted, g.Granter)
	}
	card, _ := t.Card(g.Granter)
	if err := g.Verify(card); err != nil {
		return fmt.Errorf("accept grant: %w: %w", ErrUntrusted, err)
	}
	return nil
}

// Deposits says whether the KEK is that of a site which may deposit in its bucket and not read there. A copy is never
// wrapped by another site's deposit KEK (rule 3): it is sealed anew.
func (t *TrustList) Deposits(kek KEK) bool {
	_, deposit := t.depositLines(kek)
	return deposit
}

// CheckObject refuses an object that a deposit site sealed outside what the list allows it (rule 5). It is asked with the
// KEK that an object's envelope names and the object's key, before the object is served.
func (t *TrustList) CheckObject(kek KEK, objectKey string) error {
	lines, deposit := t.depositLines(kek)
	if deposit && !slices.ContainsFunc(lines, func(e *TrustEntry) bool { return e.allowsKey(objectKey) }) {
		return fmt.Errorf("check object: %w: deposit site %s outside its prefixes", ErrUntrusted, kek.Creator())
	}
	return nil
}

// depositLines is the lines that allow the KEK's creator to deposit, and whether depositing is all it may. Where none of
// its lines holds any more the withdrawn ones still say what was allowed, and what a member made stays a member's: whether a KEK may be used after its creator left
// is its state's to say. A creator of whom no line speaks came in by endorsement and is no deposit site.
func (t *TrustList) depositLines(kek KEK) (deposits []*TrustEntry, only bool) {
	lines := t.lines(kek.Bucket(), kek.Creator())
	if slices.ContainsFunc(lines, func(e *TrustEntry) bool { return e.Role == Member && e.heldAt(kek.must().created) }) {
		return nil, false
	}
	if slices.ContainsFunc(lines, (*TrustEntry).live) {
		lines = slices.DeleteFunc(lines, func(e *TrustEntry) bool { return !e.live() })
	}
	for _, e := range lines {
		switch e.Role {
		case Member:
			return nil, false
		case Deposit:
			deposits = append(deposits, e)
		}
	}
	return deposits, len(deposits) > 0
}

// lines is every line that speaks of the site and the bucket, withdrawn or not. They are the list's own, not copies: each has a card of
// nearly a kilobyte, and every read of an object asks.
func (t *TrustList) lines(bucket string, site SiteID) []*TrustEntry {
	var lines []*TrustEntry
	for n := range t.entries {
		if e := &t.entries[n]; e.Card.ID == site && matchBucket(e.Bucket, bucket) {
			lines = append(lines, e)
		}
	}
	return lines
}

// heldAt says whether the line held at that time; of a time that is not known, no.
func (e *TrustEntry) heldAt(at time.Time) bool {
	return !at.IsZero() && !at.Before(e.Added) && (e.live() || !at.After(e.Withdrawn))
}

func (e *TrustEntry) allowsKey(key string) bool {
	return len(e.Prefixes) == 0 ||
		slices.ContainsFunc(e.Prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// writes says whether the site may create KEKs in that bucket.
func (t *TrustList) writes(bucket string, site SiteID) bool {
	return t.Is(bucket, site, Member) || t.Is(bucket, site, Deposit)
}
