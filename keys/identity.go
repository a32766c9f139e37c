package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
)

const maxIdentity = 4 << 10

// Identity is a site's private half: it opens grants made to the site and signs the site's documents. It is immutable and
// safe for concurrent use. Only MarshalSecret brings its seeds out; every printed form is redacted.
type Identity struct {
	card     Card
	recovery bool
	priv     *identityKeys // holds nothing but pointers, so that fmt prints addresses: see secret
}

type identityKeys struct {
	hpkeSeed    secret // the X-Wing seed, from which both halves of the HPKE key come
	ed25519Seed secret // RFC 8032's private key
	hpke        hpke.PrivateKey
	ed25519     *ed25519.PrivateKey // a slice, so behind a pointer of its own: see secret
}

// identityJSON is the wire form: the plaintext of the identity file.
type identityJSON struct {
	Version int         `json:"version"`
	Name    string      `json:"name"`
	Role    Role        `json:"role,omitempty"` // Recovery, or nothing for a site's
	HPKE    base64Bytes `json:"hpke"`
	Ed25519 base64Bytes `json:"ed25519"`
}

// GenerateIdentity draws a new identity. The name is shown to people: 1 to 100 bytes of printable UTF-8.
func GenerateIdentity(name string) (*Identity, error) {
	id, err := newIdentity(name, newSecret(), newSecret())
	if err != nil {
		return nil, fmt.Errorf("generate identity: %w", err)
	}
	return id, nil
}

// GenerateRecoveryIdentity draws a new identity that is to be kept off line. It says of itself that it neither seals nor grants
// (docs/FORMAT.md section 7 rule 6), so that whoever works with it by mistake cannot do either.
func GenerateRecoveryIdentity(name string) (*Identity, error) {
	id, err := GenerateIdentity(name)
	if err != nil {
		return nil, err
	}
	id.recovery = true
	return id, nil
}

// ParseIdentity reads what MarshalSecret wrote. Its errors quote nothing of what they refuse.
func ParseIdentity(doc []byte) (*Identity, error) {
	if len(doc) > maxIdentity {
		return nil, fmt.Errorf("parse identity: %w: too long", ErrMalformed)
	}
	var wire identityJSON
	if err := decodeStrict(bytes.TrimSpace(doc), &wire); err != nil {
		// The cause may quote a piece of the document, so it is left out.
		return nil, fmt.Errorf("parse identity: %w", ErrMalformed)
	}
	defer clear(wire.HPKE)
	defer clear(wire.Ed25519)
	if wire.Version != 1 {
		return nil, fmt.Errorf("parse identity: %w: version %d", ErrMalformed, wire.Version)
	}
	if wire.Role != "" && wire.Role != Recovery {
		return nil, fmt.Errorf("parse identity: %w: role", ErrMalformed)
	}
	hpkeSeed, err := parseSecret(wire.HPKE)
	if err != nil {
		return nil, fmt.Errorf("parse identity: hpke: %w", err)
	}
	ed25519Seed, err := parseSecret(wire.Ed25519)
	if err != nil {
		return nil, fmt.Errorf("parse identity: ed25519: %w", err)
	}
	id, err := newIdentity(wire.Name, hpkeSeed, ed25519Seed)
	if err != nil {
		return nil, fmt.Errorf("parse identity: %w", err)
	}
	id.recovery = wire.Role == Recovery
	return id, nil
}

func newIdentity(name string, hpkeSeed, ed25519Seed secret) (*Identity, error) {
	decapsulator, err := hpke.MLKEM768X25519().NewPrivateKey(hpkeSeed.bytes())
	if err != nil {
		return nil, fmt.Errorf("derive HPKE key: %w", err)
	}
	signer := ed25519.NewKeyFromSeed(ed25519Seed.bytes())
	card := Card{Name: name}
	copy(card.HPKE[:], decapsulator.PublicKey().Bytes())
	copy(card.Ed25519[:], signer.Public().(ed25519.PublicKey))
	card.ID = siteID(card.HPKE[:], card.Ed25519[:])
	if err := card.Check(); err != nil {
		return nil, err
	}
	return &Identity{card: card, priv: &identityKeys{
		hpkeSeed: hpkeSeed, ed25519Seed: ed25519Seed, hpke: decapsulator, ed25519: &signer,
	}}, nil
}

// MarshalSecret is the identity with its seeds, in the clear: for sealing into the identity file or by a KMS, and for
// nothing else. The caller clears it after use.
func (i *Identity) MarshalSecret() ([]byte, error) {
	if i == nil || i.priv == nil {
		return nil, fmt.Errorf("marshal identity: %w", ErrZeroKey)
	}
	wire := identityJSON{Version: 1, Name: i.card.Name, HPKE: i.priv.hpkeSeed.bytes(), Ed25519: i.priv.ed25519Seed.bytes()}
	if i.recovery {
		wire.Role = Recovery
	}
	return mustMarshal(wire), nil
}

// Recovery says whether it is a recovery identity: see GenerateRecoveryIdentity.
func (i *Identity) Recovery() bool { return i.recovery }

// Card is the identity's public half.
func (i *Identity) Card() Card { return i.card }

// ID is the site's id.
func (i *Identity) ID() SiteID { return i.card.ID }

// Sign makes a signed document of the payload's exact bytes.
func (i *Identity) Sign(payloadType string, payload []byte) DSSE {
	return DSSE{
		PayloadType: payloadType,
		Payload:     payload,
		KeyID:       i.card.ID.String(),
		Signature:   ed25519.Sign(*i.must().ed25519, preAuthEncoding(payloadType, payload)),
	}
}

// DeriveKey gives the site's own key for one purpose, such as sealing credentials in its store. The same purpose always
// gives the same key, and no other site can derive it.
func (i *Identity) DeriveKey(purpose string) DEK {
	priv := i.must()
	seeds := append(bytes.Clone(priv.hpkeSeed.bytes()), priv.ed25519Seed.bytes()...)
	defer clear(seeds)
	raw, err := hkdf.Key(sha256.New, seeds, i.card.ID[:], "cofre v1 site key"+lengthPrefixed(purpose), KeySize)
	if err != nil {
		panic("keys: HKDF-SHA256 refused 32 bytes: " + err.Error()) // only a length above 255 hashes is refused
	}
	defer clear(raw)
	dek, err := ParseDEK(raw)
	if err != nil {
		panic("keys: HKDF-SHA256 gave a zero key") // one chance in 2^256
	}
	return dek
}

func (i *Identity) must() *identityKeys {
	if i == nil || i.priv == nil {
		panic("keys: use of a zero Identity")
	}
	return i.priv
}
