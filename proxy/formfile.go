package proxy

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/keys"
	"cofre/s3api"
	"cofre/seal"
	"cofre/sigv4"
)

// formMemory is how much of a form, from its file on, is held in memory at most, in bytes.
const formMemory = 256 << 10

// formFile is the file of a form, of known length: docs/DECISIONS.md says why and how.
type formFile struct {
	io.Reader
	size  int64
	close func()
	err   error // what was wrong with the form behind the file's first byte
}

func (f *formFile) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF && f.err == nil {
		f.err = err
	}
	return n, err
}

// Close does nothing: a form's file is closed by whoever asked for it, after the answer of the backend.
func (f *formFile) Close() error { return nil }

// formFile finds the length of a form's file, which the form does not say: it ends where a boundary begins. A little form is
// held; of a large one the length is what Content-Length leaves, if the form ends as it should, and the last bytes of
// the object are not sent before it has; where that is not to be expected, the file is laid aside on the backend.
func (h *Handler) formFile(rq *request, form *form, policy *sigv4.PostPolicy) (*formFile, error) {
	rest := rq.ContentLength - form.reader.Offset()
	var file *formFile
	var err error
	switch {
	case rq.ContentLength < 0 || rest <= formMemory:
		file, err = heldFile(form)
	case mayGoOn(rq.Header):
		file, err = h.stagedFile(rq, form, policy, rest)
	default:
		file = expectedFile(form, rest)
	}
	if err != nil {
		return nil, err
	}
	if err := h.checkFormSize(policy, file.size); err != nil {
		file.close()
		return nil, err
	}
	return file, nil
}

func (h *Handler) checkFormSize(policy *sigv4.PostPolicy, size int64) error {
	if policy != nil {
		if err := policy.CheckSize(size); err != nil {
			return err
		}
	}
	return h.checkSize(size)
}

// heldFile reads the rest of a form into memory.
func heldFile(form *form) (*formFile, error) {
	var held bytes.Buffer
	if _, err := held.ReadFrom(io.LimitReader(form.reader, formMemory+1)); err != nil {
		return nil, err
	}
	if held.Len() > formMemory { // only without a Content-Length
		return nil, s3api.ErrMissingContentLength
	}
	if err := form.finish(); err != nil {
		return nil, err
	}
	return &formFile{Reader: bytes.NewReader(held.Bytes()), size: int64(held.Len()), close: func() {}}, nil
}

// finish reads the form to its end. S3 ignores the fields behind the file, but a form has one file.
func (f *form) finish() error {
	for {
		part, err := f.reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			_, err := f.reader.Finish()
			return err
		case err != nil:
			return err
		case strings.EqualFold(part.Name, "file"):
			return s3api.ErrIncorrectNumberOfFilesInPostRequest
		}
	}
}

// expectedFile takes it that nothing follows the file but the end of the form. A form that turns out otherwise is an error
// instead of the file's io.EOF, so that its object is never complete.
func expectedFile(form *form, rest int64) *formFile {
	size := rest - form.reader.ClosingLength()
	return &formFile{Reader: &lastPart{form: form, left: size}, size: size, close: func() {}}
}

// errNotLast is what a large form gets that goes on behind its file, or ends in its own way.
var errNotLast = s3api.ErrMalformedPOSTRequest.With("The body of your POST request is not well-formed multipart/form-data. " +
	"The file must be the last field, and nothing may follow it but the closing boundary and CRLF.")

// lastPart is the file of a form that is expected to end with it.
type lastPart struct {
	form *form
	left int64
	err  error
}

func (l *lastPart) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.form.reader.Read(p)
	l.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if err = l.form.finish(); err == nil {
			err = io.EOF
		}
	}
	if l.left < 0 || errors.Is(err, io.EOF) && l.left != 0 {
		n, err = 0, errNotLast
	}
	l.err = err
	return n, err
}

// mayGoOn says that a form is of a kind of which it cannot be told how it ends.
func mayGoOn(header http.Header) bool {
	// A page sends its button along, behind the file, and no script has put the form together (Fetch Metadata and Upgrade
	// Insecure Requests of the W3C: browsers send the first over https, the second everywhere).
	if header.Get("Sec-Fetch-Mode") == "navigate" || header.Get("Upgrade-Insecure-Requests") == "1" {
		return true
	}
	// fetch in Node.js before version 23 leaves out the last CRLF.
	agent := header.Get("User-Agent")
	return agent == "node" || strings.HasPrefix(agent, "undici")
}

