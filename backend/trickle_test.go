package backend_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cofre/backend"
	"cofre/metadata/storetest"
	"cofre/proxy"
)

// dribble writes a byte now and then, well within any stall, until the client has gone.
func dribble(conn net.Conn) {
	for {
		if _, err := conn.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(patience / 10)
	}
}

// TestAByteNowAndThenIsNoProgress: each byte alone would be in time.
func TestAByteNowAndThenIsNoProgress(t *testing.T) {
	t.Run("answer", func(t *testing.T) {
		endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
			readHead(conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
			dribble(conn)
		})
		resp, err := do(t, newClient(t, endpoint, impatient), get("bucket", "key"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got, err := io.ReadAll(resp.Body); !errors.Is(err, proxy.ErrBackendUnavailable) {
			t.Errorf("%d bytes of an answer that does not come on: %v", len(got), err)
		}
	})
	t.Run("head", func(t *testing.T) {
		endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
			readHead(conn)
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Long: ")
			dribble(conn)
		})
		if _, err := do(t, newClient(t, endpoint, impatient), get("bucket", "key")); !errors.Is(err, proxy.ErrBackendUnavailable) {
			t.Errorf("a head that does not come on: %v", err)
		}
	})
	t.Run("body", func(t *testing.T) {
		over := make(chan struct{}) // what lies in the buffers would be read for minutes
		endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
			one := make([]byte, 1)
			for {
				if _, err := conn.Read(one); err != nil {
					return
				}
				select {
				case <-over:
					return
				case <-time.After(patience / 10):
				}
			}
		})
		defer close(over)
		const size = 256 << 20
		if _, err := do(t, newClient(t, endpoint, impatient), put("bucket", "key", io.LimitReader(zeroes{}, size), size)); !errors.Is(err, proxy.ErrBackendUnavailable) {
			t.Errorf("a body that is not taken: %v", err)
		}
	})
}

// TestASlowBodyThatMovesIsRead: more than a stall in all, never one for a step.
func TestASlowBodyThatMovesIsRead(t *testing.T) {
	piece := bytes.Repeat([]byte("x"), 64<<10)
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(8*len(piece)))
		for range 8 {
			time.Sleep(200 * time.Millisecond)
			w.Write(piece)
			w.(http.Flusher).Flush()
		}
	})
	resp, err := do(t, newClient(t, s.URL, func(c *backend.Config) { c.StallTimeout = time.Second }), get("bucket", "key"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(8*len(piece)) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestForgottenConnectionsAreReplaced has all idle connections go dead without a word, while new ones work: one request finds out,
// waits once and not once for each attempt, and the next ones do not meet the others.
func TestForgottenConnectionsAreReplaced(t *testing.T) {
	var (
		mu       sync.Mutex
		together sync.WaitGroup
		held     = true
	)
	const many = 8
	together.Add(many)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		hold := held
		mu.Unlock()
		if hold { // so that each has a connection of its own
			together.Done()
			together.Wait()
		}
		io.WriteString(w, "ok")
	}))
	t.Cleanup(s.Close)
	gate := storetest.NewGate(t, strings.TrimPrefix(s.URL, "http://"))
	c := newClient(t, "http://"+gate.Addr(), func(c *backend.Config) { c.StallTimeout, c.Retries = 500*time.Millisecond, 3 })
	read := func() error {
		resp, err := do(t, c, get("bucket", "key"))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	var warming sync.WaitGroup
	for range many {
		warming.Go(func() {
			if err := read(); err != nil {
				t.Error(err)
			}
		})
	}
	warming.Wait()
	mu.Lock()
	held = false
	mu.Unlock()
	gate.Freeze()
	if err := read(); !errors.Is(err, proxy.ErrBackendUnavailable) {
		t.Errorf("a request on a dead connection: %v", err)
	}
	for range many {
		if err := read(); err != nil {
			t.Errorf("a request after that: %v", err)
		}
	}
}
