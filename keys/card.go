package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Sizes in bytes of a site's public keys.
const (
	// HPKEPublicKeySize is an ML-KEM-768 encapsulation key (1184) and an X25519 public key (32).
	HPKEPublicKeySize = 1216
	// Ed25519PublicKeySize is that of RFC 8032.
	Ed25519PublicKeySize = ed25519.PublicKeySize

	maxSiteName = 100 // bytes
	maxCard     = 8 << 10
)

// Card is the public half of a site identity: what one site hands to another. It is public and proves nothing; trust in it
// comes from people comparing its Fingerprint.
//
// The id binds both keys. The name is for people alone: it is not bound, so it never decides anything.
type Card struct {
	ID      SiteID
	Name    string
	HPKE    [HPKEPublicKeySize]byte    // KEM MLKEM768-X25519, 0x647a of draft-ietf-hpke-pq
	Ed25519 [Ed25519PublicKeySize]byte // RFC 8032
}

// cardJSON is the wire form. It stands inside the trust list too.
type cardJSON struct {
	Version int         `json:"version"`
	ID      SiteID      `json:"id"`
	Name    string      `json:"name"`
	HPKE    base64Bytes `json:"hpke"`
	Ed25519 base64Bytes `json:"ed25519"`
}

// ParseCard reads a card and checks that its keys are keys and that they give its id.
func ParseCard(doc []byte) (Card, error) {
	if len(doc) > maxCard {
		return Card{}, fmt.Errorf("parse card: %w: %d bytes are more than %d", ErrMalformed, len(doc), maxCard)
	}
	var wire cardJSON
	if err := decodeStrict(bytes.TrimSpace(doc), &wire); err != nil {
		return Card{}, fmt.Errorf("parse card: %w", err)
	}
	card, err := wire.card()
	if err != nil {
		return Card{}, fmt.Errorf("parse card: %w", err)
	}
	return card, nil
}

func (w cardJSON) card() (Card, error) {
	if w.Version != 1 {
		return Card{}, fmt.Errorf("%w: version %d", ErrMalformed, w.Version)
	}
	c := Card{ID: w.ID, Name: w.Name}
	if err := w.HPKE.fill(c.HPKE[:]); err != nil {
		return Card{}, fmt.Errorf("hpke: %w", err)
	}
	if err := w.Ed25519.fill(c.Ed25519[:]); err != nil {
		return Card{}, fmt.Errorf("ed25519: %w", err)
	}
	return c, c.Check()
}

// MarshalJSON is the form that ParseCard reads.
func (c Card) MarshalJSON() ([]byte, error) { return mustMarshal(c.wire()), nil }

func (c Card) wire() cardJSON {
	return cardJSON{Version: 1, ID: c.ID, Name: c.Name, HPKE: c.HPKE[:], Ed25519: c.Ed25519[:]}
}

// Check says whether the card is whole: a name that can be shown, keys that are keys, and the id that they give.
func (c Card) Check() error {
	if err := checkSiteName(c.Name); err != nil {
		return err
	}
	x25519 := c.HPKE[HPKEPublicKeySize-32:]
	if isZero(c.HPKE[:]) || isZero(x25519) || isZero(c.Ed25519[:]) {
		return fmt.Errorf("public key: %w", ErrZeroKey)
	}
	if _, err := c.recipient(); err != nil {
		return err
	}
	if c.ID != siteID(c.HPKE[:], c.Ed25519[:]) {
		return fmt.Errorf("%w: site id is not that of the keys", ErrMalformed)
	}
	return nil
}

// Fingerprint is the site id in sixteen groups of four hex digits, for people to read to each other.
func (c Card) Fingerprint() string {
	digits := c.ID.String()
	groups := make([]string, 0, len(digits)/4)
	for len(digits) > 0 {
		groups = append(groups, digits[:4])
		digits = digits[4:]
	}
	return strings.Join(groups, " ")
}

func (c Card) recipient() (hpke.PublicKey, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(c.HPKE[:])
	if err != nil {
		return nil, fmt.Errorf("%w: HPKE public key: %w", ErrMalformed, err)
	}
	return key, nil
}

// siteID is the id of docs/FORMAT.md section 2.
func siteID(hpkeKey, ed25519Key []byte) SiteID {
	h := sha256.New()
	h.Write([]byte("cofre v1 site"))
	h.Write(hpkeKey)
	h.Write(ed25519Key)
	return SiteID(h.Sum(nil))
}

// checkSiteName admits what can be printed on a terminal and in a table without harm.
func checkSiteName(name string) error {
	if name == "" || len(name) > maxSiteName {
		return fmt.Errorf("%w: site name of %d bytes, want 1 to %d", ErrMalformed, len(name), maxSiteName)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%w: site name has unprintable characters", ErrMalformed)
	}
	return nil
}
