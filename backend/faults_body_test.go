package backend_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"cofre/access"
	"cofre/proxy"
	"cofre/s3api"
)

func TestSuccessBeforeTheWholeBodyIsNotBelieved(t *testing.T) {
	endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
		if readHead(conn) != nil {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			hang(conn)
		}
	})
	const size = 256 << 20
	_, err := do(t, newClient(t, endpoint, nil), put("bucket", "key", io.LimitReader(zeroes{}, size), size))
	if !errors.Is(err, proxy.ErrBackendUnavailable) {
		t.Fatalf("got %v", err)
	}
}

// errAtEnd gives out its text and then err, either together with the last bytes or after them.
type errAtEnd struct {
	text string
	err  error
	with bool
}

func (r *errAtEnd) Read(p []byte) (int, error) {
	n := copy(p, r.text)
	r.text = r.text[n:]
	if r.text == "" && (r.with || n == 0) {
		return n, r.err
	}
	return n, nil
}

func TestFailingBodyBreaksTheConnectionBeforeTheDeclaredLength(t *testing.T) {
	errSource := errors.New("signature of the last chunk does not match")
	for _, size := range []int{1, 100, 64 << 10, 1 << 20} {
		text := strings.Repeat("x", size)
		for name, test := range map[string]struct {
			body   io.Reader
			length int
			want   error // nil where only that it fails counts
		}{
			"at the start":        {iotest.ErrReader(errSource), size, errSource},
			"in the middle":       {&errAtEnd{text[:size/2], errSource, false}, size, errSource},
			"with the last byte":  {&errAtEnd{text, errSource, true}, size, errSource},
			"after the last byte": {&errAtEnd{text, errSource, false}, size, errSource},
			"too short":           {strings.NewReader(text[1:]), size, nil},
			"too long":            {strings.NewReader(text + "x"), size, nil},
			"never ends":          {&errAtEnd{text, nil, false}, size, io.ErrNoProgress},
		} {
			t.Run(fmt.Sprint(name, "/", size), func(t *testing.T) {
				received := make(chan int, 1)
				endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
					r := readHead(conn)
					if r == nil {
						received <- 0 // not even the head was sent
						return
					}
					body, err := io.ReadAll(r.Body)
					if err == nil {
						t.Errorf("the backend saw a complete body of %d bytes", len(body))
					}
					received <- len(body)
				})
				_, err := do(t, newClient(t, endpoint, nil), put("bucket", "key", test.body, int64(test.length)))
				if err == nil || (test.want != nil && !errors.Is(err, test.want)) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if errors.Is(err, proxy.ErrBackendUnavailable) {
					t.Error("a failure of the body is laid on the backend")
				}
				if n := <-received; n >= test.length {
					t.Errorf("%d of %d bytes were sent", n, test.length)
				}
			})
		}
	}
}

func TestFailingEmptyBodySendsNothing(t *testing.T) {
	errSource := errors.New("trailer is missing")
	endpoint, connections := connServer(t, func(conn *net.TCPConn, _ int) { hang(conn) })
	_, err := do(t, newClient(t, endpoint, nil), put("bucket", "key", iotest.ErrReader(errSource), 0))
	if !errors.Is(err, errSource) || connections.Load() != 0 {
		t.Fatalf("%d connections, %v", connections.Load(), err)
	}
}

func TestBodyIsSentWholeHoweverItIsRead(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("ETag", sum(body))
	})
	c := newClient(t, s.URL, nil)
	for _, size := range []int{1, 2, 4095, 65535, 65536, 65537, 150_000} {
		text := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"plain": func(r io.Reader) io.Reader { return struct{ io.Reader }{r} },
			"half":  iotest.HalfReader, "with EOF": iotest.DataErrReader,
			"one byte": iotest.OneByteReader,
		} {
			resp, err := do(t, c, put("bucket", "key", wrap(bytes.NewReader(text)), int64(size)))
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", name, size, err)
			}
			if resp.Header.Get("ETag") != sum(text) {
				t.Errorf("%s, %d bytes: the backend got other bytes", name, size)
			}
		}
	}
}

