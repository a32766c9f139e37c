package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"cofre/checksum"
	"cofre/internal/coalesce"
	"cofre/metadata"
	"cofre/s3api"
)

// selection is the part of an object that a GET or HEAD asks for.
type selection struct {
	off, n int64
	// partial answers 206 with a Content-Range.
	partial bool
	// parts is the number of parts for x-amz-mp-parts-count; zero where the client did not ask for a part.
	parts int
	// whole says that every byte is read, so that the whole-object checksum may be given.
	whole bool
	// checksum is that of the part or range which the client asked for, where it has one.
	checksum metadata.Checksum
}

// getObject serves GetObject and HeadObject.
func (h *Handler) getObject(rq *request) error {
	if err := checkOverrides(rq); err != nil {
		return err
	}
	if rq.call.Header.Get(headerSSE) != "" {
		// How an object is encrypted was said when it was written (GetObject, Amazon S3 API Reference).
		return s3api.ErrInvalidArgument.With("x-amz-server-side-encryption header is not supported for this operation.").
			Field("ArgumentName", "x-amz-server-side-encryption").Field("ArgumentValue", rq.call.Header.Get(headerSSE))
	}
	conds, cerr := s3api.ParseConditions(rq.call.Header)
	if cerr != nil {
		return cerr
	}
	head := rq.Method == http.MethodHead
	// settled is set when a body is needed after all: the plan foresaw a 304, 412 or 416 that did not come true.
	settled := false
	for tries := 1; ; tries++ {
		o, err := h.open(rq.Context(), rq.reading(), rq.target(), func(rec *metadata.Record) ask {
			return planRead(rq, rec, conds, head, settled)
		})
		if isUnsealed(err) {
			if err = h.getUnsealed(rq, err, conds); errors.Is(err, errChanged) && rq.w.status == 0 && tries < openAttempts {
				continue // it was sealed since it was looked at
			}
			return err
		}
		if err != nil {
			return err
		}
		again, err := h.answerObject(rq, o, conds)
		o.response.Body.Close()
		if !again {
			return err
		}
		settled = true
	}
}

// setChecksum gives the checksum of what is read, where there is one: of the whole object, or of the part or range that was
// asked for, whose type is said to be the object's.
func (sel selection) setChecksum(header http.Header, rec *metadata.Record) {
	switch {
	case sel.whole:
		setChecksum(header, rec)
	case sel.checksum.Algorithm != checksum.None && sel.checksum.Algorithm == rec.Checksum.Algorithm:
		header.Set(sel.checksum.Algorithm.Header(), checksumText(sel.checksum, 0))
		header.Set("X-Amz-Checksum-Type", string(rec.Checksum.Type))
	}
}

// planRead chooses the backend request. What will end without a body (HEAD, and conditions or ranges that fail by the
// record) asks for the headers only; the answer to the client still waits for the backend's word.
func planRead(rq *request, rec *metadata.Record, conds s3api.Conditions, head, settled bool) ask {
	if head {
		return ask{head: true}
	}
	sel, err := selectRange(rq, rec)
	if err != nil {
		return ask{head: true}
	}
	if !settled && readStatus(conds, rec, rec.Committed) != 0 {
		return ask{head: true}
	}
	if sel.n == 0 && rec.Size > 0 {
		return ask{head: true} // a part without bytes, of an object that has some
	}
	if sel.whole || sel.n == 0 {
		return ask{whole: true, n: rec.Size}
	}
	return ask{off: sel.off, n: sel.n}
}

// readStatus judges read conditions by the plaintext ETag. The stand-in ETag that a listing shows for an object it could
// not heal counts as the object's own.
func readStatus(conds s3api.Conditions, rec *metadata.Record, lastModified time.Time) int {
	if conds.Empty() {
		return 0
	}
	status := conds.Read(rec.ETag, lastModified)
	if status == http.StatusPreconditionFailed && conds.Read(standInETag(rec.BackendETag), lastModified) == 0 {
		return 0
	}
	return status
}

