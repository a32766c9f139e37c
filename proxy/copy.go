package proxy

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/checksum"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// copying is one CopyObject on its way.
type copying struct {
	source  target
	dest    target
	conds   s3api.Conditions
	write   s3api.WriteConditions
	replace bool // of the metadata, with what the request says
	tags    tagDirective
	// algorithm is the checksum that the client asks for; None keeps the source's.
	algorithm checksum.Algorithm
}

// tagDirective says which tags a copy gets.
type tagDirective struct {
	replace bool
	header  string // URL-encoded, as x-amz-tagging has it
}

// copyObject serves CopyObject.
func (h *Handler) copyObject(rq *request) error {
	c, err := h.parseCopy(rq)
	if err != nil {
		return err
	}
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	return h.answerSlowly(rq, func() (*answer, error) { return h.copy(rq.Context(), rq, c) })
}

// copySource reads and authorises the source of a copy: whoever may not read it must not copy it either.
func (h *Handler) copySource(rq *request) (target, s3api.Conditions, error) {
	src, cerr := s3api.ParseCopySource(rq.call.Header.Get("x-amz-copy-source"))
	if cerr != nil {
		return target{}, s3api.Conditions{}, cerr
	}
	if h.hidden(src.Bucket) || !rq.who.Allows(access.Read, src.Bucket, src.Key) {
		return target{}, s3api.Conditions{}, s3api.ErrAccessDenied
	}
	conds, cerr := s3api.ParseCopySourceConditions(rq.call.Header)
	if cerr != nil {
		return target{}, s3api.Conditions{}, cerr
	}
	return target{Bucket: src.Bucket, Key: src.Key, VersionID: src.VersionID}, conds, nil
}

