package export

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"cofre/access"
	"cofre/internal/upload"
	"cofre/proxy"
	"cofre/s3api"
)

// Bucket writes objects to a bucket of any S3 store, with headers, user metadata and tags as they are, and in parts of the same
// sizes, so that their ETags are the same.
type Bucket struct {
	store  proxy.Backend
	bucket string
	prefix string
}

// NewBucket writes to keys that begin with prefix, which may be empty.
func NewBucket(store proxy.Backend, bucket, prefix string) *Bucket {
	return &Bucket{store: store, bucket: bucket, prefix: prefix}
}

var _ Destination = (*Bucket)(nil)

// ErrNoBucket says that the bucket to write to is not there.
var ErrNoBucket = errors.New("the bucket to write to is not there: make it first")

// Check looks whether the bucket is there, before every object would fail for want of it. A store that does not say is believed to
// have it: rights to write there need not be rights to look.
func (b *Bucket) Check(ctx context.Context) error {
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

// Plan implements Destination.
func (b *Bucket) Plan(key string) (Place, error) { return Place{Key: key, Name: b.prefix + key}, nil }

// Has implements Destination: an object of the same size and ETag. One whose ETag says nothing of its bytes is never the same.
func (b *Bucket) Has(ctx context.Context, at Place, o proxy.Object) (bool, error) {
	if !saysBytes(o) {
		return false, nil
	}
	resp, err := b.store.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodHead, Bucket: b.bucket, Key: at.Name})
	if proxy.Gone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at destination: %w", err)
	}
	resp.Body.Close()
	return resp.Length == o.Size && s3api.UnquoteETag(resp.Header.Get("ETag")) == o.ETag, nil
}

var md5ETag = regexp.MustCompile(`^[0-9a-f]{32}(-[0-9]+)?$`)

// saysBytes says whether an object's ETag is made of the MD5s of its bytes, so that another store computes the same one.
func saysBytes(o proxy.Object) bool {
	if !md5ETag.MatchString(o.ETag) {
		return false
	}
	if len(o.Parts) == 0 {
		return len(o.ETag) == 32 // the opaque one of a single part ends in -1
	}
	for _, p := range o.Parts {
		if p.MD5 == nil {
			return false
		}
	}
	return true
}

// Put implements Destination.
func (b *Bucket) Put(ctx context.Context, at Place, o proxy.Object, tags []s3api.Tag, body io.Reader) (Place, error) {
	header := http.Header{}
	for name, v := range o.Headers {
		header.Set(name, v)
	}
	for name, v := range o.Meta {
		header.Set("x-amz-meta-"+name, v)
	}
	if len(tags) > 0 {
		header.Set("x-amz-tagging", s3api.EncodeTaggingHeader(tags))
	}
	var err error
	if len(o.Parts) == 0 {
		err = b.put(ctx, at, header, o.Size, body)
	} else {
		err = b.putParts(ctx, at, o, header, body)
	}
	if err == nil {
		err = b.arrived(ctx, at, o)
	}
	return at, err
}

// arrived makes sure that the destination has what was sent. Stores that encrypt by themselves may name another ETag.
func (b *Bucket) arrived(ctx context.Context, at Place, o proxy.Object) error {
	resp, err := b.store.Do(ctx, access.SiteUser, &proxy.BackendRequest{Method: http.MethodHead, Bucket: b.bucket, Key: at.Name})
	if err != nil {
		return fmt.Errorf("look at destination: %w", err)
	}
	resp.Body.Close()
	etag := s3api.UnquoteETag(resp.Header.Get("ETag"))
	switch {
	case resp.Length != o.Size:
		return fmt.Errorf("destination has %d bytes, the object %d", resp.Length, o.Size)
	case saysBytes(o) && etag != o.ETag && resp.Header.Get("X-Amz-Server-Side-Encryption") == "":
		return fmt.Errorf("destination has ETag %s, the object %s", etag, o.ETag)
	}
	return nil
}

// put sends an object in one. The destination gets the last of its bytes only when they have verified.
func (b *Bucket) put(ctx context.Context, at Place, header http.Header, size int64, body io.Reader) error {
	if size == 0 { // nothing is sent, so what there is to verify is verified before
		if err := atEnd(body, "object is longer than it should be"); err != nil {
			return err
		}
		body = bytes.NewReader(nil)
	}
	rq := &proxy.BackendRequest{Method: http.MethodPut, Bucket: b.bucket, Key: at.Name, Header: header, Body: body, Length: size}
	resp, err := b.store.Do(ctx, access.SiteUser, rq)
	if err != nil {
		return fmt.Errorf("write to destination: %w", err)
	}
	resp.Body.Close()
	return nil
}

// atEnd is an error with this text where there is more to read.
func atEnd(body io.Reader, otherwise string) error {
	if n, err := io.Copy(io.Discard, body); err != nil || n != 0 {
		return errors.Join(errors.New(otherwise), err)
	}
	return nil
}

func (b *Bucket) putParts(ctx context.Context, at Place, o proxy.Object, header http.Header, body io.Reader) (err error) {
	up, err := upload.Begin(ctx, b.store, b.bucket, at.Name, header)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = up.Abort(context.WithoutCancel(ctx)) // what went wrong before says more
		}
	}()
	for _, p := range o.Parts {
		part := io.LimitReader(body, p.Size)
		if p.Size == 0 {
			if err := atEnd(part, "part is longer than it should be"); err != nil {
				return err
			}
			part = bytes.NewReader(nil)
		}
		if err := up.Part(ctx, p.Number, p.Size, part); err != nil {
			return err
		}
	}
	if err := atEnd(body, "object does not end with its last part"); err != nil {
		return err
	}
	return up.Complete(ctx)
}

// Done implements Destination.
func (b *Bucket) Done(Place, proxy.Object, []s3api.Tag) error { return nil }

// Close implements Destination.
func (b *Bucket) Close(bool) error { return nil }
