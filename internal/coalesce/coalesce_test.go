package coalesce_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cofre/internal/coalesce"
)

// wire is a connection that keeps what was written, write by write, and takes no more than room bytes.
type wire struct {
	net.Conn
	writes []string
	room   int
}

var errFull = errors.New("full")

func (w *wire) Write(p []byte) (int, error) {
	n := min(len(p), w.room)
	w.room -= n
	w.writes = append(w.writes, string(p[:n]))
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

type one struct {
	net.Listener
	conn net.Conn
}

func (l one) Accept() (net.Conn, error) { return l.conn, nil }

func open(t interface{ Fatal(args ...any) }, w *wire) *coalesce.Conn {
	c, err := coalesce.Listen(one{conn: w}).Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn := coalesce.Of(coalesce.Context(context.Background(), c))
	if conn == nil {
		t.Fatal("the connection was not remembered")
	}
	return conn
}

// TestOneWriteWaitsForTheNext, and none but the one that was meant.
func TestOneWriteWaitsForTheNext(t *testing.T) {
	w := &wire{room: 1 << 20}
	c := open(t, w)
	c.HoldNext()
	for _, step := range []struct{ write, left string }{{"a", ""}, {"b", "ab"}, {"c", "abc"}} {
		if n, err := c.Write([]byte(step.write)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if left := strings.Join(w.writes, ""); left != step.left {
			t.Fatalf("behind %q there has left %q, want %q", step.write, left, step.left)
		}
	}
	long := strings.Repeat("d", 8<<10)
	c.HoldNext()
	if _, err := c.Write([]byte(long)); err != nil || strings.Join(w.writes, "") != "abc"+long {
		t.Fatal("a long write has waited", err)
	}
}

// TestWhatLeavesIsWhatWasWritten, in its order, whatever waits; and where the connection takes no more, no more is said to be written.
func TestWhatLeavesIsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &wire{room: rapid.SampledFrom([]int{0, 1, 5000, 1 << 20}).Draw(rt, "room")}
		c := open(rt, w)
		var all bytes.Buffer
		said := 0
		for i := range rapid.IntRange(1, 12).Draw(rt, "writes") {
			if rapid.Bool().Draw(rt, "hold") {
				c.HoldNext()
			}
			p := bytes.Repeat([]byte{byte('a' + i)}, rapid.SampledFrom([]int{0, 1, 100, 4096, 4160, 4161, 70_000}).Draw(rt, "length"))
			n, err := c.Write(p)
			all.Write(p)
			said += n
			if n < 0 || n > len(p) || err == nil && n < len(p) {
				rt.Fatalf("%d of %d bytes written: %v", n, len(p), err)
			}
			if err != nil {
				break
			}
		}
		left := strings.Join(w.writes, "")
		if !strings.HasPrefix(all.String(), left) {
			rt.Fatal("something else left than was written")
		}
		if len(left) < said-coalesce.Least-64 || len(left) > all.Len() {
			rt.Fatalf("%d bytes left, %d are said to be written", len(left), said)
		}
	})
}

// TestBodiesOfLeastBytesAreWrittenTwice: what HoldNext asks for is so with the net/http of this Go, with TLS and without; the answer is
// whole and comes although nobody flushes.
func TestBodiesOfLeastBytesAreWrittenTwice(t *testing.T) {
	for _, withTLS := range []bool{false, true} {
		for _, size := range []int{coalesce.Least, coalesce.Least + 1, 8 << 10, 100_000} {
			body := strings.Repeat("x", size)
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn := coalesce.Of(r.Context())
				if conn == nil {
					t.Error("the connection was not remembered")
				}
				w.Header().Set("Content-Length", strconv.Itoa(size))
				conn.HoldNext()
				_, _ = io.WriteString(w, body)
			}))
			s.Listener = coalesce.Listen(s.Listener)
			s.Config.ConnContext = coalesce.Context
			if withTLS {
				s.StartTLS()
			} else {
				s.Start()
			}
			for range 3 {
				rq, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				res, err := s.Client().Do(rq)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(got) != body {
					t.Errorf("TLS %v, %d bytes: got %d: %v", withTLS, size, len(got), err)
				}
			}
			s.Close()
		}
	}
}
