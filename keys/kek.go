package keys

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// KEK is a key encryption key: it wraps the DEKs of one bucket for one writing site. Bucket and creator are part of it,
// since the commitment binds them. The zero value is no key: its methods panic, but for IsZero, Equal and the redacted
// forms. KEKs are compared with Equal; the type does not allow ==.
//
// A deposit site's own KEK is zeroed when its time is over (docs/FORMAT.md section 7 rule 5). It keeps its id and the like,
// and whatever needs the key panics from then on: sealing under zeros would be sealing under a key that everybody knows.
type KEK struct {
	_ [0]func() // not comparable: == would compare addresses
	k *kek
}

type kek struct {
	id      KEKID
	bucket  string
	creator SiteID
	deposit bool      // made by this process to deposit under
	created time.Time // as its record says; zero where none was read

	mu  sync.RWMutex // guards the bytes of key against being zeroed while they are in use
	key secret
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

// Deposit says whether this site made the KEK to deposit under: once it is out of memory, this site cannot open it again.
func (k KEK) Deposit() bool { return k.must().deposit }

// Bytes is a copy of the key's 32 bytes, for key derivation and granting only. The caller clears it after use. It panics
// when the key has been zeroed.
func (k KEK) Bytes() []byte {
	raw, ok := k.must().copy()
	if !ok {
		panic("keys: use of a zeroed KEK")
	}
	return raw
}

// copy gives the key's bytes, unless it has been zeroed.
func (k *kek) copy() ([]byte, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	raw := append(make([]byte, 0, KeySize), k.key.bytes()...)
	return raw, !isZero(raw)
}

// zero ends the key. Whoever is deriving from it at this moment has a copy, which is whole.
func (k KEK) zero() {
	kek := k.must()
	kek.mu.Lock()
	defer kek.mu.Unlock()
	clear(kek.key.bytes())
}

// IsZero says whether k is the zero value, which is no key.
func (k KEK) IsZero() bool { return k.k == nil }

// Equal says whether two KEKs are the same key of the same id, bucket and creator; the key is compared in constant time.
// The zero value and a key that has been zeroed equal nothing.
func (k KEK) Equal(other KEK) bool {
	if k.k == nil || other.k == nil || k.k.id != other.k.id || k.k.bucket != other.k.bucket || k.k.creator != other.k.creator {
		return false
	}
	mine, whole := k.k.copy()
	defer clear(mine)
	theirs, alsoWhole := other.k.copy()
	defer clear(theirs)
	return whole && alsoWhole && subtle.ConstantTimeCompare(mine, theirs) == 1
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
	raw := k.Bytes()
	defer clear(raw)
	info := "cofre v1 kek commitment" + lengthPrefixed(kek.bucket) + string(kek.creator[:])
	commit, err := hkdf.Key(sha256.New, raw, kek.id[:], info, sha256.Size)
	if err != nil {
		panic("keys: HKDF-SHA256 refused 32 bytes: " + err.Error()) // only a length above 255 hashes is refused
	}
	return [sha256.Size]byte(commit)
}

// lengthPrefixed is len(s) as four big-endian bytes, then s.
func lengthPrefixed(s string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}
