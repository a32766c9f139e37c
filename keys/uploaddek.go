package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
)

// uploadPurpose sets the key for DEKs in upload rows apart from every other key that the site derives from its identity.
const uploadPurpose = "multipart upload DEK"

// SealDEK seals the DEK of a multipart upload to this site, for the upload's row: where the envelope cannot be opened
// without a customer key (SSE-C) or by this site at all (deposit, docs/FORMAT.md section 7 rule 5), Complete still has to
// write the layout. envelope is bound in, so the store cannot give one upload another's DEK. Until the upload ends, this
// site can read its parts.
//
// A sealed DEK is nonce (12, random) || AES-256-GCM(site key, nonce, DEK, aad = envelope).
func (r *Ring) SealDEK(dek DEK, envelope []byte) []byte {
	return r.identity.sealUploadDEK(dek, envelope)
}

// OpenDEK opens what SealDEK sealed for the same envelope.
func (r *Ring) OpenDEK(sealed, envelope []byte) (DEK, error) {
	return r.identity.openUploadDEK(sealed, envelope)
}

func (i *Identity) sealUploadDEK(dek DEK, envelope []byte) []byte {
	aead := i.uploadAEAD()
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+KeySize+aead.Overhead())
	rand.Read(nonce) // never returns an error: the runtime ends the process instead
	raw := dek.Bytes()
	defer clear(raw)
	return aead.Seal(nonce, nonce, raw, envelope)
}

func (i *Identity) openUploadDEK(sealed, envelope []byte) (DEK, error) {
	aead := i.uploadAEAD()
	if len(sealed) < aead.NonceSize() {
		return DEK{}, fmt.Errorf("open upload DEK: %w", ErrMalformed)
	}
	raw, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], envelope)
	if err != nil {
		return DEK{}, fmt.Errorf("open upload DEK: %w", ErrGrant)
	}
	defer clear(raw)
	return ParseDEK(raw)
}

func (i *Identity) uploadAEAD() cipher.AEAD {
	key := i.DeriveKey(uploadPurpose).Bytes()
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("keys: AES refused 32 bytes: " + err.Error()) // only another length is refused
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("keys: GCM refused AES: " + err.Error()) // only another block size is refused
	}
	return aead
}
