package backend

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// lingerTime is how long a failed write waits for the answer that may explain it.
const lingerTime = 500 * time.Millisecond

// lingering makes connections on which an early answer survives. A server that refuses an upload answers before it has
// read the body, and closes; the next write then fails, and net/http would drop the connection and the answer, already
// received, with it. A failed write is therefore reported only after the reader has seen the end of the stream, or had
// lingerTime to get there.
func lingering(dial dialFunc, connectTimeout time.Duration) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &lingerConn{Conn: conn, ended: make(chan struct{})}, nil
	}
}

type lingerConn struct {
	net.Conn

	end   sync.Once
	ended chan struct{} // closed when reading or the connection has come to its end
}

func (c *lingerConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.finish()
	}
	return n, err
}

func (c *lingerConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		timer := time.NewTimer(lingerTime)
		defer timer.Stop()
		select {
		case <-c.ended:
		case <-timer.C:
		}
	}
	return n, err
}

// copySize has room for a sealed chunk of 64 KiB with all that may stand before and behind it, so that a chunk is sealed right where
// it is sent from.
const copySize = 66 << 10

// copyBuffers spares io.Copy in net/http a fresh 32 KiB buffer for every body that is sent.
var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// ReadFrom sends r in pieces of one sealed chunk. net/http finds it through io.ReaderFrom once its own buffer is empty.
func (c *lingerConn) ReadFrom(r io.Reader) (int64, error) {
	buffer := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buffer)
	// The struct hides this method from io.CopyBuffer, which would otherwise call it again.
	return io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{r}, buffer[:])
}

func (c *lingerConn) Close() error {
	c.finish()
	return c.Conn.Close()
}

func (c *lingerConn) finish() {
	c.end.Do(func() { close(c.ended) })
}
