package proxy

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/sigv4"
)

// deleteObject serves DeleteObject.
func (h *Handler) deleteObject(rq *request) error {
	for _, name := range []string{"If-Match", "X-Amz-If-Match-Last-Modified-Time", "X-Amz-If-Match-Size"} {
		// RGW deletes all the same when these are handed on; to ignore them would lose data.
		if rq.call.Header.Get(name) != "" {
			return s3api.ErrNotImplemented
		}
	}
	t := rq.target()
	if !rq.mayDelete(t.Key) {
		return s3api.ErrAccessDenied
	}
	out, err := h.deleteOne(rq.Context(), rq, t)
	if err != nil {
		return err
	}
	header := rq.w.Header()
	for _, name := range []string{"X-Amz-Version-Id", "X-Amz-Delete-Marker"} {
		if v := out.Get(name); v != "" {
			header.Set(name, v)
		}
	}
	rq.w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteOne deletes one object, or version, on the backend and makes tombstones of what is gone.
func (h *Handler) deleteOne(ctx context.Context, rq *request, t target) (http.Header, error) {
	if !h.store.Healthy() {
		return nil, metadata.ErrUnavailable
	}
	// Once asked for, a delete is seen through: an object that is gone without its tombstone could be put back unnoticed.
	ctx = context.WithoutCancel(ctx)
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{
		Method: http.MethodDelete, Bucket: t.Bucket, Key: t.Key, Query: t.query(),
		Header: passHeaders(rq.call.Header, []string{"X-Amz-Bypass-Governance-Retention", "X-Amz-Mfa"}),
	})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	marker := resp.Header.Get("x-amz-delete-marker") == "true"
	h.buried(ctx, rq, t.Bucket, []gone{{key: t.Key, versionID: t.VersionID, marker: marker, newVersion: resp.Header.Get("x-amz-version-id")}})
	return resp.Header, nil
}

// gone is one delete that the backend has done.
type gone struct {
	key        string
	versionID  string // that the client named, empty for none
	marker     bool   // a delete marker was made or removed
	newVersion string // of the marker
}

// replaced gives the version that a delete took away, empty for none. versioned is asked only where the answer does not
// tell: a bucket that ever had versioning names a version, except where nothing was removed (RGW 16 makes no second
// delete marker on top of one); a bucket that never had any names none.
func (g gone) replaced(versioned func() bool) string {
	switch {
	case g.versionID != "":
		return g.versionID
	case g.newVersion == metadata.NullVersion:
		return metadata.NullVersion // versioning is suspended: the marker took the null version's place
	case g.newVersion != "" || g.marker || versioned():
		return ""
	default:
		return metadata.NullVersion
	}
}

// buried makes the tombstones of deletes that the backend has done. A store that fails here leaves rows without object,
// which are harmless: it is counted, not answered.
func (h *Handler) buried(ctx context.Context, rq *request, bucket string, list []gone) {
	ctx = context.WithoutCancel(ctx)
	// Asked anew, since versioning enabled a moment ago at another replica would make a tombstone of a live version. What
	// cannot be learnt is taken as versioned: a tombstone too few costs less than one too many.
	versioned := sync.OnceValue(func() bool {
		facts, err := h.freshFacts(ctx, access.SiteUser, bucket)
		return err != nil || facts.Versioned
	})
	deletions := make([]metadata.Deletion, 0, len(list))
	for _, g := range list {
		h.records.forget(bucket, g.key, g.versionID)
		if v := g.replaced(versioned); v != "" {
			deletions = append(deletions, metadata.Deletion{Bucket: bucket, Key: g.key, VersionID: v, Began: rq.began})
		}
	}
	if len(deletions) == 0 {
		return
	}
	if err := h.store.Tombstone(ctx, deletions...); err != nil {
		h.metrics.storeLost.WithLabelValues(rq.event.Operation).Inc()
		h.log.Warn("tombstone not written", zap.String("request_id", rq.event.ID), zap.Error(err))
	}
}

// maxDeleteBody bounds the XML of DeleteObjects: 1,000 keys of 1,024 bytes, escaped, and their tags.
const maxDeleteBody = 8 << 20

