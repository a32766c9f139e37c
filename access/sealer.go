package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"

	"cofre/keys"
)

const (
	sealVersion = 1
	sealNonce   = 12 // GCM's own size
	sealTag     = 16
	// sealPurpose sets the key apart from every other key that the site derives from its identity.
	sealPurpose = "credential secrets"
	sealAAD     = "cofre v1 credential"
)

// ErrSealedSecret says that a stored secret does not open: it was sealed by another site's identity, belongs to another
// access key id, or was altered.
var ErrSealedSecret = errors.New("stored secret does not open with this site's identity")

// Sealer seals the secrets of credentials that are kept in the store, so that whoever reads the store cannot sign
// requests. A sealed secret is
//
//	version (1 byte, 1) || nonce (12) || AES-256-GCM(key, nonce, secret, aad)
//	key := the site identity's own key for "credential secrets" (keys.Identity.DeriveKey, HKDF-SHA256)
//	aad := "cofre v1 credential" || len(access key id) (4, big-endian) || access key id
//
// The access key id is bound in so that the store cannot give one credential's secret to another. Nonces are random:
// with one key that is safe for 2^32 secrets (NIST SP 800-38D section 8.3), far more than a site has credentials.
type Sealer struct {
	aead cipher.AEAD
}

// NewSealer makes the sealer of a site. What it sealed opens with the same identity only.
func NewSealer(site *keys.Identity) *Sealer {
	key := site.DeriveKey(sealPurpose).Bytes()
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("access: AES refused 32 bytes: " + err.Error()) // only another length is refused
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("access: GCM refused AES: " + err.Error()) // only another block size is refused
	}
	return &Sealer{aead: aead}
}

// Seal seals the secret of an access key id.
func (s *Sealer) Seal(accessKeyID string, secret Secret) []byte {
	sealed := make([]byte, 1+sealNonce, 1+sealNonce+len(secret)+sealTag)
	sealed[0] = sealVersion
	nonce := sealed[1:]
	rand.Read(nonce) // never returns an error: the runtime ends the process instead
	plain := []byte(secret)
	defer clear(plain)
	return s.aead.Seal(sealed, nonce, plain, sealedData(accessKeyID))
}

// Open opens what Seal made for the same access key id, or gives ErrSealedSecret.
func (s *Sealer) Open(accessKeyID string, sealed []byte) (Secret, error) {
	if len(sealed) < 1+sealNonce+sealTag || sealed[0] != sealVersion {
		return "", ErrSealedSecret
	}
	plain, err := s.aead.Open(nil, sealed[1:1+sealNonce], sealed[1+sealNonce:], sealedData(accessKeyID))
	if err != nil {
		return "", ErrSealedSecret
	}
	defer clear(plain)
	return Secret(plain), nil
}

func sealedData(accessKeyID string) []byte {
	aad := binary.BigEndian.AppendUint32([]byte(sealAAD), uint32(len(accessKeyID)))
	return append(aad, accessKeyID...)
}
