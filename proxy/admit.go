package proxy

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"cofre/admission"
	"cofre/s3api"
	"cofre/seal"
)

// What requests hold at most while they are served, in bytes: buffers of the connections on both sides, a frame of the cipher,
// stacks. e2e's TestRequestsHoldNoMoreThanTheyWereAdmittedWith measures it. A MiB more for the MD5 of each of the first few uploads
// (checksum.NewMD5) is the process's, as they are seven at most.
const (
	holdsSmall    = 256 << 10 // one call of the backend, a few rows of the store
	holdsUpload   = 512 << 10
	holdsDownload = 512 << 10
	holdsListing  = 4 << 20 // a thousand entries: the backend's document, what was understood of it, their rows
	holdsDocument = 8       // times its length: the text, what it says, and what cofre says to the backend and the store of it
)

// light is the longest body, in plaintext bytes, that counts as light: a chunk.
const light = seal.ChunkSize

// demand is what a call will hold, by what it says of itself.
func demand(c s3api.Call, rq *http.Request) (admission.Class, int64) {
	switch c.Op {
	case s3api.PutObject, s3api.UploadPart:
		if rq.ContentLength >= 0 && rq.ContentLength <= light {
			return admission.Light, holdsUpload
		}
		return admission.Bulk, holdsUpload
	case s3api.PostObject:
		return admission.Bulk, holdsUpload + 2*formMemory
	case s3api.GetObject:
		if r, ok, err := s3api.ParseRange(c.Header.Get("Range"), math.MaxInt64); err == nil && ok && r.Len <= light {
			return admission.Light, holdsDownload
		}
		return admission.Bulk, holdsDownload
	case s3api.CopyObject, s3api.UploadPartCopy:
		return admission.Bulk, holdsUpload + holdsDownload
	case s3api.ListObjects, s3api.ListObjectsV2, s3api.ListObjectVersions, s3api.ListMultipartUploads, s3api.ListParts, s3api.ListBuckets:
		return admission.Bulk, holdsListing
	case s3api.DeleteObjects:
		return admission.Bulk, holdsSmall + documentMemory(rq, maxDeleteBody)
	case s3api.CompleteMultipartUpload:
		return admission.Bulk, holdsSmall + documentMemory(rq, maxCompleteBody)
	default:
		return admission.Light, holdsSmall + documentMemory(rq, maxBucketDocument)
	}
}

// documentMemory is what a request's document of at most limit bytes makes it hold. One that is longer is refused unread.
func documentMemory(rq *http.Request, limit int64) int64 {
	if rq.ContentLength < 0 || rq.ContentLength > limit {
		return holdsDocument * limit
	}
	return holdsDocument * rq.ContentLength
}

// meter counts a request against what its party may ask for in a second, and has its bodies keep to the party's limits of bytes.
func (h *Handler) meter(rq *request) error {
	accessKeyID := ""
	if rq.auth != nil {
		accessKeyID = rq.auth.AccessKeyID()
	}
	account := h.cfg.Rates.Account(accessKeyID, rq.from)
	if err := account.Request(rq.Context()); err != nil {
		return err
	}
	if !account.Paced() {
		return nil
	}
	rq.w.pace = func(n int) error { return account.Read(rq.Context(), n) }
	if body, ok := rq.Body.(*patientBody); ok {
		body.pace = func(n int) error { return account.Write(rq.Context(), n) }
	}
	return nil
}

// party is on whose account a request is: its credential's, which has been verified, or its address's.
func (rq *request) party() admission.Party {
	if rq.auth == nil || rq.auth.Anonymous() {
		return admission.Source(rq.from)
	}
	return admission.Credential(rq.auth.AccessKeyID())
}

// admit waits until there is room for a request that was understood, verified and allowed. Nothing of its body has been read.
func (h *Handler) admit(rq *request) error {
	class, memory := demand(rq.call, rq.Request)
	leave, err := h.gate.Enter(rq.Context(), admission.Demand{Party: rq.party(), Class: class, Memory: memory})
	if err != nil {
		return err
	}
	rq.leave = leave
	return nil
}

// retryAfter tells a client that got a 503 when to try again: in seconds, as HTTP has it (RFC 9110 section 10.2.3), and in
// milliseconds, as the AWS SDKs read it. No two clients are told the same, so that they do not all come back at once.
func retryAfter(header http.Header, err error) {
	after := admission.Spread(time.Second)
	var refused *admission.Refused
	if errors.As(err, &refused) {
		after = refused.After
	}
	header.Set("Retry-After", strconv.FormatFloat(math.Ceil(after.Seconds()), 'f', 0, 64))
	header.Set("X-Amz-Retry-After", strconv.FormatInt(after.Milliseconds(), 10))
}