// selectRange understands Range and partNumber against the object's plaintext size.
func selectRange(rq *request, rec *metadata.Record) (selection, error) {
	all := selection{n: rec.Size, whole: true}
	if q := rq.call.Query; q.Has("partNumber") {
		if rq.call.Header.Get("Range") != "" {
			return all, s3api.ErrInvalidRequest.With("Cannot specify both Range header and partNumber query parameter")
		}
		return selectPart(q.Get("partNumber"), rec)
	}
	r, ok, err := s3api.ParseRange(rq.call.Header.Get("Range"), rec.Size)
	if err != nil {
		return all, err
	}
	if !ok {
		return all, nil
	}
	sel := selection{off: r.Off, n: r.Len, partial: true}
	if r.Len == rec.Size && rec.Checksum.Type == checksum.FullObject {
		sel.checksum = rec.Checksum // S3 gives it with a range that happens to be the whole object
	}
	return sel, nil
}

// selectPart finds part n of the object, as it was uploaded; an object of one PUT has one part.
func selectPart(number string, rec *metadata.Record) (selection, error) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxPartNumber {
		return selection{}, s3api.ErrInvalidArgument.With("Part number must be an integer between 1 and 10000, inclusive")
	}
	if count := max(len(rec.Parts), 1); n > count {
		return selection{}, s3api.ErrInvalidPartNumber.Field("PartNumberRequested", number).Field("ActualPartCount", strconv.Itoa(count))
	}
	if len(rec.Parts) == 0 {
		return selection{n: rec.Size, partial: rec.Size > 0, whole: true}, nil
	}
	sel := selection{partial: true, parts: len(rec.Parts), checksum: rec.Parts[n-1].Checksum}
	for _, p := range rec.Parts[:n-1] {
		sel.off += p.Size
	}
	sel.n = rec.Parts[n-1].Size
	if sel.n == 0 {
		sel.partial = false
	}
	return sel, nil
}

// answerObject judges conditions by what the backend confirmed, and answers. again asks for another round with a body.
func (h *Handler) answerObject(rq *request, o *object, conds s3api.Conditions) (again bool, err error) {
	attrs, err := o.attributes()
	if err != nil {
		return false, err
	}
	header := rq.w.Header()
	setObjectHeaders(header, o.response.Header, attrs)
	header.Set("Etag", quote(o.record.ETag))
	rq.encryption.setWritten(header, o.response.Header)

	switch readStatus(conds, o.record, lastModifiedOf(o.response.Header)) {
	case http.StatusNotModified:
		notModified(rq.w)
		return false, nil
	case http.StatusPreconditionFailed:
		clearObjectHeaders(header)
		return false, s3api.ErrPreconditionFailed
	}
	sel, err := selectRange(rq, o.record)
	if err != nil {
		clearObjectHeaders(header)
		return false, err
	}
	empty := sel.n == 0 && o.record.Size > 0
	if rq.Method != http.MethodHead && o.ask.head && !empty {
		clearObjectHeaders(header)
		return true, nil
	}
	if err := setOverrides(rq, header); err != nil {
		clearObjectHeaders(header)
		return false, err
	}
	if rq.call.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		sel.setChecksum(header, o.record)
	}
	if sel.parts > 0 {
		header.Set("X-Amz-Mp-Parts-Count", strconv.Itoa(sel.parts))
	}
	status := http.StatusOK
	if sel.partial {
		status = http.StatusPartialContent
		header.Set("Content-Range", contentRange(sel, o.record.Size))
	}
	header.Set("Content-Length", strconv.FormatInt(sel.n, 10))
	if rq.Method == http.MethodHead || empty {
		rq.w.WriteHeader(status)
		return false, nil
	}
	return false, h.sendBody(rq, o, sel.n, status)
}

