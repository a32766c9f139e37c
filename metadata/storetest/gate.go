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
	age      atomic.Int64 // of the network: connections from before its last change are dead
	cut      atomic.Int64 // one more than the bytes of the answer that is to break off; 0 for none

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

// Freeze makes the connections there are swallow every byte for ever, as a firewall does that has forgotten them; new ones work.
func (g *Gate) Freeze() { g.age.Add(1) }

// Cut breaks the next connection on which the server answers, once n bytes of that have passed; below zero, none. What the server was
// asked it has done then, or is doing.
func (g *Gate) Cut(n int) { g.cut.Store(int64(n) + 1) }

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
		age := g.age.Load()
		running.Go(func() { g.copy(server, client, age, false) })
		running.Go(func() { g.copy(client, server, age, true) })
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

func (g *Gate) copy(to, from net.Conn, age int64, answers bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	left := int64(-1) // bytes until this connection breaks; -1: it does not
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if g.silent.Load() || g.age.Load() != age {
			continue
		}
		if cut := g.cut.Load(); answers && left < 0 && cut > 0 && g.cut.CompareAndSwap(cut, 0) {
			left = cut - 1
		}
		if left >= 0 {
			n = int(min(int64(n), left))
			left -= int64(n)
		}
		if _, err := to.Write(buf[:n]); err != nil || left == 0 {
			return
		}
	}
}
