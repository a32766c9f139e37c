package storetest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Gate is a way to a server that a test can close, for one client of several.
type Gate struct {
	listener net.Listener
	target   string
	silent   atomic.Bool
	refusing atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]bool // owner: mu
}

// NewGate opens a way to the server at target, a host and port. It ends with the test.
func NewGate(tb testing.TB, target string) *Gate {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g := &Gate{listener: l, target: target, conns: make(map[net.Conn]bool)}
	var running sync.WaitGroup
	running.Go(func() { g.serve(&running) })
	tb.Cleanup(func() {
		l.Close()
		g.Break()
		running.Wait()
	})
	return g
}

// Addr is where clients connect.
func (g *Gate) Addr() string { return g.listener.Addr().String() }

// Silence makes the network swallow every byte, while connections stay, or ends that. What was swallowed does not come back.
func (g *Gate) Silence(silent bool) { g.silent.Store(silent) }

// Refuse breaks all connections and every new one, or ends that.
func (g *Gate) Refuse(refuse bool) {
	g.refusing.Store(refuse)
	if refuse {
		g.Break()
	}
}

// Break breaks the connections there are.
func (g *Gate) Break() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.conns {
		conn.Close()
	}
	clear(g.conns)
}

func (g *Gate) serve(running *sync.WaitGroup) {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", g.target)
		if err != nil || !g.keep(client, server) {
			client.Close()
			if err == nil {
				server.Close()
			}
			continue
		}
		running.Go(func() { g.copy(server, client) })
		running.Go(func() { g.copy(client, server) })
	}
}

// keep notes connections for Break; false where none are taken now.
func (g *Gate) keep(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, conn := range conns {
		g.conns[conn] = true
	}
	return !g.refusing.Load()
}

func (g *Gate) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if g.silent.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
