package proxy

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
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
}

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
		header.Set("x-amz-version-id", done.VersionID)
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
	doc := intent{List: want}
	for _, p := range chosen {
		doc.Salts = append(doc.Salts, p.Salt[:])
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	if !conds.Empty() {
		if err := h.judge(ctx, rq, target{Bucket: up.Bucket, Key: up.Key}, conds, h.store.ByEnvelope); err != nil {
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
	chosen := make([]metadata.UploadPart, 0, len(list))
	for i, p := range list {
		attempts, err := h.store.PartAttempts(ctx, up.ID, p.Number)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(attempts, func(a metadata.UploadPart) bool { return bytes.Equal(a.Salt[:], stored.Salts[i]) })
		if at < 0 {
			return nil, s3api.ErrInvalidPart
		}
		chosen = append(chosen, attempts[at])
	}
	sum, err := joinChecksums(up, chosen)
	if err != nil {
		return nil, err
	}
	header, joined, err := h.joined(ctx, rq, up)
	switch {
	case err != nil:
		return nil, err
	case joined:
		// It is done: what the client sees in its conditions now is its own object.
		return h.recordJoined(ctx, rq, up, chosen, sum, want, header, unquote(header.Get("ETag")))
	}
	return h.join(ctx, rq, up, chosen, want, conds, true)
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

// choose finds the attempt of each listed part, and checks what S3 checks of a list.
func (h *Handler) choose(ctx context.Context, rq *request, up *openUpload, list []s3api.CompletePart) ([]metadata.UploadPart, error) {
	if len(list) == 0 {
		return nil, s3api.ErrMalformedXML
	}
	for i := 1; i < len(list); i++ {
		if list[i].Number <= list[i-1].Number {
			return nil, s3api.ErrInvalidPartOrder
		}
	}
	rows, err := h.partsByNumber(ctx, up.ID)
	if err != nil {
		return nil, err
	}
	var kept map[int]string
	chosen := make([]metadata.UploadPart, 0, len(list))
	for i, p := range list {
		row, ok := rows[p.Number]
		if !ok {
			return nil, invalidPart(up, p)
		}
		if row.attempts > 1 {
			if kept == nil {
				if kept, err = h.keptParts(ctx, rq, up); err != nil {
					return nil, err
				}
			}
			if row.UploadPart, err = h.keptAttempt(ctx, up, p.Number, kept[p.Number]); err != nil {
				return nil, err
			}
		}
		if !etagMatches(p.ETag, row.ETag) || !checksumsMatch(p, row.UploadPart) {
			return nil, invalidPart(up, p)
		}
		if i < len(list)-1 && row.Size < minPartSize {
			return nil, s3api.ErrEntityTooSmall.Field("ProposedSize", strconv.FormatInt(row.Size, 10)).
				Field("MinSizeAllowed", strconv.Itoa(minPartSize)).Field("PartNumber", strconv.Itoa(p.Number)).Field("ETag", row.ETag)
		}
		chosen = append(chosen, row.UploadPart)
	}
	return chosen, nil
}

func invalidPart(up *openUpload, p s3api.CompletePart) error {
	return s3api.ErrInvalidPart.Field("UploadId", up.ID).Field("PartNumber", strconv.Itoa(p.Number)).Field("ETag", p.ETag)
}

// checksumsMatch compares what the list says of a part with what was verified when it came.
func checksumsMatch(p s3api.CompletePart, row metadata.UploadPart) bool {
	for alg, text := range p.Checksums {
		if alg != row.Checksum.Algorithm || text != base64.StdEncoding.EncodeToString(row.Checksum.Value) {
			return false
		}
	}
	return true
}

type partRow struct {
	metadata.UploadPart
	attempts int
}

// partsByNumber reads the newest attempt of every part: at most 10,000 small rows.
func (h *Handler) partsByNumber(ctx context.Context, uploadID string) (map[int]partRow, error) {
	const page = 1000
	rows := map[int]partRow{}
	for after := 0; ; {
		parts, attempts, err := h.store.UploadParts(ctx, uploadID, after, page)
		if err != nil {
			return nil, err
		}
		for i, p := range parts {
			rows[p.Number] = partRow{p, attempts[i]}
			after = p.Number
		}
		if len(parts) < page {
			return rows, nil
		}
	}
}

// keptParts asks the backend which attempt of each part it kept: the last to finish there need not be the last here.
func (h *Handler) keptParts(ctx context.Context, rq *request, up *openUpload) (map[int]string, error) {
	kept := map[int]string{}
	for after := 0; ; {
		var q s3api.Query
		q.Set("uploadId", up.ID)
		if after > 0 {
			q.Set("part-number-marker", strconv.Itoa(after))
		}
		resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodGet, Bucket: up.Bucket, Key: up.Key, Query: q})
		if err != nil {
			return nil, err
		}
		page, err := s3api.ScanListParts(resp.Body)
		resp.Body.Close()
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parts {
			kept[p.Number] = p.ETag
			after = p.Number
		}
		if !page.Truncated || len(page.Parts) == 0 {
			return kept, nil
		}
	}
}

func (h *Handler) keptAttempt(ctx context.Context, up *openUpload, number int, backendETag string) (metadata.UploadPart, error) {
	attempts, err := h.store.PartAttempts(ctx, up.ID, number)
	if err != nil {
		return metadata.UploadPart{}, err
	}
	for _, a := range attempts {
		if a.BackendETag == backendETag {
			return a, nil
		}
	}
	return metadata.UploadPart{}, s3api.ErrInvalidPart
}

// join writes the layout, has the backend join the parts, and records the object. again says that the backend may have been
// asked before: then a refusal by cofre itself leaves the intent as it is, since the earlier request may still take effect
// (docs/FORMAT.md section 6).
func (h *Handler) join(ctx context.Context, rq *request, up *openUpload, chosen []metadata.UploadPart, want []listedPart, conds s3api.WriteConditions, again bool) (*completion, error) {
	refused := func(err error) error {
		if again {
			return err
		}
		if reopen := h.store.SetIntent(context.WithoutCancel(ctx), up.ID, nil); reopen != nil {
			h.log.Warn("intent not taken back", zap.String("request_id", rq.event.ID), zap.Error(reopen))
		}
		return err
	}
	sum, err := h.objectChecksum(rq, up, chosen)
	if err != nil {
		return nil, refused(err)
	}
	if err := h.putLayout(ctx, up, chosen, sum); err != nil {
		return nil, err
	}
	t := target{Bucket: up.Bucket, Key: up.Key}
	commit := newCommit(ctx, h, rq, newObject{target: t, conds: conds})
	defer commit.end()
	if err := commit.begin(); err != nil {
		return nil, refused(err)
	}
	header, etag, err := h.backendComplete(commit, rq, up, chosen)
	if err != nil {
		return nil, err
	}
	return h.recordJoined(commit.ctx, rq, up, chosen, sum, want, header, etag)
}

// recordJoined records an object that the backend has joined, and keeps the answer for a client that asks again.
func (h *Handler) recordJoined(ctx context.Context, rq *request, up *openUpload, chosen []metadata.UploadPart, sum metadata.Checksum, want []listedPart, header http.Header, etag string) (*completion, error) {
	rec, err := recordOfUpload(up, chosen, sum, header, etag)
	if err != nil {
		return nil, err
	}
	rec.Began = rq.began
	done := &completion{List: want, ETag: rec.ETag, VersionID: rec.VersionID, Checksum: sum, Parts: len(chosen)}
	done.SSE, done.KMSKey = up.encryption()
	result, err := json.Marshal(done)
	if err != nil {
		return nil, err
	}
	if err := h.store.FinishUpload(context.WithoutCancel(ctx), up.ID, result, *rec); err != nil {
		// Durable and readable all the same: the next read heals the row, the next Complete finds the object by HEAD.
		h.metrics.storeLost.WithLabelValues(rq.event.Operation).Inc()
		h.log.Warn("completed upload not recorded", zap.String("request_id", rq.event.ID), zap.Error(err))
	}
	h.records.forget(up.Bucket, up.Key, rec.VersionID)
	return done, nil
}

// objectChecksum makes the object's checksum from its parts', and compares it with what the client expects, and the size.
func (h *Handler) objectChecksum(rq *request, up *openUpload, chosen []metadata.UploadPart) (metadata.Checksum, error) {
	if text := rq.call.Header.Get("x-amz-mp-object-size"); text != "" {
		var total int64
		for _, p := range chosen {
			total += p.Size
		}
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || n != total {
			return metadata.Checksum{}, s3api.ErrInvalidRequest.With("The provided 'x-amz-mp-object-size' header value does not match what was computed.")
		}
	}
	sum, err := joinChecksums(up, chosen)
	if err != nil {
		return sum, err
	}
	for _, alg := range checksum.All() {
		text := rq.call.Header.Get(alg.Header())
		if text == "" {
			continue
		}
		if alg != sum.Algorithm {
			return sum, s3api.ErrInvalidRequest.With("Checksum Type mismatch occurred, expected checksum Type: " + sum.Algorithm.String() + ", actual checksum Type: " + alg.String())
		}
		bare, _, _ := strings.Cut(text, "-")
		if bare != base64.StdEncoding.EncodeToString(sum.Value) {
			return sum, s3api.ErrBadDigest.With("The " + alg.String() + " you specified did not match the calculated checksum.")
		}
	}
	return sum, nil
}

func joinChecksums(up *openUpload, chosen []metadata.UploadPart) (metadata.Checksum, error) {
	alg := up.ChecksumAlgorithm
	if alg == checksum.None {
		return metadata.Checksum{}, nil
	}
	sum := metadata.Checksum{Algorithm: alg, Type: up.ChecksumType}
	values := make([][]byte, len(chosen))
	for i, p := range chosen {
		if p.Checksum.Algorithm != alg {
			return metadata.Checksum{}, s3api.ErrInvalidPart
		}
		values[i] = p.Checksum.Value
	}
	if sum.Type == checksum.Composite {
		sum.Value = checksum.CompositeOf(alg, values)
		return sum, nil
	}
	sum.Value = values[0]
	for i := 1; i < len(values); i++ {
		sum.Value = checksum.Combine(alg, sum.Value, values[i], chosen[i].Size)
	}
	return sum, nil
}

// putLayout writes the object's layout to the system bucket, before the object can exist: a reader without a record has
// nothing else to go by.
func (h *Handler) putLayout(ctx context.Context, up *openUpload, chosen []metadata.UploadPart, sum metadata.Checksum) error {
	layout := seal.Layout{}
	for _, p := range chosen {
		layout.Parts = append(layout.Parts, seal.LayoutPart{Number: p.Number, Size: p.Size, Salt: seal.Salt(p.Salt), MD5: p.MD5})
	}
	if sum.Algorithm != checksum.None {
		layout.Checksum = &seal.LayoutChecksum{Algorithm: sum.Algorithm, Type: sum.Type, Value: sum.Value}
	}
	doc, err := seal.SealLayout(up.dek, up.envelope.ObjectID, layout)
	if err != nil {
		return err
	}
	return h.system().Put(ctx, seal.LayoutName(up.Bucket, up.envelope.KEKID, up.envelope.ObjectID), doc)
}

// partsOfLayout gives a layout's parts as a record has them.
func partsOfLayout(l seal.Layout) []metadata.Part {
	parts := make([]metadata.Part, len(l.Parts))
	for i, p := range l.Parts {
		parts[i] = metadata.Part{Number: p.Number, Size: p.Size, Salt: [16]byte(p.Salt), MD5: p.MD5}
	}
	return parts
}

// backendComplete has the backend join the parts. A refusal opens the intent again unless the object is there; after a
// lost answer HEAD decides, and where it cannot, the intent stays.
func (h *Handler) backendComplete(c *commit, rq *request, up *openUpload, chosen []metadata.UploadPart) (http.Header, string, error) {
	list := make([]s3api.BackendPart, len(chosen))
	for i, p := range chosen {
		list[i] = s3api.BackendPart{Number: p.Number, ETag: p.BackendETag}
	}
	doc := s3api.EncodeBackendComplete(list)
	var q s3api.Query
	q.Set("uploadId", up.ID)
	resp, err := h.backend.Do(c.ctx, rq.as(), &BackendRequest{
		Method: http.MethodPost, Bucket: up.Bucket, Key: up.Key, Query: q,
		Header: http.Header{"Content-Type": {"application/xml"}}, Body: bytes.NewReader(doc), Length: int64(len(doc)),
	})
	if err == nil {
		err = completeRefusal(resp)
		if etag := joinedETag(chosen); err == nil && etag != "" {
			return resp.Header, etag, nil
		}
	}
	header, joined, headErr := h.joined(c.ctx, rq, up)
	if joined {
		return header, unquote(header.Get("ETag")), nil
	}
	if headErr != nil || errors.Is(err, ErrBackendUnavailable) || brokeDown(err) {
		return nil, "", errors.Join(ErrBackendUnavailable, err)
	}
	if err == nil {
		// Joined, and replaced by another writer before its ETag could be asked for.
		return nil, "", errChanged
	}
	if reopen := h.store.SetIntent(c.ctx, up.ID, nil); reopen != nil {
		return nil, "", errors.Join(reopen, err)
	}
	return nil, "", err
}

// brokeDown says that a backend failed rather than refused, also where the error came inside a 200: whether it acts after
// all is open.
func brokeDown(err error) bool {
	var e *s3api.Error
	return errors.As(err, &e) && e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented
}

// completeRefusal reads the body of a 200, which may still hold an <Error>.
func completeRefusal(resp *BackendResponse) error {
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBucketDocument))
	if err != nil {
		return errors.Join(ErrBackendUnavailable, err)
	}
	if bytes.Contains(text, []byte("<Error>")) {
		return s3api.DecodeError(resp.Status, text) // with the status of its code
	}
	return nil
}

// joinedETag computes the backend's ETag of the joined object, since RGW 16 answers an empty one.
func joinedETag(chosen []metadata.UploadPart) string {
	sum := md5.New()
	for _, p := range chosen {
		raw, err := hex.DecodeString(p.BackendETag)
		if err != nil {
			return ""
		}
		sum.Write(raw)
	}
	return hex.EncodeToString(sum.Sum(nil)) + "-" + strconv.Itoa(len(chosen))
}

func recordOfUpload(up *openUpload, chosen []metadata.UploadPart, sum metadata.Checksum, header http.Header, etag string) (*metadata.Record, error) {
	rec := &metadata.Record{
		Bucket: up.Bucket, Key: up.Key, VersionID: versionOf(header), Envelope: up.Envelope, BackendETag: etag,
		Checksum: sum, ContentType: up.ContentType,
	}
	for _, p := range chosen {
		rec.Size += p.Size
		rec.Parts = append(rec.Parts, metadata.Part{Number: p.Number, Size: p.Size, Salt: p.Salt, MD5: p.MD5, Checksum: p.Checksum})
	}
	rec.ETag = etagOfParts(rec.Parts, up.dek, up.envelope.ObjectID)
	return rec, nil
}
