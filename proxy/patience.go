package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// A client may be slow for hours, but not stand still: one that does would hold a connection, here and at the backend, and
// a place among the requests in flight. So each piece of a body has a deadline of its own, and no body has one as a whole.

// patience moves the deadline of one direction of a connection along. It is used by one goroutine at a time.
type patience struct {
	set   func(time.Time) error
	stall time.Duration
	armed time.Time
}

// arm gives the client stall from now on. A deadline that was set a moment ago is left, since bodies are read in small pieces.
func (p *patience) arm() {
	if now := time.Now(); now.Sub(p.armed) > p.stall/8 {
		p.armed = now
		_ = p.set(now.Add(p.stall)) // a writer without a connection (a test's) has nothing to wait for
	}
}

func (p *patience) disarm() {
	p.armed = time.Time{}
	_ = p.set(time.Time{})
}

// patientBody is a request body whose client must go on sending; else Read gives a timeout, which S3 calls RequestTimeout.
type patientBody struct {
	io.ReadCloser
	patience patience
	stalled  atomic.Bool // a read ran into its deadline
}

// waitForClient bounds how long the client may stand still while its request is read and answered.
func (h *Handler) waitForClient(w *responseWriter, r *http.Request) {
	conn := http.NewResponseController(w.ResponseWriter)
	w.patience = patience{set: conn.SetWriteDeadline, stall: h.cfg.Limits.DownloadStall}
	w.patience.arm() // also because the request before on this connection has left its own
	if r.Body != nil && r.Body != http.NoBody {
		b := &patientBody{ReadCloser: r.Body, patience: patience{set: conn.SetReadDeadline, stall: h.cfg.Limits.UploadStall}}
		b.patience.arm() // net/http reads on behind a handler that has not, and that must end too
		r.Body, w.stalled = b, &b.stalled
	}
}

func (b *patientBody) Read(p []byte) (int, error) {
	b.patience.arm()
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		// From its end on, net/http watches the connection for the client's leaving; that watch has no deadline.
		b.patience.disarm()
	case errors.Is(err, os.ErrDeadlineExceeded):
		// The deadline stays: net/http would wait without one for what is left of the body.
		b.stalled.Store(true)
	}
	return n, err
}
