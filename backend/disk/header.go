package disk

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strings"

	"cofre/s3api"
)

// maxPutSize is S3's limit for one request, in bytes.
const maxPutSize = 5 << 30

// keptHeader says whether a header belongs to the object. The name is in lower case.
func keptHeader(name string) bool {
	switch name {
	case "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
		"x-amz-website-redirect-location":
		return true
	}
	return strings.HasPrefix(name, "x-amz-meta-")
}

// attributesOf takes what is kept of a request's headers. There is no limit on metadata here: cofre's own needs more than
// the 2 KiB of a client, and net/http limits the head of a request anyway.
func attributesOf(h http.Header) (attributes, error) {
	a := attributes{header: map[string]string{}}
	for name, values := range h {
		if lower := strings.ToLower(name); keptHeader(lower) {
			a.header[lower] = strings.Join(values, ",")
		}
	}
	tags, err := s3api.ParseTaggingHeader(h.Get("X-Amz-Tagging"))
	if err != nil {
		return attributes{}, err
	}
	a.tags = encodeTags(tags)
	return a, nil
}

// encodeTags gives tags in the form of x-amz-tagging.
func encodeTags(tags []s3api.Tag) string {
	var q s3api.Query
	for _, tag := range tags {
		q.Set(tag.Key, tag.Value)
	}
	return q.Encode()
}

func decodeTags(stored string) ([]s3api.Tag, error) {
	tags, err := s3api.ParseTaggingHeader(stored)
	return tags, asError(err)
}

// body is a request's body with what must be true of it.
type body struct {
	io.Reader
	size   int64
	md5    []byte // of Content-MD5; nil for none
	sha256 []byte // of x-amz-content-sha256; nil for none
	hash   hash.Hash
}

// bodyOf refuses bodies whose length is not known, and those in aws-chunked framing, which cofre never sends and which must
// not be stored as if it were the object.
func bodyOf(r *http.Request) (*body, error) {
	b := &body{Reader: r.Body, size: r.ContentLength}
	switch {
	case b.size < 0:
		return nil, s3api.ErrMissingContentLength
	case b.size > maxPutSize:
		return nil, s3api.ErrEntityTooLarge
	}
	if value := r.Header.Get("Content-Md5"); value != "" {
		sum, err := base64.StdEncoding.DecodeString(value)
		if err != nil || len(sum) != 16 {
			return nil, s3api.ErrInvalidDigest
		}
		b.md5 = sum
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if strings.HasPrefix(payload, "STREAMING-") {
		return nil, s3api.ErrNotImplemented
	}
	if sum, err := hex.DecodeString(payload); err == nil && len(sum) == sha256.Size {
		b.sha256, b.hash = sum, sha256.New()
		b.Reader = io.TeeReader(r.Body, b.hash)
	}
	return b, nil
}

// check judges the whole body.
func (b *body) check(md5 []byte) error {
	if b.md5 != nil && subtle.ConstantTimeCompare(b.md5, md5) != 1 {
		return s3api.ErrBadDigest
	}
	if b.sha256 != nil && subtle.ConstantTimeCompare(b.sha256, b.hash.Sum(nil)) != 1 {
		return s3api.ErrContentSHA256Mismatch
	}
	return nil
}

// writeVersion sets the headers that tell which version an answer is about.
func writeVersion(h http.Header, v version) {
	if v.versioned {
		h.Set("X-Amz-Version-Id", v.id)
	}
}
