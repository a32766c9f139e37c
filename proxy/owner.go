package proxy

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"cofre/access"
	"cofre/s3api"
)

// ownerTTL is how long a bucket's owner is remembered: it changes only when the bucket is made anew, or by the hand of the
// storage's operator.
const ownerTTL = time.Minute

// ownerCache remembers who owns a bucket, by the backend's id.
type ownerCache struct {
	cache *otter.Cache[string, string]
}

func newOwnerCache() *ownerCache {
	return &ownerCache{otter.Must(&otter.Options[string, string]{
		MaximumSize:      10_000,
		ExpiryCalculator: otter.ExpiryWriting[string, string](ownerTTL),
	})}
}

// checkOwners compares the owners that a client expects with those that the backend names; RGW ignores the headers. A
// client sends them so as not to write into, or copy from, a stranger's bucket that took the place of its own.
func (h *Handler) checkOwners(rq *request) error {
	if want := rq.call.Header.Get("X-Amz-Expected-Bucket-Owner"); want != "" && hasOwner(rq.call) {
		if err := h.checkOwner(rq, rq.call.Bucket, want); err != nil {
			return err
		}
	}
	want := rq.call.Header.Get("X-Amz-Source-Expected-Bucket-Owner")
	if want == "" || rq.call.Op != s3api.CopyObject && rq.call.Op != s3api.UploadPartCopy {
		return nil
	}
	source, err := s3api.ParseCopySource(rq.call.Header.Get("X-Amz-Copy-Source"))
	if err != nil || h.hidden(source.Bucket) || !rq.who.AllowsBucket(source.Bucket) {
		return nil //nolint:nilerr // the operation itself refuses these, and says why
	}
	return h.checkOwner(rq, source.Bucket, want)
}

// hasOwner says whether the call is about a bucket that exists before it.
func hasOwner(c s3api.Call) bool { return c.Bucket != "" && c.Op != s3api.CreateBucket }

func (h *Handler) checkOwner(rq *request, bucket, want string) error {
	owner, ok := h.owners.cache.GetIfPresent(bucket)
	if !ok {
		var err error
		owner, err = h.bucketOwner(rq.Context(), rq.as(), bucket)
		if err != nil {
			return err // AccessDenied where nobody here may ask: what cannot be compared is not as expected
		}
		h.owners.cache.Set(bucket, owner)
	}
	// The id is not a secret: every listing shows it.
	if owner == "" || strings.TrimSpace(want) != owner {
		return s3api.ErrAccessDenied
	}
	return nil
}

// bucketOwner asks the backend for a bucket's owner, as the site, and where that may not read the ACL, as the caller.
func (h *Handler) bucketOwner(ctx context.Context, as access.BackendUser, bucket string) (string, error) {
	var q s3api.Query
	q.Set("acl", "")
	brq := &BackendRequest{Method: http.MethodGet, Bucket: bucket, Query: q}
	resp, err := h.backend.Do(ctx, access.SiteUser, brq)
	if hasStatus(err, http.StatusForbidden) {
		resp, err = h.backend.Do(ctx, as, brq)
	}
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return s3api.ScanACLOwner(resp.Body)
}
