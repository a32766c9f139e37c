package keys

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// KEK is a key encryption key: it wraps the DEKs of one bucket for one writing site. Bucket and creator are part of it,
// since the commitment binds them. The zero value is no key: its methods panic, but for IsZero, Equal and the redacted
// forms. KEKs are compared with Equal; the type does not allow ==.
type KEK struct {
	_ [0]func() // not comparable: == would compare addresses
	k *kek
}

type kek struct {
	id      KEKID
	bucket  string
	creator SiteID
	key     secret
}

// NewKEK draws a random KEK with a random id.
func NewKEK(bucket string, creator SiteID) KEK {
	return KEK{k: &kek{id: newKEKID(), bucket: bucket, creator: creator, key: newSecret()}}
}

// ParseKEK takes 32 bytes for the KEK of that id. It copies them, and refuses another length (ErrKeyLength) and zeros
// (ErrZeroKey). Whether the bytes are that KEK only its record can tell: see Record.Check.
func ParseKEK(id KEKID, bucket string, creator SiteID, raw []byte) (KEK, error) {
	key, err := parseSecret(raw)
	if err != nil {
		return KEK{}, fmt.Errorf("parse KEK %s: %w", id, err)
	}
	return KEK{k: &kek{id: id, bucket: bucket, creator: creator, key: key}}, nil
}

// ID is the KEK's id.
func (k KEK) ID() KEKID { return k.must().id }

// Bucket is the bucket whose DEKs the KEK wraps.
func (k KEK) Bucket() string { return k.must().bucket }

// Creator is the site that made the KEK, the only one that seals new objects under it.
func (k KEK) Creator() SiteID { return k.must().creator }

// Bytes is a copy of the key's 32 bytes, for key derivation and granting only.
func (k KEK) Bytes() []byte { return bytes.Clone(k.must().key.bytes()) }

// IsZero says whether k is the zero value, which is no key.
func (k KEK) IsZero() bool { return k.k == nil }

// Equal says whether two KEKs are the same key of the same id, bucket and creator; the key is compared in constant time.
// The zero value equals nothing.
func (k KEK) Equal(other KEK) bool {
	return k.k != nil && other.k != nil && k.k.id == other.k.id && k.k.bucket == other.k.bucket &&
		k.k.creator == other.k.creator && k.k.key.equal(other.k.key)
}

func (k KEK) must() *kek {
	if k.k == nil {
		panic("keys: use of a zero KEK")
	}
	return k.k
}

// Commit is the commitment that the KEK's record carries (docs/FORMAT.md section 7): it binds the key to its id, bucket
// and creator, and tells nothing of the key.
func (k KEK) Commit() [sha256.Size]byte {
	kek := k.must()
	info := "cofre v1 kek commitment" + lengthPrefixed(kek.bucket) + string(kek.creator[:])
	commit, err := hkdf.Key(sha256.New, kek.key.bytes(), kek.id[:], info, sha256.Size)
	if err != nil {
		panic("keys: HKDF-SHA256 refused 32 bytes: " + err.Error()) // only a length above 255 hashes is refused
	}
	return [sha256.Size]byte(commit)
}

// lengthPrefixed is len(s) as four big-endian bytes, then s.
func lengthPrefixed(s string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}
