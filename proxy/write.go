package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"

	"cofre/checksum"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// maxObjectSize is S3's limit on one PUT and on one part, in plaintext bytes
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
const maxObjectSize = 5 << 30

// maxHeaderBytes is what a backend request may carry in headers: RGW answers a bare 400 somewhere above, at 16 KiB for
// request line and headers together.
const maxHeaderBytes = 15_000

// newObject is an object about to be written in one piece: a PUT, a form upload or a streamed copy.
type newObject struct {
	target
	size  int64
	body  io.Reader
	attrs seal.Attributes
	// digests gives what the footer says of the body. It is called once, after body has ended in io.EOF, which it does
	// only when every check of the request has passed.
	digests func() seal.Footer
	// header holds what the backend acts upon itself: ACL, storage class, tags, lock.
	header http.Header
	conds  s3api.WriteConditions
	// confirm is asked under the key's lock, right before the footer goes out, whether the write under this envelope may still
	// take place; nil for writes that nothing but conds decides.
	confirm func(ctx context.Context, raw metadata.Envelope) error
}

// written is an object that the backend has accepted.
type written struct {
	record *metadata.Record
	header http.Header // of the backend's answer
}

// write seals one object and puts it on the backend. The old object stays until the backend has the last byte, and the
// last bytes (the footer) are given out only when the body has verified and the conditions hold.
func (h *Handler) write(ctx context.Context, rq *request, n newObject) (*written, error) {
	sealed, err := h.prepare(ctx, rq, n)
	if err != nil {
		return nil, err
	}
	backendCond, err := h.judgeEarly(ctx, rq, n)
	if err != nil {
		return nil, err
	}
	commit := newCommit(ctx, h, rq, n)
	commit.raw = sealed.raw
	defer commit.end()

	part := seal.Part{Size: n.size, Salt: sealed.envelope.PartSalt}
	var footer seal.Footer
	body := seal.NewEncrypter(sealed.dek, sealed.envelope.ObjectID, part, n.body, func() (seal.Footer, error) {
		footer = n.digests()
		if err := h.stillSeals(commit.ctx, sealed.kek); err != nil {
			return footer, err
		}
		return footer, commit.begin()
	})
	defer body.Close()
	for name, v := range backendCond {
		sealed.header[name] = v
	}
	passExpect(sealed.header, rq)
	resp, err := h.backend.Do(commit.ctx, rq.as(), &BackendRequest{
		Method: http.MethodPut, Bucket: n.Bucket, Key: n.Key, Header: sealed.header, Body: body, Length: seal.StoredSize(n.size),
	})
	header, err := h.settle(commit, rq, n.target, sealed.raw, resp, err)
	if err != nil {
		return nil, h.conditionLost(ctx, rq, n, sealed.raw, err)
	}
	rec := &metadata.Record{
		Bucket: n.Bucket, Key: n.Key, VersionID: versionOf(header), Envelope: sealed.raw, BackendETag: unquote(header.Get("Etag")),
		Size: n.size, ETag: etagOfPart(footer.MD5, sealed.dek, sealed.envelope.ObjectID, part),
		Checksum: fullChecksum(footer.Checksum, footer.Sum), ContentType: n.attrs.Headers["content-type"], Began: rq.began,
	}
	h.committed(commit.ctx, rq, rec)
	return &written{record: rec, header: header}, nil
}

// passExpect has the backend decide whether a client that asks before it sends its body shall send it: its ACLs and policies
// are known to nobody else. net/http tells the client to go on when the first byte of the body is read, which is when the
// backend wants it.
func passExpect(header http.Header, rq *request) {
	if strings.EqualFold(rq.Header.Get("Expect"), "100-continue") {
		header.Set("Expect", "100-continue")
	}
}

// stillSeals refuses to commit an object under a KEK that was closed while its body was on its way: whoever has left could open it.
// The client sends it again, under the next one.
func (h *Handler) stillSeals(ctx context.Context, kek keys.KEK) error {
	if kek.Deposit() {
		return nil // it is in no store, and changes with the trust list
	}
	_, state, err := h.ring.Open(ctx, kek.Bucket(), kek.ID())
	if err == nil && state == keys.Closed {
		err = fmt.Errorf("%w: KEK %s was closed while the body was sent", keys.ErrKEKUnavailable, kek.ID())
	}
	return err
}

