// Package netconn is what those have in common that wrap a connection of a server.
package netconn

import "net"

// Find gives the connection of one type in what others, as tls.Conn, have made of it. They tell by NetConn what is in them.
func Find[T net.Conn](c net.Conn) (found T, ok bool) {
	for {
		if found, ok = c.(T); ok {
			return found, true
		}
		around, more := c.(interface{ NetConn() net.Conn })
		if !more {
			return found, false
		}
		c = around.NetConn()
	}
}

// CloseWrite ends what is sent, as net/http does before it closes over bytes that it has not read; nothing where a connection cannot.
func CloseWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
