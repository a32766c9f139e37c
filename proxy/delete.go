package proxy

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"cofre/access"
	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/sigv4"
)

// deleteObject serves DeleteObject.
func (h *Handler) deleteObject(rq *request) error {
	conds, cerr := s3api.ParseDeleteConditions(rq.call.Header)
	if cerr != nil {
		return cerr
	}
	t := rq.target()
	if !rq.mayDelete(t.Key) {
		return s3api.ErrAccessDenied
	}
	out, err := h.deleteOne(rq.Context(), rq, t, conds)
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

// deleteOne deletes one object, or version, on the backend and makes tombstones of what is gone. It gives the headers of the
// backend's answer, none where a condition found nothing to delete.
func (h *Handler) deleteOne(ctx context.Context, rq *request, t target, conds s3api.DeleteConditions) (http.Header, error) {
	if !h.store.Healthy() {
		return nil, metadata.ErrUnavailable
	}
	lock, there, err := h.lockDelete(ctx, rq, t, conds)
	defer lock.Unlock()
	if err != nil || !there {
		return nil, err
	}
	// Once asked for, a delete is seen through: an object that is gone without its tombstone could be put back unnoticed.
	ctx = context.WithoutCancel(ctx)
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{
		Method: http.MethodDelete, Bucket: t.Bucket, Key: t.Key, Query: t.query(),
		Header: passHeaders(rq.call.Header, []string{"X-Amz-Bypass-Governance-Retention", "X-Amz-Mfa"}),
	})
	if err != nil {
		return nil, outOfPlace(err)
	}
	resp.Body.Close()
	marker := resp.Header.Get("X-Amz-Delete-Marker") == "true"
	h.buried(ctx, rq, t.Bucket, []gone{{key: t.Key, versionID: t.VersionID, marker: marker, newVersion: resp.Header.Get("X-Amz-Version-Id")}})
	return resp.Header, nil
}

