package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"cofre/metadata"
	"cofre/s3api"
	"cofre/sigv4"
)

// maxCompleteBody bounds the XML of CompleteMultipartUpload: 10,000 parts with checksums are about 1.5 MB.
const maxCompleteBody = 4 << 20

// intent is what a Complete has decided to join, kept before the backend is asked: after a crash the same list, and no
// other, is brought to its end.
type intent struct {
	// List identifies the client's part list.
	List []listedPart `json:"list"`
	// Salts name the chosen attempt of each part, in the same order.
	Salts [][]byte `json:"salts"`
	// At is when it was decided, by the store's clock; zero in documents from before there was such a time.
	At time.Time `json:"at,omitzero"`
}

// completeEnds is the age of an intent at which the backend has ended what it was asked to do, well beyond any limit on an answer.
const completeEnds = 15 * time.Minute

type listedPart struct {
	Number int    `json:"n"`
	ETag   string `json:"e"`
}

// completion is the answer to a Complete, kept for a day: completing twice gives the same answer.
type completion struct {
	List      []listedPart      `json:"list"`
	ETag      string            `json:"etag"`
	VersionID string            `json:"version,omitempty"`
	Checksum  metadata.Checksum `json:"checksum"`
	Parts     int               `json:"parts"`
	SSE       string            `json:"sse,omitempty"` // empty where the client's own key was used
	KMSKey    string            `json:"kms_key,omitempty"`
}

// completeMultipartUpload serves CompleteMultipartUpload.
func (h *Handler) completeMultipartUpload(rq *request) error {
	conds, cerr := s3api.ParseWriteConditions(rq.call.Header)
	if cerr != nil {
		return cerr
	}
	// The checksum headers of Complete speak of the object, not of this document.
	body, err := rq.auth.Body(rq.Request, sigv4.BodyOptions{MaxLength: maxCompleteBody, OtherChecksum: true})
	if err != nil {
		return err
	}
	text, err := readSmall(body, maxCompleteBody)
	if err != nil {
		return err
	}
	list, cerr := s3api.DecodeCompleteMultipartUpload(bytes.NewReader(text))
	if cerr != nil {
		return cerr
	}
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	return h.answerSlowly(rq, func() (*answer, error) {
		done, err := h.complete(rq.Context(), rq, list, conds)
		if err != nil {
			return nil, err
		}
		return h.completeAnswer(rq, done), nil
	})
}

func (h *Handler) completeAnswer(rq *request, done *completion) *answer {
	header := http.Header{}
	if done.VersionID != "" && done.VersionID != metadata.NullVersion {
		header.Set("X-Amz-Version-Id", done.VersionID)
	}
	if done.SSE != "" {
		setManaged(header, http.Header{headerSSE: {done.SSE}, headerKMSKey: {done.KMSKey}})
	}
	return &answer{header: header, write: func(w io.Writer) error {
		return s3api.WriteCompleteMultipartUpload(w, s3api.CompleteResult{
			Location: location(rq), Bucket: rq.call.Bucket, Key: rq.call.Key, ETag: done.ETag,
			ChecksumAlgorithm: done.Checksum.Algorithm, ChecksumType: string(done.Checksum.Type),
			Checksum: checksumText(done.Checksum, done.Parts),
		})
	}}
}

// location is the object's URL as this client reaches it.
func location(rq *request) string {
	scheme := "http"
	if rq.TLS != nil {
		scheme = "https"
	}
	path, _, _ := strings.Cut(rq.call.RawPath, "?")
	return scheme + "://" + rq.Host + path
}

// complete joins the parts, one Complete at a time per upload.
func (h *Handler) complete(ctx context.Context, rq *request, list []s3api.CompletePart, conds s3api.WriteConditions) (*completion, error) {
	lock, err := h.lockUpload(ctx, rq.call.Query.Get("uploadId"))
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()

	up, err := h.upload(ctx, rq)
	if err != nil {
		return nil, err
	}
	want := listOf(list)
	switch up.State {
	case metadata.UploadCompleted:
		return sameCompletion(up, want)
	case metadata.UploadCompleting:
		return h.resume(ctx, rq, up, list, want, conds)
	default:
		return h.begin(ctx, rq, up, list, want, conds)
	}
}

func listOf(list []s3api.CompletePart) []listedPart {
	out := make([]listedPart, len(list))
	for i, p := range list {
		out[i] = listedPart{p.Number, p.ETag}
	}
	return out
}

// sameCompletion repeats the answer of a Complete whose answer was lost; with another list the upload is gone.
func sameCompletion(up *openUpload, want []listedPart) (*completion, error) {
	var done completion
	if err := json.Unmarshal(up.Result, &done); err != nil {
		return nil, err
	}
	if !slices.Equal(done.List, want) {
		return nil, s3api.ErrNoSuchUpload
	}
	return &done, nil
}

