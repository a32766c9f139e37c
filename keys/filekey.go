package keys

import (
	"crypto/hpke"
	"fmt"
	"slices"
)

// fileKeyInfo is that of age's own recipients for this KEM (C2SP age.md, "mlkem768x25519"): what a file key is sealed under is told
// apart from a grant by it, and by the AEAD.
const fileKeyInfo = "age-encryption.org/mlkem768x25519"

// SealFileKey seals the key of an age file to the card as age's mlkem768x25519 stanza does: HPKE base mode with HKDF-SHA256 and
// ChaCha20-Poly1305. The encapsulation is of 1120 bytes.
func (c Card) SealFileKey(fileKey []byte) (encapsulation, sealed []byte, err error) {
	if err := c.Check(); err != nil {
		return nil, nil, fmt.Errorf("seal file key: %w", err)
	}
	key, err := c.recipient()
	if err != nil {
		return nil, nil, fmt.Errorf("seal file key: %w", err)
	}
	encapsulation, sender, err := hpke.NewSender(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(fileKeyInfo))
	if err != nil {
		return nil, nil, fmt.Errorf("seal file key: %w", err)
	}
	if sealed, err = sender.Seal(nil, fileKey); err != nil {
		return nil, nil, fmt.Errorf("seal file key: %w", err)
	}
	return encapsulation, sealed, nil
}

// OpenFileKey opens what SealFileKey sealed to this identity; ErrGrant where it was sealed to another, or altered.
func (i *Identity) OpenFileKey(encapsulation, sealed []byte) ([]byte, error) {
	opener, err := hpke.NewRecipient(encapsulation, i.must().hpke, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(fileKeyInfo))
	if err != nil {
		return nil, fmt.Errorf("open file key: %w", ErrGrant)
	}
	fileKey, err := opener.Open(nil, sealed)
	if err != nil {
		return nil, fmt.Errorf("open file key: %w", ErrGrant)
	}
	return fileKey, nil
}

// Confidants is the cards of those who may see everything that this site's store tells, names and digests of plaintext among it:
// the site itself, and the recovery identities that it trusts for every bucket.
func (t *TrustList) Confidants() []Card {
	var cards []Card
	for _, e := range t.entries {
		own := t.founding(&e)
		recovers := e.live() && e.Role == Recovery && e.Bucket == "*"
		if (own || recovers) && !slices.ContainsFunc(cards, func(c Card) bool { return c.ID == e.Card.ID }) {
			cards = append(cards, e.Card)
		}
	}
	return cards
}

// RestoredState is the state in which a KEK comes back from a backup that had it in the given one: never Active (docs/FORMAT.md
// section 7 rule 3), and closed where a site that has left could have opened it (rule 4), also one that left after the backup was made.
// A record that cannot be read is an error.
func (t *TrustList) RestoredState(k StoredKEK) (KEKState, error) {
	record, err := ParseRecord(k.Record)
	if err != nil {
		return 0, fmt.Errorf("restore KEK %s: %w", k.ID, err)
	}
	if record.ID != k.ID || record.Bucket != k.Bucket || record.Creator != k.Creator {
		return 0, fmt.Errorf("restore KEK %s: %w: its record is of another", k.ID, ErrMalformed)
	}
	return max(k.State, importState(t, record)), nil
}
