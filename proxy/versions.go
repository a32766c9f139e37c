package proxy

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"cofre/access"
	"cofre/metadata"
	"cofre/s3api"
)

// tellVersion makes an operation say why an object is not there, as S3 does: a delete marker, or a version that never was.
// RGW 16 answers a bare NoSuchKey to all of it. The look-up costs one listing, and only where an object was missing in a
// bucket with versioning.
func tellVersion(serve func(*Handler, *request) error) func(*Handler, *request) error {
	return func(h *Handler, rq *request) error {
		err := serve(h, rq)
		if err != nil && rq.w.status == 0 && hasCode(err, "NoSuchKey") {
			return h.explainMissing(rq, rq.target(), err)
		}
		return err
	}
}

// explainMissing gives the error of an object that the backend did not find. What cannot be learnt stays as it was.
func (h *Handler) explainMissing(rq *request, t target, missing error) error {
	known := h.facts
	if t.VersionID != "" {
		known = h.versioning
	}
	facts, err := known(rq.Context(), rq.as(), t.Bucket)
	if err != nil {
		return missing
	}
	var entry *s3api.ListEntry
	if facts.Versioned {
		if entry, err = h.findVersion(rq, t); err != nil {
			return missing
		}
	}
	switch {
	case t.VersionID == "" && entry != nil && entry.DeleteMarker:
		return answerTo(missing).WithHeader("x-amz-delete-marker", "true").WithHeader("x-amz-version-id", entry.VersionID)
	case t.VersionID == "" || entry != nil && !entry.DeleteMarker: // written meanwhile
		return missing
	case entry != nil:
		return s3api.ErrMethodNotAllowed.Field("Method", rq.Method).Field("ResourceType", "DeleteMarker").
			WithHeader("Allow", http.MethodDelete).
			WithHeader("x-amz-delete-marker", "true").WithHeader("x-amz-version-id", entry.VersionID)
	case !looksLikeVersion(t.VersionID):
		return s3api.ErrInvalidArgument.With("Invalid version id specified").Field("ArgumentName", "versionId").Field("ArgumentValue", t.VersionID)
	}
	return s3api.ErrNoSuchVersion.Field("Key", t.Key).Field("VersionId", t.VersionID)
}

// openSource opens the source of a copy. Of one that is not there S3 says the same as of an object that is read, but for a
// delete marker and for what cannot be a version.
func (h *Handler) openSource(ctx context.Context, rq *request, source target, plan func(*metadata.Record) ask) (*object, error) {
	o, err := h.open(ctx, rq.readingSource(), source, plan)
	if hasCode(err, "NoSuchKey") {
		err = h.explainMissing(rq, source, err)
	}
	switch {
	case hasCode(err, "NoSuchKey"):
		err = answerTo(err).Field("Key", source.Key)
	case hasCode(err, "NoSuchVersion"):
		err = s3api.ErrNoSuchVersion.Field("Key", source.Key).Field("VersionId", source.VersionID)
	case hasCode(err, "NoSuchBucket"):
		err = s3api.ErrNoSuchBucket.Field("BucketName", source.Bucket)
	case source.VersionID != "" && hasCode(err, "MethodNotAllowed"):
		err = s3api.ErrInvalidRequest.With("The source of a copy request may not specifically refer to a delete marker by version id.")
	case source.VersionID != "" && hasCode(err, "InvalidArgument") && rq.call.Op == s3api.CopyObject:
		err = s3api.ErrInvalidRequest
	}
	return o, err
}

// looksLikeVersion says whether a version id that no object has could be one. S3's and RGW's are about 32 characters of
// letters, digits, '.', '_' and '-'. It is asked only of ids that were not found, so that no store's own form is refused.
func looksLikeVersion(id string) bool {
	if id == "null" {
		return true
	}
	if len(id) < 16 || len(id) > 128 {
		return false
	}
	return strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-") == ""
}

// maxVersionPages bounds the look-up of one version among those of its key, 1,000 to a page.
const maxVersionPages = 10

// findVersion looks up a version of a key, or the latest where the target names none; nil where there is none. The site's
// own identity asks, since who may read a key need not be allowed to list; the caller, where the site may not list.
func (h *Handler) findVersion(rq *request, t target) (*s3api.ListEntry, error) {
	var q s3api.Query
	q.Set("versions", "")
	q.Set("encoding-type", "url")
	q.Set("prefix", t.Key) // the key itself is the first of all that begin with it
	q.Set("max-keys", "1000")
	if t.VersionID == "" {
		q.Set("max-keys", strconv.Itoa(1))
	}
	for range maxVersionPages {
		page, err := h.versionPage(rq.Context(), rq.as(), t.Bucket, q)
		if err != nil {
			return nil, err
		}
		for i, e := range page.Entries {
			if e.Key != t.Key {
				return nil, nil
			}
			if t.VersionID == "" && e.Latest || t.VersionID != "" && e.VersionID == t.VersionID {
				return &page.Entries[i], nil
			}
		}
		if t.VersionID == "" || !page.Truncated || page.NextKeyMarker != t.Key {
			return nil, nil
		}
		q.Set("key-marker", page.NextKeyMarker)
		q.Set("version-id-marker", page.NextVersionIDMarker)
	}
	return nil, errChanged
}

func (h *Handler) versionPage(ctx context.Context, as access.BackendUser, bucket string, q s3api.Query) (*s3api.Listing, error) {
	brq := &BackendRequest{Method: http.MethodGet, Bucket: bucket, Query: q}
	resp, err := h.backend.Do(ctx, access.SiteUser, brq)
	if hasStatus(err, http.StatusForbidden) {
		resp, err = h.backend.Do(ctx, as, brq)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return s3api.ScanListing(resp.Body, true)
}
