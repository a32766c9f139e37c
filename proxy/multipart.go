package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"cofre/checksum"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// S3's limits on parts (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
const (
	maxPartNumber = 10_000
	minPartSize   = 5 << 20 // plaintext bytes, of every part but the last
)

// uploadAttributes is what Complete must know of what Create was told; it is kept in the upload row.
type uploadAttributes struct {
	// SSE and KMSKey are what Create answered of the encryption, for the answers that follow.
	SSE    string `json:"sse,omitempty"`
	KMSKey string `json:"kms_key,omitempty"`
	// Care is what the object gets once it is there.
	Care aftercare `json:"care,omitzero"`
	// CustomerKey is what the client's own key is checked by where the envelope, which would tell, does not open: at a site
	// that deposits.
	CustomerKey *customerKeyCheck `json:"customer_key,omitempty"`
}

func (up *openUpload) attributes() (own uploadAttributes, err error) {
	err = json.Unmarshal(up.Attributes, &own)
	return own, err
}

// encryption says how an upload is encrypted, as its Create did; nothing where the client's own key is used.
func (up *openUpload) encryption() (sse, kmsKey string) {
	own, err := up.attributes()
	if err != nil || up.envelope.Flags.Has(seal.CustomerKey) {
		return "", ""
	}
	if own.SSE == "" {
		own.SSE = algorithmAES256
	}
	return own.SSE, own.KMSKey
}

// setEncryption tells the sender of a part how it is encrypted.
func (up *openUpload) setEncryption(rq *request, out http.Header) {
	if sse, kmsKey := up.encryption(); sse != "" {
		setManaged(out, http.Header{headerSSE: {sse}, headerKMSKey: {kmsKey}})
		return
	}
	rq.encryption.setWritten(out, nil)
}

// createMultipartUpload serves CreateMultipartUpload: key, envelope and attributes are made here, since nothing can be
// added to an object's metadata once its upload has begun.
func (h *Handler) createMultipartUpload(rq *request) error {
	attrs, cerr := attributesFrom(rq.call.Header)
	if cerr != nil {
		return cerr
	}
	alg, kind, err := uploadChecksum(rq.call.Header)
	if err != nil {
		return err
	}
	ctx, t := rq.Context(), rq.target()
	pass := passHeaders(rq.call.Header, passedHeaders)
	care, err := h.takeAftercare(ctx, rq, t.Bucket, pass)
	if err != nil {
		return err
	}
	head, err := h.sealHead(ctx, rq, t, seal.Salt{}, seal.Multipart, attrs, pass)
	if err != nil {
		return err
	}
	var q s3api.Query
	q.Set("uploads", "")
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodPost, Bucket: t.Bucket, Key: t.Key, Query: q, Header: head.header})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	id, err := s3api.ScanInitiateMultipartUpload(resp.Body)
	if err != nil {
		return err
	}
	attributes := uploadAttributes{SSE: resp.Header.Get(headerSSE), KMSKey: resp.Header.Get(headerKMSKey), Care: care}
	if head.kek.Deposit() && rq.encryption.customerKey != nil {
		attributes.CustomerKey = newCustomerKeyCheck(rq.encryption.customerKey)
	}
	own, err := json.Marshal(attributes)
	if err != nil {
		return err
	}
	up := metadata.Upload{
		ID: id, Bucket: t.Bucket, Key: t.Key, Envelope: head.raw, Initiator: rq.who.AccessKeyID,
		ChecksumAlgorithm: alg, ChecksumType: kind, ContentType: attrs.Headers["content-type"], Attributes: own,
	}
	if rq.encryption.customerKey != nil || head.kek.Deposit() {
		// Complete comes without the customer's key and has to write the layout all the same; and what a site deposits no
		// replica of it can open again.
		up.SealedDEK = h.ring.SealDEK(head.dek, head.raw[:])
	}
	if err := h.store.CreateUpload(ctx, up); err != nil {
		h.abortBackend(ctx, rq, t, id)
		return err
	}
	header := rq.w.Header()
	if alg != checksum.None {
		header.Set("X-Amz-Checksum-Algorithm", alg.String())
		header.Set("X-Amz-Checksum-Type", string(kind))
	}
	rq.encryption.setWritten(header, resp.Header)
	header.Set("Content-Type", "application/xml")
	rq.w.WriteHeader(http.StatusOK)
	return s3api.WriteInitiateMultipartUpload(rq.w, t.Bucket, t.Key, id)
}

