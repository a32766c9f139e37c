package proxy_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"
)

// strike is a fault that waits for its moment: the at-th request or call from when it was armed.
type strike struct {
	mu    sync.Mutex
	kind  string
	at    int
	seen  int
	total atomic.Int64 // faults that struck, over all
}

func (s *strike) arm(kind string, at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kind, s.at, s.seen = kind, at, 0
}

// disarm says whether the fault has struck.
func (s *strike) disarm() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	struck := s.kind != "" && s.seen > s.at
	s.kind = ""
	return struck
}

// next gives the fault that strikes this request; first says that it is the one that was waited for, not one behind it.
func (s *strike) next() (kind string, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kind == "" {
		return "", false
	}
	s.seen++
	if s.seen <= s.at {
		return "", false
	}
	s.total.Add(1)
	return s.kind, s.seen == s.at+1
}

// The faults of the link to the storage. "down" and "die" last until the step is over; the others strike one request.
var linkFaults = []string{
	"drop",  // the request is lost
	"lose",  // the storage acts, and its answer is lost
	"down",  // nothing passes
	"die",   // the storage acts, its answer is lost, and then nothing passes
	"torn",  // the request's body breaks off in the middle
	"break", // the answer's body breaks off in the middle
	"500",   // the storage answers 500 without having acted
	"slow",  // the answer comes in small pieces
}

// faultyLink stands between cofre and the storage. It looks at all that passes: no plaintext ever may.
type faultyLink struct {
	storage http.Handler
	strike
	leaks atomic.Int64
}

func (l *faultyLink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, values := range r.Header {
		for _, v := range values {
			if bytes.Contains([]byte(v), []byte(plaintextMark)) {
				l.leaks.Add(1)
			}
		}
	}
	watched := &markReader{ReadCloser: r.Body, found: &l.leaks}
	r.Body = watched
	kind, first := l.next()
	switch kind {
	case "":
		l.storage.ServeHTTP(w, r)
		return
	case "down":
		panic(http.ErrAbortHandler)
	}
	if !first {
		if kind == "die" {
			panic(http.ErrAbortHandler)
		}
		l.storage.ServeHTTP(w, r)
		return
	}
	l.fail(kind, w, r)
}

func (l *faultyLink) fail(kind string, w http.ResponseWriter, r *http.Request) {
	answer := func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		l.storage.ServeHTTP(rec, r)
		return rec
	}
	switch kind {
	case "lose", "die":
		answer()
	case "torn":
		if r.ContentLength > 0 {
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, r.ContentLength/2), brokenReader{}))
			answer()
		}
	case "500":
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusInternalServerError)
		return
	case "break", "slow":
		rec := answer()
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		body := rec.Body.Bytes()
		if kind == "slow" {
			for len(body) > 0 {
				n := min(len(body), 20_000)
				_, _ = w.Write(body[:n])
				body = body[n:]
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
			return
		}
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}

// brokenReader is a connection that ended.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// markReader looks for the mark of plaintext in all that is read.
type markReader struct {
	io.ReadCloser
	found *atomic.Int64
	tail  []byte
}

func (m *markReader) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.tail = append(m.tail, p[:n]...)
	if bytes.Contains(m.tail, []byte(plaintextMark)) {
		m.found.Add(1)
	}
	m.tail = append(m.tail[:0], m.tail[max(0, len(m.tail)-len(plaintextMark)):]...)
	return n, err
}
