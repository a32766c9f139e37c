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
// a place among the requests in flight. So each piece of a body has a deadline of its own, and no body has one as a whole. Nor may
// it only pretend to move, a byte at a time: what it gives or takes while it is waited for must come to something.

// patience moves the deadline of one direction of a connection along. It is used by one goroutine at a time.
type patience struct {
	set   func(time.Time) error
	stall time.Duration
	armed time.Time
	// Of the window that began last: how long the client was waited for, and what came of it.
	least  float64 // bytes a second
	waited time.Duration
	moved  int64
}

// exhausted notes n bytes for which the client was waited for since began, and says whether it has come to too little in two stalls'
// time of waiting. Time in which others were waited for (the backend, a limit of bytes) does not count against it, and one pause
// below the stall never makes up a whole window.
func (p *patience) exhausted(began time.Time, n int) bool {
	p.waited += time.Since(began)
	p.moved += int64(n)
	if p.waited < 2*p.stall {
		return false
	}
	tooLittle := float64(p.moved) < p.least*p.waited.Seconds()
	p.waited, p.moved = 0, 0
	if tooLittle {
		_ = p.set(time.Now()) // nobody waits for what may come yet
	}
	return tooLittle
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
	stalled  atomic.Bool // a read ran into its deadline, or there was too little of them
	// pace waits until so many more bytes may come, for parties with a limit of bytes; nil for others.
	pace func(n int) error
}

// pacedPiece is how much of a paced body is read at a time, in bytes: small, so that many streams of one party take turns quickly.
const pacedPiece = 16 << 10

// waitForClient bounds how long the client may stand still while its request is read and answered.
func (h *Handler) waitForClient(w *responseWriter, r *http.Request) {
	conn := http.NewResponseController(w.ResponseWriter)
	w.patience = patience{set: conn.SetWriteDeadline, stall: h.cfg.Limits.DownloadStall, least: float64(h.cfg.Limits.MinRate)}
	w.patience.arm() // also because the request before on this connection has left its own
	if r.Body != nil && r.Body != http.NoBody {
		b := &patientBody{ReadCloser: r.Body, patience: patience{
			set: conn.SetReadDeadline, stall: h.cfg.Limits.UploadStall, least: float64(h.cfg.Limits.MinRate),
		}}
		b.patience.arm() // net/http reads on behind a handler that has not, and that must end too
		r.Body, w.stalled = b, &b.stalled
	}
}

func (b *patientBody) Read(p []byte) (int, error) {
	if b.pace != nil {
		p = p[:min(len(p), pacedPiece)]
	}
	b.patience.arm()
	began := time.Now()
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		// From its end on, net/http watches the connection for the client's leaving; that watch has no deadline.
		b.patience.disarm()
	case err == nil && b.patience.exhausted(began, n):
		err = os.ErrDeadlineExceeded
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// The deadline stays: net/http would wait without one for what is left of the body.
		b.stalled.Store(true)
	}
	if b.pace != nil && (err == nil || errors.Is(err, io.EOF)) {
		if perr := b.pace(n); perr != nil {
			return n, perr
		}
	}
	return n, err
}
