package proxy_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"cofre/backend"
	"cofre/internal/longtest"
)

// forgetful loses answers of the backend to writes: it has acted, and nobody learns of it.
type forgetful struct {
	mu   sync.Mutex
	path string // of the requests whose answer is lost, begins with this; empty: none
	keep int    // bytes of such an answer that arrive
	left int    // answers yet to be lost
	lost int    // answers that were
}

// lose has the next answers to writes below a path break off after keep bytes.
func (f *forgetful) lose(path string, keep, answers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.path, f.keep, f.left, f.lost = path, keep, answers, 0
}

// stop gives how many answers were lost.
func (f *forgetful) stop() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.path = ""
	return f.lost
}

// hit says whether what goes out begins a request whose answer is to be lost.
func (f *forgetful) hit(p []byte) (keep int, hit bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	method, rest, _ := strings.Cut(string(p[:min(len(p), 2000)]), " ")
	isWrite := method == http.MethodPut || method == http.MethodPost || method == http.MethodDelete
	if f.path == "" || f.left == 0 || !isWrite || !strings.HasPrefix(rest, f.path) {
		return 0, false
	}
	f.left--
	f.lost++
	return f.keep, true
}

func (f *forgetful) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &forgetfulConn{Conn: conn, f: f, keep: -1}, nil
}

type forgetfulConn struct {
	net.Conn
	f    *forgetful
	mu   sync.Mutex
	keep int // bytes that still arrive; -1 for all
}

func (c *forgetfulConn) Write(p []byte) (int, error) {
	if keep, hit := c.f.hit(p); hit {
		c.mu.Lock()
		c.keep = keep
		c.mu.Unlock()
	}
	return c.Conn.Write(p)
}

// Read waits for the answer before it loses it, so that the backend has surely acted.
func (c *forgetfulConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keep < 0 || err != nil {
		return n, err
	}
	if n <= c.keep {
		c.keep -= n
		return n, nil
	}
	c.Close()
	if c.keep == 0 {
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	n, c.keep = c.keep, 0
	return n, nil
}

// TestAnAnswerThatWasLostAfterTheBackendActedIsFoundOut cuts the answers to all kinds of writes at many places. One lost answer is
// made up for, where there is a way to know; more are told as a failure. Either way the client that sends again gets what it wants,
// and no object is taken for a replay.
func TestAnAnswerThatWasLostAfterTheBackendActedIsFoundOut(t *testing.T) {
	w := newWorld(t)
	f := &forgetful{}
	s := newSite(t, w.clean.storage, siteConfig{identity: w.clean.identity, store: w.clean.store, client: func(c *backend.Config) { c.DialContext = f.dial }})
	s.warm(t, w)
	// These make an object of which HEAD tells, or may be sent again. (DeleteObjects too, but not once its document has begun.)
	settled := map[string]bool{"PUT": true, "PUT if there is none": true, "PUT if it is there": true, "DELETE": true,
		"CopyObject": true, "CompleteMultipartUpload": true, "AbortMultipartUpload": true}
	lost, told := 0, 0
	var all []*attempt
	for _, op := range linkOperations() {
		for _, c := range []struct{ keep, answers int }{{0, 1}, {12, 1}, {150, 1}, {420, 1}, {600, 1}, {0, 9}} {
			buckets := []string{w.plain, w.versioned}
			if op.conditional() {
				buckets = []string{w.guarded}
			}
			for _, bucket := range buckets {
				if op.reads {
					continue
				}
				a := newAttempt(bucket, op.name+" "+randomHex(4))
				if op.prepare != nil {
					op.prepare(t, w.clean, a)
				}
				path := "/" + bucket + "/" + a.key
				if op.name == "DeleteObjects" {
					path = "/" + bucket + "?delete"
				}
				f.lose(path, c.keep, c.answers)
				a.got, a.err = s.tryWithin(t, op.ask(a), clientTransport, tooLong)
				n := f.stop()
				lost += n
				if n == 0 {
					t.Errorf("%s: no answer was lost", op.name)
				}
				if !a.ok() && !unavailable(op, fault{}, a) {
					t.Errorf("%s, %d bytes of the answer, %d lost: %d %s, %v", op.name, c.keep, n, a.got.status, a.got.code, a.err)
				}
				if a.ok() {
					told++
				} else if settled[op.name] && c.answers == 1 {
					t.Errorf("%s, %d bytes of the answer: %d %s, though the backend had done it", op.name, c.keep, a.got.status, a.got.code)
				}
				if err := op.judge(t, w.clean, a); err != nil {
					t.Errorf("%s, %d bytes of the answer, %d lost, told success %v: %v", op.name, c.keep, n, a.ok(), err)
				}
				all = append(all, a)
			}
		}
	}
	// Whoever knows nothing of all this sees the same: no live object has a tombstone.
	fresh := newSite(t, w.clean.storage, siteConfig{identity: w.clean.identity, store: w.clean.store})
	for _, a := range all {
		was, err := w.clean.state(t, a)
		if err != nil {
			t.Errorf("%s: %v", a.key, err)
		}
		if is, err := fresh.state(t, a); err != nil || string(is) != string(was) {
			t.Errorf("%s: another replica reads %d bytes, %v, want %d", a.key, len(is), err, len(was))
		}
	}
	longtest.Figure(t, "answers lost after the backend acted", lost)
	longtest.Figure(t, "of which the outcome was found out", told)
}
