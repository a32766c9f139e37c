package disk

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/johannesboyne/gofakes3"

	"cofre/s3api"
)

// handler answers S3 requests. gofakes3 (v1.2.0) answers what it gets right: most of buckets, their versioning, and aborting
// an upload. The rest is answered here, because gofakes3
//
//   - takes a sub-resource that it does not know for the object itself: PUT ?tagging and ?acl overwrite the object;
//   - takes versionId=null for no version id, so that deleting the null version hides the object instead; ignores the
//     version on HEAD and in copy sources;
//   - ignores If-Match on reads, encoding-type in listings (control characters become U+FFFD) and x-amz-metadata-directive;
//   - gives every object an MD5 ETag, multipart uploads too, and refuses empty parts;
//   - keeps signature headers as metadata and gives them back, but drops Cache-Control, Content-Language and Expires;
//   - refuses bucket names with short labels ("a.example") and calls one's own bucket somebody else's;
//   - trims slashes from keys and prefixes when it rolls up common prefixes, and answers a suffix range that is longer
//     than the object with 416.
type handler struct {
	store  *store
	gofake http.Handler
}

func newHandler(s *store) http.Handler {
	fakeServer := gofakes3.New(fake{s},
		gofakes3.WithTimeSkewLimit(0), // there are no signatures whose age could matter
		gofakes3.WithMetadataSizeLimit(0))
	return &handler{store: s, gofake: fakeServer.Server()}
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var random [8]byte
	rand.Read(random[:]) // never fails: the runtime ends the process instead
	id := hex.EncodeToString(random[:])
	w.Header().Set("X-Amz-Request-Id", id)

	call, err := s3api.Parse(r, s3api.Hosts{})
	if err == nil {
		err = h.answer(w, r, call)
	}
	if err != nil {
		s3api.WriteError(w, answerError(err), call.RawPath, id, "", r.Method == http.MethodHead)
	}
}

// answerError gives an error in S3's words.
func answerError(err error) *s3api.Error {
	var e *s3api.Error
	if errors.As(err, &e) {
		return e
	}
	// Whoever reads this runs the process: a full disk should not look like a riddle.
	return s3api.ErrInternalError.With(err.Error())
}

// answer handles the operations that cofre asks of its backend. An error means that nothing was written yet.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, call s3api.Call) error {
	switch call.Op {
	case s3api.ListBuckets, s3api.HeadBucket, s3api.DeleteBucket, s3api.GetBucketLocation,
		s3api.GetBucketVersioning, s3api.PutBucketVersioning, s3api.AbortMultipartUpload:
		h.gofake.ServeHTTP(w, r)
		return nil
	case s3api.CreateBucket:
		return h.createBucket(w, call)

	case s3api.PutObject:
		return h.putObject(w, r, call)
	case s3api.CopyObject:
		return h.copyObject(w, call)
	case s3api.GetObject, s3api.HeadObject:
		return h.getObject(w, r, call)
	case s3api.DeleteObject:
		return h.deleteObject(w, call)
	case s3api.DeleteObjects:
		return h.deleteObjects(w, r, call)
	case s3api.GetObjectTagging:
		return h.getTagging(w, call)
	case s3api.PutObjectTagging, s3api.DeleteObjectTagging:
		return h.setTagging(w, r, call)

	case s3api.ListObjects, s3api.ListObjectsV2, s3api.ListObjectVersions:
		return h.list(w, call)

	case s3api.CreateMultipartUpload:
		return h.createUpload(w, call)
	case s3api.UploadPart:
		return h.putPart(w, r, call)
	case s3api.CompleteMultipartUpload:
		return h.completeUpload(w, r, call)
	case s3api.ListParts:
		return h.listParts(w, call)
	case s3api.ListMultipartUploads:
		return h.listUploads(w, call)
	}
	return s3api.ErrNotImplemented
}

func (h *handler) createBucket(w http.ResponseWriter, call s3api.Call) error {
	if err := h.store.createBucket(call.Bucket); err != nil {
		return err
	}
	w.Header().Set("Location", "/"+call.Bucket)
	w.WriteHeader(http.StatusOK)
	return nil
}

// asError keeps a nil *s3api.Error from becoming an error that is not nil.
func asError(e *s3api.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// writeXML answers 200 with a document.
func writeXML(w http.ResponseWriter, document []byte) {
	w.Header().Set("Content-Type", "application/xml")
	w.Write(document) //nolint:errcheck // the client is gone
}
