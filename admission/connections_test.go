package admission_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cofre/admission"
	"cofre/internal/longtest"
)

// counted is a server with bounded connections. Its handler answers 503 to what is too many, and holds /hold until let go.
type counted struct {
	*http.Server
	address string
	free    chan struct{}
	holding atomic.Int64
}

func serveCounted(t *testing.T, cfg admission.ConnectionsConfig) *counted {
	t.Helper()
	connections := admission.NewConnections(cfg)
	s := &counted{free: make(chan struct{})}
	s.Server = &http.Server{
		ConnState: connections.State, ConnContext: connections.Context, ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if admission.Excess(r.Context()) {
				w.Header().Set("Connection", "close")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			if r.URL.Path == "/hold" {
				s.holding.Add(1)
				<-s.free
			}
			io.WriteString(w, "served")
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	var served sync.WaitGroup
	served.Go(func() { s.Serve(connections.Listen(l)) })
	t.Cleanup(func() { s.Close(); served.Wait() })
	return s
}

// say opens a connection and sends text.
func (s *counted) say(t *testing.T, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// status reads an answer; 0 where the connection was closed without one.
func status(conn net.Conn) int {
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// TestSlowHeadsKeepNobodyOut opens hundreds of connections that send half a head and stop, where there is room for 16, and
// serves an honest client all the while.
func TestSlowHeadsKeepNobodyOut(t *testing.T) {
	s := serveCounted(t, admission.ConnectionsConfig{Total: 16, PerSource: 16})
	slow := 0
	for range longtest.Rounds(t, 1) {
		for i := range 200 {
			s.say(t, "GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow")
			slow++
			if i%10 == 0 {
				if got := status(s.say(t, get)); got != 200 {
					t.Fatalf("after %d slow ones an honest client got %d", slow, got)
				}
			}
		}
	}
	longtest.Figure(t, "slow heads that kept nobody out", slow)
}

func TestIdleConnectionsMakeRoom(t *testing.T) {
	s := serveCounted(t, admission.ConnectionsConfig{Total: 16, PerSource: 16})
	var idle []net.Conn
	for range 16 {
		conn := s.say(t, get)
		if got := status(conn); got != 200 {
			t.Fatal(got)
		}
		idle = append(idle, conn)
	}
	io.WriteString(idle[0], get) // its own turn came last
	if got := status(idle[0]); got != 200 {
		t.Fatal(got)
	}
	// The server says that a connection is idle a moment after its answer is out; until then nobody can make room.
	time.Sleep(50 * time.Millisecond)
	for range 10 {
		if got := status(s.say(t, get)); got != 200 {
			t.Fatalf("a new connection got %d while others were idle", got)
		}
	}
	if _, err := idle[1].Read(make([]byte, 1)); err == nil {
		t.Error("the connection that was idle longest is open")
	}
	io.WriteString(idle[0], get)
	if got := status(idle[0]); got != 200 {
		t.Errorf("the connection that was used last got %d", got)
	}
}

// TestConnectionsTooManyAreToldToComeBack fills every place with a request that is being served.
func TestConnectionsTooManyAreToldToComeBack(t *testing.T) {
	s := serveCounted(t, admission.ConnectionsConfig{Total: 16, PerSource: 16})
	var busy []net.Conn
	for range 16 {
		busy = append(busy, s.say(t, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"))
	}
	for s.holding.Load() < 16 {
		time.Sleep(time.Millisecond)
	}
	for range 5 {
		if got := status(s.say(t, get)); got != 503 {
			t.Fatalf("one too many got %d", got)
		}
	}
	close(s.free)
	for _, conn := range busy {
		if got := status(conn); got != 200 {
			t.Errorf("one that was being served got %d", got)
		}
	}
	if got := status(s.say(t, get)); got != 200 {
		t.Errorf("later a new one got %d", got)
	}
}

// TestOneAddressHasItsOwnBound: what one address holds is taken from itself, whatever room others leave.
func TestOneAddressHasItsOwnBound(t *testing.T) {
	s := serveCounted(t, admission.ConnectionsConfig{Total: 64, PerSource: 4})
	var first []net.Conn
	for range 8 {
		first = append(first, s.say(t, "GET /slow"))
	}
	dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	other, err := dial.Dial("tcp", s.address)
	if err != nil {
		t.Skipf("no second loopback address: %v", err)
	}
	defer other.Close()
	_ = other.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(other, get)
	if got := status(other); got != 200 {
		t.Fatalf("another address got %d", got)
	}
	for i, conn := range first[:4] {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("connection %d of an address with 8 is open, 4 are allowed", i)
		}
	}
	io.WriteString(first[7], " HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := status(first[7]); got != 200 {
		t.Errorf("its last one got %d", got)
	}
}
