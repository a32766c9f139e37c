package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// A client may be slow for hours, but not stand still, nor send a byte now and then: one that does would hold a connection, here
// and at the backend, and a place among the requests in flight. So each step of a body has a deadline, and no body has one as
// a whole.

// patienceStep is how many bytes must move for a client's time to begin anew.
const patienceStep = 64 << 10

// patience moves the deadline of one direction of a connection along. It is used by one goroutine at a time.
type patience struct {
	set      func(time.Time) error
	stall    time.Duration // for each patienceStep; only what is waited for the client counts
	deadline time.Time     // as it was set; zero for none
	waited   time.Duration // since patienceStep last moved
	moved    int64         // bytes since then
}

// arm gives the client what is left of its time, from now on, and gives now. A deadline that was set a moment ago is left, since
// bodies are read in small pieces.
func (p *patience) arm() time.Time {
	now := time.Now()
	if deadline := now.Add(p.stall - p.waited); deadline.Sub(p.deadline) > p.stall/8 {
		p.deadline = deadline
		_ = p.set(deadline) // a writer without a connection (a test's) has nothing to wait for
	}
	return now
}

// done notes that n bytes have moved since began.
func (p *patience) done(began time.Time, n int) {
	p.waited += time.Since(began)
	if p.moved += int64(n); p.moved >= patienceStep {
		p.moved, p.waited = 0, 0
	}
}

func (p *patience) disarm() {
	p.deadline = time.Time{}
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
	began := b.patience.arm()
	n, err := b.ReadCloser.Read(p)
	b.patience.done(began, n)
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
