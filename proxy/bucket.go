package proxy

import (
	"bytes"
	"context"
	"net/http"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/metadata"
	"cofre/s3api"
)

// maxBucketDocument bounds the XML of bucket configurations (RGW: rgw_max_put_param_size, 1 MiB).
const maxBucketDocument = 1 << 20

// facts says that a bucket exists, and whether it has versioning. NoSuchBucket where it does not exist.
func (h *Handler) facts(ctx context.Context, as access.BackendUser, bucket string) (bucketFacts, error) {
	if f, ok := h.buckets.cache.GetIfPresent(bucket); ok {
		return f, nil
	}
	return h.freshFacts(ctx, as, bucket)
}

// versioning says whether a bucket has versioning, for acts that go wrong where another replica enabled it a moment ago. Once
// it has had any it always will, so only the other answer has to be asked for anew.
func (h *Handler) versioning(ctx context.Context, as access.BackendUser, bucket string) (bucketFacts, error) {
	if f, ok := h.buckets.cache.GetIfPresent(bucket); ok && f.Versioned {
		return f, nil
	}
	return h.freshFacts(ctx, as, bucket)
}

func (h *Handler) freshFacts(ctx context.Context, as access.BackendUser, bucket string) (bucketFacts, error) {
	var q s3api.Query
	q.Set("versioning", "")
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: bucket, Query: q})
	if hasStatus(err, http.StatusForbidden) {
		// The site may not look at this bucket's configuration; whether it exists is asked as the caller. What is not
		// known is taken as versioned, the careful reading everywhere.
		resp, err = h.backend.Do(ctx, as, &BackendRequest{Method: http.MethodHead, Bucket: bucket})
		if err != nil {
			return bucketFacts{}, err
		}
		resp.Body.Close()
		return bucketFacts{Versioned: true}, nil
	}
	if err != nil {
		return bucketFacts{}, err
	}
	defer resp.Body.Close()
	status, err := s3api.ScanVersioning(resp.Body)
	if err != nil {
		return bucketFacts{}, err
	}
	f := bucketFacts{Versioned: status != ""}
	h.buckets.cache.Set(bucket, f)
	return f, nil
}

// listBuckets serves ListBuckets: what the backend shows this user, of it what his grants speak of.
func (h *Handler) listBuckets(rq *request) error {
	if rq.auth.Anonymous() {
		return s3api.ErrAccessDenied
	}
	resp, err := h.backend.Do(rq.Context(), rq.as(), &BackendRequest{Method: http.MethodGet})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	list, err := s3api.ScanListBuckets(resp.Body)
	if err != nil {
		return err
	}
	shown := list.Buckets[:0]
	for _, b := range list.Buckets {
		if !h.hidden(b.Name) && rq.who.AllowsBucket(b.Name) {
			shown = append(shown, b)
		}
	}
	list.Buckets = shown
	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteListBuckets(rq.w, list)
}

// createBucket serves CreateBucket. Where the bucket will lie is the backend's affair: the client's location is dropped.
func (h *Handler) createBucket(rq *request) error {
	if !s3api.ValidBucketName(rq.call.Bucket) {
		return s3api.ErrInvalidBucketName
	}
	if _, err := h.readDocument(rq, func(text []byte) *s3api.Error {
		if len(text) == 0 {
			return nil
		}
		_, err := s3api.DecodeCreateBucketConfiguration(bytes.NewReader(text))
		return err
	}); err != nil {
		return err
	}
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	ctx := rq.Context()
	if resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodHead, Bucket: rq.call.Bucket}); err == nil {
		resp.Body.Close()
	} else if hasStatus(err, http.StatusNotFound) && h.bucketIsGone(ctx, rq.call.Bucket) {
		// A bucket of this name may have been deleted behind cofre's back, or cofre may have died before it could close the
		// old bucket's KEKs. A bucket made again never goes on with them (docs/FORMAT.md section 7 rule 7).
		if err := h.closeBucket(ctx, rq); err != nil {
			return err
		}
	}
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{
		Method: http.MethodPut, Bucket: rq.call.Bucket,
		Header: passHeaders(rq.call.Header, append([]string{"X-Amz-Bucket-Object-Lock-Enabled", "X-Amz-Object-Ownership"}, passedHeaders[:6]...)),
	})
	if err != nil {
		return err
	}
	resp.Body.Close()
	h.buckets.cache.Invalidate(rq.call.Bucket)
	rq.w.Header().Set("Location", "/"+rq.call.Bucket)
	rq.w.Header().Set("Content-Length", "0")
	rq.w.WriteHeader(http.StatusOK)
	return nil
}

// bucketIsGone asks again, by a request whose answer has a document, whether there is no such bucket. A 404 alone may come
// from anything between here and the storage, and what follows buries every row of the bucket.
func (h *Handler) bucketIsGone(ctx context.Context, bucket string) bool {
	h.buckets.cache.Invalidate(bucket)
	_, err := h.freshFacts(ctx, access.SiteUser, bucket)
	return hasStatus(err, http.StatusNotFound) && hasCode(err, s3api.ErrNoSuchBucket.Code)
}

// closeBucket closes the KEKs of a bucket that is gone and buries its rows.
func (h *Handler) closeBucket(ctx context.Context, rq *request) error {
	ctx = context.WithoutCancel(ctx)
	h.buckets.cache.Invalidate(rq.call.Bucket)
	h.owners.cache.Invalidate(rq.call.Bucket)
	if err := h.ring.Close(ctx, rq.call.Bucket); err != nil {
		return err
	}
	h.records.forgetAll()
	return h.store.DropBucket(ctx, rq.call.Bucket, rq.began)
}

// deleteBucket serves DeleteBucket. If cofre dies between the two steps, creating the bucket again makes up for it.
func (h *Handler) deleteBucket(rq *request) error {
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	resp, err := h.backend.Do(rq.Context(), rq.as(), &BackendRequest{Method: http.MethodDelete, Bucket: rq.call.Bucket})
	if err != nil {
		return err
	}
	resp.Body.Close()
	if err := h.closeBucket(rq.Context(), rq); err != nil {
		h.metrics.storeLost.WithLabelValues(rq.event.Operation).Inc()
		h.log.Warn("KEKs of a deleted bucket not closed", zap.String("request_id", rq.event.ID), zap.Error(err))
	}
	rq.w.WriteHeader(http.StatusNoContent)
	return nil
}

// headBucket serves HeadBucket to whoever has any grant there.
func (h *Handler) headBucket(rq *request) error {
	if err := h.seeBucket(rq); err != nil {
		return err
	}
	rq.w.Header().Set("X-Amz-Bucket-Region", h.cfg.Region)
	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return nil
}

// getBucketLocation serves GetBucketLocation with the one region that cofre answers, whatever the backend calls its own.
func (h *Handler) getBucketLocation(rq *request) error {
	if err := h.seeBucket(rq); err != nil {
		return err
	}
	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteLocation(rq.w, h.cfg.Region)
}

// seeBucket lets pass who may know of the bucket, if it is there.
func (h *Handler) seeBucket(rq *request) error {
	if !rq.who.AllowsBucket(rq.call.Bucket) {
		return s3api.ErrAccessDenied
	}
	resp, err := h.backend.Do(rq.Context(), rq.as(), &BackendRequest{Method: http.MethodHead, Bucket: rq.call.Bucket})
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}
