package admission

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cofre/internal/netconn"
	"cofre/internal/source"
)

// ConnectionsConfig is what Connections are made from.
type ConnectionsConfig struct {
	// Total is how many connections are open at a time, above zero.
	Total int
	// PerSource is how many of them one address may have, or one /64 network of IPv6. Zero: half of Total.
	PerSource int
	// Registerer takes the metrics; nil keeps them to the connections.
	Registerer prometheus.Registerer
}

// Connections bound how many connections a server has. Where there are too many, the one is closed that has waited longest for a
// request, or for the rest of its head: an idle one, which clients open again, or one that somebody holds open for the sake of it.
// Only where a request is being served on every one the new one is told to come back (Excess), for as many as an eighth of Total,
// and beyond that closed.
//
// A server uses Listen for its listener, State as ConnState and Context as ConnContext.
type Connections struct {
	total, perSource, excess int
	refused, evicted         prometheus.Counter

	mu      sync.Mutex
	open    map[*connection]struct{} // owner: mu
	sources map[string]int           // owner: mu
	waiting *list.List               // of *connection, longest first; owner: mu
	over    int                      // that are open to be told to come back; owner: mu
}

// NewConnections makes them.
func NewConnections(cfg ConnectionsConfig) *Connections {
	if cfg.PerSource == 0 {
		cfg.PerSource = max(1, cfg.Total/2)
	}
	c := &Connections{
		total: cfg.Total, perSource: cfg.PerSource, excess: max(1, cfg.Total/8),
		open: map[*connection]struct{}{}, sources: map[string]int{}, waiting: list.New(),
	}
	r := cfg.Registerer
	if r == nil {
		r = prometheus.NewRegistry()
	}
	f := promauto.With(r)
	gauge := func(opts prometheus.GaugeOpts, value func() int) {
		f.NewGaugeFunc(opts, func() float64 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return float64(value())
		})
	}
	gauge(prometheus.GaugeOpts{Name: "cofre_connections", Help: "Open connections of clients."}, func() int { return len(c.open) })
	gauge(prometheus.GaugeOpts{
		Name: "cofre_connections_waiting", Help: "Of them those that wait for a request, or for the rest of its head.",
	}, func() int { return c.waiting.Len() })
	gauge(prometheus.GaugeOpts{Name: "cofre_connections_limit", Help: "limits.connections."}, func() int { return c.total })
	c.refused = f.NewCounter(prometheus.CounterOpts{
		Name: "cofre_connections_refused_total", Help: "Connections that were told to come back, or closed at once, because there were too many.",
	})
	c.evicted = f.NewCounter(prometheus.CounterOpts{
		Name: "cofre_connections_evicted_total", Help: "Connections without a request that were closed to make room for another.",
	})
	return c
}

// connection is one that is counted.
type connection struct {
	net.Conn
	all    *Connections
	source string

	// Owned by all.mu.
	place  *list.Element // among those that wait; nil for others
	excess bool
	closed bool
}

// Close closes the connection and takes it out of the count.
func (c *connection) Close() error {
	c.all.remove(c)
	return c.Conn.Close()
}

// CloseWrite is what net/http does before it closes over unread bytes.
func (c *connection) CloseWrite() error { return netconn.CloseWrite(c.Conn) }

// NetConn is the connection that is counted.
func (c *connection) NetConn() net.Conn { return c.Conn }

// Listen gives the listener with its connections counted.
func (c *Connections) Listen(l net.Listener) net.Listener { return &counted{l, c} }

type counted struct {
	net.Listener
	all *Connections
}

// Accept gives the next connection that there is room for, or that is to be told that there is none.
func (l *counted) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.all.admit(conn); c != nil {
			return c, nil
		}
		_ = conn.Close() // nobody is told
	}
}

// admit counts a connection, and closes another where that makes room for it. Nil: there is none even for a refusal.
func (c *Connections) admit(conn net.Conn) *connection {
	n := &connection{Conn: conn, all: c, source: string(Source(source.Proxies(nil).Client(conn.RemoteAddr().String(), nil)))}
	victim, ok := c.enter(n)
	if victim != nil {
		_ = victim.Close()
	}
	if !ok {
		return nil
	}
	return n
}

func (c *Connections) enter(n *connection) (victim *connection, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if own := c.sources[n.source] >= c.perSource; own || len(c.open)-c.over >= c.total {
		if victim = c.longest(n.source, own); victim != nil {
			c.evicted.Inc()
			c.drop(victim)
		} else {
			c.refused.Inc()
			if c.over >= c.excess {
				return nil, false
			}
			n.excess = true
			c.over++
		}
	}
	c.open[n] = struct{}{}
	if !n.excess {
		c.sources[n.source]++
		n.place = c.waiting.PushBack(n)
	}
	return victim, true
}

// longest is the connection that has waited longest, of one source or of all.
func (c *Connections) longest(source string, own bool) *connection {
	for e := c.waiting.Front(); e != nil; e = e.Next() {
		if w, ok := e.Value.(*connection); ok && (!own || w.source == source) {
			return w
		}
	}
	return nil
}

func (c *Connections) remove(n *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(n)
}

// drop takes a connection out of the count. The caller holds mu.
func (c *Connections) drop(n *connection) {
	if n.closed {
		return
	}
	n.closed = true
	delete(c.open, n)
	c.leaveWaiting(n)
	if n.excess {
		c.over--
		return
	}
	if c.sources[n.source]--; c.sources[n.source] == 0 {
		delete(c.sources, n.source)
	}
}

func (c *Connections) leaveWaiting(n *connection) {
	if n.place != nil {
		c.waiting.Remove(n.place)
		n.place = nil
	}
}

// State follows what a connection does. net/http calls it active once it has the whole head of a request.
func (c *Connections) State(conn net.Conn, state http.ConnState) {
	n, ok := netconn.Find[*connection](conn)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case n.closed || n.excess:
	case state == http.StateActive:
		c.leaveWaiting(n)
	case state == http.StateIdle && n.place == nil:
		n.place = c.waiting.PushBack(n)
	}
}

type excessKey struct{}

// Context marks the requests of connections that are there to be told to come back.
func (c *Connections) Context(ctx context.Context, conn net.Conn) context.Context {
	if n, ok := netconn.Find[*connection](conn); ok && n.excess {
		return context.WithValue(ctx, excessKey{}, true)
	}
	return ctx
}

// Excess says that a request came over a connection too many: it is to be answered 503 with a Retry-After and Connection: close,
// and not to be served.
func Excess(ctx context.Context) bool { return ctx.Value(excessKey{}) != nil }
