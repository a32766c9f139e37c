package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/admission"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
	"cofre/sigv4"
)

var (
	// errIntegrity says that the storage returned something that no holder of the bucket's key wrote under this name.
	errIntegrity = errors.New("proxy: integrity")
	// errUnsealed says that an object carries no envelope.
	errUnsealed = errors.New("object is not sealed")
	// errChanged says that an object was replaced each time it was looked at.
	errChanged = errors.New("proxy: object kept changing")
	// errLayoutUnavailable says that the layout of a multipart object is not there (yet: replication lags).
	errLayoutUnavailable = errors.New("proxy: layout not available")
)

// integrityError carries the kind of finding for the metric and the log. The client learns nothing but InternalError.
type integrityError struct {
	kind string
	err  error
}

func (e *integrityError) Error() string {
	if e.err == nil {
		return "integrity: " + e.kind
	}
	return "integrity: " + e.kind + ": " + e.err.Error()
}
func (e *integrityError) Unwrap() error        { return e.err }
func (e *integrityError) Is(target error) bool { return target == errIntegrity }

// answerTo translates any error to what a client sees. What is not known here is a bare InternalError: its text goes to
// the log only.
func answerTo(err error) *s3api.Error {
	var (
		s3      *s3api.Error
		sig     *sigv4.Error
		refused *admission.Refused
	)
	switch {
	case errors.As(err, &refused):
		return s3api.ErrSlowDown
	case errors.As(err, &sig):
		return fromSignature(sig)
	case errors.Is(err, errIntegrity), errors.Is(err, seal.ErrIntegrity):
		return s3api.ErrInternalError
	case errors.As(err, &s3):
		if s3.Status >= http.StatusInternalServerError && s3api.ErrorByCode(s3.Code) == nil {
			return s3api.DecodeError(s3.Status, nil) // the storage's trouble, in a word of its own
		}
		return s3
	case errors.Is(err, access.ErrUnknownAccessKey):
		return s3api.ErrInvalidAccessKeyID // it was removed between the look at its secret and the look at its grants
	case errors.Is(err, keys.ErrNotRecipient), errors.Is(err, keys.ErrMayNotWrite):
		return s3api.ErrAccessDenied
	case errors.Is(err, keys.ErrKEKUnavailable), errors.Is(err, errLayoutUnavailable), errors.Is(err, errChanged):
		return s3api.ErrSlowDown
	case errors.Is(err, errUnsealed):
		return s3api.ErrAccessDenied.With("The object is not sealed, and this bucket does not serve unsealed objects.")
	case errors.Is(err, metadata.ErrLockTimeout):
		return s3api.ErrConditionalRequestConflict
	case errors.Is(err, metadata.ErrUnavailable), errors.Is(err, access.ErrUnavailable):
		return s3api.ErrServiceUnavailable
	case errors.Is(err, ErrBackendUnavailable):
		return s3api.ErrSlowDown
	case errors.Is(err, context.DeadlineExceeded):
		return s3api.ErrSlowDown
	default:
		return s3api.ErrInternalError
	}
}

func fromSignature(sig *sigv4.Error) *s3api.Error {
	e := s3api.ErrorByCode(sig.Code)
	if e == nil {
		return s3api.ErrAccessDenied
	}
	if sig.Message != "" {
		e = e.With(sig.Message)
	}
	for _, f := range sig.Fields {
		e = e.Field(f[0], f[1])
	}
	return e
}

// fail ends a request with an error: as an S3 error document while nothing was sent, else by breaking the connection, so
// that no client takes a short body for a whole one.
func (h *Handler) fail(rq *request, err error) {
	if rq.w.stalled != nil && rq.w.stalled.Load() && errors.Is(err, context.Canceled) {
		err = sigv4.ErrRequestTimeout // net/http takes a deadline for the client's leaving, and ends the request's context
	}
	e := rq.describe(answerTo(err))
	rq.event.Code = e.Code
	h.note(rq.target(), err)
	if e.Status >= http.StatusInternalServerError || errors.Is(err, keys.ErrNotRecipient) || errors.Is(err, keys.ErrMayNotWrite) || isUnsealed(err) {
		rq.event.Detail = detail(err)
	}
	if rq.w.status != 0 || errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	if errors.Is(err, context.Canceled) && rq.Context().Err() != nil {
		// The client is gone; there is nobody to answer.
		rq.event.Code = "ClientGone"
		panic(http.ErrAbortHandler)
	}
	header := rq.w.Header()
	if e.Status == http.StatusServiceUnavailable {
		retryAfter(header, err)
	}
	if rq.ContentLength != 0 {
		// What is left of the body must never be read as the next request (RFC 9112 section 9.3).
		header.Set("Connection", "close")
	}
	s3api.WriteError(rq.w, e, rq.call.RawPath, rq.event.ID, rq.event.ID, rq.Method == http.MethodHead)
	rq.refused = true
}

// A client that sends a body without asking first (Expect) may look for its answer only when all of it is sent. A connection
// closed before that is reset, and the reset takes the answer with it. So the server goes on reading for a while, and throws
// away what it reads: of a stranger's as much as the parts of most SDKs and tools have (5 to 8 MiB, and what signatures of chunks take),
// of a known client's as much as a large part has (s5cmd: 50 MiB).
const (
	lingerStranger     = 9 << 20
	lingerStrangerTime = 5 * time.Second
	lingerKnown        = 64 << 20
	lingerKnownTime    = 30 * time.Second
)