// stagedPrefix is where files are laid aside in the system bucket.
const stagedPrefix = "forms/"

// stagedFile lays a file aside in the system bucket, filled up with zeros to the length that is known, and gives it as it
// is read back. It is sealed under a key that is nowhere but here, so what a crash leaves behind is of no use to anybody.
func (h *Handler) stagedFile(rq *request, form *form, policy *sigv4.PostPolicy, rest int64) (*formFile, error) {
	ctx := rq.Context()
	if seal.StoredSize(rest) > h.cfg.Limits.MaxPutSize {
		return nil, h.tooLarge(rest)
	}
	if _, err := h.facts(ctx, rq.as(), rq.call.Bucket); err != nil {
		return nil, err
	}
	if _, err := h.ring.Active(ctx, rq.call.Bucket); err != nil { // makes the system bucket where there is none
		return nil, err
	}
	dek, id, part := keys.NewDEK(), keys.NewObjectID(), seal.Part{Size: rest, Salt: seal.NewSalt()}
	name := stagedPrefix + hex.EncodeToString(id[:])
	padded := &paddedFile{form: form, left: rest, check: func(size int64) error { return h.checkFormSize(policy, size) }}
	body := seal.NewEncrypter(dek, id, part, padded, func() (seal.Footer, error) { return seal.Footer{}, nil })
	defer body.Close()
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{
		Method: http.MethodPut, Bucket: h.cfg.SystemBucket, Key: name, Body: body, Length: seal.StoredSize(rest),
		Header: http.Header{"Content-Type": {backendContentType}},
	})
	if padded.err != nil && !errors.Is(padded.err, io.EOF) {
		return nil, padded.err
	}
	if err != nil {
		h.removeStaged(ctx, rq, name) // an answer may have been lost
		return nil, systemError("write", err)
	}
	resp.Body.Close()
	file, err := h.readStaged(ctx, name, dek, id, part, padded.size)
	if err != nil {
		h.removeStaged(ctx, rq, name)
		return nil, err
	}
	read := file.close
	file.close = func() {
		read()
		h.removeStaged(ctx, rq, name)
	}
	return file, nil
}

// readStaged opens the first size bytes of a staged file.
func (h *Handler) readStaged(ctx context.Context, name string, dek keys.DEK, id keys.ObjectID, part seal.Part, size int64) (*formFile, error) {
	if size == 0 {
		return &formFile{Reader: http.NoBody, close: func() {}}, nil
	}
	geometry, err := seal.NewGeometry([]seal.Part{part})
	if err != nil {
		return nil, err
	}
	span := geometry.Span(0, size)
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{
		Method: http.MethodGet, Bucket: h.cfg.SystemBucket, Key: name,
		Header: http.Header{"Range": {byteRange(span.StoredOff, span.StoredLen)}},
	})
	if err != nil {
		return nil, systemError("read", err)
	}
	plain := seal.NewDecrypter(dek, id, geometry, 0, size, resp.Body)
	return &formFile{Reader: plain, size: size, close: func() { plain.Close(); resp.Body.Close() }}, nil
}

// removeStaged removes a staged file also when the client is gone.
func (h *Handler) removeStaged(ctx context.Context, rq *request, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodDelete, Bucket: h.cfg.SystemBucket, Key: name})
	if err != nil {
		if !hasStatus(err, http.StatusNotFound) {
			h.log.Warn("staged form not removed", zap.String("request_id", rq.event.ID), zap.Error(err))
		}
		return
	}
	resp.Body.Close()
}

// paddedFile is a form's file and then zeros, as many bytes as were left of the form.
type paddedFile struct {
	form  *form
	left  int64             // until io.EOF
	size  int64             // of the file, once ended
	check func(int64) error // of that size
	ended bool
	err   error
}

func (f *paddedFile) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if !f.ended {
		n, err := f.form.reader.Read(p)
		f.size += int64(n)
		f.left -= int64(n)
		if errors.Is(err, io.EOF) {
			f.ended = true
			if err = f.form.finish(); err == nil {
				err = f.check(f.size)
			}
		}
		f.err = err
		return n, err
	}
	if f.left == 0 {
		f.err = io.EOF
		return 0, f.err
	}
	n := int(min(int64(len(p)), f.left))
	clear(p[:n])
	f.left -= int64(n)
	return n, nil
}
