package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// putWhole writes an object that was sent in one piece.
func (w *rewriter) putWhole(ctx context.Context, rq *request, src *rewriteSource, p PendingRewrite) (http.Header, error) {
	body := rewriteDigest(src.body, src.record.Size, src.record.Checksum.Algorithm)
	defer body.close()
	var footer seal.Footer
	header := src.keep.Clone()
	if w.versioning == "" {
		// Other sites' writers do not take this site's lock. Where RGW's own condition is exact, it stops those too.
		header.Set("If-Match", unquote(src.header.Get("Etag")))
	}
	out, err := w.h.write(ctx, rq, newObject{
		target: src.target, size: src.record.Size, body: body, attrs: src.attrs, header: header,
		digests: func() seal.Footer {
			footer = body.footer()
			return footer
		},
		confirm: func(ctx context.Context, raw metadata.Envelope) error {
			if err := src.same(footer); err != nil {
				return err
			}
			if err := w.unchanged(ctx, rq, src); err != nil {
				return err
			}
			p.Envelope = raw[:]
			return w.note(ctx, p)
		},
	})
	if err != nil {
		return nil, err
	}
	return out.header, nil
}

// putParts writes a multipart object again in the same parts. No row speaks of this upload, so no client sees it in a listing.
func (w *rewriter) putParts(ctx context.Context, rq *request, src *rewriteSource, p PendingRewrite) (_ http.Header, err error) {
	header := src.keep.Clone()
	if p.Care, err = w.h.takeAftercare(ctx, rq, w.bucket, header); err != nil {
		return nil, err
	}
	up, err := w.createUpload(ctx, rq, src, header)
	if err != nil {
		return nil, err
	}
	p.Envelope, p.UploadID = up.Envelope[:], up.ID
	committing := false
	defer func() {
		if err != nil && !committing {
			w.h.abortBackend(ctx, rq, src.target, up.ID)
		}
	}()
	chosen, err := w.sendParts(ctx, rq, up, src)
	if err != nil {
		return nil, err
	}
	sum, err := src.joined(up, chosen)
	if err != nil {
		return nil, err
	}
	if err := w.note(ctx, p); err != nil {
		return nil, err
	}
	if err := w.h.putLayout(ctx, up, chosen, sum); err != nil {
		return nil, err
	}
	commit := newCommit(ctx, w.h, rq, newObject{target: src.target, confirm: func(ctx context.Context, _ metadata.Envelope) error {
		return w.unchanged(ctx, rq, src)
	}})
	defer commit.end()
	if err := commit.begin(); err != nil {
		w.forget(p)
		return nil, err
	}
	committing = true // from here on what there is of the upload is settled by its note
	made, etag, err := w.h.backendComplete(commit, rq, up, chosen)
	if isRefused(err) {
		w.forget(p)
		committing = false
	}
	if err != nil {
		return nil, err
	}
	rec, err := recordOfUpload(up, chosen, sum, made, etag)
	if err != nil {
		return nil, err
	}
	rec.Began = rq.began
	w.h.committed(commit.ctx, rq, rec)
	return made, w.careFor(commit.ctx, rq, p, made)
}

// isRefused says that the storage was asked to join parts and will not: the error is an answer, and about the request.
func isRefused(err error) bool {
	return hasStatus(err, http.StatusBadRequest) || hasStatus(err, http.StatusForbidden)
}

// createUpload begins an upload on the backend that carries a new envelope.
func (w *rewriter) createUpload(ctx context.Context, rq *request, src *rewriteSource, header http.Header) (*openUpload, error) {
	head, err := w.h.sealHead(ctx, rq, src.target, seal.Salt{}, seal.Multipart, src.attrs, header)
	if err != nil {
		return nil, err
	}
	var q s3api.Query
	q.Set("uploads", "")
	resp, err := w.h.backend.Do(ctx, rq.as(), &BackendRequest{Method: http.MethodPost, Bucket: src.Bucket, Key: src.Key, Query: q, Header: head.header})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	id, err := s3api.ScanInitiateMultipartUpload(resp.Body)
	if err != nil {
		return nil, err
	}
	return &openUpload{
		Upload: metadata.Upload{
			ID: id, Bucket: src.Bucket, Key: src.Key, Envelope: head.raw, State: metadata.UploadOpen, ContentType: src.attrs.Headers["content-type"],
			ChecksumAlgorithm: src.record.Checksum.Algorithm, ChecksumType: src.record.Checksum.Type,
		},
		envelope: head.envelope, dek: head.dek,
	}, nil
}

// sendParts reads the source once, from its beginning to its end, and sends its parts one after the other.
func (w *rewriter) sendParts(ctx context.Context, rq *request, up *openUpload, src *rewriteSource) ([]metadata.UploadPart, error) {
	chosen := make([]metadata.UploadPart, 0, len(src.record.Parts))
	for _, p := range src.record.Parts {
		body := rewriteDigest(io.LimitReader(src.body, p.Size), p.Size, up.partChecksum())
		row, err := w.h.sealPart(ctx, rq, up, newPart{number: p.Number, size: p.Size, body: body, digests: body.footer})
		body.close()
		if err != nil {
			return nil, err
		}
		if p.MD5 != nil && !bytes.Equal(row.MD5, p.MD5) || p.Checksum.Algorithm == row.Checksum.Algorithm && !bytes.Equal(row.Checksum.Value, p.Checksum.Value) {
			return nil, refuse("checksum", "the digests of a part are not those of its bytes")
		}
		chosen = append(chosen, row)
	}
	// The source has verified only when it has come to its end.
	n, err := io.Copy(io.Discard, src.body)
	if err == nil && n != 0 {
		err = errOvertaken
	}
	return chosen, err
}

// joined makes the checksum of the object in its new parts, and makes sure that neither that nor its ETag would change.
func (src *rewriteSource) joined(up *openUpload, chosen []metadata.UploadPart) (metadata.Checksum, error) {
	parts := make([]metadata.Part, len(chosen))
	for i, p := range chosen {
		parts[i] = metadata.Part{Number: p.Number, Size: p.Size, MD5: p.MD5}
	}
	if etagOfParts(parts, up.dek, up.envelope.ObjectID) != src.record.ETag {
		return metadata.Checksum{}, refuse("etag", "the ETag made of its parts is another one, so the sizes of its parts are not known")
	}
	before := src.record.Checksum
	if before.Algorithm == checksum.None && src.sealed {
		return metadata.Checksum{}, nil // it had none, from before layouts kept them
	}
	sum, err := joinChecksums(up, chosen)
	if err != nil {
		return sum, err
	}
	if before.Algorithm != checksum.None && !bytes.Equal(sum.Value, before.Value) {
		return sum, refuse("checksum", "its checksum is not that of its bytes")
	}
	return sum, nil
}
