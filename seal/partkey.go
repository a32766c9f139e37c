package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"cofre/keys"
)

const (
	keySize        = 32
	nonceSize      = 12
	commitmentSize = 32
	etagSize       = 16
)

// partSecret is the secret of one sealed part, from which its key, its commitment and its opaque ETag are expanded.
type partSecret struct {
	prk     []byte
	context string // header[0:16] || object id || part number
}

// newPartSecret extracts the secret of a part. The part is checked first, so that no impossible size goes any further.
func newPartSecret(dek keys.DEK, object keys.ObjectID, part Part) (partSecret, error) {
	if err := part.check(); err != nil {
		return partSecret{}, err
	}
	if dek.IsZero() {
		return partSecret{}, fmt.Errorf("derive part key: %w", keys.ErrZeroKey)
	}
	ikm := dek.Bytes()
	defer clear(ikm)
	prk, err := hkdf.Extract(sha256.New, ikm, part.Salt[:])
	if err != nil {
		return partSecret{}, fmt.Errorf("derive part key: %w", err)
	}
	var buf [headerStart + len(object) + 4]byte
	context := appendHeaderStart(buf[:0], part.Size)
	context = append(context, object[:]...)
	context = binary.BigEndian.AppendUint32(context, uint32(part.Number))
	return partSecret{prk: prk, context: string(context)}, nil
}

// expand derives n bytes for one purpose. The context has a fixed length, so label and context cannot run into each other.
func (s partSecret) expand(label string, n int) ([]byte, error) {
	out, err := hkdf.Expand(sha256.New, s.prk, label+s.context, n)
	if err != nil {
		return nil, fmt.Errorf("derive part key: %w", err)
	}
	return out, nil
}

// partCipher seals or opens the chunks and the footer of one part. One goroutine uses it at a time.
type partCipher struct {
	aead       cipher.AEAD
	commitment [commitmentSize]byte // zero where it was not wanted
	nonce      [nonceSize]byte      // scratch: kept here so that a chunk costs no allocation
}

// newPartCipher makes the cipher of a part; with says that its header is at hand, or to be made, and so its commitment wanted.
func newPartCipher(dek keys.DEK, object keys.ObjectID, part Part, with commitmentWanted) (*partCipher, error) {
	secret, err := newPartSecret(dek, object, part)
	if err != nil {
		return nil, err
	}
	defer clear(secret.prk)
	c := &partCipher{}
	if with {
		commitment, err := secret.expand("cofre v1 commitment", commitmentSize)
		if err != nil {
			return nil, err
		}
		c.commitment = [commitmentSize]byte(commitment)
	}
	key, err := secret.expand("cofre v1 part key", keySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if c.aead, err = newGCM(key); err != nil {
		return nil, err
	}
	return c, nil
}

// commitmentWanted says whether a cipher is made for a part whose header is seen. Without it nothing compares with a header.
type commitmentWanted bool

const (
	withCommitment    commitmentWanted = true
	withoutCommitment commitmentWanted = false
)

// First bytes of a nonce. They keep chunks and footer of a part apart.
const (
	nonceChunk  = 0x00
	nonceFooter = 0x01
)

// seal encrypts plain in place; the tag goes into the TagSize bytes behind it.
// The nonce is a counter. That is safe because the key belongs to one send of one part (fresh salt), so no nonce repeats.
func (c *partCipher) seal(kind byte, counter int64, plain []byte) {
	c.setNonce(kind, counter)
	c.aead.Seal(plain[:0], c.nonce[:], plain, nil)
}

// open decrypts sealed in place and gives the plaintext. Where the tag is wrong, ok is false and no plaintext is left.
func (c *partCipher) open(kind byte, counter int64, sealed []byte) (plain []byte, ok bool) {
	c.setNonce(kind, counter)
	plain, err := c.aead.Open(sealed[:0], c.nonce[:], sealed, nil)
	return plain, err == nil
}

func (c *partCipher) setNonce(kind byte, counter int64) {
	c.nonce[0] = kind
	binary.BigEndian.PutUint64(c.nonce[4:], uint64(counter))
}

// newGCM is AES-256-GCM with 12-byte nonces and 16-byte tags.
func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return aead, nil
}

// OpaqueETag is the client's ETag of a part, without quotes, in a bucket that does without MD5. Whoever holds the DEK gets
// the same one, and it cannot be taken for an MD5 (docs/FORMAT.md section 3 rule 9). It is empty for what no Encrypter
// takes: a zero DEK, or a part beyond the limits.
func OpaqueETag(dek keys.DEK, object keys.ObjectID, part Part) string {
	secret, err := newPartSecret(dek, object, part)
	if err != nil {
		return ""
	}
	defer clear(secret.prk)
	tag, err := secret.expand("cofre v1 etag", etagSize)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(tag) + "-1"
}