// uploadChecksum reads which checksum an upload will have. Composite is S3's default for all but CRC64NVME, which is
// always over the full object (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
func uploadChecksum(header http.Header) (checksum.Algorithm, checksum.Type, error) {
	name, kind := header.Get("X-Amz-Checksum-Algorithm"), checksum.Type(header.Get("X-Amz-Checksum-Type"))
	if name == "" {
		if kind != "" {
			return checksum.None, "", s3api.ErrInvalidRequest.With("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return checksum.None, "", nil
	}
	alg, ok := checksum.ParseAlgorithm(name)
	if !ok {
		return checksum.None, "", errUnsupportedChecksum
	}
	whole := alg == checksum.CRC64NVME
	parts := alg == checksum.SHA1 || alg == checksum.SHA256
	switch {
	case kind == "" && whole:
		kind = checksum.FullObject
	case kind == "":
		kind = checksum.Composite
	case kind != checksum.FullObject && kind != checksum.Composite:
		return checksum.None, "", s3api.ErrInvalidRequest.With("Value for x-amz-checksum-type header is invalid.")
	case kind == checksum.Composite && whole, kind == checksum.FullObject && parts:
		return checksum.None, "", s3api.ErrInvalidRequest.With("The " + string(kind) + " checksum type cannot be used with the " + checksumWord(alg) + " checksum algorithm.")
	}
	return alg, kind, nil
}

// openUpload is an upload with its key opened.
type openUpload struct {
	metadata.Upload
	envelope seal.Envelope
	dek      keys.DEK
}

// upload finds the upload that the request names and opens its key.
func (h *Handler) upload(ctx context.Context, rq *request) (*openUpload, error) {
	t := rq.target()
	up, err := h.store.Upload(ctx, t.Bucket, t.Key, rq.call.Query.Get("uploadId"))
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, s3api.ErrNoSuchUpload
	}
	if err != nil {
		return nil, err
	}
	env, err := seal.ParseEnvelopeBytes(up.Envelope[:])
	if err != nil {
		return nil, err
	}
	dek, err := h.uploadKey(ctx, rq, up, env)
	if err != nil {
		return nil, err
	}
	return &openUpload{up, env, dek}, nil
}

// newPart is one part about to be sent.
type newPart struct {
	number  int
	size    int64
	body    io.Reader
	digests func() seal.Footer
}

// sendPart seals one part under a fresh salt, sends it and keeps its row. The salt is fresh for every attempt: clients
// send parts again, sometimes with other bytes.
func (h *Handler) sendPart(ctx context.Context, rq *request, up *openUpload, n newPart) (*metadata.UploadPart, error) {
	if up.State != metadata.UploadOpen {
		return nil, s3api.ErrNoSuchUpload
	}
	row, err := h.sealPart(ctx, rq, up, n)
	if err != nil {
		return nil, err
	}
	err = h.store.AddPart(context.WithoutCancel(ctx), up.ID, row)
	switch {
	case errors.Is(err, metadata.ErrNotFound), errors.Is(err, metadata.ErrConflict):
		return nil, s3api.ErrNoSuchUpload
	case err != nil:
		return nil, err
	}
	if up.ChecksumAlgorithm == checksum.None {
		// S3 keeps these for the object's and shows them nowhere. An SDK that were told of one would name it to Complete, which
		// takes none for such an upload.
		row.Checksum = metadata.Checksum{}
	}
	return &row, nil
}

// sealPart seals one part and sends it.
func (h *Handler) sealPart(ctx context.Context, rq *request, up *openUpload, n newPart) (metadata.UploadPart, error) {
	if err := h.checkSize(n.size); err != nil {
		return metadata.UploadPart{}, err
	}
	part := seal.Part{Number: n.number, Size: n.size, Salt: seal.NewSalt()}
	var footer seal.Footer
	body := seal.NewEncrypter(up.dek, up.envelope.ObjectID, part, n.body, func() (seal.Footer, error) {
		footer = n.digests()
		return footer, nil
	})
	defer body.Close()
	var q s3api.Query
	q.Set("partNumber", strconv.Itoa(n.number))
	q.Set("uploadId", up.ID)
	header := http.Header{}
	passExpect(header, rq)
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{
		Method: http.MethodPut, Bucket: up.Bucket, Key: up.Key, Query: q, Header: header, Body: body, Length: seal.StoredSize(n.size),
	})
	if err != nil {
		return metadata.UploadPart{}, err
	}
	resp.Body.Close()
	return metadata.UploadPart{
		Number: n.number, Attempt: [16]byte(part.Salt), Salt: [16]byte(part.Salt), Size: n.size, MD5: footer.MD5,
		ETag: etagOfPart(footer.MD5, up.dek, up.envelope.ObjectID, part), BackendETag: unquote(resp.Header.Get("Etag")),
		Checksum: metadata.Checksum{Algorithm: footer.Checksum, Value: footer.Sum},
	}, nil
}

