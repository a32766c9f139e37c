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