// lockDelete takes the key's lock where the delete needs it, and judges its conditions under it: RGW 16 deletes whatever
// condition it is sent. The lock may be had even where there is an error.
func (h *Handler) lockDelete(ctx context.Context, rq *request, t target, conds s3api.DeleteConditions) (lock *commitLock, there bool, err error) {
	if conds.Empty() {
		lock, err = h.lockWriter(ctx, t.Bucket, t.Key)
		return lock, err == nil, err
	}
	if conds.IfMatch != "*" && !rq.who.Allows(access.Read, t.Bucket, t.Key) {
		return nil, false, s3api.ErrAccessDenied // as on AWS, which asks for s3:GetObject: conditions tell what is there
	}
	if err := h.guard(ctx, t.Bucket); err != nil {
		return nil, false, err
	}
	if lock, err = h.lockKey(ctx, t.Bucket, t.Key); err != nil {
		return nil, false, err
	}
	if there, err = h.judgeDelete(ctx, rq, t, conds, lock.ByEnvelope); err != nil || !there {
		return lock, false, err
	}
	if err := stillHeld(ctx, lock); err != nil {
		return lock, false, err
	}
	return lock, true, nil
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

// deleteObjects serves DeleteObjects: each key is authorised by itself. Most go to the backend together; those that need
// the lock of their key, or that XML cannot carry, go one by one.
func (h *Handler) deleteObjects(rq *request) error {
	if rq.auth.Anonymous() && !rq.who.AllowsBucket(rq.call.Bucket) {
		return s3api.ErrAccessDenied // before the body is asked for; a known client is told key by key
	}
	req, err := h.readDelete(rq)
	if err != nil {
		return err
	}
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	guarded, err := h.guarded(rq.Context(), rq.call.Bucket)
	if err != nil {
		return err
	}
	result := s3api.DeleteResult{Quiet: req.Quiet}
	var batch, single []s3api.ObjectIdentifier
	for _, o := range req.Objects {
		switch {
		case !rq.mayDelete(o.Key):
			result.Errors = append(result.Errors, deleteError(o, s3api.ErrAccessDenied))
		case guarded, o.Conditional(), !s3api.ValidXMLText(o.Key):
			single = append(single, o)
		default:
			batch = append(batch, o)
		}
	}
	if len(batch) > 0 {
		out, err := h.deleteBatch(rq, batch)
		if err != nil {
			return err
		}
		var again []s3api.ObjectIdentifier
		out.Errors, again = brokenDown(out.Errors)
		result.Add(out)
		single = append(single, again...)
	}
	result.Add(h.deleteEach(rq, single))
	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteDeleteResult(rq.w, result)
}

// deleteParallel is how many keys of one DeleteObjects are deleted at a time where they cannot go together.
const deleteParallel = 8

// deleteEach deletes objects one by one. The same key may be there again with another version: then one waits for the other.
func (h *Handler) deleteEach(rq *request, list []s3api.ObjectIdentifier) s3api.DeleteResult {
	headers, errs := make([]http.Header, len(list)), make([]error, len(list))
	var each errgroup.Group
	each.SetLimit(deleteParallel)
	for i, o := range list {
		each.Go(func() error {
			t := target{Bucket: rq.call.Bucket, Key: o.Key, VersionID: o.VersionID}
			headers[i], errs[i] = h.deleteOne(rq.Context(), rq, t, o.Conditions())
			return nil
		})
	}
	_ = each.Wait() // what failed is told of each key
	var result s3api.DeleteResult
	for i, o := range list {
		if errs[i] != nil {
			h.note(target{Bucket: rq.call.Bucket, Key: o.Key, VersionID: o.VersionID}, errs[i])
			result.Errors = append(result.Errors, deleteError(o, answerTo(errs[i])))
			continue
		}
		result.Deleted = append(result.Deleted, s3api.DeletedObject{
			Key: o.Key, VersionID: o.VersionID,
			DeleteMarker: headers[i].Get("X-Amz-Delete-Marker") == "true", DeleteMarkerVersionID: headers[i].Get("X-Amz-Version-Id"),
		})
	}
	return result
}

// readDelete takes the body, which must carry a digest that proves true: RGW does not check it, so nobody else would.
func (h *Handler) readDelete(rq *request) (s3api.DeleteRequest, error) {
	body, err := rq.auth.Body(rq.Request, sigv4.BodyOptions{MaxLength: maxDeleteBody})
	if err != nil {
		return s3api.DeleteRequest{}, err
	}
	if rq.call.Header.Get("Content-Md5") == "" && body.ClientChecksum() == checksum.None {
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

// deleteBatch hands the allowed keys on in cofre's own words, and makes tombstones of what is gone.
func (h *Handler) deleteBatch(rq *request, batch []s3api.ObjectIdentifier) (s3api.DeleteResult, error) {
	body := s3api.EncodeBackendDelete(batch)
	header := passHeaders(rq.call.Header, []string{"X-Amz-Bypass-Governance-Retention", "X-Amz-Mfa"})
	header.Set("Content-Md5", contentMD5(body))
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
	out = settled(batch, out)
	dead := make([]gone, len(out.Deleted))
	for i, d := range out.Deleted {
		dead[i] = gone{key: d.Key, versionID: d.VersionID, marker: d.DeleteMarker, newVersion: d.DeleteMarkerVersionID}
	}
	h.buried(rq.Context(), rq, rq.call.Bucket, dead)
	return out, nil
}

// brokenDown parts the keys at which the backend broke down from those that it refused. RGW 16 does so where a delete meets a writer
// ("UnknownError"): alone, and sent again as any delete is, it goes through.
func brokenDown(errs []s3api.DeleteError) (refused []s3api.DeleteError, again []s3api.ObjectIdentifier) {
	for _, e := range errs {
		if known := s3api.ErrorByCode(e.Code); known != nil && known.Status < http.StatusInternalServerError {
			refused = append(refused, e)
			continue
		}
		again = append(again, s3api.ObjectIdentifier{Key: e.Key, VersionID: e.VersionID, Size: -1})
	}
	return refused, again
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
