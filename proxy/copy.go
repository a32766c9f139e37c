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
	src, cerr := s3api.ParseCopySource(rq.call.Header.Get("X-Amz-Copy-Source"))
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
	if c.replace, err = directive(rq.call.Header, "metadata"); err != nil {
		return nil, err
	}
	if c.tags.replace, err = directive(rq.call.Header, "tagging"); err != nil {
		return nil, err
	}
	if c.tags.replace {
		c.tags.header = rq.call.Header.Get("X-Amz-Tagging")
	}
	if name := rq.call.Header.Get("X-Amz-Checksum-Algorithm"); name != "" {
		alg, ok := checksum.ParseAlgorithm(name)
		if !ok {
			return nil, errUnsupportedChecksum
		}
		c.algorithm = alg
	}
	self := source.Bucket == c.dest.Bucket && source.Key == c.dest.Key && source.VersionID == ""
	if self && !c.replace && !c.tags.replace && rq.call.Header.Get("X-Amz-Storage-Class") == "" &&
		rq.call.Header.Get("X-Amz-Website-Redirect-Location") == "" && rq.call.Header.Get(headerSSE) == "" && rq.encryption.customerKey == nil {
		return nil, s3api.ErrInvalidRequest.With("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	return c, nil
}

// readingSource is the request's way to read what it copies.
func (rq *request) readingSource() reading {
	return reading{as: rq.as(), customerKey: rq.encryption.sourceKey}
}

// directive reads x-amz-metadata-directive or x-amz-tagging-directive.
func directive(header http.Header, of string) (replace bool, err error) {
	name := "x-amz-" + of + "-directive"
	switch header.Get(name) {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		return false, s3api.ErrInvalidArgument.With("Unknown "+of+" directive.").Field("ArgumentName", name).Field("ArgumentValue", header.Get(name))
	}
}

// copy makes the copy: on the backend, pinned to the source, where trust stays the same; else read, verified and sealed anew.
func (h *Handler) copy(ctx context.Context, rq *request, c *copying) (*answer, error) {
	if _, err := h.facts(ctx, rq.as(), c.dest.Bucket); err != nil {
		return nil, err
	}
	for range openAttempts {
		o, err := h.openSource(ctx, rq, c.source, func(*metadata.Record) ask { return ask{head: true} })
		if isUnsealed(err) {
			return h.copyUnsealed(ctx, rq, c, err)
		}
		if err != nil {
			return nil, err
		}
		o.response.Body.Close()
		if err := c.judge(o.record, o.response.Header); err != nil {
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
func (c *copying) judge(rec *metadata.Record, header http.Header) error {
	if err := c.conds.Source(rec.ETag, lastModifiedOf(header)); err != nil {
		return err
	}
	if rec.Size > maxObjectSize {
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
	o, err := h.openSource(ctx, rq, c.source, func(rec *metadata.Record) ask { return ask{whole: true, n: rec.Size} })
	if err != nil {
		return nil, err
	}
	defer o.response.Body.Close()
	if err := c.judge(o.record, o.response.Header); err != nil {
		return nil, err
	}
	// Of this very object: the one that was looked at first may have been replaced since.
	attrs, err := c.attributes(rq, o)
	if err != nil {
		return nil, err
	}
	dec := h.decrypter(ctx, o)
	defer dec.Close()
	body := h.digesting(c.dest.Bucket, dec, o.record.Size, c.checksumOf(o.record))
	defer body.close()
	w, err := h.write(ctx, rq, newObject{
		target: c.dest, size: o.record.Size, body: body, attrs: attrs, digests: body.footer, header: c.streamedHeaders(rq.call.Header), conds: c.write,
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
	plain, err := h.passed(ctx, rq.readingSource(), c.source, found)
	if err != nil {
		return nil, err
	}
	rec := plain.record()
	if err := c.judge(rec, plain.header); err != nil {
		return nil, err
	}
	attrs := clearAttributes(plain.header)
	if c.replace {
		var cerr *s3api.Error
		if attrs, cerr = attributesFrom(rq.call.Header); cerr != nil {
			return nil, cerr
		}
	}
	if c.tags.header, err = h.copyTags(ctx, rq, c); err != nil {
		return nil, err
	}
	src, err := h.openUnsealed(ctx, rq.readingSource(), c.source, plain, 0, rec.Size)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	body := h.digesting(c.dest.Bucket, src, rec.Size, c.algorithm)
	defer body.close()
	w, err := h.write(ctx, rq, newObject{
		target: c.dest, size: rec.Size, body: body, attrs: attrs, digests: body.footer, header: c.streamedHeaders(rq.call.Header), conds: c.write,
	})
	if err != nil {
		return nil, err
	}
	return copyAnswer(rq, plain.header, w.header, w.record), nil
}

// streamedHeaders is what of the request the backend acts upon where the copy is a new object, tags included.
func (c *copying) streamedHeaders(from http.Header) http.Header {
	header := copyHeaders(from)
	if c.tags.header != "" {
		header.Set("X-Amz-Tagging", c.tags.header)
	}
	return header
}

// copyAnswer is the CopyObjectResult with its headers.
func copyAnswer(rq *request, source, dest http.Header, rec *metadata.Record) *answer {
	header := http.Header{}
	setVersion(header, dest)
	if v := source.Get("X-Amz-Version-Id"); v != "" {
		header.Set("X-Amz-Copy-Source-Version-Id", v)
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
