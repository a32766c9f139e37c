package proxy

import (
	"context"
	"net/http"
	"time"

	"cofre/access"
	"cofre/s3api"
)

// aftercare is what an object gets by calls of their own once it is there, since RGW 16 loses it where it is asked for: the
// protection and the tags that come with CreateMultipartUpload, of which it keeps neither (the tags it even stores so that
// nobody can read them).
type aftercare struct {
	Lock s3api.ObjectLock `json:"lock,omitzero"`
	Tags string           `json:"tags,omitempty"` // URL-encoded, as x-amz-tagging has it
}

// takeAftercare reads and checks what the backend would lose, and takes it out of the headers that go to it. A bucket that cannot
// protect objects refuses here, before anything is uploaded.
func (h *Handler) takeAftercare(ctx context.Context, rq *request, bucket string, header http.Header) (aftercare, error) {
	lock, cerr := s3api.ParseObjectLock(header, h.cfg.Clock())
	if cerr != nil {
		return aftercare{}, cerr
	}
	care := aftercare{Lock: lock, Tags: header.Get("X-Amz-Tagging")}
	if _, cerr := s3api.ParseTaggingHeader(care.Tags); cerr != nil {
		return aftercare{}, cerr
	}
	if !lock.Empty() {
		if err := h.mustLockObjects(ctx, rq, bucket); err != nil {
			return aftercare{}, err
		}
	}
	for _, name := range append([]string{"X-Amz-Tagging"}, s3api.ObjectLockHeaders...) {
		header.Del(name)
	}
	return care, nil
}

// mustLockObjects refuses protection in a bucket that was made without object lock. What may not be asked is left to the
// backend, which refuses when the protection is set.
func (h *Handler) mustLockObjects(ctx context.Context, rq *request, bucket string) error {
	var q s3api.Query
	q.Set("object-lock", "")
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: bucket, Query: q})
	switch {
	case err == nil:
		resp.Body.Close()
		return nil
	case hasStatus(err, http.StatusForbidden):
		return nil
	case hasStatus(err, http.StatusNotFound) && !hasCode(err, s3api.ErrNoSuchBucket.Code), hasStatus(err, http.StatusNotImplemented):
		return s3api.ErrInvalidRequest.With("Bucket is missing Object Lock Configuration")
	default:
		return err
	}
}

// careFor sets the protection and the tags of an object that was just made. Protection comes first: it is what must not be
// missing if this process ends here. All of it may be done again.
func (h *Handler) careFor(ctx context.Context, rq *request, made target, care aftercare) error {
	if care.Lock.Mode != "" {
		// The bucket's default may have set a longer governance already; what the client asked for takes its place.
		bypass := http.Header{"X-Amz-Bypass-Governance-Retention": {"true"}}
		err := h.putSubresource(ctx, rq, made, "retention", bypass, care.Lock.Retention())
		if err != nil && !h.retained(ctx, rq, made, care.Lock) {
			return err
		}
	}
	if care.Lock.LegalHold != "" {
		if err := h.putSubresource(ctx, rq, made, "legal-hold", nil, care.Lock.Hold()); err != nil {
			return err
		}
	}
	if care.Tags == "" {
		return nil
	}
	tags, cerr := s3api.ParseTaggingHeader(care.Tags)
	if cerr != nil {
		return cerr
	}
	return h.putSubresource(ctx, rq, made, "tagging", nil, s3api.EncodeTagging(tags))
}

// retained says whether an object is protected at least as well as was asked for: by a compliance default of its bucket
// that nobody may shorten, or by an earlier attempt.
func (h *Handler) retained(ctx context.Context, rq *request, made target, want s3api.ObjectLock) bool {
	header, err := h.headOf(ctx, rq, made)
	if err != nil {
		return false
	}
	mode := header.Get("X-Amz-Object-Lock-Mode")
	has, err := time.Parse(time.RFC3339, header.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	if err != nil {
		return false
	}
	asked, err := time.Parse(time.RFC3339, want.RetainUntil)
	return err == nil && !has.Before(asked) && (mode == want.Mode || mode == "COMPLIANCE")
}
