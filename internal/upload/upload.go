// Package upload writes one object to a bucket of any S3 store in parts: it appears whole, when the last of them is there.
package upload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"cofre/access"
	"cofre/proxy"
	"cofre/s3api"
)

// maxAnswer bounds the answer to Complete.
const maxAnswer = 1 << 20

// Upload is a multipart upload that was begun.
type Upload struct {
	store       proxy.Backend
	bucket, key string
	id          string
	parts       []s3api.BackendPart
}

// Begin begins an upload as the store's own user. The header is the object's.
func Begin(ctx context.Context, store proxy.Backend, bucket, key string, header http.Header) (*Upload, error) {
	rq := &proxy.BackendRequest{Method: http.MethodPost, Bucket: bucket, Key: key, Header: header}
	rq.Query.Set("uploads", "")
	resp, err := store.Do(ctx, access.SiteUser, rq)
	if err != nil {
		return nil, fmt.Errorf("begin upload: %w", err)
	}
	defer resp.Body.Close()
	id, err := s3api.ScanInitiateMultipartUpload(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("begin upload: %w", err)
	}
	return &Upload{store: store, bucket: bucket, key: key, id: id}, nil
}

// Part sends one part of size bytes, in rising order of number. Where body can be sent again, it may be.
func (u *Upload) Part(ctx context.Context, number int, size int64, body io.Reader) error {
	_, replayable := body.(*bytes.Reader)
	rq := &proxy.BackendRequest{Method: http.MethodPut, Bucket: u.bucket, Key: u.key, Body: body, Length: size, Replayable: replayable}
	rq.Query.Set("uploadId", u.id)
	rq.Query.Set("partNumber", strconv.Itoa(number))
	resp, err := u.store.Do(ctx, access.SiteUser, rq)
	if err != nil {
		return fmt.Errorf("write part %d: %w", number, err)
	}
	resp.Body.Close()
	u.parts = append(u.parts, s3api.BackendPart{Number: number, ETag: s3api.UnquoteETag(resp.Header.Get("ETag"))})
	return nil
}

// Complete makes the object of the parts that were sent.
func (u *Upload) Complete(ctx context.Context) error {
	doc := s3api.EncodeBackendComplete(u.parts)
	rq := &proxy.BackendRequest{
		Method: http.MethodPost, Bucket: u.bucket, Key: u.key, Header: http.Header{"Content-Type": {"application/xml"}},
		Body: bytes.NewReader(doc), Length: int64(len(doc)),
	}
	rq.Query.Set("uploadId", u.id)
	resp, err := u.store.Do(ctx, access.SiteUser, rq)
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

// Abort takes back what was sent. What cannot be taken back now is left to the bucket's lifecycle rules.
func (u *Upload) Abort(ctx context.Context) error {
	rq := &proxy.BackendRequest{Method: http.MethodDelete, Bucket: u.bucket, Key: u.key}
	rq.Query.Set("uploadId", u.id)
	resp, err := u.store.Do(ctx, access.SiteUser, rq)
	if err != nil && !errors.Is(err, s3api.ErrNoSuchUpload) {
		return fmt.Errorf("abort upload: %w", err)
	}
	if err == nil {
		resp.Body.Close()
	}
	return nil
}

// Resume takes up an upload of which only the id is known, to abort it.
func Resume(store proxy.Backend, bucket, key, id string) *Upload {
	return &Upload{store: store, bucket: bucket, key: key, id: id}
}