// sendBody decrypts the backend's answer to the client, n bytes of plaintext. The status line goes out with the first verified
// bytes, so that a fault found before them is still told as an S3 error.
func (h *Handler) sendBody(rq *request, o *object, n int64, status int) error {
	out := rq.late(status, n)
	dec := h.decrypter(rq.Context(), o)
	defer dec.Close()
	if _, err := dec.WriteTo(out); err != nil {
		if out.failed != nil {
			// The client went away; the backend and the object are not to blame.
			return http.ErrAbortHandler
		}
		clearObjectHeaders(rq.w.Header())
		return err
	}
	out.start()
	return nil
}

// late sends a body of n bytes.
func (rq *request) late(status int, n int64) *lateWriter {
	l := &lateWriter{w: rq.w, status: status}
	if n >= coalesce.Least {
		l.conn = coalesce.Of(rq.Context())
	}
	return l
}

// lateWriter sends the status line with the first byte.
type lateWriter struct {
	w       *responseWriter
	status  int
	conn    *coalesce.Conn // where net/http will write twice at least, or end the connection; otherwise nil
	started bool
	failed  error
}

func (l *lateWriter) start() {
	if !l.started {
		l.started = true
		l.conn.HoldNext()
		l.w.WriteHeader(l.status)
	}
}

func (l *lateWriter) Write(p []byte) (int, error) {
	l.start()
	n, err := l.w.Write(p)
	if err != nil {
		l.failed = err
	}
	return n, err
}

// reading is the request's way to read objects.
func (rq *request) reading() reading {
	return reading{as: rq.as(), customerKey: rq.encryption.customerKey}
}

// notModified answers 304 with the validators only (RFC 9110 section 15.4.5).
func notModified(w *responseWriter) {
	header := w.Header()
	for name := range header {
		switch name {
		case "Etag", "Last-Modified", "Cache-Control", "Expires", "X-Amz-Version-Id", "X-Amz-Request-Id", "X-Amz-Id-2", "Server", "Date":
		default:
			if !isCORSHeader(name) {
				delete(header, name)
			}
		}
	}
	w.WriteHeader(http.StatusNotModified)
}

// getUnsealed serves an object without envelope where the bucket's policy passes it.
func (h *Handler) getUnsealed(rq *request, found error, conds s3api.Conditions) error {
	plain, err := h.passed(rq.Context(), rq.reading(), rq.target(), found)
	if err != nil {
		return err
	}
	rec := plain.record()
	header := rq.w.Header()
	setObjectHeaders(header, plain.header, clearAttributes(plain.header))
	header.Set("Etag", quote(rec.ETag))
	switch conds.Read(rec.ETag, lastModifiedOf(plain.header)) {
	case http.StatusNotModified:
		notModified(rq.w)
		return nil
	case http.StatusPreconditionFailed:
		clearObjectHeaders(header)
		return s3api.ErrPreconditionFailed
	}
	sel, err := selectRange(rq, rec)
	if err == nil {
		err = setOverrides(rq, header)
	}
	if err != nil {
		clearObjectHeaders(header)
		return err
	}
	status := http.StatusOK
	if sel.partial {
		status = http.StatusPartialContent
		header.Set("Content-Range", contentRange(sel, rec.Size))
	}
	header.Set("Content-Length", strconv.FormatInt(sel.n, 10))
	if rq.Method == http.MethodHead || sel.n == 0 {
		rq.w.WriteHeader(status)
		return nil
	}
	return h.sendUnsealed(rq, plain, sel, status)
}

// sendUnsealed copies the bytes of an unsealed object to the client.
func (h *Handler) sendUnsealed(rq *request, plain *unsealedObject, sel selection, status int) error {
	body, err := h.openUnsealed(rq.Context(), rq.reading(), rq.target(), plain, sel.off, sel.n)
	if err != nil {
		clearObjectHeaders(rq.w.Header())
		return err
	}
	defer body.Close()
	out := rq.late(status, sel.n)
	n, err := io.Copy(out, io.LimitReader(body, sel.n))
	if err == nil && n != sel.n {
		err = io.ErrUnexpectedEOF
	}
	if out.failed != nil {
		return http.ErrAbortHandler
	}
	return err
}