func (h *Handler) parseCopy(rq *request) (*copying, error) {
	source, conds, err := h.copySource(rq)
	if err != nil {
		return nil, err
	}
	c := &copying{source: source, dest: rq.target(), conds: conds}
	var cerr *s3api.Error
	if c.write, cerr = s3api.ParseWriteConditions(rq.call.Header); cerr != nil {
		return nil, cerr
	}
	if c.replace, err = directive(rq.call.Header, "x-amz-metadata-directive"); err != nil {
		return nil, err
	}
	if c.tags.replace, err = directive(rq.call.Header, "x-amz-tagging-directive"); err != nil {
		return nil, err
	}
	if c.tags.replace {
		c.tags.header = rq.call.Header.Get("x-amz-tagging")
	}
	if name := rq.call.Header.Get("x-amz-checksum-algorithm"); name != "" {
		alg, ok := checksum.ParseAlgorithm(name)
		if !ok {
			return nil, s3api.ErrInvalidRequest.With("Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
		}
		c.algorithm = alg
	}
	self := source.Bucket == c.dest.Bucket && source.Key == c.dest.Key && source.VersionID == ""
	if self && !c.replace && !c.tags.replace && rq.call.Header.Get("x-amz-storage-class") == "" &&
		rq.call.Header.Get("x-amz-website-redirect-location") == "" && rq.call.Header.Get(headerSSE) == "" && rq.encryption.customerKey == nil && c.algorithm == checksum.None {
		return nil, s3api.ErrInvalidRequest.With("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	return c, nil
}

// readingSource is the request's way to read what it copies.
func (rq *request) readingSource() reading {
	return reading{as: rq.as(), customerKey: rq.encryption.sourceKey}
}

func directive(header http.Header, name string) (replace bool, err error) {
	switch header.Get(name) {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, s3api.ErrInvalidArgument.With("Unknown "+name+".").Field("ArgumentName", name).Field("ArgumentValue", header.Get(name))
	}
}

// copy makes the copy: on the backend, pinned to the source, where trust stays the same; else read, verified and sealed anew.
func (h *Handler) copy(ctx context.Context, rq *request, c *copying) (*answer, error) {
	if _, err := h.facts(ctx, rq.as(), c.dest.Bucket); err != nil {
		return nil, err
	}
	for range openAttempts {
		o, err := h.open(ctx, rq.readingSource(), c.source, func(*metadata.Record) ask { return ask{head: true} })
		if isUnsealed(err) {
			return h.copyUnsealed(ctx, rq, c, err)
		}
		if err != nil {
			return nil, err
		}
		o.response.Body.Close()
		if err := c.judge(o); err != nil {
			return nil, err
		}
		attrs, err := c.attributes(rq, o)
		if err != nil {
			return nil, err
		}
		if c.tags.header, err = h.copyTags(ctx, rq, c); err != nil {
			return nil, err
		}
		rewrap, err := h.mayRewrap(ctx, rq, c, o)
		if err != nil {
			return nil, err
		}
		if !rewrap {
			return h.copyStreamed(ctx, rq, c)
		}
		a, err := h.copyRewrapped(ctx, rq, c, o, attrs)
		if !errors.Is(err, errChanged) {
			return a, err
		}
	}
	return nil, errChanged
}

// judge checks the source against the client's conditions and S3's limit.
func (c *copying) judge(o *object) error {
	if err := c.conds.Source(o.record.ETag, lastModifiedOf(o.response.Header)); err != nil {
		return err
	}
	if o.record.Size > maxObjectSize {
		return s3api.ErrInvalidRequest.With("The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
	}
	return nil
}

func (c *copying) attributes(rq *request, o *object) (seal.Attributes, error) {
	if !c.replace {
		return o.attributes()
	}
	attrs, cerr := attributesFrom(rq.call.Header)
	if cerr != nil {
		return attrs, cerr
	}
	return attrs, nil
}

// mayRewrap says whether the copy may keep object id and DEK, so that the backend copies the body (docs/FORMAT.md section 4).
func (h *Handler) mayRewrap(ctx context.Context, rq *request, c *copying, o *object) (bool, error) {
	if c.source.Bucket != c.dest.Bucket || o.kekState == keys.Closed || o.envelope.Flags.Has(seal.CustomerKey) || !c.write.Empty() {
		return false, nil
	}
	if rq.encryption.customerKey != nil || rq.encryption.kms || strings.HasPrefix(o.response.Header.Get(headerSSE), "aws:kms") {
		return false, nil // RGW 16 cannot copy into or out of its own encryption
	}
	if h.ring.CheckCopy(o.kek) != nil {
		return false, nil //nolint:nilerr // a deposit site's KEK, under which nobody else writes: the copy is sealed anew
	}
	if c.algorithm != checksum.None && (o.record.Checksum.Algorithm != c.algorithm || o.record.Checksum.Type != checksum.FullObject) {
		return false, nil
	}
	facts, err := h.facts(ctx, rq.as(), c.dest.Bucket)
	if err != nil {
		return false, err
	}
	if facts.Versioned && versionOf(o.response.Header) == metadata.NullVersion {
		return false, nil // RGW 16 loses the body of such a copy when the source goes
	}
	return h.copyProbe.holds(ctx, h)
}

// copyRewrapped has the backend copy the body under a new envelope. Both spellings of the pin are sent: RGW 16 honours
// only the second, AWS only the first; without one, a racing writer's body would get this envelope.
func (h *Handler) copyRewrapped(ctx context.Context, rq *request, c *copying, o *object, attrs seal.Attributes) (*answer, error) {
	flags := o.envelope.Flags & seal.Multipart
	head, err := h.sealUnder(o.kek, o.dek, o.envelope.ObjectID, c.dest, o.envelope.PartSalt, flags, nil, attrs, copyHeaders(rq.call.Header))
	if err != nil {
		return nil, err
	}
	setCopySource(head.header, c.source, o.record.BackendETag)
	commit := newCommit(ctx, h, rq, newObject{target: c.dest})
	defer commit.end()
	if err := commit.begin(); err != nil {
		return nil, err
	}
	resp, err := h.backend.Do(commit.ctx, rq.as(), &BackendRequest{Method: http.MethodPut, Bucket: c.dest.Bucket, Key: c.dest.Key, Header: head.header})
	if err == nil {
		err = completeRefusal(resp)
	}
	// RGW answers OperationAborted where a copy meets a writer of the source in the middle; nothing was copied then.
	if hasStatus(err, http.StatusPreconditionFailed) || hasCode(err, s3api.ErrOperationAborted.Code) {
		h.records.forget(c.source.Bucket, c.source.Key, c.source.VersionID)
		return nil, errChanged
	}
	header, headErr := h.headOf(commit.ctx, rq, c.dest)
	mine := headErr == nil && carries(header, head.raw)
	if err != nil && !mine {
		return nil, err
	}
	rec := copyRecord(o, c.dest, head, attrs, rq.began)
	if !mine {
		// Another writer was quicker: what HEAD shows is his. Neither row nor tombstone is written (the row is made when
		// somebody reads this version), and his object gets neither these tags nor its version named in this answer.
		h.records.forget(c.dest.Bucket, c.dest.Key, "")
		return copyAnswer(rq, o.response.Header, nil, rec), nil
	}
	// The version comes from here, since RGW's answer to a copy names none.
	rec.VersionID, rec.BackendETag = versionOf(header), unquote(header.Get("ETag"))
	h.committed(commit.ctx, rq, rec)
	if err := h.putTags(commit.ctx, rq, c, header); err != nil {
		return nil, err
	}
	return copyAnswer(rq, o.response.Header, header, rec), nil
}

func carries(header http.Header, raw metadata.Envelope) bool {
	got, _, err := envelopeOf(header)
	return err == nil && got == raw
}

// copyHeaders is what of the request the backend acts upon in a copy. Tags are set by a call of their own: RGW 16 stores
// an unreadable tag set when a copy carries them.
func copyHeaders(from http.Header) http.Header {
	header := passHeaders(from, passedHeaders)
	header.Del("X-Amz-Tagging")
	return header
}

// setCopySource names and pins the source, always in cofre's own spelling: one that a client may send aborts RGW 16.
func setCopySource(header http.Header, source target, backendETag string) {
	name := "/" + source.Bucket + "/" + s3api.EscapePath(source.Key)
	if source.VersionID != "" {
		name += "?versionId=" + s3api.EscapePath(source.VersionID)
	}
	header.Set("x-amz-copy-source", name)
	header.Set("x-amz-metadata-directive", "REPLACE")
	header.Set("x-amz-copy-source-if-match", quote(backendETag))
	header.Set("x-amz-copy-if-match", quote(backendETag))
}

// copyRecord is the source's record under the copy's name and envelope: the body is the same.
func copyRecord(o *object, dest target, head *sealedHead, attrs seal.Attributes, began time.Time) *metadata.Record {
	rec := *o.record
	rec.Bucket, rec.Key, rec.VersionID = dest.Bucket, dest.Key, metadata.NullVersion
	rec.Envelope, rec.ContentType, rec.Began = head.raw, attrs.Headers["content-type"], began
	rec.Committed, rec.Tombstoned = time.Time{}, time.Time{}
	return &rec
}

// copyStreamed reads the source, verified, and writes it as a new object with a DEK of its own.
func (h *Handler) copyStreamed(ctx context.Context, rq *request, c *copying) (*answer, error) {
	o, err := h.open(ctx, rq.readingSource(), c.source, func(rec *metadata.Record) ask { return ask{whole: true, n: rec.Size} })
	if err != nil {
		return nil, err
	}
	defer o.response.Body.Close()
	if err := c.judge(o); err != nil {
		return nil, err
	}
	// Of this very object: the one that was looked at first may have been replaced since.
	attrs, err := c.attributes(rq, o)
	if err != nil {
		return nil, err
	}
	dec := h.decrypter(ctx, o)
	defer dec.Close()
	body := h.digesting(c.dest.Bucket, dec, c.checksumOf(o.record))
	header := copyHeaders(rq.call.Header)
	if c.tags.header != "" {
		header.Set("x-amz-tagging", c.tags.header)
	}
	w, err := h.write(ctx, rq, newObject{
		target: c.dest, size: o.record.Size, body: body, attrs: attrs, digests: body.footer, header: header, conds: c.write,
	})
	if err != nil {
		return nil, err
	}
	return copyAnswer(rq, o.response.Header, w.header, w.record), nil
}

// checksumOf is the checksum that the copy gets: the one asked for, else of the source's kind.
func (c *copying) checksumOf(rec *metadata.Record) checksum.Algorithm {
	if c.algorithm != checksum.None {
		return c.algorithm
	}
	return rec.Checksum.Algorithm
}

// copyUnsealed seals a copy of an object that lies in clear, where the bucket's policy serves such objects at all.
func (h *Handler) copyUnsealed(ctx context.Context, rq *request, c *copying, found error) (*answer, error) {
	var plain *unsealedObject
	if !errors.As(found, &plain) || !h.cfg.Bucket(c.source.Bucket).PassUnsealed {
		return nil, found
	}
	if err := h.mayPass(ctx, c.source, versionOf(plain.header)); err != nil {
		return nil, err
	}
	etag := unquote(plain.header.Get("ETag"))
	if err := c.conds.Source(etag, lastModifiedOf(plain.header)); err != nil {
		return nil, err
	}
	if err := h.refuseSealedBody(ctx, rq.as(), c.source, etag); err != nil {
		return nil, err
	}
	attrs := clearAttributes(plain.header)
	if c.replace {
		var cerr *s3api.Error
		if attrs, cerr = attributesFrom(rq.call.Header); cerr != nil {
			return nil, cerr
		}
	}
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{
		Method: http.MethodGet, Bucket: c.source.Bucket, Key: c.source.Key, Query: c.source.query(), Header: http.Header{"If-Match": {quote(etag)}},
	})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if _, _, err := envelopeOf(resp.Header); !errors.Is(err, errUnsealed) {
		return nil, errChanged
	}
	size, err := totalSize(resp)
	if err != nil {
		return nil, err
	}
	body := h.digesting(c.dest.Bucket, resp.Body, c.algorithm)
	w, err := h.write(ctx, rq, newObject{
		target: c.dest, size: size, body: body, attrs: attrs, digests: body.footer, header: copyHeaders(rq.call.Header), conds: c.write,
	})
	if err != nil {
		return nil, err
	}
	return copyAnswer(rq, resp.Header, w.header, w.record), nil
}

// copyAnswer is the CopyObjectResult with its headers.
func copyAnswer(rq *request, source, dest http.Header, rec *metadata.Record) *answer {
	header := http.Header{}
	setVersion(header, dest)
	if v := source.Get("x-amz-version-id"); v != "" {
		header.Set("x-amz-copy-source-version-id", v)
	}
	rq.encryption.setWritten(header, dest)
	modified := lastModifiedOf(dest)
	if modified.IsZero() {
		modified = rq.event.Start
	}
	return &answer{header: header, write: func(w io.Writer) error {
		return s3api.WriteCopyObjectResult(w, s3api.CopyResult{
			ETag: rec.ETag, LastModified: modified, ChecksumAlgorithm: rec.Checksum.Algorithm,
			ChecksumType: string(rec.Checksum.Type), Checksum: checksumText(rec.Checksum, len(rec.Parts)),
		})
	}}
}

// copyTags gives the tags of the copy: the request's, or the source's.
func (h *Handler) copyTags(ctx context.Context, rq *request, c *copying) (string, error) {
	if c.tags.replace {
		return c.tags.header, nil
	}
	q := c.source.query()
	q.Set("tagging", "")
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodGet, Bucket: c.source.Bucket, Key: c.source.Key, Query: q})
	if hasStatus(err, http.StatusNotFound) || hasStatus(err, http.StatusNotImplemented) || hasStatus(err, http.StatusForbidden) {
		return "", nil // no tags, none that this user may see, or a backend without them
	}
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	doc, err := readSmall(resp.Body, maxBucketDocument)
	if err != nil || len(doc) == 0 {
		return "", err
	}
	tags, err := s3api.ScanTagging(bytes.NewReader(doc))
	if err != nil {
		return "", err
	}
	return s3api.EncodeTaggingHeader(tags), nil
}

// putTags sets the copy's tags on the version that was just made.
func (h *Handler) putTags(ctx context.Context, rq *request, c *copying, header http.Header) error {
	if c.tags.header == "" {
		return nil
	}
	tags, cerr := s3api.ParseTaggingHeader(c.tags.header)
	if cerr != nil {
		return cerr
	}
	doc := s3api.EncodeTagging(tags)
	q := target{VersionID: header.Get("x-amz-version-id")}.query()
	q.Set("tagging", "")
	resp, err := h.backend.Do(ctx, rq.as(), &BackendRequest{
		Method: http.MethodPut, Bucket: c.dest.Bucket, Key: c.dest.Key, Query: q,
		Header: http.Header{"Content-Md5": {contentMD5(doc)}, "Content-Type": {"application/xml"}},
		Body:   bytes.NewReader(doc), Length: int64(len(doc)), Replayable: true,
	})
	if err != nil {
		return err
	}
	resp.Body.Close()
	return nil
}

// uploadPartCopy serves UploadPartCopy, always by reading and sealing anew: ranges of ciphertext are nobody's part.
func (h *Handler) uploadPartCopy(rq *request) error {
	number, err := partNumberOf(rq)
	if err != nil {
		return err
	}
	source, conds, err := h.copySource(rq)
	if err != nil {
		return err
	}
	if !h.store.Healthy() {
		return metadata.ErrUnavailable
	}
	return h.answerSlowly(rq, func() (*answer, error) { return h.copyPart(rq.Context(), rq, number, source, conds) })
}

func (h *Handler) copyPart(ctx context.Context, rq *request, number int, source target, conds s3api.Conditions) (*answer, error) {
	up, err := h.upload(ctx, rq)
	if err != nil {
		return nil, err
	}
	var rangeErr error
	o, err := h.open(ctx, rq.readingSource(), source, func(rec *metadata.Record) ask {
		a := ask{whole: true, n: rec.Size}
		rangeErr = nil
		if text := rq.call.Header.Get("x-amz-copy-source-range"); text != "" {
			r, err := s3api.ParseCopySourceRange(text, rec.Size)
			if err != nil {
				rangeErr = err
				return ask{head: true}
			}
			a = ask{off: r.Off, n: r.Len}
		}
		return a
	})
	if err != nil {
		return nil, err
	}
	defer o.response.Body.Close()
	if err := conds.Source(o.record.ETag, lastModifiedOf(o.response.Header)); err != nil {
		return nil, err
	}
	if rangeErr != nil {
		return nil, rangeErr
	}
	dec := h.decrypter(ctx, o)
	defer dec.Close()
	body := h.digesting(up.Bucket, dec, up.ChecksumAlgorithm)
	row, err := h.sendPart(ctx, rq, up, newPart{number: number, size: o.ask.n, body: body, digests: body.footer})
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if v := o.response.Header.Get("x-amz-version-id"); v != "" {
		header.Set("x-amz-copy-source-version-id", v)
	}
	up.setEncryption(rq, header)
	return &answer{header: header, write: func(w io.Writer) error {
		return s3api.WriteCopyPartResult(w, s3api.CopyResult{
			ETag: row.ETag, LastModified: h.cfg.Clock(), ChecksumAlgorithm: row.Checksum.Algorithm, Checksum: checksumText(row.Checksum, 0),
		})
	}}, nil
}

// digestingReader computes what a footer says of a body that cofre itself reads.
type digestingReader struct {
	src  io.Reader
	md5  hash.Hash // nil where the bucket does without
	sum  hash.Hash // nil for none
	kind checksum.Algorithm
}

func (h *Handler) digesting(bucket string, src io.Reader, alg checksum.Algorithm) *digestingReader {
	d := &digestingReader{src: src, kind: alg}
	if h.cfg.Bucket(bucket).ETag == ETagMD5 {
		d.md5 = md5.New()
	}
	if alg != checksum.None {
		d.sum = alg.New()
	}
	return d
}

func (d *digestingReader) Read(p []byte) (int, error) {
	n, err := d.src.Read(p)
	if d.md5 != nil {
		d.md5.Write(p[:n])
	}
	if d.sum != nil {
		d.sum.Write(p[:n])
	}
	return n, err
}

func (d *digestingReader) footer() seal.Footer {
	f := seal.Footer{}
	if d.md5 != nil {
		f.MD5 = d.md5.Sum(nil)
	}
	if d.sum != nil {
		f.Checksum, f.Sum = d.kind, d.sum.Sum(nil)
	}
	return f
}

// copyProbe finds out, once, whether the backend honours a pin on copies. Where it does not, every copy is streamed.
type copyProbe struct{ once[bool] }

func (p *copyProbe) holds(ctx context.Context, h *Handler) (bool, error) {
	return p.get(func() (bool, error) { return h.probeCopyPin(ctx) })
}

// probeCopyPin copies a document of the system bucket under a pin that cannot match.
func (h *Handler) probeCopyPin(ctx context.Context) (bool, error) {
	var nonce [8]byte
	rand.Read(nonce[:])
	name := "probe/" + hex.EncodeToString(nonce[:])
	sys := h.system()
	if err := sys.Put(ctx, name, []byte("copy pin probe")); err != nil {
		return false, err
	}
	defer sys.remove(context.WithoutCancel(ctx), name)
	header := http.Header{}
	setCopySource(header, target{Bucket: h.cfg.SystemBucket, Key: name}, "00000000000000000000000000000000")
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodPut, Bucket: h.cfg.SystemBucket, Key: name, Header: header})
	if err == nil {
		resp.Body.Close()
	}
	switch {
	case hasStatus(err, http.StatusPreconditionFailed):
		return true, nil
	case err == nil, hasStatus(err, http.StatusNotImplemented), hasStatus(err, http.StatusBadRequest):
		h.log.Info("the backend does not pin copies: copies are streamed", zap.String("system_bucket", h.cfg.SystemBucket))
		return false, nil
	default:
		return false, err
	}
}
