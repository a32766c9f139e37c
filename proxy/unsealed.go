package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"cofre/access"
	"cofre/metadata"
	"cofre/s3api"
)

// sealedMagic is how every sealed part begins (docs/FORMAT.md section 3).
var sealedMagic = []byte("cofre\x01")

// passed gives the object behind an errUnsealed, where the bucket's policy serves such objects and this one may be served;
// else the error that the reader gets.
func (h *Handler) passed(ctx context.Context, rd reading, t target, found error) (*unsealedObject, error) {
	var plain *unsealedObject
	if !errors.As(found, &plain) {
		return nil, found
	}
	passes := h.cfg.Bucket(t.Bucket).PassUnsealed
	if passes && rd.customerKey != nil {
		return nil, s3api.ErrInvalidRequest.With("The encryption parameters are not applicable to this object.")
	}
	version := versionOf(plain.header)
	if t.VersionID != "" {
		version = t.VersionID // what was asked for counts, not what the answer calls itself
	}
	err := h.mayPass(ctx, t, version)
	if errors.Is(err, errIntegrity) {
		// The row may be of a write that overtook the look at the object. Only an answer given after the row was seen counts.
		if _, again := h.probe(ctx, rd.as, t); again == nil {
			return nil, errChanged
		}
	}
	if !passes && !errors.Is(err, errIntegrity) {
		return nil, found // refused in any case; that it took a sealed object's place is a finding besides
	}
	return plain, err
}

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

// record says of an unsealed object what a record says of a sealed one. Of how it was uploaded nothing is known.
func (u *unsealedObject) record() *metadata.Record {
	return &metadata.Record{ETag: unquote(u.header.Get("Etag")), Size: u.size}
}

// openUnsealed asks for n bytes of an unsealed object, from off on; the caller closes what it gets. errChanged where the
// object is no longer the one that was found.
func (h *Handler) openUnsealed(ctx context.Context, rd reading, t target, plain *unsealedObject, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return http.NoBody, nil // a range of no bytes cannot be asked for
	}
	etag := plain.record().ETag
	if err := h.refuseSealedBody(ctx, rd.as, t, etag); err != nil {
		return nil, err
	}
	resp, err := h.unsealedRange(ctx, rd.as, t, etag, off, n)
	if err != nil {
		return nil, err
	}
	if _, _, err := envelopeOf(resp.Header); !errors.Is(err, errUnsealed) {
		resp.Body.Close()
		return nil, errChanged
	}
	return resp.Body, nil
}

// refuseSealedBody refuses to pass an object whose body begins like a sealed part: it lost its envelope on the way.
func (h *Handler) refuseSealedBody(ctx context.Context, as access.BackendUser, t target, etag string) error {
	resp, err := h.unsealedRange(ctx, as, t, etag, 0, int64(len(sealedMagic)))
	if hasStatus(err, http.StatusRequestedRangeNotSatisfiable) {
		return nil // an empty object begins like nothing
	}
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

// unsealedRange asks for a range of an object, pinned to the ETag that it was found with.
func (h *Handler) unsealedRange(ctx context.Context, as access.BackendUser, t target, etag string, off, n int64) (*BackendResponse, error) {
	resp, err := h.backend.Do(ctx, as, &BackendRequest{
		Method: http.MethodGet, Bucket: t.Bucket, Key: t.Key, Query: t.query(),
		Header: http.Header{"Range": {byteRange(off, n)}, "If-Match": {quote(etag)}},
	})
	if hasStatus(err, http.StatusPreconditionFailed) {
		err = errChanged // the condition is not the client's
	}
	return resp, err
}
