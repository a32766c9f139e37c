package e2e_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// markerLength is also the length of the windows that the search for plaintext looks for.
const markerLength = 32

// payload is a body that can be made again at any time from its seed, of any size, without holding it. Noise that does not
// compress, with the same readable marker at the start of every 4 KiB.
type payload struct {
	seed uint64
	size int64
}

func newPayload(size int64) payload { return payload{seed: rand.Uint64(), size: size} }

// marker is 32 bytes that stand in the plaintext in clear.
func (p payload) marker() []byte {
	return fmt.Appendf(nil, "PLAINTEXT-%016x-COFRE", p.seed)[:markerLength]
}

const markerInterval = 4096

func (p payload) reader() io.Reader {
	var seed [32]byte
	copy(seed[:], p.marker())
	return io.LimitReader(&payloadReader{noise: rand.NewChaCha8(seed), marker: p.marker()}, p.size)
}

type payloadReader struct {
	noise  *rand.ChaCha8
	marker []byte
	block  [markerInterval]byte
	left   []byte // of block
}

func (r *payloadReader) Read(b []byte) (int, error) {
	if len(r.left) == 0 {
		_, _ = r.noise.Read(r.block[:]) // never fails
		copy(r.block[:], r.marker)
		r.left = r.block[:]
	}
	n := copy(b, r.left)
	r.left = r.left[n:]
	return n, nil
}

func (p payload) bytes() []byte {
	b := bytes.NewBuffer(make([]byte, 0, p.size))
	_, _ = io.Copy(b, p.reader()) // neither side can fail
	return b.Bytes()
}

func (p payload) md5() []byte {
	h := md5.New()
	_, _ = io.Copy(h, p.reader())
	return h.Sum(nil)
}

// etag is S3's ETag of the body sent in one PUT, without quotes.
func (p payload) etag() string { return hex.EncodeToString(p.md5()) }

// partMD5s are the MD5s of the body's parts, as clients with that part size send them.
func (p payload) partMD5s(partSize int64) [][]byte {
	var sums [][]byte
	r := p.reader()
	for {
		h := md5.New()
		n, _ := io.CopyN(h, r, partSize)
		if n == 0 {
			return sums
		}
		sums = append(sums, h.Sum(nil))
	}
}

// multipartETag is S3's ETag of the body sent in parts of partSize.
func (p payload) multipartETag(partSize int64) string {
	sums := p.partMD5s(partSize)
	whole := md5.Sum(bytes.Join(sums, nil))
	return fmt.Sprintf("%x-%d", whole, len(sums))
}

// file writes the body to a file.
func (p payload) file(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, p.reader()); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantReader fails unless got holds exactly the body.
func (p payload) wantReader(t *testing.T, what string, got io.Reader) {
	t.Helper()
	want := p.reader()
	a, b := make([]byte, 256<<10), make([]byte, 256<<10)
	for off := int64(0); ; {
		n, errWant := io.ReadFull(want, a)
		m, errGot := io.ReadFull(got, b)
		if errGot != nil && errGot != io.EOF && errGot != io.ErrUnexpectedEOF {
			t.Fatalf("%s: after %d of %d bytes: %v", what, off+int64(m), p.size, errGot)
		}
		if !bytes.Equal(a[:n], b[:m]) {
			t.Fatalf("%s: bytes differ within [%d, %d) of %d; got %d there, want %d", what, off, off+int64(n), p.size, m, n)
		}
		if errWant != nil {
			return
		}
		off += int64(n)
	}
}

// wantFile fails unless the file holds exactly the body.
func (p payload) wantFile(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p.wantReader(t, path, f)
}
