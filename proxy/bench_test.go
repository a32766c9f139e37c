package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"cofre/backend"
	"cofre/metadata"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// BenchmarkRequest shows the fixed cost of a request: the handler and the backend client, without the client's connection, and with a
// backend and a store that answer from memory.
func BenchmarkRequest(b *testing.B) {
	const small, rangeOff, rangeLen = 4 << 10, 1<<20 - 4<<10, 64 << 10
	echo := &echo{answers: map[string][]byte{}}
	store := &memoryStore{}
	s := newSite(b, diskStorage(b), siteConfig{
		client: func(c *backend.Config) { echo.host, c.DialContext = c.Endpoint[len("http://"):], echo.dial },
		wrap:   func(be proxy.Backend) proxy.Backend { return be.(*recorder).Backend },
		wrapStore: func(inner metadata.Store) metadata.Store {
			store.Store = inner
			return store
		},
		log: zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel)),
	})
	bucket := s.bucket(b, "bench")
	s.put(b, bucket, "small", pattern(small))
	s.put(b, bucket, "large", pattern(3<<19)) // the SDK sends Expect from 2 MiB on, which echo does not understand
	store.forget.Store(true)
	echo.on.Store(true)

	for _, c := range []struct {
		name, method, key, ranged string
		body                      []byte
		status                    int
		answer                    int64
	}{
		{"GET", http.MethodGet, "small", "", nil, http.StatusOK, small},
		{"HEAD", http.MethodHead, "small", "", nil, http.StatusOK, 0},
		{"range", http.MethodGet, "large", "bytes=" + strconv.Itoa(rangeOff) + "-" + strconv.Itoa(rangeOff+rangeLen-1), nil, http.StatusPartialContent, rangeLen},
		{"PUT", http.MethodPut, "written", "", pattern(small), http.StatusOK, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			rq, err := http.NewRequestWithContext(b.Context(), c.method, s.url+"/"+bucket+"/"+c.key, nil)
			if err != nil {
				b.Fatal(err)
			}
			rq.Header.Set("User-Agent", "bench")
			if c.ranged != "" {
				rq.Header.Set("Range", c.ranged)
			}
			signer := sigv4test.New(time.Now())
			signer.AccessKeyID, signer.SecretAccessKey = accessKey, secretKey
			signer.Sign(rq, sigv4test.Payload{Mode: sigv4test.Unsigned, Data: c.body})
			rq = sigv4test.Receive(rq)
			rq.RemoteAddr = "192.0.2.1:1234"
			w := &sinkWriter{header: http.Header{}}
			body := bytes.NewReader(c.body)
			b.ReportAllocs()
			for b.Loop() {
				w.reset()
				one := *rq
				one.Body = http.NoBody
				if c.body != nil {
					body.Reset(c.body)
					one.Body = io.NopCloser(body)
				}
				s.handler.ServeHTTP(w, &one)
				if w.status != c.status || w.written != c.answer {
					b.Fatalf("%d with %d bytes, want %d with %d", w.status, w.written, c.status, c.answer)
				}
			}
		})
	}
}

// sinkWriter is a client that takes everything.
type sinkWriter struct {
	header  http.Header
	status  int
	written int64
}

func (w *sinkWriter) reset()              { clear(w.header); w.status, w.written = 0, 0 }
func (w *sinkWriter) Header() http.Header { return w.header }
func (w *sinkWriter) WriteHeader(s int)   { w.status = s }
func (w *sinkWriter) Write(p []byte) (int, error) {
	w.written += int64(len(p))
	return len(p), nil
}
func (w *sinkWriter) SetReadDeadline(time.Time) error  { return nil }
func (w *sinkWriter) SetWriteDeadline(time.Time) error { return nil }

// memoryStore is a store that forgets what is written, once it is told so.
type memoryStore struct {
	metadata.Store
	forget atomic.Bool
}

func (m *memoryStore) Add(ctx context.Context, rec metadata.Record, origin metadata.Origin) error {
	if m.forget.Load() {
		return nil
	}
	return m.Store.Add(ctx, rec, origin)
}

// echo stands for the storage: while it is on, it gives the answer that the real one gave to the same request line and range. It
// allocates nothing for an answer that it knows, so that what is counted is cofre's.
type echo struct {
	host    string
	on      atomic.Bool
	answers map[string][]byte // by what asks for it; used by one request at a time
}

func (e *echo) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return &echoConn{echo: e, answers: make(chan []byte, 1), closed: make(chan struct{})}, nil
}

// echoConn is one connection to it. net/http writes a request whole before the answer is there, and reads in another goroutine.
type echoConn struct {
	net.Conn
	echo    *echo
	request []byte // owned by who writes
	left    []byte // of the answer; owned by who reads
	answers chan []byte
	closed  chan struct{}
	close   sync.Once
}

func (c *echoConn) Write(p []byte) (int, error) {
	c.request = append(c.request, p...)
	head, whole := c.size()
	if !whole {
		return len(p), nil
	}
	name := c.request[:bytes.IndexByte(c.request, '\r')]
	if i := bytes.Index(c.request[:head], []byte("\r\nRange: ")); i >= 0 {
		end := i + 2 + bytes.IndexByte(c.request[i+2:], '\r')
		name = append(name[:len(name):len(name)], c.request[i:end]...)
	}
	answer, known := c.echo.answers[string(name)]
	if !known || !c.echo.on.Load() {
		var err error
		if answer, err = c.ask(); err != nil {
			return 0, err
		}
		c.echo.answers[string(name)] = answer
	}
	c.request = c.request[:0]
	select {
	case c.answers <- answer:
		return len(p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

// size says how long the head of the request is, and whether all of the request is there.
func (c *echoConn) size() (head int, whole bool) {
	head = bytes.Index(c.request, []byte("\r\n\r\n"))
	if head < 0 {
		return 0, false
	}
	length := 0
	if i := bytes.Index(c.request[:head], []byte("\r\nContent-Length: ")); i >= 0 {
		for _, digit := range c.request[i+len("\r\nContent-Length: ") : head] {
			if digit == '\r' {
				break
			}
			length = 10*length + int(digit-'0')
		}
	}
	return head, len(c.request) == head+4+length
}

// ask passes the request on to the real storage.
func (c *echoConn) ask() ([]byte, error) {
	conn, err := net.Dial("tcp", c.echo.host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(c.request); err != nil {
		return nil, err
	}
	method, _, _ := bytes.Cut(c.request, []byte(" "))
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: string(method)})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return httputil.DumpResponse(resp, string(method) != http.MethodHead)
}

func (c *echoConn) Read(p []byte) (int, error) {
	if len(c.left) == 0 {
		select {
		case c.left = <-c.answers:
		case <-c.closed:
			return 0, io.EOF
		}
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *echoConn) Close() error {
	c.close.Do(func() { close(c.closed) })
	return nil
}

func (c *echoConn) SetDeadline(time.Time) error      { return nil }
func (c *echoConn) SetReadDeadline(time.Time) error  { return nil }
func (c *echoConn) SetWriteDeadline(time.Time) error { return nil }
func (c *echoConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *echoConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
