package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"cofre/access"
	"cofre/metadata"
)

// sealedMagic is how every sealed part begins (docs/FORMAT.md section 3).
var sealedMagic = []byte("cofre\x01")

// mayPass says whether an object without envelope may be served as it is: only when the store is up and never knew a
// sealed object of that key and version. Else the storage could swap a sealed object for one of its own making.
func (h *Handler) mayPass(ctx context.Context, t target, version string) error {
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	known, err := h.store.Known(ctx, t.Bucket, t.Key, version)
	if err != nil {
		return err
	}
	if known {
		return &integrityError{kind: "unsealed"}
	}
	return nil
}

// refuseSealedBody refuses to pass an object whose body begins like a sealed part: it lost its envelope on the way.
func (h *Handler) refuseSealedBody(ctx context.Context, as access.BackendUser, t target, etag string) error {
	resp, err := h.backend.Do(ctx, as, &BackendRequest{
		Method: http.MethodGet, Bucket: t.Bucket, Key: t.Key, Query: t.query(),
		Header: http.Header{"Range": {byteRange(0, int64(len(sealedMagic)))}, "If-Match": {quote(etag)}},
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	head, err := io.ReadAll(io.LimitReader(resp.Body, int64(len(sealedMagic))))
	if err != nil {
		return err
	}
	if bytes.HasPrefix(head, sealedMagic) {
		return &integrityError{kind: "envelope_lost"}
	}
	return nil
}
