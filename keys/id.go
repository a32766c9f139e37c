package keys

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// KEKID names one KEK: 16 random bytes, unique across all sites (docs/FORMAT.md section 2). It is no secret.
type KEKID [16]byte

// ObjectID names one sealed body: 16 random bytes, shared by the copies that keep its DEK. It is no secret.
type ObjectID [16]byte

// SiteID names a site by its public keys: SHA-256("cofre v1 site" || HPKE public key || Ed25519 public key).
type SiteID [32]byte

// NewObjectID draws a fresh object id.
func NewObjectID() ObjectID {
	var id ObjectID
	rand.Read(id[:]) // never returns an error: the runtime ends the process instead
	return id
}

func newKEKID() KEKID {
	var id KEKID
	rand.Read(id[:])
	return id
}

// String is the id in lower-case hex, as it stands in documents and names.
func (id KEKID) String() string { return hex.EncodeToString(id[:]) }

// String is the id in lower-case hex.
func (id ObjectID) String() string { return hex.EncodeToString(id[:]) }

// String is the id in lower-case hex, as it stands in documents and names.
func (id SiteID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is String's form, so that ids stand as hex in JSON.
func (id KEKID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// MarshalText is String's form, so that ids stand as hex in JSON.
func (id ObjectID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// MarshalText is String's form, so that ids stand as hex in JSON.
func (id SiteID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads what MarshalText wrote, and only that.
func (id *KEKID) UnmarshalText(text []byte) error { return parseHex(id[:], string(text)) }

// UnmarshalText reads what MarshalText wrote, and only that.
func (id *ObjectID) UnmarshalText(text []byte) error { return parseHex(id[:], string(text)) }

// UnmarshalText reads what MarshalText wrote, and only that.
func (id *SiteID) UnmarshalText(text []byte) error { return parseHex(id[:], string(text)) }

// ParseKEKID reads the form that String gives: 32 lower-case hex digits.
func ParseKEKID(s string) (KEKID, error) {
	var id KEKID
	if err := parseHex(id[:], s); err != nil {
		return KEKID{}, fmt.Errorf("parse KEK id: %w", err)
	}
	return id, nil
}

// ParseObjectID reads the form that String gives: 32 lower-case hex digits.
func ParseObjectID(s string) (ObjectID, error) {
	var id ObjectID
	if err := parseHex(id[:], s); err != nil {
		return ObjectID{}, fmt.Errorf("parse object id: %w", err)
	}
	return id, nil
}

// ParseSiteID reads the form that String gives: 64 lower-case hex digits.
func ParseSiteID(s string) (SiteID, error) {
	var id SiteID
	if err := parseHex(id[:], s); err != nil {
		return SiteID{}, fmt.Errorf("parse site id: %w", err)
	}
	return id, nil
}

// parseHex fills dst from exactly its length in lower-case hex. Upper case is refused: an id has one spelling, so names
// built from ids can be compared as strings.
func parseHex(dst []byte, s string) error {
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("%w: want %d hex digits, got %d", ErrMalformed, hex.EncodedLen(len(dst)), len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%w: not lower-case hex", ErrMalformed)
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}
