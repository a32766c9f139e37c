package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// pipeListener is a listener that only this process can reach: each connection is a fresh pair of connected sockets. The
// storage of `cofre dev` checks no signatures, so it must not be on a port or a path that other users of the machine see.
type pipeListener struct {
	accepted chan net.Conn
	closed   chan struct{}
	closing  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

// dial makes a connection. Network and address mean nothing here.
func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far, err := socketPair()
	if err != nil {
		return nil, err
	}
	select {
	case l.accepted <- far:
		return near, nil
	case <-l.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	near.Close()
	far.Close()
	return nil, err
}

func socketPair() (near, far net.Conn, err error) {
	syscall.ForkLock.RLock() // so that no child process is started between the next two calls and gets the sockets
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	if near, err = connOf(pair[0]); err != nil {
		syscall.Close(pair[1])
		return nil, nil, err
	}
	if far, err = connOf(pair[1]); err != nil {
		near.Close()
		return nil, nil, err
	}
	return near, far, nil
}

// connOf takes over a socket.
func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // FileConn works on a duplicate
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("use socket: %w", err)
	}
	return conn, nil
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }
