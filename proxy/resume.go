package proxy

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net/http"

	"cofre/metadata"
	"cofre/seal"
)

// resumeAttempts bounds how often a stored stream is asked for anew without a chunk of progress. Fewer bytes are none: a backend that
// gives one now and then would be asked for ever.
const resumeAttempts = 3

// decrypter opens the body at hand.
func (h *Handler) decrypter(ctx context.Context, o *object) *seal.Decrypter {
	src := &resumingReader{ctx: ctx, h: h, o: o, body: o.response.Body}
	o.response.Body = src // so that closing the object closes the stream that is open then
	off, n := int64(0), o.geometry.Size()
	if o.ask.whole {
		src.end = o.geometry.StoredSize()
	} else {
		off, n = o.ask.off, o.ask.n
		span := o.geometry.Span(off, n)
		src.off, src.end = span.StoredOff, span.StoredOff+span.StoredLen
	}
	dec := seal.NewDecrypter(o.dek, o.envelope.ObjectID, o.geometry, off, n, src)
	dec.ExpectFooters(footersOf(o.record))
	return dec
}

// footersOf is what a record says of its object's footers.
func footersOf(rec *metadata.Record) []seal.Footer {
	if len(rec.Parts) == 0 {
		f := seal.Footer{}
		if sum, err := hex.DecodeString(rec.ETag); err == nil && len(sum) == md5.Size {
			f.MD5 = sum
		}
		return []seal.Footer{f}
	}
	footers := make([]seal.Footer, len(rec.Parts))
	for i, p := range rec.Parts {
		footers[i].MD5 = p.MD5
	}
	return footers
}

// resumingReader reads stored bytes and, when the backend breaks off (it cuts a GET whose reader is slow within 100 s),
// goes on with a new request at the next byte, under the same pin. It decides nothing about the bytes: whatever they are,
// they must pass the decrypter.
type resumingReader struct {
	ctx      context.Context
	h        *Handler
	o        *object
	body     io.ReadCloser
	off, end int64 // stored offsets: of the next byte, and behind the last
	failures int
	gained   int64 // bytes since failures last changed
}

func (r *resumingReader) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		r.off += int64(n)
		if r.gained += int64(n); r.gained >= seal.ChunkSize {
			r.failures, r.gained = 0, 0
		}
		if err == nil || r.off > r.end || errors.Is(err, io.EOF) && r.off == r.end {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if r.ctx.Err() != nil || r.off >= r.end {
			return 0, err
		}
		r.gained = 0
		if r.failures++; r.failures > resumeAttempts {
			return 0, errors.Join(ErrBackendUnavailable, err)
		}
		if err := r.reopen(); err != nil {
			return 0, err
		}
	}
}

func (r *resumingReader) reopen() error {
	r.body.Close()
	t := r.o.target
	resp, err := r.h.backend.Do(r.ctx, r.o.as, &BackendRequest{
		Method: http.MethodGet, Bucket: t.Bucket, Key: t.Key, Query: t.query(),
		Header: http.Header{"If-Match": {quote(r.o.record.BackendETag)}, "Range": {byteRange(r.off, r.end-r.off)}},
	})
	switch {
	case hasStatus(err, http.StatusRequestedRangeNotSatisfiable):
		return &integrityError{"size", errors.New("stored object ends early")}
	case hasStatus(err, http.StatusPreconditionFailed), hasStatus(err, http.StatusNotFound):
		return errChanged
	case err != nil:
		return err
	}
	if raw, _, err := envelopeOf(resp.Header); err != nil || raw != r.o.record.Envelope || resp.Status != http.StatusPartialContent {
		resp.Body.Close()
		return errors.Join(errChanged, err)
	}
	r.body = resp.Body
	return nil
}

// Close gives the connection back.
func (r *resumingReader) Close() error { return r.body.Close() }
