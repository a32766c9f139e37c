package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
)

// standing is what stands under a key at one moment, asked of the backend and never of a cache: what conditions are judged by.
// The zero value is nothing at all.
type standing struct {
	exists      bool
	etag        string // the client's, unquoted; empty for a delete marker, which exists for deletes only
	backendETag string
	size        int64 // in plaintext bytes
	modified    time.Time
	envelope    metadata.Envelope // empty for what has none
	// unread is why nothing but its existence is known: this site cannot open it, and has no record of it.
	unread error
}

// stands asks what stands under a name now.
func (h *Handler) stands(ctx context.Context, rd reading, t target, lookup lookup) (standing, error) {
	rec, header, err := h.discoverWith(ctx, rd, t, "condition", lookup)
	var plain *unsealedObject
	switch {
	case err == nil:
		return standing{exists: true, etag: rec.ETag, backendETag: rec.BackendETag, size: rec.Size, modified: lastModifiedOf(header), envelope: rec.Envelope}, nil
	case errors.As(err, &plain):
		etag := unquote(plain.header.Get("Etag"))
		return standing{exists: true, etag: etag, backendETag: etag, size: plain.size, modified: lastModifiedOf(plain.header)}, nil
	case hasStatus(err, http.StatusNotFound) && !hasCode(err, s3api.ErrNoSuchBucket.Code):
		return standing{}, nil
	case errors.Is(err, keys.ErrNotRecipient):
		return standing{exists: true, unread: err}, nil // the backend has just answered it
	default:
		return standing{}, err
	}
}

// judge compares the conditions of a write with the object that stands under the key now, which it gives.
func (h *Handler) judge(ctx context.Context, rq *request, t target, conds s3api.WriteConditions, lookup lookup) (standing, error) {
	now, err := h.stands(ctx, rq.reading(), t, lookup)
	if err != nil {
		return now, err
	}
	if now.unread != nil && (conds.IfMatch != "" && conds.IfMatch != "*" || conds.IfNoneMatch != "" && conds.IfNoneMatch != "*") {
		return now, now.unread
	}
	if err := conds.Check(now.exists, now.etag); err != nil {
		return now, err
	}
	return now, nil
}

// judgeDelete says whether a delete may go on, and whether there is anything to delete. Where nothing stands under the key
// there is nothing to protect: such a delete succeeds and does nothing (DeleteObject, Amazon S3 API Reference: "or if the object
// does not exist").
func (h *Handler) judgeDelete(ctx context.Context, rq *request, t target, conds s3api.DeleteConditions, lookup lookup) (there bool, err error) {
	now, err := h.stands(ctx, reading{as: rq.as()}, t, lookup)
	if err != nil {
		return false, err
	}
	if !now.exists {
		if now, err = h.standingMarker(ctx, rq, t); err != nil || !now.exists {
			return false, err
		}
	}
	if now.unread != nil && (conds.IfMatch != "*" || conds.Size >= 0 || !conds.LastModified.IsZero()) {
		return false, now.unread
	}
	if err := conds.Check(now.etag, now.size, now.modified); err != nil {
		return false, err
	}
	return true, nil
}

// standingMarker looks for a delete marker, which RGW answers like nothing at all.
func (h *Handler) standingMarker(ctx context.Context, rq *request, t target) (standing, error) {
	facts, err := h.versioning(ctx, rq.as(), t.Bucket)
	if err != nil || !facts.Versioned {
		return standing{}, err
	}
	entry, err := h.findVersion(rq, t)
	if err != nil || entry == nil {
		return standing{}, err
	}
	if !entry.DeleteMarker {
		return standing{}, errChanged // written since it was asked for
	}
	modified, err := time.Parse(time.RFC3339, entry.LastModified)
	if err != nil {
		return standing{}, errors.Join(ErrBackendUnavailable, err)
	}
	return standing{exists: true, size: -1, modified: modified}, nil
}
