package metadata

import (
	"fmt"
	"time"

	"cofre/checksum"
)

// UploadState is where a multipart upload stands.
type UploadState uint8

const (
	// UploadOpen takes parts.
	UploadOpen UploadState = iota + 1
	// UploadCompleting has a stored intent: the list of parts that the backend was, or will be, asked to join.
	UploadCompleting
	// UploadCompleted is kept for a day, so that completing twice gives the same answer.
	UploadCompleted
)

// String names the state, for messages.
func (s UploadState) String() string {
	switch s {
	case UploadOpen:
		return "open"
	case UploadCompleting:
		return "completing"
	case UploadCompleted:
		return "completed"
	}
	return fmt.Sprintf("UploadState(%d)", uint8(s))
}

// Upload is one multipart upload.
type Upload struct {
	ID          string // the backend's upload id, which is the client's too; the backend never gives the same one twice
	Bucket, Key string
	Envelope    Envelope
	// SealedDEK is the DEK sealed to the site's own identity, where its envelope alone does not open it for a Complete: at a site
	// that deposits (docs/FORMAT.md section 7 rule 5) and under a customer key. It is gone once the upload is completed.
	SealedDEK []byte
	// Initiator is the access key id of the credential that created the upload.
	Initiator string
	// ChecksumAlgorithm and ChecksumType are what CreateMultipartUpload asked for; zero for none.
	ChecksumAlgorithm checksum.Algorithm
	ChecksumType      checksum.Type
	ContentType       string
	// Attributes is opaque JSON for the proxy's own use (what Complete must answer or do, such as SSE headers to echo).
	Attributes []byte

	// The fields below are the store's own: CreateUpload does not read them.

	State UploadState
	// Intent is opaque JSON written by Complete before the backend is asked; nil while the upload is open.
	Intent []byte
	// Result is opaque JSON of the answer that was given; nil until completed.
	Result    []byte
	Created   time.Time // by the store's clock
	Completed time.Time // zero until completed
}

// UploadPart is one attempt at one part of an open upload.
type UploadPart struct {
	Number      int      // 1..10000
	Attempt     [16]byte // random, drawn by the caller: it tells a repeated AddPart from a part that was sent again
	Salt        [16]byte
	Size        int64  // plaintext bytes
	MD5         []byte // 16 bytes, nil where the bucket does without
	ETag        string // the client's, without quotes
	BackendETag string // without quotes
	Checksum    Checksum
	Committed   time.Time // set by the store
}