// linger reads what is left of a refused request's body, within bounds, so that its sender gets to the answer.
func (h *Handler) linger(rq *request) {
	stalled := rq.w.stalled != nil && rq.w.stalled.Load()
	waits := rq.event.BytesIn == 0 && strings.EqualFold(rq.Header.Get("Expect"), "100-continue")
	if !rq.refused || rq.ContentLength == 0 || stalled || waits {
		return
	}
	limit, patience := int64(lingerStranger), lingerStrangerTime
	if rq.auth != nil && !rq.auth.Anonymous() {
		limit, patience = lingerKnown, lingerKnownTime
	}
	body := io.Reader(rq.Body)
	if b, ok := rq.Body.(*patientBody); ok {
		// It has one deadline here for all of it, and may still be read by who gave up on it. net/http knows its own body again: where
		// bytes are left it ends its half of the connection, and waits with the other (RFC 9112 section 9.6).
		body, rq.Body = b.ReadCloser, b.ReadCloser
	}
	conn := http.NewResponseController(rq.w.ResponseWriter)
	if conn.Flush() != nil || conn.SetReadDeadline(time.Now().Add(patience)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, body, limit) // however it ends, the connection is closed
}

// note raises the counters that an operator watches, and tells the audit trail what the storage offered and was refused.
func (h *Handler) note(t target, err error) {
	if err == nil {
		return
	}
	switch kind := findingOf(err); {
	case kind != "":
		h.metrics.integrity.WithLabelValues(kind).Inc()
		if h.cfg.Refused != nil {
			h.cfg.Refused(Refusal{Bucket: t.Bucket, Key: t.Key, VersionID: t.VersionID, Kind: kind, Err: err})
		}
	case errors.Is(err, keys.ErrNotRecipient), errors.Is(err, keys.ErrMayNotWrite):
		// What other sites keep to themselves, and what this site was told not to do, is no finding.
	case errors.Is(err, keys.ErrKEKUnavailable), errors.Is(err, errLayoutUnavailable):
		h.metrics.kekWaits.Inc()
	}
}

// Refusal is something that the storage returned and that no holder of the bucket's key wrote under that name.
type Refusal struct {
	Bucket, Key, VersionID string
	Kind                   string // the label of cofre_integrity_findings_total
	Err                    error
}

// findingOf gives the kind of a finding, "" for errors that are none.
func findingOf(err error) string {
	var integrity *integrityError
	switch {
	case errors.As(err, &integrity):
		return integrity.kind
	case errors.Is(err, seal.ErrIntegrity):
		return "ciphertext"
	case errors.Is(err, keys.ErrNotRecipient), errors.Is(err, keys.ErrMayNotWrite):
		return "" // though a stranger's KEK is untrusted as well
	case errors.Is(err, keys.ErrUntrusted), errors.Is(err, keys.ErrCommit), errors.Is(err, keys.ErrGrant), errors.Is(err, keys.ErrKEKConflict):
		return "kek"
	}
	return ""
}

// detail is the log's text of an error. An S3 error of the backend is named by its code: its message may quote keys.
func detail(err error) string {
	var s3 *s3api.Error
	if errors.As(err, &s3) {
		return s3.Code
	}
	return err.Error()
}

// guardedBackend keeps the backend's complaints about cofre's own requests from the client, who would take them for his:
// a client told SignatureDoesNotMatch would look for the fault in his own secret.
type guardedBackend struct {
	Backend
	log     *zap.Logger
	metrics *metrics
}

// ownFaults are S3 codes that a backend gives for what cofre, not the client, got wrong.
var ownFaults = map[string]bool{
	"SignatureDoesNotMatch": true, "InvalidAccessKeyId": true, "RequestTimeTooSkewed": true, "InvalidToken": true,
	"AuthorizationHeaderMalformed": true, "XAmzContentSHA256Mismatch": true, "MissingSecurityHeader": true,
	"IncompleteBody": true, "MissingContentLength": true, "BadDigest": true, "InvalidDigest": true,
	"RequestTimeout": true, "PermanentRedirect": true, "TemporaryRedirect": true, "ExpiredToken": true,
}

func (b guardedBackend) Do(ctx context.Context, as access.BackendUser, rq *BackendRequest) (*BackendResponse, error) {
	resp, err := b.Backend.Do(ctx, as, rq)
	if err == nil {
		return resp, nil
	}
	var e *s3api.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	if ownFaults[e.Code] {
		b.metrics.backend.WithLabelValues(e.Code).Inc()
		b.log.Warn("backend refused cofre's own request", zap.String("code", e.Code), zap.Int("status", e.Status))
		return nil, s3api.ErrServiceUnavailable
	}
	// A backend's own trouble is told as S3 tells it, so that every client retries it.
	if e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented {
		return nil, errors.Join(ErrBackendUnavailable, err)
	}
	return nil, err
}

// hasCode says whether an error is, or wraps, an S3 error with one of these codes.
func hasCode(err error, codes ...string) bool {
	var e *s3api.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}

// hasStatus says whether an error is, or wraps, an S3 error with this HTTP status.
func hasStatus(err error, status int) bool {
	var e *s3api.Error
	return errors.As(err, &e) && e.Status == status
}
