package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"cofre/keys"
)

// EnvelopeSize is the length of an envelope in bytes, before base64url.
const EnvelopeSize = 132

// Where the fields of an envelope begin.
const (
	envelopeFlags    = 2
	envelopeReserved = 3
	envelopeObject   = 4
	envelopeKEK      = 20
	envelopePartSalt = 36
	envelopeWrapSalt = 52 // what stands before it is bound by the wrap key
	envelopeWrapped  = 84 // what stands before it is bound by the attribute key
	wrappedSize      = keySize + TagSize
	wrapSaltSize     = 32
)

// Flags say how an object is sealed. They are bound by the envelope: one that was flipped does not open.
type Flags uint8

// The defined flags; every other bit is zero.
const (
	// Multipart objects have a layout, and no part salt in the envelope.
	Multipart Flags = 1 << iota
	// HasAttributes says that sealed attributes stand beside the envelope.
	HasAttributes
	// CustomerKey says that the DEK opens only with the client's own key (SSE-C) too.
	CustomerKey

	definedFlags = Multipart | HasAttributes | CustomerKey
)

// Has says whether all of these flags are set.
func (f Flags) Has(flags Flags) bool { return f&flags == flags }

// Envelope carries the wrapped DEK of an object, bound to its key, with the object (docs/FORMAT.md section 4). It is
// comparable: two envelopes are the same write if they are equal. What ParseEnvelope gives is well formed and no more; only
// Unseal tells whether it is genuine.
type Envelope struct {
	Flags    Flags
	ObjectID keys.ObjectID
	KEKID    keys.KEKID
	PartSalt Salt // of a single-part object; zero for a multipart one
	WrapSalt [wrapSaltSize]byte
	Wrapped  [wrappedSize]byte
}

// Bytes is the envelope in binary.
func (e Envelope) Bytes() [EnvelopeSize]byte {
	var b [EnvelopeSize]byte
	b[0], b[1], b[envelopeFlags], b[envelopeReserved] = formatVersion, formatSuite, byte(e.Flags), 0
	copy(b[envelopeObject:], e.ObjectID[:])
	copy(b[envelopeKEK:], e.KEKID[:])
	copy(b[envelopePartSalt:], e.PartSalt[:])
	copy(b[envelopeWrapSalt:], e.WrapSalt[:])
	copy(b[envelopeWrapped:], e.Wrapped[:])
	return b
}

