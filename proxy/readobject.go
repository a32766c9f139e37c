package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"cofre/access"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// Object is what a client would be told of an object.
type Object struct {
	Bucket, Key, VersionID string
	Size                   int64  // plaintext bytes
	ETag                   string // the client's, without quotes
	Checksum               metadata.Checksum
	Parts                  []metadata.Part // multipart objects only
	LastModified           time.Time
	Headers                map[string]string // Content-Type and the like, names in lower case; values are raw bytes
	Meta                   map[string]string // user metadata, without "x-amz-meta-"
	Unsealed               bool              // it lies on the storage in clear, and the bucket's policy passes it
}

// ObjectReader gives the plaintext of an object, verified: nothing of a chunk that does not open, and the last chunk only after
// the footer. An error at any point, io.EOF apart, means that what was read is not the whole object.
type ObjectReader struct {
	Object
	src   io.Reader
	close func()
}

// Read implements io.Reader.
func (r *ObjectReader) Read(p []byte) (int, error) { return r.src.Read(p) }

// Close gives the connection back. It always gives nil.
func (r *ObjectReader) Close() error {
	r.close()
	return nil
}

// ObjectAt names an object for the site to read: of that version, or the latest where it is empty. CustomerKey is the client's own
// (SSE-C), nil for none.
type ObjectAt struct {
	Bucket, Key, VersionID string
	CustomerKey            []byte
}

func (at ObjectAt) target() target {
	return target{Bucket: at.Bucket, Key: at.Key, VersionID: at.VersionID}
}

// StatObject looks at an object as the site itself.
func (h *Handler) StatObject(ctx context.Context, at ObjectAt) (Object, error) {
	r, err := h.openObject(ctx, at, func(*metadata.Record) ask { return ask{head: true} })
	if err != nil {
		return Object{}, err
	}
	return r.Object, r.Close()
}

// OpenObject opens an object as the site itself, to be read whole.
func (h *Handler) OpenObject(ctx context.Context, at ObjectAt) (*ObjectReader, error) {
	return h.openObject(ctx, at, func(rec *metadata.Record) ask { return ask{whole: true, n: rec.Size} })
}

func (h *Handler) openObject(ctx context.Context, at ObjectAt, plan func(*metadata.Record) ask) (*ObjectReader, error) {
	rd := reading{as: access.SiteUser, customerKey: at.CustomerKey}
	o, err := h.open(ctx, rd, at.target(), plan)
	if isUnsealed(err) {
		return h.openUnsealedObject(ctx, rd, at, err, plan(&metadata.Record{}).head)
	}
	if err != nil {
		return nil, err
	}
	attrs, err := o.attributes()
	if err != nil {
		o.response.Body.Close()
		return nil, err
	}
	r := &ObjectReader{Object: objectOf(at, o.record, o.response.Header, attrs), close: func() { o.response.Body.Close() }}
	if !o.ask.head {
		dec := h.decrypter(ctx, o)
		r.src, r.close = dec, func() {
			dec.Close()
			o.response.Body.Close()
		}
	}
	return r, nil
}

// openUnsealedObject opens an object without envelope, where the bucket's policy serves such objects at all.
func (h *Handler) openUnsealedObject(ctx context.Context, rd reading, at ObjectAt, found error, head bool) (*ObjectReader, error) {
	plain, err := h.passed(ctx, rd, at.target(), found)
	if err != nil {
		return nil, err
	}
	r := &ObjectReader{Object: objectOf(at, plain.record(), plain.header, clearAttributes(plain.header)), close: func() {}}
	r.Unsealed = true
	if head {
		return r, nil
	}
	body, err := h.openUnsealed(ctx, rd, at.target(), plain, 0, plain.size)
	if err != nil {
		return nil, err
	}
	r.src, r.close = &exactReader{r: body, left: plain.size}, func() { body.Close() }
	return r, nil
}

func objectOf(at ObjectAt, rec *metadata.Record, backend http.Header, attrs seal.Attributes) Object {
	return Object{
		Bucket: at.Bucket, Key: at.Key, VersionID: versionOf(backend), Size: rec.Size, ETag: rec.ETag, Checksum: rec.Checksum,
		Parts: rec.Parts, LastModified: lastModifiedOf(backend), Headers: attrs.Headers, Meta: attrs.Meta,
	}
}

// exactReader ends in an error where its source ends early; behind left bytes it ends cleanly.
type exactReader struct {
	r    io.Reader
	left int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
		if e.left > 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// Tags gives an object's tags; none where it has none, where the site may not see them, or where the backend knows no tags.
func (h *Handler) Tags(ctx context.Context, at ObjectAt) ([]s3api.Tag, error) {
	tags, err := h.tagsOf(ctx, access.SiteUser, at.target())
	if hasStatus(err, http.StatusNotFound) || hasStatus(err, http.StatusForbidden) {
		return nil, nil
	}
	return tags, err
}

// EachVersion walks all versions of the keys that begin with prefix, delete markers among them, a page of the backend at a time.
func (h *Handler) EachVersion(ctx context.Context, bucket, prefix string, visit func([]s3api.ListEntry) error) error {
	return h.eachVersionPageUnder(ctx, bucket, prefix, func(page *s3api.Listing) error { return visit(page.Entries) })
}

// Gone says that an error means: there is no such object (any more).
func Gone(err error) bool { return absent(err) }
