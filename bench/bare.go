package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"sync"
	"time"
)

// serveBare is a proxy that does nothing at all, of Go's net/http, at an address in front of a storage: what is left of a request
// without cofre in it.
func serveBare(args []string) error {
	if len(args) != 2 {
		return errors.New("bare needs an address, and that of the storage")
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", args[1]
			r.Out.Host = r.In.Host
		},
		Transport:  &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10},
		BufferPool: &buffers64{},
	}}
	return s.Serve(l)
}

// buffers64 are httputil's, of 64 KiB.
type buffers64 struct{ pool sync.Pool }

func (b *buffers64) Get() []byte {
	if p, ok := b.pool.Get().(*[64 << 10]byte); ok {
		return p[:]
	}
	return make([]byte, 64<<10)
}

func (b *buffers64) Put(p []byte) { b.pool.Put((*[64 << 10]byte)(p)) }

func startBare(ctx context.Context, dir, name, storage string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	return startProxy(ctx, dir, name, func(address string) (*exec.Cmd, error) { return exec.Command(self, "bare", address, storage), nil })
}
