// Package coalesce has the first bytes of an answer leave with those behind them. net/http fills a buffer of 4 KiB before it writes: head
// and beginning of a body, so that an answer a little longer costs two system calls, two packets, and has the client wake up twice.
package coalesce

import (
	"context"
	"net"
	"sync"

	"cofre/internal/netconn"
)

// longest is the length in bytes of a write that waits: net/http's buffer, and what a TLS record adds to it.
const longest = 4<<10 + 64

// Listen gives connections of which one write can wait for the next. A server uses Context from its ConnContext. The listener is to be
// the one next to TCP: what is around its connections tells by NetConn what is in it, as tls.Conn does.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept gives the next connection.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c}, nil
}

// Conn is a connection of which one write may wait.
type Conn struct {
	net.Conn

	mu   sync.Mutex // TLS may write by itself
	hold bool       // the next write shall wait; owner: mu
	held []byte     // what waits; owner: mu
}

// HoldNext has the next write wait for the one behind it, if it is short. There has to be one: so it is for answers that net/http cannot
// write at once, with a body of Least bytes or more. Nil does nothing.
func (c *Conn) HoldNext() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = true
}

// Write writes, or says that it did where p waits.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold {
		c.hold = false
		if len(c.held)+len(p) <= longest {
			if c.held == nil {
				c.held = make([]byte, 0, longest)
			}
			c.held = append(c.held, p...)
			return len(p), nil
		}
	}
	first := c.held
	if len(first) == 0 {
		return c.Conn.Write(p)
	}
	c.held = c.held[:0]
	n, err := (&net.Buffers{first, p}).WriteTo(c.Conn) // one system call, writev(2), where c.Conn is TCP
	return max(0, int(n)-len(first)), err
}

// CloseWrite ends what is sent, as net/http does before it closes over bytes that it has not read.
func (c *Conn) CloseWrite() error { return netconn.CloseWrite(c.Conn) }

type key struct{}

// Context remembers the connection for Of, whatever is around it by now.
func Context(ctx context.Context, c net.Conn) context.Context {
	if held, ok := netconn.Find[*Conn](c); ok {
		return context.WithValue(ctx, key{}, held)
	}
	return ctx
}

// Of is the connection of a request, nil where nobody remembered it.
func Of(ctx context.Context) *Conn {
	c, _ := ctx.Value(key{}).(*Conn)
	return c
}

// Least is the length of a body in bytes from which on net/http writes twice at least: once its buffer is full, and what is left.
const Least = 4 << 10
