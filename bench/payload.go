package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"

	"cofre/checksum"
)

// mode is one of the ways in which S3 clients send a body.
type mode string

const (
	modeUnsigned mode = "unsigned"
	modeHash     mode = "hash"
	modeChunks   mode = "chunks"
	modeTrailer  mode = "trailer"
)

const (
	// period is after how many bytes every body repeats itself: it fits into a cache, need not be made anew, and the null storage can
	// keep it once.
	period = 1 << 20
	// wireChunk is the chunk of the streaming modes, as most SDKs have it.
	wireChunk = 64 << 10
)

// payloads gives bodies of any length, each the beginning of one endless body, and what is to be known of them.
type payloads struct {
	block       []byte // period bytes
	chunkHashes []string

	mu   sync.Mutex
	sums map[int64]sums
}

type sums struct{ sha256, crc64nvme, md5 string }

func newPayloads() *payloads {
	p := &payloads{block: make([]byte, period), sums: map[int64]sums{}}
	r := rand.NewChaCha8([32]byte{'b', 'e', 'n', 'c', 'h'})
	_, _ = r.Read(p.block) // it never fails
	for at := 0; at < period; at += wireChunk {
		sum := sha256.Sum256(p.block[at : at+wireChunk])
		p.chunkHashes = append(p.chunkHashes, hex.EncodeToString(sum[:]))
	}
	return p
}

// of gives the digests of the body of n bytes, computed once.
func (p *payloads) of(n int64) sums {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.sums[n]; ok {
		return s
	}
	sha, crc, sum := sha256.New(), checksum.CRC64NVME.New(), md5.New()
	for left := n; left > 0; left -= period {
		b := p.block[:min(left, period)]
		sha.Write(b)
		crc.Write(b)
		sum.Write(b)
	}
	s := sums{hex.EncodeToString(sha.Sum(nil)), base64.StdEncoding.EncodeToString(crc.Sum(nil)), hex.EncodeToString(sum.Sum(nil))}
	p.sums[n] = s
	return s
}

// matches says whether got is what a body holds from an offset on.
func (p *payloads) matches(got []byte, offset int64) bool {
	for len(got) > 0 {
		want := p.block[offset%period:]
		n := min(len(want), len(got))
		if !bytes.Equal(got[:n], want[:n]) {
			return false
		}
		got, offset = got[n:], offset+int64(n)
	}
	return true
}

// framing is how a body of n bytes goes over the wire: the word or hash that is signed, further headers, and its length there.
func (p *payloads) framing(m mode, n int64) (hash string, extra []pair, length int64) {
	if n == 0 {
		return emptySHA256, nil, 0
	}
	decoded := pair{"x-amz-decoded-content-length", strconv.FormatInt(n, 10)}
	switch m {
	case modeHash:
		return p.of(n).sha256, nil, n
	case modeChunks:
		return signedChunks, []pair{{"content-encoding", "aws-chunked"}, decoded}, chunkedLength(n, len(";chunk-signature=")+64) + 2
	case modeTrailer:
		extra := []pair{{"content-encoding", "aws-chunked"}, decoded, {"x-amz-trailer", "x-amz-checksum-crc64nvme"}}
		return unsignedTrailer, extra, chunkedLength(n, 0) + int64(len(p.trailer(n)))
	}
	return unsignedPayload, nil, n
}

func (p *payloads) trailer(n int64) string {
	return "x-amz-checksum-crc64nvme:" + p.of(n).crc64nvme + "\r\n\r\n"
}

// chunkedLength is the length of the chunks of a body of n bytes and of the last, empty one, without what follows that one's line.
// Each chunk's line has more bytes behind the size.
func chunkedLength(n int64, more int) int64 {
	line := func(size int64) int64 { return int64(len(strconv.FormatInt(size, 16)) + more + 2) }
	length := n/wireChunk*(line(wireChunk)+wireChunk+2) + line(0)
	if rest := n % wireChunk; rest > 0 {
		length += line(rest) + rest + 2
	}
	return length
}

// body sends bodies. It keeps what it needs for that from one to the next.
type body struct {
	*payloads
	vectors net.Buffers
}

// send writes a body of n bytes behind a head. The seed of signed chunks is the signature of the head.
func (b *body) send(w net.Conn, head string, m mode, n int64, s *signer, seed string) error {
	b.vectors = append(b.vectors[:0], []byte(head))
	if n > 0 && (m == modeChunks || m == modeTrailer) {
		return b.sendChunks(w, m, n, s, seed)
	}
	for left := n; ; left -= period {
		if left > 0 {
			b.vectors = append(b.vectors, b.block[:min(left, period)])
		}
		if err := b.flush(w); err != nil || left <= period {
			return err
		}
	}
}

func (b *body) flush(w net.Conn) error {
	v := b.vectors // WriteTo eats what it has written
	_, err := v.WriteTo(w)
	b.vectors = b.vectors[:0]
	return err
}

func (b *body) sendChunks(w net.Conn, m mode, n int64, s *signer, signature string) error {
	crlf := []byte("\r\n")
	for at := int64(0); at < n; at += wireChunk {
		size := min(n-at, wireChunk)
		data := b.block[at%period:][:size]
		if m == modeChunks {
			hash := b.chunkHashes[at%period/wireChunk]
			if size < wireChunk {
				sum := sha256.Sum256(data)
				hash = hex.EncodeToString(sum[:])
			}
			signature = s.chunk(signature, hash)
			b.vectors = append(b.vectors, fmt.Appendf(nil, "%x;chunk-signature=%s\r\n", size, signature), data, crlf)
		} else {
			b.vectors = append(b.vectors, fmt.Appendf(nil, "%x\r\n", size), data, crlf)
		}
		if len(b.vectors) >= 3*period/wireChunk {
			if err := b.flush(w); err != nil {
				return err
			}
		}
	}
	end := "0\r\n" + b.trailer(n)
	if m == modeChunks {
		end = "0;chunk-signature=" + s.chunk(signature, emptySHA256) + "\r\n\r\n"
	}
	b.vectors = append(b.vectors, []byte(end))
	return b.flush(w)
}