// String is the envelope as the backend's user metadata holds it: base64url without padding.
func (e Envelope) String() string {
	b := e.Bytes()
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ParseEnvelope reads what String gives, and only that: every envelope has one spelling.
func ParseEnvelope(s string) (Envelope, error) {
	if base64.RawURLEncoding.DecodedLen(len(s)) != EnvelopeSize {
		return Envelope{}, fmt.Errorf("parse envelope: %w", fault(FaultLength))
	}
	b, ok := decodeBase64URL(s)
	if !ok {
		return Envelope{}, fmt.Errorf("parse envelope: %w", fault(FaultEncoding))
	}
	return ParseEnvelopeBytes(b)
}

// ParseEnvelopeBytes reads what Bytes gives.
func ParseEnvelopeBytes(b []byte) (Envelope, error) {
	e, f := parseEnvelope(b)
	if f != "" {
		return Envelope{}, fmt.Errorf("parse envelope: %w", fault(f))
	}
	return e, nil
}

func parseEnvelope(b []byte) (Envelope, Fault) {
	if len(b) != EnvelopeSize {
		return Envelope{}, FaultLength
	}
	if f := checkVersion(b[0], b[1]); f != "" {
		return Envelope{}, f
	}
	if b[envelopeReserved] != 0 {
		return Envelope{}, FaultReserved
	}
	e := Envelope{
		Flags:    Flags(b[envelopeFlags]),
		ObjectID: keys.ObjectID(b[envelopeObject:envelopeKEK]),
		KEKID:    keys.KEKID(b[envelopeKEK:envelopePartSalt]),
		PartSalt: Salt(b[envelopePartSalt:envelopeWrapSalt]),
		WrapSalt: [wrapSaltSize]byte(b[envelopeWrapSalt:envelopeWrapped]),
		Wrapped:  [wrappedSize]byte(b[envelopeWrapped:]),
	}
	if e.Flags&^definedFlags != 0 {
		return Envelope{}, FaultFlags
	}
	if e.Flags.Has(Multipart) && e.PartSalt != (Salt{}) {
		return Envelope{}, FaultPadding
	}
	return e, ""
}

// SealEnvelope wraps the DEK for one object key. ObjectKey is the key's raw bytes, never cleaned or normalised. CustomerKey
// is 32 bytes where flags have CustomerKey, else nil (ErrCustomerKey). PartSalt is the salt of a single-part object's only
// part, the zero Salt for a multipart object.
func SealEnvelope(
	kek keys.KEK, objectKey string, customerKey []byte, flags Flags, object keys.ObjectID, partSalt Salt, dek keys.DEK,
) (Envelope, error) {
	e := Envelope{Flags: flags, ObjectID: object, PartSalt: partSalt}
	rand.Read(e.WrapSalt[:]) // never fails: it ends the process where the system has no randomness
	return e.seal(kek, objectKey, customerKey, dek)
}

// seal fills in the KEK's id and the wrapped DEK; the wrap salt is there, fresh.
func (e Envelope) seal(kek keys.KEK, objectKey string, customerKey []byte, dek keys.DEK) (Envelope, error) {
	if kek.IsZero() || dek.IsZero() {
		return Envelope{}, fmt.Errorf("seal envelope: %w", keys.ErrZeroKey)
	}
	if e.Flags&^definedFlags != 0 {
		return Envelope{}, fmt.Errorf("seal envelope: undefined flags %#02x", byte(e.Flags))
	}
	if e.Flags.Has(Multipart) != (e.PartSalt == Salt{}) {
		return Envelope{}, fmt.Errorf("seal envelope: part salt does not go with flags %#02x", byte(e.Flags))
	}
	e.KEKID = kek.ID()
	key, err := e.wrapKey(kek, objectKey, customerKey)
	if err != nil {
		return Envelope{}, fmt.Errorf("seal envelope: %w", err)
	}
	plain := dek.Bytes()
	defer clear(plain)
	wrapped, err := sealOnce(nil, key, plain)
	if err != nil {
		return Envelope{}, fmt.Errorf("seal envelope: %w", err)
	}
	e.Wrapped = [wrappedSize]byte(wrapped)
	return e, nil
}

// Unseal gives the DEK. An envelope of another object key, bucket, KEK or customer key, and one in which a bit was changed,
// is an *IntegrityError. A customer key that is missing, or given for an object without one, is ErrCustomerKey.
func (e Envelope) Unseal(kek keys.KEK, objectKey string, customerKey []byte) (keys.DEK, error) {
	if kek.IsZero() {
		return keys.DEK{}, fmt.Errorf("unseal envelope: %w", keys.ErrZeroKey)
	}
	if kek.ID() != e.KEKID {
		return keys.DEK{}, fmt.Errorf("unseal envelope: %w", fault(FaultKEK))
	}
	key, err := e.wrapKey(kek, objectKey, customerKey)
	if err != nil {
		return keys.DEK{}, fmt.Errorf("unseal envelope: %w", err)
	}
	plain, err := openOnce(key, e.Wrapped[:])
	if err != nil {
		return keys.DEK{}, fmt.Errorf("unseal envelope: %w", err)
	}
	if plain == nil {
		return keys.DEK{}, fmt.Errorf("unseal envelope: %w", fault(FaultEnvelope))
	}
	defer clear(plain)
	dek, err := keys.ParseDEK(plain)
	if err != nil {
		return keys.DEK{}, fmt.Errorf("unseal envelope: %w", fault(FaultZeroKey))
	}
	return dek, nil
}

// wrapKey derives the key that wraps this envelope's DEK and nothing else.
func (e Envelope) wrapKey(kek keys.KEK, objectKey string, customerKey []byte) ([]byte, error) {
	wanted := 0
	if e.Flags.Has(CustomerKey) {
		wanted = keySize
	}
	if len(customerKey) != wanted {
		return nil, ErrCustomerKey
	}
	if wanted > 0 && allZero(customerKey) {
		return nil, fmt.Errorf("%w: %w", ErrCustomerKey, keys.ErrZeroKey)
	}
	own := kek.Bytes()
	defer clear(own)
	ikm := own
	if wanted > 0 {
		ikm = append(append(make([]byte, 0, 2*keySize), own...), customerKey...)
		defer clear(ikm)
	}
	var buf [infoRoom]byte
	b := e.Bytes()
	info := append(append(buf[:0], "cofre v1 dek wrap"...), b[:envelopeWrapSalt]...)
	return hkdf.Key(sha256.New, ikm, e.WrapSalt[:], string(appendLengthPrefixed(info, objectKey)), keySize)
}

// infoRoom is room for what a key is derived for, with an object key of ordinary length.
const infoRoom = 256

// appendLengthPrefixed is len(s) as four bytes, then s, so that what follows cannot be moved into it. An object key has at most
// 1,024 bytes.
func appendLengthPrefixed(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// base64URL is base64url without padding, whose last character has no bit too many.
var base64URL = base64.RawURLEncoding.Strict()

// decodeBase64URL decodes base64url without padding, and only its one canonical spelling: the standard decoder passes over
// line ends.
func decodeBase64URL(s string) ([]byte, bool) {
	b, err := base64URL.DecodeString(s)
	return b, err == nil && !strings.ContainsAny(s, "\r\n")
}