// uploadPart serves UploadPart.
func (h *Handler) uploadPart(rq *request) error {
	number, err := partNumberOf(rq)
	if err != nil {
		return err
	}
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	up, err := h.upload(rq.Context(), rq)
	if err != nil {
		return err
	}
	kept := up.partChecksum()
	body, err := h.requestBody(rq, kept)
	if err != nil {
		return err
	}
	defer body.Close()
	if sent := body.ClientChecksum(); sent != checksum.None && up.ChecksumAlgorithm != checksum.None && sent != up.ChecksumAlgorithm {
		return s3api.ErrInvalidRequest.With("Checksum Type mismatch occurred, expected checksum Type: " + checksumWord(up.ChecksumAlgorithm) + ", actual checksum Type: " + checksumWord(sent))
	}
	row, err := h.sendPart(rq.Context(), rq, up, newPart{
		number: number, size: body.Length(), body: countReader{body, rq.event},
		digests: func() seal.Footer {
			return seal.Footer{MD5: body.MD5(), Checksum: kept, Sum: body.Sum(kept)}
		},
	})
	if err != nil {
		return err
	}
	header := rq.w.Header()
	header.Set("Etag", quote(row.ETag))
	if row.Checksum.Algorithm != checksum.None {
		header.Set(row.Checksum.Algorithm.Header(), checksumText(row.Checksum, 0))
	}
	up.setEncryption(rq, header)
	header.Set("Content-Length", "0")
	rq.w.WriteHeader(http.StatusOK)
	return nil
}

func partNumberOf(rq *request) (int, error) {
	n, err := strconv.Atoi(rq.call.Query.Get("partNumber"))
	if err != nil || n < 1 || n > maxPartNumber {
		return 0, s3api.ErrInvalidArgument.With("Part number must be an integer between 1 and 10000, inclusive").
			Field("ArgumentName", "partNumber").Field("ArgumentValue", rq.call.Query.Get("partNumber"))
	}
	return n, nil
}

// abortMultipartUpload serves AbortMultipartUpload; an upload that cofre does not know is the backend's to judge.
func (h *Handler) abortMultipartUpload(rq *request) error {
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	ctx, t, id := rq.Context(), rq.target(), rq.call.Query.Get("uploadId")
	lock, err := h.lockUpload(ctx, id)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	up, err := h.store.Upload(ctx, t.Bucket, t.Key, id)
	switch {
	case err == nil && up.State == metadata.UploadCompleted:
		return s3api.ErrNoSuchUpload
	case err == nil && up.State == metadata.UploadCompleting:
		// The answer to a Complete was lost. If it took effect there is nothing to abort, and completing again must still
		// find the upload.
		header, joined, err := h.joined(ctx, rq, &openUpload{Upload: up})
		if err != nil {
			return err
		}
		if joined {
			return h.abortTooLate(ctx, rq, header)
		}
		if err := h.mayAbort(up); err != nil {
			return err
		}
	case err != nil && !errors.Is(err, metadata.ErrNotFound):
		return err
	}
	if err := h.abort(ctx, rq, t, id); err != nil && (up.ID == "" || !hasStatus(err, http.StatusNotFound)) {
		return err
	}
	if err := h.store.DeleteUpload(context.WithoutCancel(ctx), id); err != nil {
		return err
	}
	rq.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) abort(ctx context.Context, rq *request, t target, id string) error {
	var q s3api.Query
	q.Set("uploadId", id)
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodDelete, Bucket: t.Bucket, Key: t.Key, Query: q})
	if err != nil {
		if hasStatus(err, http.StatusNotFound) {
			return errors.Join(s3api.ErrNoSuchUpload, err)
		}
		return err
	}
	resp.Body.Close()
	return nil
}

// abortBackend removes an upload that nobody will know of.
func (h *Handler) abortBackend(ctx context.Context, rq *request, t target, id string) {
	if err := h.abort(context.WithoutCancel(ctx), rq, t, id); err != nil {
		h.log.Warn("upload without row not aborted", zap.String("request_id", rq.event.ID), zap.Error(err))
	}
}
