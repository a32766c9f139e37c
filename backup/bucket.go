package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"cofre/access"
	"cofre/internal/pause"
	"cofre/internal/upload"
	"cofre/proxy"
	"cofre/s3api"
)

// Bucket keeps backups in a bucket of any S3 store, below a prefix.
type Bucket struct {
	store  proxy.Backend
	bucket string
	prefix string
}

// NewBucket makes a place of a bucket that is there. The prefix may be empty; it is put before names as it is.
func NewBucket(store proxy.Backend, bucket, prefix string) *Bucket {
	return &Bucket{store: store, bucket: bucket, prefix: prefix}
}

// String implements Place.
func (b *Bucket) String() string { return "s3://" + b.bucket + "/" + b.prefix }

// partSize is the size in bytes of a part, which is held in memory: 16 MiB, and as many more for each thousand parts that there are. So
// the 10,000 parts that S3 allows hold 880 GB.
func partSize(number int) int { return (16 << 20) * (1 + number/1000) }

// Create implements Place.
func (b *Bucket) Create(ctx context.Context, name string) (Draft, error) {
	return &bucketDraft{ctx: ctx, to: b, key: b.prefix + name}, nil
}

// bucketDraft holds a part back until it is full. What fits into one part is one PUT.
type bucketDraft struct {
	ctx  context.Context // of the one call that all of it belongs to
	to   *Bucket
	key  string
	part bytes.Buffer
	sent int
	up   *upload.Upload // nil until the first part was full
	done bool
}

// objectHeader is what a backup is on the storage: bytes that the owner of the bucket may read.
func objectHeader() http.Header {
	return http.Header{"Content-Type": {"application/octet-stream"}, "X-Amz-Acl": {"bucket-owner-full-control"}}
}

func (d *bucketDraft) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), partSize(d.sent+1)-d.part.Len())
		d.part.Write(p[:n])
		p, written = p[n:], written+n
		if d.part.Len() == partSize(d.sent+1) {
			if err := d.send(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (d *bucketDraft) send() (err error) {
	if d.up == nil {
		if d.up, err = upload.Begin(d.ctx, d.to.store, d.to.bucket, d.key, objectHeader()); err != nil {
			return err
		}
	}
	d.sent++
	if err := d.up.Part(d.ctx, d.sent, int64(d.part.Len()), bytes.NewReader(d.part.Bytes())); err != nil {
		return err
	}
	d.part.Reset()
	return nil
}

// Keep implements Draft.
func (d *bucketDraft) Keep() error {
	if err := d.keep(); err != nil {
		return fmt.Errorf("write backup to %s: %w", d.to, err)
	}
	d.done = true
	return nil
}

func (d *bucketDraft) keep() error {
	if d.up != nil {
		if d.part.Len() > 0 {
			if err := d.send(); err != nil {
				return err
			}
		}
		return d.up.Complete(d.ctx)
	}
	resp, err := d.to.store.Do(d.ctx, access.SiteUser, &proxy.BackendRequest{
		Method: http.MethodPut, Bucket: d.to.bucket, Key: d.key, Header: objectHeader(),
		Body: bytes.NewReader(d.part.Bytes()), Length: int64(d.part.Len()), Replayable: true,
	})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// abortPatience bounds the taking back of an upload.
const abortPatience = 30 * time.Second

// Discard implements Draft.
func (d *bucketDraft) Discard() {
	if d.done || d.up == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), abortPatience)
	defer cancel()
	_ = d.up.Abort(ctx) // Tidy takes it up again
}

// List implements Place.
func (b *Bucket) List(ctx context.Context) ([]File, error) {
	var q s3api.Query
	q.Set("encoding-type", "url")
	q.Set("prefix", b.prefix)
	var files []File
	for {
		page, err := b.page(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("list backups in %s: %w", b, err)
		}
		for _, e := range page.Entries {
			name := strings.TrimPrefix(e.Key, b.prefix)
			if strings.HasSuffix(name, Suffix) && !strings.Contains(name, "/") {
				files = append(files, File{Name: name, Size: e.Size})
			}
		}
		if !page.Truncated || page.NextMarker == q.Get("marker") {
			return files, nil
		}
		q.Set("marker", page.NextMarker)
	}
}

func (b *Bucket) page(ctx context.Context, q s3api.Query) (*s3api.Listing, error) {
	resp, err := b.store.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodGet, Bucket: b.bucket, Query: q})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return s3api.ScanListing(resp.Body, true)
}

// Open implements Place.
func (b *Bucket) Open(ctx context.Context, name string) (Source, error) {
	key := b.prefix + name
	resp, err := b.store.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodHead, Bucket: b.bucket, Key: key})
	if proxy.Gone(err) {
		return nil, fmt.Errorf("open backup %s%s: %w", b, name, ErrNoFile)
	}
	if err != nil {
		return nil, fmt.Errorf("open backup %s%s: %w", b, name, err)
	}
	resp.Body.Close()
	if resp.Length < 0 {
		return nil, fmt.Errorf("open backup %s%s: the store does not say how long it is", b, name)
	}
	return objectSource{b, key, resp.Length}, nil
}

