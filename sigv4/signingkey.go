package sigv4

import (
	"crypto/sha256"
	"fmt"
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

// keyCacheSize is how many signing keys one generation of the cache holds. A client uses one key a day.
const keyCacheSize = 512

// keyCache keeps derived keys, to save four HMACs a request. The secret is part of an entry's identity, so a changed secret can never meet a
// key of the old one. Only keys that have verified a signature are kept: strangers cannot fill it with made-up days and regions. It holds two
// generations; when the younger is full, the older is dropped.
type keyCache struct {
	mu         sync.Mutex // guards all below
	young, old map[keyCacheEntry]signingKey
}

type keyCacheEntry struct {
	accessKeyID, day, region string
	secret                   [sha256.Size]byte // its hash: the cache need not hold secrets to tell them apart
}

// signingKey finds or derives a key. The caller calls remember once the key has verified a signature.
func (k *keyCache) signingKey(secret string, c credential) (key signingKey, remember func()) {
	entry := keyCacheEntry{c.accessKeyID, c.day, c.region, sha256.Sum256([]byte(secret))}
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.young[entry]; ok {
		return key, func() {}
	}
	key, ok := k.old[entry]
	if !ok {
		key = deriveSigningKey(secret, c)
	}
	return key, func() { k.add(entry, key) }
}

func (k *keyCache) add(entry keyCacheEntry, key signingKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.young) >= keyCacheSize {
		k.old, k.young = k.young, nil
	}
	if k.young == nil {
		k.young = make(map[keyCacheEntry]signingKey)
	}
	k.young[entry] = key
}