// sealedHead is what a new object or upload carries in its metadata.
type sealedHead struct {
	kek      keys.KEK // a deposit KEK: this site cannot open the envelope again
	dek      keys.DEK
	envelope seal.Envelope
	raw      metadata.Envelope
	header   http.Header
}

// prepare checks everything that can be known before the body, and makes key, envelope and backend headers.
func (h *Handler) prepare(ctx context.Context, rq *request, n newObject) (*sealedHead, error) {
	if err := h.checkSize(n.size); err != nil {
		return nil, err
	}
	return h.sealHead(ctx, rq, n.target, seal.NewSalt(), 0, n.attrs, n.header)
}

// checkSize refuses what the backend would refuse at the very end.
func (h *Handler) checkSize(size int64) error {
	if size > maxObjectSize || seal.StoredSize(size) > h.cfg.Limits.MaxPutSize {
		return h.tooLarge(size)
	}
	return nil
}

// tooLarge is the error of a body that is too long to be stored in one piece. It names the longest one, before sealing.
func (h *Handler) tooLarge(size int64) *s3api.Error {
	longest := sort.Search(maxObjectSize, func(n int) bool { return seal.StoredSize(int64(n)+1) > h.cfg.Limits.MaxPutSize })
	return s3api.ErrEntityTooLarge.Field("ProposedSize", strconv.FormatInt(size, 10)).Field("MaxSizeAllowed", strconv.Itoa(longest))
}

// sealHead makes the DEK, the envelope and the sealed attributes of a new object under the bucket's active KEK.
func (h *Handler) sealHead(ctx context.Context, rq *request, t target, salt seal.Salt, flags seal.Flags, attrs seal.Attributes, pass http.Header) (*sealedHead, error) {
	if !h.store.Healthy() {
		return nil, metadata.ErrUnavailable
	}
	if _, err := h.facts(ctx, rq.as(), t.Bucket); err != nil {
		return nil, err
	}
	if err := h.ring.CheckWrite(t.Bucket, t.Key); err != nil {
		return nil, err
	}
	kek, err := h.ring.Active(ctx, t.Bucket)
	if err != nil {
		return nil, err
	}
	s, err := h.sealUnder(kek, keys.NewDEK(), keys.NewObjectID(), t, salt, flags|rq.encryption.flags(), rq.encryption.customerKey, attrs, pass)
	if err == nil && rq.encryption.kms {
		for name, v := range passHeaders(rq.call.Header, kmsHeaders) {
			s.header[name] = v
		}
	}
	return s, err
}

// sealUnder makes the head of an object under a given KEK, DEK and object id. A copy that keeps its body keeps both.
func (h *Handler) sealUnder(kek keys.KEK, dek keys.DEK, id keys.ObjectID, t target, salt seal.Salt, flags seal.Flags, customerKey []byte, attrs seal.Attributes, pass http.Header) (*sealedHead, error) {
	clear := h.cfg.Bucket(t.Bucket).ClearAttributes
	if !clear {
		flags |= seal.HasAttributes
	}
	env, err := seal.SealEnvelope(kek, t.Key, customerKey, flags, id, salt, dek)
	if err != nil {
		return nil, err
	}
	s := &sealedHead{kek: kek, dek: dek, envelope: env, raw: metadata.Envelope(env.Bytes()), header: pass.Clone()}
	if s.header == nil {
		s.header = http.Header{}
	}
	s.header[headerEnvelope] = []string{env.String()}
	if clear {
		for name, v := range attrs.Headers {
			s.header.Set(name, v)
		}
		for name, v := range attrs.Meta {
			s.header.Set(metaPrefix+name, v)
		}
	} else {
		text, err := seal.SealAttributes(dek, env, t.Key, attrs)
		if err != nil {
			return nil, err
		}
		s.header[headerAttributes], s.header["Content-Type"] = []string{text}, backendType
	}
	if headerSize(s.header)+3*len(t.Key) > maxHeaderBytes {
		return nil, s3api.ErrMetadataTooLarge
	}
	return s, nil
}

