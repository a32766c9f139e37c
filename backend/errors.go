package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"cofre/proxy"
	"cofre/s3api"
)

// maxErrorDocument is how much of an error answer is read: S3's documents have some hundred bytes, and what a gateway in
// between sends (HTML) is not worth more.
const maxErrorDocument = 64 << 10

// errBareRefusal says that the backend's HTTP front, not its S3, refused a request.
var errBareRefusal = errors.New("400 without an error document")

// failure is an error together with what it counts as. It adds no words.
type failure struct {
	outcome   Outcome
	transient bool // the same request may succeed in a moment
	err       error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func invalid(err error) error { return &failure{outcome: OutcomeInvalid, err: err} }

func bodyError(err error) error {
	return &failure{outcome: OutcomeBody, err: fmt.Errorf("read request body: %w", err)}
}

func unavailable(err error) error {
	return &failure{outcome: OutcomeUnavailable, transient: true, err: fmt.Errorf("%w: %w", proxy.ErrBackendUnavailable, err)}
}

func canceled(err error) error { return &failure{outcome: OutcomeCanceled, err: err} }

// refused is an answer that is neither 2xx nor 304. What it counts as goes by the status on the wire: the one in answer is
// meant for the proxy's client.
func refused(status int, answer *s3api.Error) error {
	f := &failure{outcome: OutcomeServerError, err: answer}
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.transient = true
	}
	if status >= 400 && status < 500 {
		f.outcome = OutcomeClientError
	}
	return f
}

// noAnswer sorts what came instead of an answer. parent is the caller's context and ctx the request's own: which of the
// two has ended tells a caller who gave up from a backend that stalled.
func noAnswer(parent, ctx context.Context, err error) error {
	var f *failure
	switch {
	case errors.As(err, &f):
		return err
	case parent.Err() != nil:
		return canceled(context.Cause(parent))
	case errors.Is(context.Cause(ctx), errStalled):
		// Not transient: the caller has waited long enough, and a second wait would be as long.
		return &failure{outcome: OutcomeUnavailable, err: fmt.Errorf("%w: %w", proxy.ErrBackendUnavailable, errStalled)}
	}
	return unavailable(err)
}

// outcomeOf names the outcome of a call for metrics.
func outcomeOf(err error) Outcome {
	if err == nil {
		return OutcomeOK
	}
	var f *failure
	if errors.As(err, &f) {
		return f.outcome
	}
	return OutcomeInvalid // every other outcome was made above
}

// keptHeaders are the headers of an error answer that mean the same to a client of the proxy. Sizes, ranges and ETags do
// not: they speak of sealed bytes.
var keptHeaders = []string{"X-Amz-Delete-Marker", "X-Amz-Version-Id", "Retry-After", "X-Amz-Bucket-Region"}

// readError makes the error of an answer that is neither 2xx nor 304, and closes it.
func readError(resp *http.Response, req *proxy.BackendRequest) error {
	defer resp.Body.Close()
	limit := int64(maxErrorDocument)
	if req.Body != nil && resp.ContentLength > 0 {
		// The last byte is left, so that the connection is closed and not used again: where RGW 16 refuses a request just as its
		// body sets out after all (Expect), it takes the body for the next request.
		limit = min(limit, resp.ContentLength-1)
	}
	// A document that breaks off in the middle still has its status, which is enough.
	document, _ := io.ReadAll(io.LimitReader(resp.Body, limit))
	if len(document) == 0 && resp.StatusCode == http.StatusBadRequest && req.Method != http.MethodHead {
		// S3 never says this without a word. RGW's HTTP front does, to what it cannot parse: bytes that were meant for a request before.
		return unavailable(errBareRefusal)
	}
	answer := s3api.DecodeError(resp.StatusCode, document)
	if len(document) == 0 && resp.StatusCode == http.StatusNotFound && req.Key == "" {
		answer = s3api.ErrNoSuchBucket // HEAD has no document to say what is missing
	}
	for _, name := range keptHeaders {
		if value := resp.Header.Get(name); value != "" {
			answer = answer.WithHeader(name, value)
		}
	}
	return refused(resp.StatusCode, answer)
}
