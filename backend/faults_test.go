package backend_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cofre/backend"
	"cofre/proxy"
	"cofre/s3api"
)

// patience is a stall timeout that a test can wait for. Tests that must not run into it use much longer ones.
const patience = 100 * time.Millisecond

func impatient(c *backend.Config) {
	c.StallTimeout, c.AnswerTimeout, c.Retries = patience, patience, -1
}

// connServer hands every connection to serve and counts them.
func connServer(t *testing.T, serve func(conn *net.TCPConn, number int)) (endpoint string, connections *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	connections = new(atomic.Int32)
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			number := int(connections.Add(1))
			wg.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn), number)
			})
		}
	})
	return "http://" + listener.Addr().String(), connections
}

// readHead reads a request up to its body.
func readHead(conn net.Conn) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return nil
	}
	return r
}

// hang keeps a connection open until the client closes it.
func hang(conn net.Conn) { io.Copy(io.Discard, conn) }

// zeroes is an endless source.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestNothingListening(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	c := newClient(t, "http://"+listener.Addr().String(), nil)
	if _, err := do(t, c, get("bucket", "key")); !errors.Is(err, proxy.ErrBackendUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestRepeatableRequestsSurviveBrokenConnectionsAnd5xx(t *testing.T) {
	faults := map[string]func(conn *net.TCPConn){
		"reset":       func(conn *net.TCPConn) { conn.SetLinger(0) },
		"close":       func(*net.TCPConn) {},
		"half a head": func(conn *net.TCPConn) { io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Le") },
		"not HTTP":    func(conn *net.TCPConn) { io.WriteString(conn, "SSH-2.0-OpenSSH\r\n\r\n") },
	}
	for _, status := range []int{500, 502, 503, 504} {
		faults[fmt.Sprint(status)] = func(conn *net.TCPConn) {
			fmt.Fprintf(conn, "HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status)
		}
	}
	requests := map[string]func() *proxy.BackendRequest{
		"GET":  func() *proxy.BackendRequest { return get("bucket", "key") },
		"LIST": func() *proxy.BackendRequest { return get("bucket", "") },
		"HEAD": func() *proxy.BackendRequest {
			return &proxy.BackendRequest{Method: "HEAD", Bucket: "bucket", Key: "key"}
		},
		"DELETE": func() *proxy.BackendRequest {
			return &proxy.BackendRequest{Method: "DELETE", Bucket: "bucket", Key: "key"}
		},
		"document": func() *proxy.BackendRequest { return document("POST", "bucket", "", "<Delete/>") },
	}
	for fault, breakOff := range faults {
		for name, request := range requests {
			t.Run(fault+"/"+name, func(t *testing.T) {
				endpoint, _ := connServer(t, func(conn *net.TCPConn, number int) {
					r := readHead(conn)
					if r == nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					if number == 1 {
						breakOff(conn)
						return
					}
					if name == "document" && string(body) != "<Delete/>" {
						t.Errorf("the second attempt sent %q", body)
					}
					io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				})
				if _, err := do(t, newClient(t, endpoint, nil), request()); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestOtherRequestsAreSentOnce(t *testing.T) {
	requests := map[string]*proxy.BackendRequest{
		"PUT of a stream": put("bucket", "key", strings.NewReader("body"), 4),
		"copy":            put("bucket", "key", nil, 0),
		"create upload":   {Method: "POST", Bucket: "bucket", Key: "key"},
	}
	for name, req := range requests {
		t.Run("500/"+name, func(t *testing.T) {
			var calls atomic.Int32
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				calls.Add(1)
				w.WriteHeader(500)
			})
			_, err := do(t, newClient(t, s.URL, nil), req)
			var answer *s3api.Error
			if !errors.As(err, &answer) || answer.Status != 500 || calls.Load() != 1 {
				t.Fatalf("%d calls, %v", calls.Load(), err)
			}
		})
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	for _, status := range []int{400, 403, 404, 409, 412, 416, 501} {
		var calls atomic.Int32
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.WriteHeader(status)
			io.WriteString(w, "<Error><Code>Whatever</Code></Error>")
		})
		if _, err := do(t, newClient(t, s.URL, nil), get("bucket", "key")); err == nil {
			t.Errorf("%d: no error", status)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d: sent %d times", status, n)
		}
	}
}

func TestRetriesEnd(t *testing.T) {
	var calls atomic.Int32
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(503)
	})
	_, err := do(t, newClient(t, s.URL, func(c *backend.Config) { c.Retries = 2 }), get("bucket", "key"))
	var answer *s3api.Error
	if !errors.As(err, &answer) || answer.Status != 503 || calls.Load() != 3 {
		t.Fatalf("%d calls, %v", calls.Load(), err)
	}
}

func TestPutAppliedThenDroppedIsUnavailableAndSentOnce(t *testing.T) {
	const body = "the whole body"
	applied := make(chan string, 2)
	endpoint, connections := connServer(t, func(conn *net.TCPConn, _ int) {
		if r := readHead(conn); r != nil {
			got, _ := io.ReadAll(r.Body)
			applied <- string(got)
		}
	})
	_, err := do(t, newClient(t, endpoint, nil), put("bucket", "key", strings.NewReader(body), int64(len(body))))
	if !errors.Is(err, proxy.ErrBackendUnavailable) {
		t.Fatalf("got %v", err)
	}
	if got := <-applied; got != body || connections.Load() != 1 {
		t.Fatalf("the backend got %q on %d connections", got, connections.Load())
	}
}

// TestEarlyRefusalIsHeardWhileSending: the backend answers 400 before it has read the body and breaks the connection.
func TestEarlyRefusalIsHeardWhileSending(t *testing.T) {
	const refusal = "<Error><Code>EntityTooLarge</Code><Message>too large</Message></Error>"
	for name, after := range map[string]func(conn *net.TCPConn){
		"close": func(*net.TCPConn) {}, // with unread data: the kernel sends a reset
		"reset": func(conn *net.TCPConn) { conn.SetLinger(0) },
		"drain": func(conn *net.TCPConn) { hang(conn) },
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, _ := connServer(t, func(conn *net.TCPConn, _ int) {
				if readHead(conn) == nil {
					return
				}
				fmt.Fprintf(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s", len(refusal), refusal)
				if name == "reset" {
					time.Sleep(5 * time.Millisecond) // else the reset overtakes the answer, which then nobody could hear
				}
				after(conn)
			})
			c := newClient(t, endpoint, nil)
			for range 20 {
				const size = 256 << 20
				_, err := do(t, c, put("bucket", "key", io.LimitReader(zeroes{}, size), size))
				var answer *s3api.Error
				if !errors.As(err, &answer) || answer.Code != "EntityTooLarge" {
					t.Fatalf("got %v", err)
				}
			}
		})
	}
}

// TestAConnectionOnWhichABodyWasRefusedIsNotUsedAgain: whether the server takes what was on its way for the body or for the next
// request is not known. RGW 16 does the latter where it refuses a request that expected 100 Continue just as the client stops waiting.
func TestAConnectionOnWhichABodyWasRefusedIsNotUsedAgain(t *testing.T) {
	const refusal = "<Error><Code>AccessDenied</Code></Error>"
	endpoint, connections := connServer(t, func(conn *net.TCPConn, _ int) {
		for {
			if readHead(conn) == nil {
				return
			}
			fmt.Fprintf(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s", len(refusal), refusal)
		}
	})
	c := newClient(t, endpoint, nil)
	for n := range 3 {
		rq := put("bucket", "key", strings.NewReader("body"), 4)
		rq.Header = http.Header{"Expect": {"100-continue"}}
		_, err := do(t, c, rq)
		var answer *s3api.Error
		if !errors.As(err, &answer) || answer.Code != "AccessDenied" {
			t.Fatalf("got %v", err)
		}
		if got := int(connections.Load()); got != n+1 {
			t.Fatalf("%d requests came by %d connections", n+1, got)
		}
	}
}

// TestABareRefusalIsNoAnswerOfS3: an HTTP front that cannot make sense of a connection says 400 and nothing else.
func TestABareRefusalIsNoAnswerOfS3(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	if _, err := do(t, newClient(t, s.URL, nil), put("bucket", "key", strings.NewReader("body"), 4)); !errors.Is(err, proxy.ErrBackendUnavailable) {
		t.Fatalf("got %v", err)
	}
}
