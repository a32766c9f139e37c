package kmsfile

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"cofre/keys"
)

const keySize = 32

// What a ciphertext is for: one never opens as another.
const (
	identityLabel = "cofre v1 identity file"
	dataKeyLabel  = "cofre v1 identity file key"
)

// sealGCM seals with AES-256-GCM under a random nonce, which stands before the ciphertext, bound to its purpose and site.
func sealGCM(key []byte, label string, site keys.SiteID, plaintext []byte) ([]byte, error) {
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plaintext, associated(label, site)), nil //nolint:gosec // NewGCMWithRandomNonce takes none and draws it
}

func openGCM(key []byte, label string, site keys.SiteID, sealed []byte) ([]byte, error) {
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, sealed, associated(label, site))
}

func newGCM(key []byte) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("key of %d bytes, want %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// associated is what a ciphertext is bound to. The site id has a fixed length, so no two pairs give the same bytes.
func associated(label string, site keys.SiteID) []byte {
	return append([]byte(label), site[:]...)
}
