package proxy

import (
	"context"
	"io"
	"net/http"

	"cofre/metadata"
	"cofre/s3api"
)

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
	src, err := h.openPartSource(ctx, rq, source, conds)
	if err != nil {
		return nil, err
	}
	defer src.close()
	body := h.digesting(up.Bucket, src, src.size, up.ChecksumAlgorithm)
	defer body.close()
	row, err := h.sendPart(ctx, rq, up, newPart{number: number, size: src.size, body: body, digests: body.footer})
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if v := src.header.Get("X-Amz-Version-Id"); v != "" {
		header.Set("X-Amz-Copy-Source-Version-Id", v)
	}
	up.setEncryption(rq, header)
	return &answer{header: header, write: func(w io.Writer) error {
		return s3api.WriteCopyPartResult(w, s3api.CopyResult{
			ETag: row.ETag, LastModified: h.cfg.Clock(), ChecksumAlgorithm: row.Checksum.Algorithm, Checksum: checksumText(row.Checksum, 0),
		})
	}}, nil
}

// partSource is the plaintext that a part is copied from.
type partSource struct {
	io.Reader
	size   int64
	header http.Header // of the backend's answer
	close  func()
}

// openPartSource opens the range of the source that the request names, once its conditions hold.
func (h *Handler) openPartSource(ctx context.Context, rq *request, source target, conds s3api.Conditions) (*partSource, error) {
	var (
		span    ask
		refused error
	)
	o, err := h.openSource(ctx, rq, source, func(rec *metadata.Record) ask {
		if span, refused = copySpan(rq.call.Header, rec.Size); refused != nil {
			return ask{head: true} // what the record says of the size is still to be confirmed
		}
		return span
	})
	if isUnsealed(err) {
		return h.openUnsealedSource(ctx, rq, source, conds, err)
	}
	if err != nil {
		return nil, err
	}
	if cerr := conds.Source(o.record.ETag, lastModifiedOf(o.response.Header)); cerr != nil {
		refused = cerr
	}
	if refused != nil {
		o.response.Body.Close()
		return nil, refused
	}
	dec := h.decrypter(ctx, o)
	return &partSource{Reader: dec, size: span.n, header: o.response.Header, close: func() {
		dec.Close()
		o.response.Body.Close()
	}}, nil
}

// openUnsealedSource is openPartSource for an object that lies in clear, where the bucket's policy serves such objects.
func (h *Handler) openUnsealedSource(ctx context.Context, rq *request, source target, conds s3api.Conditions, found error) (*partSource, error) {
	plain, err := h.passed(ctx, rq.readingSource(), source, found)
	if err != nil {
		return nil, err
	}
	rec := plain.record()
	if err := conds.Source(rec.ETag, lastModifiedOf(plain.header)); err != nil {
		return nil, err
	}
	span, err := copySpan(rq.call.Header, rec.Size)
	if err != nil {
		return nil, err
	}
	body, err := h.openUnsealed(ctx, rq.readingSource(), source, plain, span.off, span.n)
	if err != nil {
		return nil, err
	}
	return &partSource{Reader: body, size: span.n, header: plain.header, close: func() { body.Close() }}, nil
}

// copySpan reads which bytes of a source of this size the request names: all of them without x-amz-copy-source-range.
func copySpan(header http.Header, size int64) (ask, error) {
	text := header.Get("X-Amz-Copy-Source-Range")
	if text == "" {
		if size > maxObjectSize {
			return ask{}, s3api.ErrInvalidRequest.With("The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
		}
		return ask{whole: true, n: size}, nil
	}
	r, err := s3api.ParseCopySourceRange(text, size)
	if err != nil {
		return ask{}, err
	}
	return ask{off: r.Off, n: r.Len}, nil
}
