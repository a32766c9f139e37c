package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"cofre/proxy"
)

const (
	// drainLimit is how much unread answer is worth reading so that its connection can be used again.
	drainLimit = 16 << 10
	// drainTime is how long that may take.
	drainTime = 100 * time.Millisecond
)

// newResponse hands the answer to the caller. The timer and the request's context end with its body.
func newResponse(parent, ctx context.Context, resp *http.Response, timer *stallTimer, stall time.Duration) *proxy.BackendResponse {
	length := resp.ContentLength
	if resp.StatusCode == http.StatusNotModified || resp.Body == http.NoBody {
		// A 304 may announce the length of what it does not send. (HEAD keeps its length: it is the object's.)
		timer.stop()
		return &proxy.BackendResponse{Status: resp.StatusCode, Header: resp.Header, Body: http.NoBody, Length: length}
	}
	answer := &struct {
		proxy.BackendResponse
		body download
	}{
		proxy.BackendResponse{Status: resp.StatusCode, Header: resp.Header, Length: length},
		download{parent: parent, ctx: ctx, body: resp.Body, left: length, timer: timer, stall: stall},
	}
	answer.Body = &answer.body
	return &answer.BackendResponse
}

// download is the body of an answer. It is used by one goroutine at a time.
type download struct {
	parent, ctx context.Context // as for Client.translate
	body        io.ReadCloser
	left        int64 // bytes to come; below zero where the backend did not say
	timer       *stallTimer
	stall       time.Duration
	err         error // what Read says from now on
}

// Read waits for the backend at most the stall timeout, counted over progressStep bytes. A connection that breaks before the announced length, or a chunked
// answer without its end, is an error that matches proxy.ErrBackendUnavailable, never io.EOF.
func (d *download) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	d.timer.wait(d.stall)
	n, err := d.body.Read(p)
	d.timer.done(n)
	if d.left >= 0 {
		d.left -= int64(n)
	}
	if err != nil {
		d.err = d.sort(err)
		d.timer.stop()
		err = d.err
	}
	return n, err
}

func (d *download) sort(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case d.parent.Err() != nil:
		return fmt.Errorf("read backend answer: %w", context.Cause(d.parent))
	case errors.Is(context.Cause(d.ctx), errStalled):
		err = errStalled
	}
	return fmt.Errorf("read backend answer: %w: %w", proxy.ErrBackendUnavailable, err)
}

// Close lets go of the answer. Little that is left is read first, so that the connection can serve again; much that is
// left costs the connection, which is the way to make the backend stop sending.
func (d *download) Close() error {
	if d.err == nil && d.left >= 0 && d.left <= drainLimit {
		d.timer.arm(drainTime)
		io.CopyN(io.Discard, d.body, d.left+1) //nolint:errcheck // only the reuse of the connection hangs on it
	}
	if d.err == nil {
		d.err = errors.New("read backend answer: body is closed")
	}
	d.timer.stop()
	return d.body.Close()
}
