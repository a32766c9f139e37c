package proxy

import (
	"bytes"
	"context"
	"net/http"

	"cofre/access"
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
	tags, err := h.tagsOf(ctx, rq.as(), c.source)
	if hasStatus(err, http.StatusNotFound) || hasStatus(err, http.StatusForbidden) {
		return "", nil // deleted meanwhile, or none that this user may see
	}
	return s3api.EncodeTaggingHeader(tags), err
}

// tagsOf asks the backend for an object's tags; none where it does not know of tags.
func (h *Handler) tagsOf(ctx context.Context, as access.BackendUser, t target) ([]s3api.Tag, error) {
	doc, err := h.subresourceOf(ctx, as, t, "tagging")
	if err != nil || len(doc) == 0 {
		return nil, err
	}
	return s3api.ScanTagging(bytes.NewReader(doc))
}

// subresourceOf asks for a small document beside an object; nil where the backend has none, or does not know of such.
func (h *Handler) subresourceOf(ctx context.Context, as access.BackendUser, t target, name string) ([]byte, error) {
	q := t.query()
	q.Set(name, "")
	resp, err := h.backend.Do(ctx, as, &BackendRequest{Method: http.MethodGet, Bucket: t.Bucket, Key: t.Key, Query: q})
	if hasCode(err, "NoSuchTagSet") || hasStatus(err, http.StatusNotImplemented) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readSmall(resp.Body, maxBucketDocument)
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
	made := target{Bucket: c.dest.Bucket, Key: c.dest.Key, VersionID: header.Get("X-Amz-Version-Id")}
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
	header.Set("Content-Md5", contentMD5(doc))
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
