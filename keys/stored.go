package keys

import (
	"fmt"
	"time"
)

// openStored opens a KEK that the store has accepted before. It stays accepted whatever became of trust in its creator or
// granter since; its signatures must still be right wherever the trust list names a card, withdrawn or not. What seals new
// objects is held to more: record and grant must be this site's own.
func (r *Ring) openStored(stored StoredKEK, s slot, asked time.Time) (openKEK, error) {
	record, grant, err := parseStored(stored)
	if err != nil {
		return openKEK{}, fmt.Errorf("read stored KEK: %w: %w", ErrUntrusted, err)
	}
	state, err := r.stateFor(s, stored)
	if err != nil {
		return openKEK{}, fmt.Errorf("read stored KEK: %w", err)
	}
	if err := r.verifyStored(record, grant, state); err != nil {
		return openKEK{}, fmt.Errorf("read stored KEK: %w: %w", ErrUntrusted, err)
	}
	kek, err := r.identity.OpenGrant(grant, record)
	if err != nil {
		return openKEK{}, err
	}
	return openKEK{kek: kek, state: state, seen: asked}, nil
}

// parseStored reads a row's documents, which must be of the KEK that the row names.
func parseStored(stored StoredKEK) (Record, Grant, error) {
	record, err := ParseRecord(stored.Record)
	if err != nil {
		return Record{}, Grant{}, err
	}
	if record.ID != stored.ID || record.Bucket != stored.Bucket || record.Creator != stored.Creator {
		return Record{}, Grant{}, fmt.Errorf("%w: record of another KEK than the row", ErrMalformed)
	}
	grant, err := ParseGrant(stored.Grant)
	return record, grant, err
}

func (r *Ring) verifyStored(record Record, grant Grant, state KEKState) error {
	if state == Active {
		own := r.identity.Card()
		if err := record.Verify(own); err != nil {
			return err
		}
		return grant.Verify(own)
	}
	if card, known := r.cardOf(record.Creator); known {
		if err := record.Verify(card); err != nil {
			return err
		}
	}
	if card, known := r.cardOf(grant.Granter); known {
		return grant.Verify(card)
	}
	return nil
}

// cardOf is the card by which a site's old documents are checked. This site's own needs no list.
func (r *Ring) cardOf(site SiteID) (Card, bool) {
	if site == r.identity.ID() {
		return r.identity.Card(), true
	}
	if trust := r.trust(); trust != nil {
		return trust.Card(site)
	}
	return Card{}, false
}
