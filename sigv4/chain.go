package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"time"
)

// signatureSize is the length of a Version 4 signature in hexadecimal digits.
const signatureSize = 2 * sha256.Size

// chainSeed is what the signatures within a body continue from: the verified signature of the head, and what it was made with.
type chainSeed struct {
	key         signingKey
	date, scope string
	signature   string
}

func newChainSeed(key signingKey, signed time.Time, c credential, signature string) *chainSeed {
	return &chainSeed{key: key, date: signed.UTC().Format(timeFormat), scope: c.scope(), signature: signature}
}

// signatureChain makes the signatures of chunks and trailer in order, each over the one before. It allocates nothing once made.
type signatureChain struct {
	mac            hash.Hash
	chunk, trailer []byte // first three lines of the string to sign
	previous       [signatureSize]byte
	sum            [sha256.Size]byte   // scratch
	digits         [signatureSize]byte // scratch
}

func (s *chainSeed) chain() *signatureChain {
	c := &signatureChain{
		mac:     hmac.New(sha256.New, s.key[:]),
		chunk:   []byte(algorithmV4 + "-PAYLOAD\n" + s.date + "\n" + s.scope + "\n"),
		trailer: []byte(algorithmV4 + "-TRAILER\n" + s.date + "\n" + s.scope + "\n"),
	}
	copy(c.previous[:], s.signature)
	return c
}

// verifyChunk compares the signature of the next chunk, whose data went into h, and moves on.
func (c *signatureChain) verifyChunk(h hash.Hash, given []byte) bool {
	return c.verify(c.chunk, emptyHashLine, h, given)
}

// verifyTrailer compares the signature of the trailer, whose canonical lines went into h. Nothing follows a trailer.
func (c *signatureChain) verifyTrailer(h hash.Hash, given []byte) bool {
	return c.verify(c.trailer, nil, h, given)
}

// emptyHashLine stands where the string to sign of a chunk has the hash of its (absent) headers. It is never written to.
var emptyHashLine = []byte(emptySHA256 + "\n")

func (c *signatureChain) verify(prefix, middle []byte, h hash.Hash, given []byte) bool {
	c.mac.Reset()
	c.mac.Write(prefix)
	c.mac.Write(c.previous[:])
	c.mac.Write(newline)
	c.mac.Write(middle)
	hex.Encode(c.digits[:], h.Sum(c.sum[:0]))
	c.mac.Write(c.digits[:])
	hex.Encode(c.previous[:], c.mac.Sum(c.sum[:0]))
	return hmac.Equal(c.previous[:], given)
}

var newline = []byte("\n")
