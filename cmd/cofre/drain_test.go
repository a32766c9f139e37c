package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"cofre/admission"
)

// memoryListener takes connections that have no socket, so that a test's clock can stand still and be moved on.
type memoryListener struct {
	accept chan net.Conn
	closed chan struct{}
}

func newMemoryListener() *memoryListener {
	return &memoryListener{accept: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accept:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{} }

// dial gives a client's connection, or nil if none is taken any more.
func (l *memoryListener) dial() *clientConn {
	client, server := net.Pipe()
	select {
	case l.accept <- server:
		return &clientConn{client, bufio.NewReader(client)}
	case <-l.closed:
		return nil
	}
}

type clientConn struct {
	net.Conn

	answers *bufio.Reader
}

// get makes one request and says whether the answer asks for a new connection.
func (c *clientConn) get(t *testing.T) (asksToClose bool, err error) {
	t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: cofre\r\n\r\n"); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.Close, err
}

// While balancers notice, whoever comes is served, on old connections too, and asked to come back by another way. Afterwards nobody is
// let in, but a connection that was taken last may still send its request.
func TestDrainingServesWhoComesUntilTheDelayIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := &lastAnswers{next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "answer") })}
		connections := admission.NewConnections(admission.ConnectionsConfig{Total: 16})
		s, err := newS3Server(defaultConfig(), last, connections, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		l := newMemoryListener()
		go serveS3(s, l, connections)
		busy, idle := l.dial(), l.dial()
		for _, conn := range []*clientConn{busy, idle} {
			if asked, err := conn.get(t); err != nil || asked {
				t.Fatalf("before: asked to close %v, %v", asked, err)
			}
		}
		limits := LimitsConfig{Drain: time.Minute, DrainDelay: 5 * time.Second}
		drained := make(chan error, 1)
		go func() { drained <- drain(s, l, last, limits, zap.NewNop()) }()
		time.Sleep(limits.DrainDelay - time.Millisecond)
		for name, conn := range map[string]*clientConn{"on a connection from before": busy, "on a new connection": l.dial()} {
			if asked, err := conn.get(t); err != nil || !asked {
				t.Errorf("%s: asked to close %v, %v", name, asked, err)
			}
		}
		late := l.dial()
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if _, err := idle.get(t); err == nil {
			t.Error("an idle connection was left open")
		}
		if l.dial() != nil {
			t.Error("a connection was taken after the delay")
		}
		if asked, err := late.get(t); err != nil || !asked {
			t.Errorf("on the connection taken last: asked to close %v, %v", asked, err)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}
