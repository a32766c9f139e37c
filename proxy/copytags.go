package proxy

import (
	"bytes"
	"context"
	"net/http"

	"cofre/s3api"
)

// tagDirective says which tags a copy gets.
type tagDirective struct {
	replace bool
	header  string // URL-encoded, as x-amz-tagging has it
}

// copyTags gives the tags of the copy: the request's, or the source's.
func (h *Handler) copyTags(ctx context.Context, rq *request, c *copying) (string, error) {
	if c.tags.replace {
		return c.tags.header, nil
	}
	q := c.source.query()
	q.Set("tagging", "")
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodGet, Bucket: c.source.Bucket, Key: c.source.Key, Query: q})
	if hasStatus(err, http.StatusNotFound) || hasStatus(err, http.StatusNotImplemented) || hasStatus(err, http.StatusForbidden) {
		return "", nil // no tags, none that this user may see, or a backend without them
	}
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	doc, err := readSmall(resp.Body, maxBucketDocument)
	if err != nil || len(doc) == 0 {
		return "", err
	}
	tags, err := s3api.ScanTagging(bytes.NewReader(doc))
	if err != nil {
		return "", err
	}
	return s3api.EncodeTaggingHeader(tags), nil
}

// putTags sets the copy's tags on the version that was just made, head being its envelope's.
func (h *Handler) putTags(ctx context.Context, rq *request, c *copying, head *sealedHead, header http.Header) error {
	if c.tags.header == "" {
		return nil
	}
	tags, cerr := s3api.ParseTaggingHeader(c.tags.header)
	if cerr != nil {
		return cerr
	}
	made := target{Bucket: c.dest.Bucket, Key: c.dest.Key, VersionID: header.Get("x-amz-version-id")}
	var err error
	for range openAttempts {
		err = h.putSubresource(ctx, rq, made, "tagging", nil, s3api.EncodeTagging(tags))
		if !hasCode(err, s3api.ErrOperationAborted.Code) {
			return err
		}
		// RGW says so where the call met another writer of the key in the middle. His object, if he won, is not to have these tags.
		now, headErr := h.headOf(ctx, rq, made)
		if headErr == nil && !carries(now, head.raw) {
			return nil
		}
	}
	return err
}

// putSubresource sets a small document beside an object: its tags, retention or legal hold.
func (h *Handler) putSubresource(ctx context.Context, rq *request, t target, name string, header http.Header, doc []byte) error {
	q := t.query()
	q.Set(name, "")
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	header.Set("Content-MD5", contentMD5(doc))
	header.Set("Content-Type", "application/xml")
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{
		Method: http.MethodPut, Bucket: t.Bucket, Key: t.Key, Query: q, Header: header,
		Body: bytes.NewReader(doc), Length: int64(len(doc)), Replayable: true,
	})
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}