// begin decides which parts to join and stores the intent.
func (h *Handler) begin(ctx context.Context, rq *request, up *openUpload, list []s3api.CompletePart, want []listedPart, conds s3api.WriteConditions) (*completion, error) {
	chosen, err := h.choose(ctx, rq, up, list)
	if err != nil {
		return nil, err
	}
	if _, err := h.objectChecksum(rq, up, chosen); err != nil {
		return nil, err
	}
	doc := intent{List: want, At: h.store.Now()}
	for _, p := range chosen {
		doc.Salts = append(doc.Salts, p.Salt[:])
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	if !conds.Empty() {
		if _, err := h.judge(ctx, rq, target{Bucket: up.Bucket, Key: up.Key}, conds, h.store.ByEnvelope); err != nil {
			return nil, err
		}
		if err := h.guard(ctx, up.Bucket); err != nil { // RGW 16 joins the parts whatever condition it is sent
			return nil, err
		}
	}
	if err := h.store.SetIntent(ctx, up.ID, text); err != nil {
		return nil, err
	}
	return h.join(ctx, rq, up, chosen, want, conds, false)
}

// resume goes on with a Complete that did not reach its end: cofre died, or the backend's answer was lost.
func (h *Handler) resume(ctx context.Context, rq *request, up *openUpload, list []s3api.CompletePart, want []listedPart, conds s3api.WriteConditions) (*completion, error) {
	var stored intent
	if err := json.Unmarshal(up.Intent, &stored); err != nil {
		return nil, err
	}
	if !slices.Equal(stored.List, want) {
		// Whether the stored list was joined is not known for sure until somebody sends it again.
		return nil, s3api.ErrOperationAborted
	}
	chosen, sum, err := h.intended(ctx, up, stored)
	if err != nil {
		return nil, err
	}
	header, joined, err := h.joined(ctx, rq, up)
	switch {
	case err != nil:
		return nil, err
	case joined:
		// It is done: what the client sees in its conditions now is its own object.
		return h.recordJoined(ctx, rq, up, chosen, sum, want, header, unquote(header.Get("Etag")))
	}
	return h.join(ctx, rq, up, chosen, want, conds, true)
}

// intended gives the parts that a stored intent names, and the checksum of the whole.
func (h *Handler) intended(ctx context.Context, up *openUpload, stored intent) ([]metadata.UploadPart, metadata.Checksum, error) {
	chosen := make([]metadata.UploadPart, 0, len(stored.List))
	for i, p := range stored.List {
		attempts, err := h.store.PartAttempts(ctx, up.ID, p.Number)
		if err != nil {
			return nil, metadata.Checksum{}, err
		}
		at := slices.IndexFunc(attempts, func(a metadata.UploadPart) bool { return bytes.Equal(a.Salt[:], stored.Salts[i]) })
		if at < 0 {
			return nil, metadata.Checksum{}, s3api.ErrInvalidPart
		}
		chosen = append(chosen, attempts[at])
	}
	sum, err := joinChecksums(up, chosen)
	return chosen, sum, err
}

// abortTooLate answers an Abort of an upload whose parts were joined already, with the headers of the object: there is
// nothing to abort, and completing again still finds the upload. A key that its row keeps for this site goes now, since the
// client may never ask again.
func (h *Handler) abortTooLate(ctx context.Context, rq *request, header http.Header) error {
	up, err := h.upload(ctx, rq)
	if err != nil {
		return err
	}
	if len(up.SealedDEK) > 0 {
		var stored intent
		if err := json.Unmarshal(up.Intent, &stored); err != nil {
			return err
		}
		chosen, sum, err := h.intended(ctx, up, stored)
		if err != nil {
			return err
		}
		if _, err := h.recordJoined(ctx, rq, up, chosen, sum, stored.List, header, unquote(header.Get("Etag"))); err != nil {
			return err
		}
	}
	return s3api.ErrNoSuchUpload
}

// mayAbort refuses to abort an upload whose parts the backend may be joining at this moment: Ceph RGW 16 takes both, answers the
// Complete by success, and throws the parts away.
func (h *Handler) mayAbort(up metadata.Upload) error {
	var stored intent
	if err := json.Unmarshal(up.Intent, &stored); err != nil {
		return err
	}
	if h.store.Now().Before(stored.At.Add(completeEnds)) {
		return s3api.ErrOperationAborted
	}
	return nil
}

// joined asks whether the object of this upload is there already.
func (h *Handler) joined(ctx context.Context, rq *request, up *openUpload) (http.Header, bool, error) {
	header, err := h.headOf(ctx, rq, target{Bucket: up.Bucket, Key: up.Key})
	switch {
	case hasStatus(err, http.StatusNotFound):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return header, carries(header, up.Envelope), nil
}
