package proxy

import (
	"bytes"
	"net/http"

	"cofre/s3api"
)

// The configurations of buckets that the backend keeps. What differs from a plain hand-on is what Ceph RGW 16 does
// otherwise than S3; docs/S3-COMPAT.md has the list.
var (
	plainConfig = subresource{}

	policyGet    = subresource{json: true}
	policyDelete = subresource{status: http.StatusNoContent} // RGW: 200
	policyPut    = subresource{
		json: true, status: http.StatusNoContent,
		headers: []string{"X-Amz-Confirm-Remove-Self-Bucket-Access"},
		document: func(_ *request, text []byte) *s3api.Error {
			return s3api.CheckPolicy(text)
		},
		refused: map[string]*s3api.Error{"InvalidArgument": s3api.ErrMalformedPolicy.With("Policy has an invalid element")},
	}

	publicAccessBlockGet = subresource{rewrite: func(text []byte) ([]byte, error) {
		p, err := s3api.ScanPublicAccessBlock(text)
		return s3api.EncodePublicAccessBlock(p), err
	}}
	publicAccessBlockPut    = subresource{document: xmlDocument(func(r *bytes.Reader) *s3api.Error { return s3api.CheckPublicAccessBlock(r) })}
	publicAccessBlockDelete = subresource{status: http.StatusNoContent} // RGW: 200

	bucketTaggingPut = subresource{status: http.StatusNoContent, document: xmlDocument(func(r *bytes.Reader) *s3api.Error {
		_, err := s3api.DecodeTagging(r, s3api.MaxBucketTags)
		return err
	})}
	bucketTaggingGet = subresource{rewrite: func(text []byte) ([]byte, error) {
		// RGW takes an empty set for one that is there; to S3 it is none.
		if tags, err := s3api.DecodeTagging(bytes.NewReader(text), s3api.MaxBucketTags); err == nil && len(tags) == 0 {
			return nil, s3api.ErrNoSuchTagSet
		}
		return text, nil
	}}
	bucketTaggingDelete = subresource{status: http.StatusNoContent} // RGW: 200

	requestPaymentPut = subresource{document: xmlDocument(func(r *bytes.Reader) *s3api.Error { return s3api.CheckRequestPayment(r) })}

	versioningPut = subresource{
		headers: []string{"X-Amz-Mfa"},
		document: xmlDocument(func(r *bytes.Reader) *s3api.Error {
			_, err := s3api.DecodeVersioning(r)
			return err
		}),
	}

	lifecyclePut = subresource{document: xmlDocument(func(r *bytes.Reader) *s3api.Error {
		sized, err := s3api.CheckLifecycle(r)
		if err == nil && sized {
			// The backend would compare sealed sizes, and RGW 16 overlooks the filter: the rule would expire every object.
			return s3api.ErrNotImplemented.With("Lifecycle rules that select objects by size are not implemented.")
		}
		return err
	})}

	objectLockPut = subresource{
		headers:  []string{"X-Amz-Bucket-Object-Lock-Token"},
		document: xmlDocument(func(r *bytes.Reader) *s3api.Error { return s3api.CheckObjectLock(r) }),
	}

	replicationGet = subresource{rewrite: func(text []byte) ([]byte, error) {
		rules, err := s3api.ScanReplication(text)
		if err == nil && rules == 0 {
			err = s3api.ErrReplicationConfigurationNotFound
		}
		return text, err
	}}
)

// putBucketVersioning hands the configuration on and forgets what was known of the bucket.
func (h *Handler) putBucketVersioning(rq *request) error {
	defer h.buckets.cache.Invalidate(rq.call.Bucket)
	return h.passSubresource(rq, versioningPut)
}

// putBucketNotification serves PutBucketNotificationConfiguration. An empty configuration takes all notifications away;
// RGW calls that malformed, and has a DELETE for it that S3 does not know.
func (h *Handler) putBucketNotification(rq *request) error {
	var asked s3api.Notifications
	check := xmlDocument(func(r *bytes.Reader) (err *s3api.Error) {
		asked, err = s3api.DecodeNotification(r)
		return err
	})
	text, err := h.readDocument(rq, func(text []byte) *s3api.Error { return check(rq, text) })
	if err != nil {
		return err
	}
	if asked.Others {
		return s3api.ErrNotImplemented.With("Notifications to queues, functions and EventBridge are not implemented.")
	}
	brq := &BackendRequest{Method: http.MethodDelete, Bucket: rq.call.Bucket, Query: rq.call.Query}
	if asked.Topics > 0 {
		brq.Method = http.MethodPut
		brq.Header = http.Header{"Content-Md5": {contentMD5(text)}, "Content-Type": {"application/xml"}}
		brq.Body, brq.Length, brq.Replayable = bytes.NewReader(text), int64(len(text)), true
	}
	resp, err := h.backend.Do(rq.Context(), rq.as(), brq)
	if hasCode(err, "NoSuchKey") { // RGW's word for a topic that it does not know
		return s3api.ErrInvalidArgument.With("Unable to validate the following destination configurations")
	}
	if err != nil {
		return err
	}
	resp.Body.Close()
	return answerDocument(rq, http.StatusOK, "", nil)
}

// getBucketEncryption serves GetBucketEncryption: whatever the backend is told, every object here is sealed with AES-256.
func (h *Handler) getBucketEncryption(rq *request) error {
	if err := h.seeBucket(rq); err != nil {
		return err
	}
	rq.w.Header().Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteBucketEncryption(rq.w)
}

// putBucketEncryption serves PutBucketEncryption: it takes what holds already, and nothing else.
func (h *Handler) putBucketEncryption(rq *request) error {
	check := xmlDocument(func(r *bytes.Reader) *s3api.Error { return s3api.CheckBucketEncryption(r) })
	if _, err := h.readDocument(rq, func(text []byte) *s3api.Error { return check(rq, text) }); err != nil {
		return err
	}
	if err := h.seeBucket(rq); err != nil {
		return err
	}
	return answerDocument(rq, http.StatusOK, "", nil)
}

// deleteBucketEncryption serves DeleteBucketEncryption, which on S3 sets the default back to AES256: so it is. RGW 16 must not see
// it, since it would delete the bucket.
func (h *Handler) deleteBucketEncryption(rq *request) error {
	if err := h.seeBucket(rq); err != nil {
		return err
	}
	return answerDocument(rq, http.StatusNoContent, "", nil)
}