// Remove implements Place. In a versioned bucket that adds a delete marker: how long versions stay is for the bucket's rules to say.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	resp, err := b.store.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodDelete, Bucket: b.bucket, Key: b.prefix + name})
	if proxy.Gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove backup %s%s: %w", b, name, err)
	}
	return resp.Body.Close()
}

// Tidy implements Place: uploads that nobody is going to complete.
func (b *Bucket) Tidy(ctx context.Context, prefix string, before time.Time) error {
	var q s3api.Query
	q.Set("uploads", "")
	q.Set("prefix", b.prefix+prefix)
	resp, err := b.store.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodGet, Bucket: b.bucket, Query: q})
	if err != nil {
		return fmt.Errorf("list uploads in %s: %w", b, err)
	}
	defer resp.Body.Close()
	page, err := s3api.ScanUploads(resp.Body) // the first page: what is left goes next time
	if err != nil {
		return fmt.Errorf("list uploads in %s: %w", b, err)
	}
	var failed error
	for _, u := range page.Uploads {
		began, err := time.Parse(time.RFC3339, u.Initiated)
		if err != nil || !began.Before(before) || !strings.HasPrefix(u.Key, b.prefix+prefix) || !strings.HasSuffix(u.Key, Suffix) {
			continue
		}
		failed = errors.Join(failed, upload.Resume(b.store, b.bucket, u.Key, u.UploadID).Abort(ctx))
	}
	return failed
}

// objectSource reads an object in ranges, and goes on where a connection broke. That it is one and the same object all the while is for
// the digest to say.
type objectSource struct {
	in   *Bucket
	key  string
	size int64
}

func (o objectSource) Size() int64 { return o.size }

func (o objectSource) Open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	return &objectReader{ctx: ctx, from: o, off: off, end: off + n}, nil
}

const (
	// A request asks for so many bytes: a reader that is slow in between (a database that loads) loses no connection but the one in hand.
	rangeSize = 32 << 20
	// So often in a row a connection may break without one more byte.
	rangeTries = 5
	rangePause = 200 * time.Millisecond
)

type objectReader struct {
	ctx      context.Context
	from     objectSource
	off, end int64
	body     io.ReadCloser // nil between ranges
	failed   int           // in a row
}

func (r *objectReader) Read(p []byte) (int, error) {
	for {
		if r.off >= r.end {
			return 0, io.EOF
		}
		err := r.next()
		var n int
		if err == nil {
			n, err = r.body.Read(p[:min(int64(len(p)), r.end-r.off)])
			r.off += int64(n)
		}
		if err != nil {
			r.Close()
		}
		switch {
		case n > 0:
			r.failed = 0
			return n, nil
		case err == nil, errors.Is(err, io.EOF): // the end of a range
			err = io.ErrUnexpectedEOF
		case r.ctx.Err() != nil, !errors.Is(err, proxy.ErrBackendUnavailable) && isAnswer(err):
			return 0, err
		}
		if r.failed++; r.failed > rangeTries {
			return 0, err
		}
		if r.failed > 1 {
			if err := pause.For(r.ctx, time.Duration(r.failed)*rangePause); err != nil {
				return 0, err
			}
		}
	}
}

// isAnswer says whether the store answered: asking again would bring the same.
func isAnswer(err error) bool {
	var answer *s3api.Error
	return errors.As(err, &answer)
}

// next makes sure that there is a range to read from.
func (r *objectReader) next() error {
	if r.body != nil {
		return nil
	}
	last := min(r.off+rangeSize, r.end) - 1
	resp, err := r.from.in.store.Do(r.ctx, access.SiteUser, &proxy.BackendRequest{
		Method: http.MethodGet, Bucket: r.from.in.bucket, Key: r.from.key,
		Header: http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", r.off, last)}},
	})
	if err != nil {
		return err
	}
	if resp.Status != http.StatusPartialContent {
		resp.Body.Close()
		return fmt.Errorf("read %s: asked for a range, and got status %d", r.from.key, resp.Status)
	}
	r.body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, last-r.off+1), resp.Body}
	return nil
}

// Close implements io.Closer.
func (r *objectReader) Close() error {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	return nil
}

// ErrNoBucket says that the bucket for backups is not there.
var ErrNoBucket = errors.New("the bucket for backups is not there: make it first")

// Reachable looks whether the bucket is there. A store that does not say is believed to have it: rights to write there need not be rights
// to look.
func (b *Bucket) Reachable(ctx context.Context) error {
	resp, err := b.store.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodHead, Bucket: b.bucket})
	switch {
	case proxy.Gone(err):
		return fmt.Errorf("look at bucket %s: %w", b.bucket, ErrNoBucket)
	case errors.Is(err, proxy.ErrBackendUnavailable):
		return fmt.Errorf("look at bucket %s: %w", b.bucket, err)
	case err == nil:
		resp.Body.Close()
	}
	return nil
}
