package keys

import (
	"crypto/hpke"
	"fmt"
	"time"
)

// GrantType is the DSSE payload type of a grant.
const GrantType = "application/vnd.cofre.grant.v1+json"

// SealedSize is the length in bytes of a sealed KEK: the encapsulation (1120), then ciphertext and tag (48).
const SealedSize = 1120 + KeySize + 16

// Grant gives one KEK to one recipient (docs/FORMAT.md section 7). A parsed grant is only a claim until its signature has
// been verified with the card that the trust list names for the granter.
type Grant struct {
	KEK       KEKID
	Bucket    string
	Recipient SiteID
	Granter   SiteID
	Created   time.Time
	Sealed    [SealedSize]byte

	doc []byte
	sig DSSE
}

type grantJSON struct {
	Version   int         `json:"version"`
	KEK       KEKID       `json:"kek"`
	Bucket    string      `json:"bucket"`
	Recipient SiteID      `json:"recipient"`
	Granter   SiteID      `json:"granter"`
	Created   timestamp   `json:"created"`
	Sealed    base64Bytes `json:"sealed"`
}

// NewGrant seals the KEK to the recipient's card and signs the grant.
func NewGrant(granter *Identity, kek KEK, recipient Card, created time.Time) (Grant, error) {
	if err := checkBucket(kek.Bucket()); err != nil {
		return Grant{}, fmt.Errorf("make grant: %w", err)
	}
	raw := kek.Bytes()
	defer clear(raw)
	sealed, err := recipient.seal(grantInfo(kek.ID(), kek.Bucket(), kek.Creator(), recipient.ID), raw)
	if err != nil {
		return Grant{}, fmt.Errorf("make grant: %w", err)
	}
	payload := mustMarshal(grantJSON{
		Version: 1, KEK: kek.ID(), Bucket: kek.Bucket(), Recipient: recipient.ID, Granter: granter.ID(),
		Created: newTimestamp(created), Sealed: sealed,
	})
	return ParseGrant(granter.Sign(GrantType, payload).Bytes())
}

// ParseGrant reads a grant's DSSE document. It checks the form alone: see Grant.Verify.
func ParseGrant(doc []byte) (Grant, error) {
	var wire grantJSON
	sig, err := openAs(doc, GrantType, maxDocument, &wire)
	if err != nil {
		return Grant{}, fmt.Errorf("parse grant: %w", err)
	}
	if wire.Version != 1 {
		return Grant{}, fmt.Errorf("parse grant: %w: version %d", ErrMalformed, wire.Version)
	}
	if err := checkBucket(wire.Bucket); err != nil {
		return Grant{}, fmt.Errorf("parse grant: %w", err)
	}
	g := Grant{
		KEK: wire.KEK, Bucket: wire.Bucket, Recipient: wire.Recipient, Granter: wire.Granter,
		Created: time.Time(wire.Created), doc: append([]byte(nil), doc...), sig: sig,
	}
	if err := wire.Sealed.fill(g.Sealed[:]); err != nil {
		return Grant{}, fmt.Errorf("parse grant: sealed: %w", err)
	}
	return g, nil
}

// Bytes is the DSSE document, as it was read or made.
func (g Grant) Bytes() []byte { return append([]byte(nil), g.doc...) }

// Verify checks that the granter signed the grant; card is the one that the trust list names for it.
func (g Grant) Verify(card Card) error {
	if card.ID != g.Granter {
		return fmt.Errorf("verify grant: %w: card of site %s for granter %s", ErrSignature, card.ID, g.Granter)
	}
	if err := g.sig.Verify(card); err != nil {
		return fmt.Errorf("verify grant: %w", err)
	}
	return nil
}

// OpenGrant opens a grant to this site of the KEK that the record describes, and checks that the key gives the record's
// commitment. Whether grant and record are to be believed must have been settled before: see TrustList.
func (i *Identity) OpenGrant(g Grant, r Record) (KEK, error) {
	if g.KEK != r.ID || g.Bucket != r.Bucket {
		return KEK{}, fmt.Errorf("open grant: %w: of another KEK or bucket than the record", ErrGrant)
	}
	if g.Recipient != i.ID() {
		return KEK{}, fmt.Errorf("open grant: %w: to another site", ErrGrant)
	}
	raw, err := hpke.Open(i.must().hpke, hpke.HKDFSHA256(), hpke.AES256GCM(),
		grantInfo(r.ID, r.Bucket, r.Creator, i.ID()), g.Sealed[:])
	if err != nil {
		return KEK{}, fmt.Errorf("open grant: %w", ErrGrant) // what exactly failed helps nobody but a forger
	}
	defer clear(raw)
	kek, err := ParseKEK(r.ID, r.Bucket, r.Creator, raw)
	if err != nil {
		return KEK{}, fmt.Errorf("open grant: %w", err)
	}
	kek.k.created = r.Created
	if err := r.Check(kek); err != nil {
		return KEK{}, fmt.Errorf("open grant: %w", err)
	}
	return kek, nil
}

// seal is HPKE base mode to the card's key, with an empty aad.
func (c Card) seal(info, plaintext []byte) ([]byte, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	key, err := c.recipient()
	if err != nil {
		return nil, err
	}
	return hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plaintext)
}

func grantInfo(id KEKID, bucket string, creator, recipient SiteID) []byte {
	info := append([]byte("cofre v1 grant"), id[:]...)
	info = append(info, lengthPrefixed(bucket)...)
	info = append(info, creator[:]...)
	return append(info, recipient[:]...)
}
