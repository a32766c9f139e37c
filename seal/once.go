package seal

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"cofre/keys"
)

const documentSaltSize = 32

// zeroNonce is never written to.
var zeroNonce [nonceSize]byte

// sealOnce encrypts under a key that seals nothing else, which is why a zero nonce is safe, and appends that to dst. It wipes the key.
func sealOnce(dst, key, plain []byte) ([]byte, error) {
	defer clear(key)
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(dst, zeroNonce[:], plain, nil), nil // #nosec G407 -- the key seals nothing else
}

// openOnce opens what sealOnce sealed. Plain is nil where it does not open; an error is none of the sealed bytes' doing. It
// wipes the key.
func openOnce(key, sealed []byte) (plain []byte, err error) {
	defer clear(key)
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	plain, err = aead.Open(make([]byte, 0, len(sealed)), zeroNonce[:], sealed, nil)
	if err != nil {
		return nil, nil
	}
	return plain, nil
}

type documentSalt [documentSaltSize]byte

func newDocumentSalt() documentSalt {
	var s documentSalt
	rand.Read(s[:]) // never fails: it ends the process where the system has no randomness
	return s
}

// sealDocument seals a JSON document under a key of its own, derived from the DEK for what info says: salt || ciphertext.
func sealDocument(dek keys.DEK, salt documentSalt, info string, document []byte) ([]byte, error) {
	key, err := documentKey(dek, salt, info)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, documentSaltSize, documentSaltSize+len(document)+TagSize)
	copy(sealed, salt[:])
	return sealOnce(sealed, key, document)
}

// openDocument opens what sealDocument sealed; it gives nil where that does not open.
func openDocument(dek keys.DEK, info string, sealed []byte) ([]byte, error) {
	if len(sealed) < documentSaltSize+TagSize {
		return nil, fault(FaultLength)
	}
	key, err := documentKey(dek, documentSalt(sealed[:documentSaltSize]), info)
	if err != nil {
		return nil, err
	}
	return openOnce(key, sealed[documentSaltSize:])
}

func documentKey(dek keys.DEK, salt documentSalt, info string) ([]byte, error) {
	if dek.IsZero() {
		return nil, fmt.Errorf("derive document key: %w", keys.ErrZeroKey)
	}
	ikm := dek.Bytes()
	defer clear(ikm)
	return hkdf.Key(sha256.New, ikm, salt[:], info, keySize)
}