func TestStalledBackendIsGivenUp(t *testing.T) {
	const size = 256 << 20 // more than any socket buffer takes
	for name, test := range map[string]struct {
		serve func(conn *net.TCPConn)
		req   *proxy.BackendRequest
	}{
		"does not answer": {hangAfter(""), get("bucket", "key")},
		"half a head":     {hangAfter("HTTP/1.1 200 OK\r\nContent-Len"), get("bucket", "key")},
		"half an error":   {hangAfter("HTTP/1.1 403 X\r\nContent-Length: 100\r\n\r\n<Error>"), get("bucket", "key")},
		"takes no body": {func(conn *net.TCPConn) {
			readHead(conn)
			<-t.Context().Done()
		}, put("bucket", "key", io.LimitReader(zeroes{}, size), size)},
		"takes the body, does not answer": {func(conn *net.TCPConn) { hang(conn) }, put("bucket", "key", strings.NewReader("body"), 4)},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, done := context.WithCancel(context.Background())
			defer done()
			endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
				if name == "takes no body" {
					readHead(conn)
					<-ctx.Done()
					return
				}
				test.serve(conn)
			})
			_, err := do(t, newClient(t, endpoint, impatient), test.req)
			done()
			if name == "half an error" {
				var answer *s3api.Error
				if !errors.As(err, &answer) || answer.Status != 403 {
					t.Fatalf("got %v", err)
				}
				return
			}
			if !errors.Is(err, proxy.ErrBackendUnavailable) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func hangAfter(answer string) func(conn *net.TCPConn) {
	return func(conn *net.TCPConn) {
		readHead(conn)
		io.WriteString(conn, answer)
		hang(conn)
	}
}

func TestBrokenAnswerBodyIsAnErrorNeverAnEnd(t *testing.T) {
	for name, test := range map[string]struct{ answer string }{
		"cut":           {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"},
		"cut chunked":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n"},
		"no end chunk":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonly "},
		"stall":         {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"},
		"stall chunked": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
				readHead(conn)
				io.WriteString(conn, test.answer)
				if strings.HasPrefix(name, "stall") {
					hang(conn)
				}
			})
			resp, err := do(t, newClient(t, endpoint, impatient), get("bucket", "key"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if !errors.Is(err, proxy.ErrBackendUnavailable) || !strings.HasPrefix("only this", string(body)) {
				t.Fatalf("got %q, %v", body, err)
			}
			if _, again := resp.Body.Read(make([]byte, 1)); !errors.Is(again, proxy.ErrBackendUnavailable) {
				t.Errorf("the next read says %v", again)
			}
		})
	}
}

// slowly waits before every read, longer than the backend may take.
type slowly struct{ r io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(2 * patience)
	return s.r.Read(p)
}

func TestSlowCallersAreNoFaultOfTheBackend(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Write(body)
	})
	c := newClient(t, s.URL, impatient)
	const text = "four"
	resp, err := do(t, c, put("bucket", "key", slowly{iotest.OneByteReader(strings.NewReader(text))}, int64(len(text))))
	if err != nil {
		t.Fatalf("slow body: %v", err)
	}
	got, err := io.ReadAll(slowly{iotest.OneByteReader(resp.Body)})
	if err != nil || string(got) != text {
		t.Fatalf("slow reader: %q, %v", got, err)
	}
}

func TestCallerWhoGivesUpGetsItsOwnError(t *testing.T) {
	reached := make(chan struct{}, 1)
	endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
		readHead(conn)
		reached <- struct{}{}
		hang(conn)
	})
	errClient := errors.New("client went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-reached
		cancel(errClient)
	}()
	_, err := newClient(t, endpoint, nil).Do(ctx, access.SiteUser, get("bucket", "key"))
	if !errors.Is(err, errClient) || errors.Is(err, proxy.ErrBackendUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestCallerWhoGivesUpWhileReading(t *testing.T) {
	endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
		hangAfter("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")(conn)
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := newClient(t, endpoint, nil).Do(ctx, access.SiteUser, get("bucket", "key"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, len("only this"))); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) || errors.Is(err, proxy.ErrBackendUnavailable) {
		t.Fatalf("got %v", err)
	}
}

// guarded fails the test when it is read after Do returned: its owner has freed it by then.
type guarded struct {
	t    *testing.T
	over atomic.Bool
}

func (g *guarded) Read(p []byte) (int, error) {
	if g.over.Load() {
		g.t.Error("the body was read after Do returned")
	}
	clear(p)
	return len(p), nil
}

func TestBodyIsNotTouchedAfterDo(t *testing.T) {
	endpoint, _ := connServer(t, func(conn *net.TCPConn, number int) {
		if readHead(conn) == nil {
			return
		}
		if number%2 == 0 {
			io.WriteString(conn, "HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n")
			hang(conn) // net/http goes on sending for a while
			return
		}
		io.CopyN(io.Discard, conn, 1<<20)
	})
	c := newClient(t, endpoint, nil)
	for range 50 {
		body := &guarded{t: t}
		if _, err := do(t, c, put("bucket", "key", body, 1<<30)); err == nil {
			t.Fatal("no error")
		}
		body.over.Store(true)
	}
}
