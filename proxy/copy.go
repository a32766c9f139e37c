package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"

	"cofre/access"
	"cofre/checksum"
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
	if _, cerr = s3api.ParseObjectLock(rq.call.Header, h.cfg.Clock()); cerr != nil {
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
