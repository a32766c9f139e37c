package proxy

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

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
	own, err := up.attributes()
	if err != nil {
		return nil, err
	}
	// Before the upload is done with: a client that is told of a failure sends Complete again, which comes here again.
	if err := h.careFor(ctx, rq, target{Bucket: up.Bucket, Key: up.Key, VersionID: header.Get("X-Amz-Version-Id")}, own.Care); err != nil {
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
		if len(up.SealedDEK) > 0 {
			return nil, err // the row still holds a key that must not stay: the client shall send Complete again
		}
		// Durable and readable all the same: the next read heals the row, the next Complete finds the object by HEAD.
		h.metrics.storeLost.WithLabelValues(rq.event.Operation).Inc()
		h.log.Warn("completed upload not recorded", zap.String("request_id", rq.event.ID), zap.Error(err))
	}
	h.records.forget(up.Bucket, up.Key, rec.VersionID)
	return done, nil
}

// putLayout writes the object's layout to the system bucket, before the object can exist: a reader without a record has
// nothing else to go by.
func (h *Handler) putLayout(ctx context.Context, up *openUpload, chosen []metadata.UploadPart, sum metadata.Checksum) error {
	layout := seal.Layout{}
	for _, p := range chosen {
		part := seal.LayoutPart{Number: p.Number, Size: p.Size, Salt: seal.Salt(p.Salt), MD5: p.MD5}
		if p.Checksum.Algorithm == sum.Algorithm {
			part.Sum = p.Checksum.Value
		}
		layout.Parts = append(layout.Parts, part)
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
		if p.Sum != nil {
			parts[i].Checksum = metadata.Checksum{Algorithm: l.Checksum.Algorithm, Value: p.Sum}
		}
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
	err = outOfPlace(err)
	if err == nil {
		err = outOfPlace(completeRefusal(resp))
		if etag := joinedETag(chosen); err == nil && etag != "" {
			return resp.Header, etag, nil
		}
	}
	header, joined, headErr := h.joined(c.ctx, rq, up)
	if joined {
		return header, unquote(header.Get("Etag")), nil
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
