package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"cofre/backend/disk"
)

// forgetful is a storage in this process that keeps the beginning of what it is sent and drops the rest: bodies of any size cost it
// nothing. Everything else of S3 it does as disk does, down to the ETags of parts.
type forgetful struct {
	next    http.Handler
	keepAll atomic.Bool  // for objects that are to be read again
	dropped atomic.Int64 // bytes
}

// smallestPart is the smallest part of an upload but the last one, so that much of each is kept.
const smallestPart = 5 * mib

// newForgetful serves one, and gives it as the backend of a site.
func newForgetful(t *testing.T) (*forgetful, rgw) {
	t.Helper()
	kept, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &forgetful{next: kept.Handler()}
	server := httptest.NewServer(f)
	t.Cleanup(func() {
		server.Close()
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, rgw{endpoint: server.URL, access: "any", secret: "any"}
}

// ServeHTTP implements http.Handler.
func (f *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	keep := int64(64 << 10)
	if r.URL.Query().Has("partNumber") {
		keep = smallestPart
	}
	if r.Method != http.MethodPut || r.ContentLength <= keep || f.keepAll.Load() {
		f.next.ServeHTTP(w, r)
		return
	}
	r.Body, r.ContentLength = &beginning{whole: r.Body, left: keep, size: r.ContentLength, dropped: &f.dropped}, keep
	f.next.ServeHTTP(w, r)
}

// beginning is the first bytes of a body. The last of them is given out once all the rest has come, so that the answer waits for it.
type beginning struct {
	whole      io.ReadCloser
	left, size int64
	dropped    *atomic.Int64
	read       int64
}

func (b *beginning) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.whole.Read(p[:min(int64(len(p)), b.left)])
	b.left, b.read = b.left-int64(n), b.read+int64(n)
	if err != nil || b.left > 0 {
		return n, err
	}
	rest, err := io.Copy(io.Discard, b.whole)
	b.dropped.Add(rest)
	if err == nil && b.read+rest != b.size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *beginning) Close() error { return b.whole.Close() }
