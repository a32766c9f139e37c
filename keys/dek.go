package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
)

// KeySize is the length in bytes of a DEK and of a KEK.
const KeySize = 32

// secret holds the bytes of a key behind two pointers: fmt prints what one pointer leads to when a verb does not suit it
// (%s of a struct with a key in an unexported field, where no method of the key is asked), but never follows a second. The
// zero value is no key.
type secret struct{ key **[KeySize]byte }

func makeSecret() secret {
	cell := &struct {
		raw [KeySize]byte
		at  *[KeySize]byte
	}{}
	cell.at = &cell.raw
	return secret{&cell.at}
}

// newSecret draws a random key. Zeros are drawn again, though nobody will live to see it.
func newSecret() secret {
	s := makeSecret()
	for isZero(s.bytes()) {
		rand.Read(s.bytes()) // never returns an error: the runtime ends the process instead
	}
	return s
}

// parseSecret copies a key of exactly KeySize bytes that is not all zeros.
func parseSecret(raw []byte) (secret, error) {
	if len(raw) != KeySize {
		return secret{}, fmt.Errorf("%w: want %d bytes, got %d", ErrKeyLength, KeySize, len(raw))
	}
	if isZero(raw) {
		return secret{}, ErrZeroKey
	}
	s := makeSecret()
	copy(s.bytes(), raw)
	return s, nil
}

// isSet says whether there is a key at all.
func (s secret) isSet() bool { return s.key != nil }

// bytes is the key itself, not a copy. The zero value panics: using it is a bug in the caller, and going on would seal
// under a key that everybody knows.
func (s secret) bytes() []byte {
	if s.key == nil {
		panic("keys: use of a zero key")
	}
	return (*s.key)[:]
}

// equal compares in constant time. The zero value equals nothing.
func (s secret) equal(other secret) bool {
	return s.isSet() && other.isSet() && subtle.ConstantTimeCompare(s.bytes(), other.bytes()) == 1
}

// isZero says in constant time whether b holds nothing but zeros.
func isZero(b []byte) bool {
	var or byte
	for _, c := range b {
		or |= c
	}
	return subtle.ConstantTimeByteEq(or, 0) == 1
}

// DEK is a data encryption key: one for each object write or multipart upload. The zero value is no key: its Bytes
// panics. DEKs are compared with Equal; the type does not allow ==.
type DEK struct {
	_   [0]func() // not comparable: == would compare addresses
	key secret
}

// NewDEK draws a random DEK.
func NewDEK() DEK { return DEK{key: newSecret()} }

// ParseDEK takes 32 bytes for a DEK. It copies them, and refuses another length (ErrKeyLength) and zeros (ErrZeroKey).
func ParseDEK(raw []byte) (DEK, error) {
	key, err := parseSecret(raw)
	if err != nil {
		return DEK{}, fmt.Errorf("parse DEK: %w", err)
	}
	return DEK{key: key}, nil
}

// Bytes is a copy of the key's 32 bytes, for key derivation and wrapping only. It panics on the zero value.
func (d DEK) Bytes() []byte { return bytes.Clone(d.key.bytes()) }

// IsZero says whether d is the zero value, which is no key.
func (d DEK) IsZero() bool { return !d.key.isSet() }

// Equal compares two DEKs in constant time. The zero value equals nothing.
func (d DEK) Equal(other DEK) bool { return d.key.equal(other.key) }
