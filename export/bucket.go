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
	"cofre/proxy"
	"cofre/s3api"
)

// maxAnswer bounds the answer to Complete.
const maxAnswer = 1 << 20

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
		_, err = b.putPart(ctx, at, nil, header, o.Size, body)
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

// putPart sends size bytes: an object, or with query a part of one. The destination gets the last of them only when they have
// verified.
func (b *Bucket) putPart(ctx context.Context, at Place, query map[string]string, header http.Header, size int64, body io.Reader) (etag string, err error) {
	rq := &proxy.BackendRequest{Method: http.MethodPut, Bucket: b.bucket, Key: at.Name, Header: header, Body: body, Length: size}
	for name, v := range query {
		rq.Query.Set(name, v)
	}
	if size == 0 { // nothing is sent, so what there is to verify is verified before
		if n, err := io.Copy(io.Discard, body); err != nil || n != 0 {
			return "", errors.Join(errors.New("object is longer than it should be"), err)
		}
		rq.Body = bytes.NewReader(nil)
	}
	resp, err := b.store.Do(ctx, access.SiteUser, rq)
	if err != nil {
		return "", fmt.Errorf("write to destination: %w", err)
	}
	resp.Body.Close()
	return s3api.UnquoteETag(resp.Header.Get("ETag")), nil
}

func (b *Bucket) putParts(ctx context.Context, at Place, o proxy.Object, header http.Header, body io.Reader) (err error) {
	id, err := b.begin(ctx, at, header)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			b.abort(context.WithoutCancel(ctx), at, id)
		}
	}()
	parts := make([]s3api.BackendPart, len(o.Parts))
	for i, p := range o.Parts {
		query := map[string]string{"uploadId": id, "partNumber": fmt.Sprint(p.Number)}
		etag, err := b.putPart(ctx, at, query, nil, p.Size, io.LimitReader(body, p.Size))
		if err != nil {
			return err
		}
		parts[i] = s3api.BackendPart{Number: p.Number, ETag: etag}
	}
	if n, err := io.Copy(io.Discard, body); err != nil || n != 0 {
		return errors.Join(errors.New("object does not end with its last part"), err)
	}
	return b.complete(ctx, at, id, parts)
}

func (b *Bucket) begin(ctx context.Context, at Place, header http.Header) (id string, err error) {
	rq := &proxy.BackendRequest{Method: http.MethodPost, Bucket: b.bucket, Key: at.Name, Header: header}
	rq.Query.Set("uploads", "")
	resp, err := b.store.Do(ctx, access.SiteUser, rq)
	if err != nil {
		return "", fmt.Errorf("begin upload: %w", err)
	}
	defer resp.Body.Close()
	if id, err = s3api.ScanInitiateMultipartUpload(resp.Body); err != nil {
		return "", fmt.Errorf("begin upload: %w", err)
	}
	return id, nil
}

// abort takes back what an upload that failed has left.
func (b *Bucket) abort(ctx context.Context, at Place, id string) {
	rq := &proxy.BackendRequest{Method: http.MethodDelete, Bucket: b.bucket, Key: at.Name}
	rq.Query.Set("uploadId", id)
	if resp, err := b.store.Do(ctx, access.SiteUser, rq); err == nil {
		resp.Body.Close()
	}
}

func (b *Bucket) complete(ctx context.Context, at Place, id string, parts []s3api.BackendPart) error {
	doc := s3api.EncodeBackendComplete(parts)
	rq := &proxy.BackendRequest{
		Method: http.MethodPost, Bucket: b.bucket, Key: at.Name, Header: http.Header{"Content-Type": {"application/xml"}},
		Body: bytes.NewReader(doc), Length: int64(len(doc)),
	}
	rq.Query.Set("uploadId", id)
	resp, err := b.store.Do(ctx, access.SiteUser, rq)
	if err != nil {
		return fmt.Errorf("complete upload: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("complete upload: %w", err)
	}
	if bytes.Contains(answer, []byte("<Error>")) { // S3 answers 200 before it knows
		return fmt.Errorf("complete upload: %w", s3api.DecodeError(resp.Status, answer))
	}
	return nil
}

// Done implements Destination.
func (b *Bucket) Done(Place, proxy.Object, []s3api.Tag) error { return nil }

// Close implements Destination.
func (b *Bucket) Close(bool) error { return nil }
