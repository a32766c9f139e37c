package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
)

// signingKey is the key of one access key, day and region.
type signingKey [32]byte

// deriveSigningKey makes the key by the four steps of Version 4.
func deriveSigningKey(secret string, c credential) (key signingKey) {
	step := append([]byte("AWS4"), secret...)
	for _, word := range []string{c.day, c.region, c.service, c.terminator} {
		next := hmacSHA256(step, word)
		clear(step)
		step = next
	}
	copy(key[:], step)
	clear(step)
	return key
}

// Format hides the key from every verb of fmt, wherever it lies within what is printed.
func (signingKey) Format(f fmt.State, _ rune) { io.WriteString(f, "[redacted]") }

// macKey is a signing key with HMACs that have it: one that is used again has its first two blocks behind it, and costs no allocation.
type macKey struct {
	signingKey
	macs sync.Pool // of hash.Hash
}

func newMACKey(key signingKey) *macKey { return &macKey{signingKey: key} }

// sign puts the signature of a text into room.mac, in hexadecimal digits.
func (k *macKey) sign(text []byte, room *scratch) {
	mac, ok := k.macs.Get().(hash.Hash)
	if !ok {
		mac = hmac.New(sha256.New, k.signingKey[:])
	}
	_, _ = mac.Write(text) // a hash.Hash never fails
	hex.Encode(room.mac[:], mac.Sum(room.sum[:0]))
	mac.Reset()
	k.macs.Put(mac)
}

// keyCacheSize is how many signing keys one generation of the cache holds. A client uses one key a day.
const keyCacheSize = 512

// keyCache keeps derived keys, to save four HMACs a request. The secret is part of an entry's identity, so a changed secret can never meet a
// key of the old one. Only keys that have verified a signature are kept: strangers cannot fill it with made-up days and regions. It holds two
// generations; when the younger is full, the older is dropped.
type keyCache struct {
	mu         sync.Mutex // guards all below
	young, old map[keyCacheEntry]*macKey
}

type keyCacheEntry struct {
	accessKeyID, day, region string
	secret                   [sha256.Size]byte // its hash: the cache need not hold secrets to tell them apart
}

// signingKey finds or derives a key. The caller calls remember once the key has verified a signature.
func (k *keyCache) signingKey(secret string, c credential) (key *macKey, remember func()) {
	var buf [64]byte // where the secret's hash is made without a copy of it that nobody clears
	text := append(buf[:0], secret...)
	entry := keyCacheEntry{c.accessKeyID, c.day, c.region, sha256.Sum256(text)}
	clear(text)
	key, young := k.find(entry)
	if young {
		return key, func() {}
	}
	if key == nil {
		key = newMACKey(deriveSigningKey(secret, c))
	}
	return key, k.adding(entry, key)
}

// find looks in both generations; young says in which.
func (k *keyCache) find(entry keyCacheEntry) (key *macKey, young bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.young[entry]; ok {
		return key, true
	}
	return k.old[entry], false
}

func (k *keyCache) adding(entry keyCacheEntry, key *macKey) func() {
	return func() { k.add(entry, key) }
}

func (k *keyCache) add(entry keyCacheEntry, key *macKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.young) >= keyCacheSize {
		k.old, k.young = k.young, nil
	}
	if k.young == nil {
		k.young = make(map[keyCacheEntry]*macKey)
	}
	k.young[entry] = key
}