func headerSize(header http.Header) int {
	n := 0
	for name, values := range header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// settle makes sense of the backend's answer to a write. An answer that was lost after the footer went out leaves open
// whether the backend has the object; HEAD says: the same envelope means success (docs/DESIGN decision 2).
func (h *Handler) settle(c *commit, rq *request, t target, raw metadata.Envelope, resp *BackendResponse, err error) (http.Header, error) {
	if err == nil {
		resp.Body.Close()
		return resp.Header, nil
	}
	// With If-Match it is S3's word for there being nothing to match, with grants RGW's for a grantee that it does not know.
	if c.n.conds.Empty() && !slices.ContainsFunc(aclHeaders[1:], func(name string) bool { return c.n.header.Get(name) != "" }) {
		err = outOfPlace(err)
	}
	if !c.begun() || !errors.Is(err, ErrBackendUnavailable) {
		return nil, err
	}
	header, headErr := h.headOf(c.ctx, rq, t)
	if headErr != nil {
		return nil, err
	}
	if got, _, envErr := envelopeOf(header); envErr != nil || got != raw {
		return nil, err
	}
	return header, nil
}

// outOfPlace takes NoSuchKey, which S3 never answers to who writes or deletes a key, for the breakdown that it is: RGW 16 says so where
// writers meet on the null version of a bucket with suspended versioning. Whether it has acted is open.
func outOfPlace(err error) error {
	if hasCode(err, s3api.ErrNoSuchKey.Code) {
		return fmt.Errorf("%w: a write was answered %s", ErrBackendUnavailable, s3api.ErrNoSuchKey.Code)
	}
	return err
}

// headOf asks for an object's headers, past every cache.
func (h *Handler) headOf(ctx context.Context, rq *request, t target) (http.Header, error) {
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodHead, Bucket: t.Bucket, Key: t.Key, Query: t.query()})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	return resp.Header, nil
}

// putObject serves PutObject.
func (h *Handler) putObject(rq *request) error {
	w, err := h.put(rq)
	if err != nil {
		return err
	}
	header := rq.w.Header()
	header.Set("Etag", quote(w.record.ETag))
	setChecksum(header, w.record)
	setVersion(header, w.header)
	rq.encryption.setWritten(header, w.header)
	header["Content-Length"] = emptyLength
	rq.w.WriteHeader(http.StatusOK)
	return nil
}

// put writes the object that a PUT, or a form that stands for one, carries in its headers and its body.
func (h *Handler) put(rq *request) (*written, error) {
	conds, cerr := s3api.ParseWriteConditions(rq.call.Header)
	if cerr != nil {
		return nil, cerr
	}
	attrs, cerr := attributesFrom(rq.call.Header)
	if cerr != nil {
		return nil, cerr
	}
	if _, cerr := s3api.ParseObjectLock(rq.call.Header, h.cfg.Clock()); cerr != nil {
		return nil, cerr
	}
	body, err := h.requestBody(rq, checksum.None)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return h.write(rq.Context(), rq, newObject{
		target: rq.target(), size: body.Length(), body: countReader{body, rq.event}, attrs: attrs, conds: conds,
		header: passHeaders(rq.call.Header, passedHeaders),
		digests: func() seal.Footer {
			alg, sum := body.Checksum()
			return seal.Footer{MD5: body.MD5(), Checksum: alg, Sum: sum}
		},
	})
}

// setVersion gives the client the version that a write made.
func setVersion(out, backend http.Header) {
	if v := backend.Get("X-Amz-Version-Id"); v != "" {
		out.Set("X-Amz-Version-Id", v)
	}
}

// countReader counts what was taken from the client.
type countReader struct {
	io.Reader
	event *event
}

func (c countReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.event.BytesIn += int64(n)
	return n, err
}
