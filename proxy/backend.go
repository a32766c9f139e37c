package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"

	"cofre/access"
	"cofre/s3api"
)

// ErrBackendUnavailable is matched by every Backend error that means: not reachable, no answer in time, or the connection
// broke. For a request with a body it leaves open whether the backend acted.
var ErrBackendUnavailable = errors.New("backend unavailable")

// BackendRequest is one S3 request to the storage behind cofre. It is built from scratch for each call: nothing a client
// sent reaches the backend except what a handler put here by name.
type BackendRequest struct {
	Method string
	Bucket string      // empty for ListBuckets
	Key    string      // raw bytes; empty for bucket operations
	Query  s3api.Query // sub-resource and parameters, unescaped
	Header http.Header // without Host, Authorization, Content-Length, x-amz-date and x-amz-content-sha256
	Body   io.Reader   // nil for none
	Length int64       // exact length of Body
	// Replayable says that Body is a *bytes.Reader that can be sent again: the call may be retried.
	Replayable bool
}

// BackendResponse is a 2xx or 304 answer. The caller closes Body (never nil).
type BackendResponse struct {
	Status int
	Header http.Header
	Body   io.ReadCloser
	Length int64 // -1 where the backend did not say
}

// Backend is the S3 store behind cofre.
type Backend interface {
	// Do sends one request as the given backend identity. Any answer but 2xx and 304 is an error that errors.As finds as
	// *s3api.Error, with the backend's code, status and (never empty) message. Errors that mean "not reachable, no
	// answer, or the connection broke" match ErrBackendUnavailable; for a request with a body such an error leaves open
	// whether the backend acted. GET, HEAD, LIST and DELETE, and replayable bodies, are retried a few times on connection
	// errors, 500, 502, 503 and 504, within ctx. If Body's Read gives an error, the connection is broken off before the
	// declared length was sent (so the backend keeps the previous object) and that error is returned, wrapped.
	Do(ctx context.Context, as access.BackendUser, req *BackendRequest) (*BackendResponse, error)
}