// deleteObjects serves DeleteObjects: each key is authorised by itself.
func (h *Handler) deleteObjects(rq *request) error {
	req, err := h.readDelete(rq)
	if err != nil {
		return err
	}
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	result := s3api.DeleteResult{Quiet: req.Quiet}
	var (
		batch []s3api.ObjectIdentifier
		dead  []gone
	)
	for _, o := range req.Objects {
		switch {
		case !rq.mayDelete(o.Key):
			result.Errors = append(result.Errors, deleteError(o, s3api.ErrAccessDenied))
		case o.Conditional():
			result.Errors = append(result.Errors, deleteError(o, s3api.ErrNotImplemented))
		case !s3api.ValidXMLText(o.Key):
			// What XML cannot carry goes out one by one, where the key stands in the request line.
			out, err := h.deleteOne(rq.Context(), rq, target{Bucket: rq.call.Bucket, Key: o.Key, VersionID: o.VersionID})
			if err != nil {
				result.Errors = append(result.Errors, deleteError(o, answerTo(err)))
				continue
			}
			result.Deleted = append(result.Deleted, s3api.DeletedObject{
				Key: o.Key, VersionID: o.VersionID,
				DeleteMarker: out.Get("x-amz-delete-marker") == "true", DeleteMarkerVersionID: out.Get("x-amz-version-id"),
			})
		default:
			batch = append(batch, o)
		}
	}
	if len(batch) > 0 {
		out, err := h.deleteBatch(rq, batch)
		if err != nil {
			return err
		}
		result.Deleted = append(result.Deleted, out.Deleted...)
		result.Errors = append(result.Errors, out.Errors...)
		for _, d := range out.Deleted {
			dead = append(dead, gone{key: d.Key, versionID: d.VersionID, marker: d.DeleteMarker, newVersion: d.DeleteMarkerVersionID})
		}
		h.buried(rq.Context(), rq, rq.call.Bucket, dead)
	}
	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteDeleteResult(rq.w, result)
}

// readDelete takes the body, which must carry a digest that proves true: RGW does not check it, so nobody else would.
func (h *Handler) readDelete(rq *request) (s3api.DeleteRequest, error) {
	body, err := rq.auth.Body(rq.Request, sigv4.BodyOptions{MaxLength: maxDeleteBody})
	if err != nil {
		return s3api.DeleteRequest{}, err
	}
	if rq.call.Header.Get("Content-MD5") == "" && body.ClientChecksum() == checksum.None {
		return s3api.DeleteRequest{}, s3api.ErrInvalidRequest.With("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	text, err := readSmall(body, maxDeleteBody)
	if err != nil {
		return s3api.DeleteRequest{}, err
	}
	req, cerr := s3api.DecodeDelete(bytes.NewReader(text))
	if cerr != nil {
		return req, cerr
	}
	return req, nil
}

// deleteBatch hands the allowed keys on in cofre's own words.
func (h *Handler) deleteBatch(rq *request, batch []s3api.ObjectIdentifier) (s3api.DeleteResult, error) {
	body := s3api.EncodeBackendDelete(batch)
	header := passHeaders(rq.call.Header, []string{"X-Amz-Bypass-Governance-Retention", "X-Amz-Mfa"})
	header.Set("Content-MD5", contentMD5(body))
	header.Set("Content-Type", "application/xml")
	var q s3api.Query
	q.Set("delete", "")
	resp, err := h.backend.Do(context.WithoutCancel(rq.Context()), rq.as(), &BackendRequest{
		Method: http.MethodPost, Bucket: rq.call.Bucket, Query: q, Header: header,
		Body: bytes.NewReader(body), Length: int64(len(body)), Replayable: true,
	})
	if err != nil {
		return s3api.DeleteResult{}, err
	}
	defer resp.Body.Close()
	out, err := s3api.ScanDeleteResult(resp.Body)
	if err != nil {
		return out, errors.Join(ErrBackendUnavailable, err)
	}
	return settled(batch, out), nil
}

// settled keeps of the backend's answer what was asked for, so that the storage cannot have other objects buried, and gives
// an error to what it left out: a client must never take that for deleted.
func settled(batch []s3api.ObjectIdentifier, out s3api.DeleteResult) s3api.DeleteResult {
	type name struct{ key, version string }
	open := make(map[name]bool, len(batch))
	for _, o := range batch {
		open[name{o.Key, o.VersionID}] = true
	}
	var kept s3api.DeleteResult
	for _, e := range out.Errors {
		if n := (name{e.Key, e.VersionID}); open[n] {
			delete(open, n)
			kept.Errors = append(kept.Errors, e)
		}
	}
	for _, d := range out.Deleted {
		if n := (name{d.Key, d.VersionID}); open[n] {
			delete(open, n)
			kept.Deleted = append(kept.Deleted, d)
		}
	}
	for _, o := range batch {
		if n := (name{o.Key, o.VersionID}); open[n] {
			delete(open, n)
			kept.Errors = append(kept.Errors, deleteError(o, s3api.ErrInternalError))
		}
	}
	return kept
}

func deleteError(o s3api.ObjectIdentifier, e *s3api.Error) s3api.DeleteError {
	return s3api.DeleteError{Key: o.Key, VersionID: o.VersionID, Code: e.Code, Message: e.Message}
}
