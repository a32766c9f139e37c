package kmstest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"net/http"
)

// answer sends a JSON document.
func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(http.ErrAbortHandler) // the client went away, which is the test's to notice
	}
}

// secretKey is AES-256-GCM under a key that nobody knows.
type secretKey struct{ aead cipher.AEAD }

func newSecretKey() secretKey {
	raw := make([]byte, 32)
	rand.Read(raw)
	block, err := aes.NewCipher(raw)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return secretKey{aead}
}

func (k secretKey) seal(plaintext, bound []byte) []byte {
	return k.aead.Seal(nil, nil, plaintext, bound) //nolint:gosec // NewGCMWithRandomNonce takes none and draws it
}

func (k secretKey) open(sealed, bound []byte) ([]byte, error) {
	return k.aead.Open(nil, nil, sealed, bound)
}
