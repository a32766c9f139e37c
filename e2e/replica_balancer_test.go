package e2e_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// checkInterval is how often a balancer asks each replica whether it is ready; real ones take a second or more.
const checkInterval = 200 * time.Millisecond

// balancer hands TCP connections to replicas in turn, as a Service of Kubernetes or a balancer of layer 4 does: those that say they are
// ready, and the next one where a connection is refused. What is connected stays connected, whatever readiness says later.
type balancer struct {
	listener net.Listener
	replicas []*replica
	ready    []atomic.Bool
	next     atomic.Int64

	connected atomic.Int64 // connections that a replica took

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// newBalancer starts one for as long as the test goes on.
func newBalancer(t *testing.T, replicas ...*replica) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: l, replicas: replicas, ready: make([]atomic.Bool, len(replicas)), open: map[net.Conn]struct{}{}}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for i := range replicas {
		b.ready[i].Store(true)
		running.Go(func() { b.watch(i, stop) })
	}
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		close(stop)
		l.Close()
		b.closeAll()
		running.Wait()
	})
	return b
}

func (b *balancer) endpoint() string { return "http://" + b.listener.Addr().String() }

// watch asks one replica for its readiness.
func (b *balancer) watch(i int, stop <-chan struct{}) {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		select {
		case <-stop:
			return
		case <-time.After(checkInterval):
		}
		resp, err := client.Get(b.replicas[i].admin + "/readyz")
		if err == nil {
			resp.Body.Close()
		}
		b.ready[i].Store(err == nil && resp.StatusCode == http.StatusOK)
	}
}

// dial connects to the next replica that is ready and takes the connection; to any where none is ready.
func (b *balancer) dial() net.Conn {
	first := int(b.next.Add(1))
	for _, onlyReady := range []bool{true, false} {
		for i := range b.replicas {
			at := (first + i) % len(b.replicas)
			if onlyReady && !b.ready[at].Load() {
				continue
			}
			conn, err := net.DialTimeout("tcp", strings.TrimPrefix(b.replicas[at].endpoint, "http://"), time.Second)
			if err == nil {
				b.connected.Add(1)
				return conn
			}
		}
	}
	return nil
}

func (b *balancer) serve(client net.Conn) {
	server := b.dial()
	if server == nil {
		client.Close()
		return
	}
	b.keep(client, server)
	defer b.drop(client, server)
	var both sync.WaitGroup
	both.Go(func() { pour(server, client) })
	both.Go(func() { pour(client, server) })
	both.Wait()
}

// pour copies until one side ends, and passes the end on: an orderly one as such, a broken connection as a broken one.
func pour(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if err == nil {
		err = to.(*net.TCPConn).CloseWrite()
	}
	if err != nil {
		_ = to.(*net.TCPConn).SetLinger(0)
		to.Close()
		from.Close()
	}
}

func (b *balancer) keep(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range conns {
		b.open[conn] = struct{}{}
	}
}

func (b *balancer) drop(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range conns {
		delete(b.open, conn)
		conn.Close()
	}
}

func (b *balancer) closeAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for conn := range b.open {
		conn.Close()
	}
}
