package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"cofre/checksum"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// socket is a bare connection to the site: what goes over it, and what comes back, is seen byte by byte.
type socket struct {
	net.Conn
	from *bufio.Reader
}

func (s *site) socket(t *testing.T) *socket {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // a server that neither answers nor closes must not hold the tests
	return &socket{conn, bufio.NewReader(conn)}
}

// head writes request line and headers; lines are further headers, without which no length is said.
func (c *socket) head(r *http.Request, lines ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.URL.Host)
	r.Header.Write(&b)
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	// A server that has refused may be gone; what it said is still to be read.
	_, _ = io.WriteString(c, b.String()+"\r\n")
}

// answer reads one answer.
func (c *socket) answer(t *testing.T, r *http.Request) reply {
	t.Helper()
	resp, err := http.ReadResponse(c.from, r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	return read(resp)
}

// bodyOf takes the body out of a request that is to be written by hand.
func bodyOf(t *testing.T, r *http.Request) []byte {
	t.Helper()
	if r.Body == nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func contentLength(n int) string { return "Content-Length: " + strconv.Itoa(n) }

// TestBodiesArriveHoweverTheyAreCut sends every framing of S3 in chunks of one byte inside HTTP's own chunks of one byte,
// and in pieces that end in the middle of both.
func TestBodiesArriveHoweverTheyAreCut(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "cut")
	body := pattern(90)
	for _, mode := range sigv4test.Modes() {
		if !mode.Chunked() {
			continue
		}
		for _, piece := range []int{1, 7, 1 << 20} {
			for _, chunk := range []int{1, 64} {
				r := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Mode: mode, Data: body, Chunk: chunk, Checksum: checksum.CRC32C}})
				framed := bodyOf(t, r)
				c := s.socket(t)
				c.head(r, "Transfer-Encoding: chunked")
				for p := range slices.Chunk(framed, piece) {
					// The extension is HTTP's, and none of S3's.
					fmt.Fprintf(c, "%x;x=y\r\n%s\r\n", len(p), p)
				}
				io.WriteString(c, "0\r\n\r\n")
				if got := c.answer(t, r); got.status != 200 || !got.closing {
					t.Fatalf("%s, chunks of %d in pieces of %d: %d %s, closing %v", mode, chunk, piece, got.status, got.body, got.closing)
				}
				c = s.socket(t)
				next := s.build(t, request{method: "GET", bucket: b, key: "k"})
				c.head(next)
				if got := c.answer(t, next); !bytes.Equal(got.body, body) || got.header.Get("Content-Encoding") != "" {
					t.Fatalf("%s, chunks of %d in pieces of %d: came back as %d bytes, %v", mode, chunk, piece, len(got.body), got.header)
				}
			}
		}
	}
}

// TestAChunkedBodyOverTLSLeavesTheConnectionOpen: without TLS a front end may have seen its end elsewhere, and the connection ends.
func TestAChunkedBodyOverTLSLeavesTheConnectionOpen(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "tls")
	srv := httptest.NewTLSServer(s.handler)
	defer srv.Close()
	conn, err := tls.Dial("tcp", srv.Listener.Addr().String(), srv.Client().Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &socket{conn, bufio.NewReader(conn)}
	for range 3 {
		r := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Mode: sigv4test.UnsignedTrailer, Data: pattern(1000), Checksum: checksum.CRC32}})
		framed := bodyOf(t, r)
		c.head(r, "Transfer-Encoding: chunked")
		fmt.Fprintf(c, "%x\r\n%s\r\n0\r\n\r\n", len(framed), framed)
		if got := c.answer(t, r); got.status != 200 || got.closing {
			t.Fatalf("%d %s, closing %v", got.status, got.body, got.closing)
		}
	}
}

// TestExpectIsAnsweredOnceAndTheConnectionServesOn for bodies of every framing, empty ones too.
func TestExpectIsAnsweredOnceAndTheConnectionServesOn(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "expect")
		c := s.socket(t)
		for _, spelling := range []string{"100-continue", "100-Continue"} {
			for _, mode := range []sigv4test.Mode{sigv4test.SHA256, sigv4test.Unsigned, sigv4test.Signed, sigv4test.UnsignedTrailer} {
				for _, n := range []int{0, 1, 200_000} {
					body := pattern(n)
					r := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Mode: mode, Data: body, Checksum: checksum.CRC32}})
					framed := bodyOf(t, r)
					if mode.Chunked() {
						c.head(r, "Transfer-Encoding: chunked", "Expect: "+spelling)
					} else {
						c.head(r, contentLength(len(framed)), "Expect: "+spelling)
					}
					if got := c.answer(t, r); got.status != 100 {
						t.Fatalf("%s, %d bytes: %d before the body: %s", mode, n, got.status, got.body)
					}
					if mode.Chunked() {
						fmt.Fprintf(c, "%x\r\n%s\r\n0\r\n\r\n", len(framed), framed)
					} else {
						c.Write(framed)
					}
					got := c.answer(t, r)
					if got.status != 200 || got.closing != mode.Chunked() {
						t.Fatalf("%s, %d bytes: %d %s, closing %v", mode, n, got.status, got.body, got.closing)
					}
					if got.closing {
						c = s.socket(t)
					}
				}
			}
		}
	})
}

// TestABodyIsNeverTakenForARequest sends requests that are refused early, with a body that is itself a good request for a
// secret: it may be left unread, or thrown away, but never be answered.
func TestABodyIsNeverTakenForARequest(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "smuggled")
	s.put(t, b, "secret", []byte("the secret"))
	s.put(t, b, "next", []byte("what comes next"))
	inner := s.build(t, request{method: "GET", bucket: b, key: "secret"})
	var smuggled bytes.Buffer
	fmt.Fprintf(&smuggled, "GET %s HTTP/1.1\r\nHost: %s\r\n", inner.URL.RequestURI(), inner.URL.Host)
	inner.Header.Write(&smuggled)
	smuggled.WriteString("\r\n")
	for name, rq := range map[string]request{
		"signature":        {method: "PUT", key: "k", spoil: func(r *http.Request) { r.Header.Set("X-Amz-Meta-Late", "1") }},
		"nobody":           {method: "PUT", key: "k", unsigned: true},
		"no bucket":        {method: "PUT", key: "k", bucket: "no-such-bucket-here"},
		"condition":        {method: "PUT", key: "secret", header: map[string]string{"If-None-Match": "*"}},
		"upload":           {method: "PUT", key: "k", query: "partNumber=1&uploadId=none"},
		"not implemented":  {method: "PUT", key: "k", query: "renameObject="},
		"no operation":     {method: "PATCH", key: "k"},
		"long key":         {method: "PUT", key: strings.Repeat("k", 1025)},
		"digest":           {method: "PUT", key: "k", header: map[string]string{"Content-Md5": "AAAAAAAAAAAAAAAAAAAAAA=="}},
		"document":         {method: "POST", query: "delete="},
		"bucket document":  {method: "PUT", query: "versioning="},
		"missing object":   {method: "GET", key: "none"},
		"object":           {method: "GET", key: "secret2"},
		"HEAD":             {method: "HEAD", key: "none"},
		"DELETE":           {method: "DELETE", key: "none"},
		"expected, spoilt": {method: "PUT", key: "k", header: map[string]string{"Expect": "100-continue"}, spoil: wrongSecret},
		"expected, barred": {method: "PUT", key: "secret", header: map[string]string{"Expect": "100-continue", "If-None-Match": "*"}},
	} {
		for _, fill := range []int{0, 20_000, 600_000} { // within and beyond what a server reads on for
			for _, te := range []bool{false, true} {
				body := append(bytes.Clone(smuggled.Bytes()), bytes.Repeat([]byte("x"), fill)...)
				if rq.bucket == "" {
					rq.bucket = b
				}
				rq.payload = sigv4test.Payload{Mode: sigv4test.Unsigned, Data: body}
				r := s.build(t, rq)
				c := s.socket(t)
				if te {
					c.head(r, "Transfer-Encoding: chunked")
					fmt.Fprintf(c, "%x\r\n%s\r\n0\r\n\r\n", len(body), body)
				} else {
					c.head(r, contentLength(len(body)))
					c.Write(body)
				}
				next := s.build(t, request{method: "GET", bucket: b, key: "next"})
				c.head(next, "Connection: close")
				first, then, _ := strings.Cut(c.rest(t), "HTTP/1.1 200 ")
				if !strings.HasPrefix(first, "HTTP/1.1 4") && !strings.HasPrefix(first, "HTTP/1.1 2") && !strings.HasPrefix(first, "HTTP/1.1 5") ||
					strings.Contains(first+then, "the secret") || strings.Count(first, "HTTP/1.1 ") > 1 || then != "" && !strings.HasSuffix(then, "\r\n\r\nwhat comes next") {
					t.Errorf("%s, %d bytes, te=%v: the answers do not belong to the requests:\n%.2000s", name, len(body), te, first+then)
				}
			}
		}
	}
}

func wrongSecret(r *http.Request) {
	a := r.Header.Get("Authorization")
	r.Header.Set("Authorization", a[:len(a)-8]+"00000000")
}

// rest gives all that comes until the server closes the connection.
func (c *socket) rest(t *testing.T) string {
	t.Helper()
	all, err := io.ReadAll(c.from)
	if err != nil && len(all) == 0 {
		t.Errorf("no answer: %v", err) // the connection may be reset behind the answer, not instead of it
	}
	return string(all)
}

// TestAnswersWithoutBodyHaveNone: of every status of HEAD, and 204 and 304, nothing follows the headers on the wire.
func TestAnswersWithoutBodyHaveNone(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "bodiless")
	s.put(t, b, "k", pattern(100))
	etag := s.send(t, request{method: "HEAD", bucket: b, key: "k"}).header.Get("ETag")
	for _, c := range []struct {
		status int
		rq     request
	}{
		{200, request{method: "HEAD", key: "k"}}, {200, request{method: "HEAD"}},
		{206, request{method: "HEAD", key: "k", header: map[string]string{"Range": "bytes=1-2"}}},
		{206, request{method: "HEAD", key: "k", query: "partNumber=1"}},
		{304, request{method: "HEAD", key: "k", header: map[string]string{"If-None-Match": etag}}},
		{304, request{method: "GET", key: "k", header: map[string]string{"If-None-Match": etag}}},
		{304, request{method: "GET", key: "k", header: map[string]string{"If-None-Match": etag, "Range": "bytes=500-"}}},
		{400, request{method: "HEAD", key: "k", query: "partNumber=x"}},
		{403, request{method: "HEAD", key: "k", unsigned: true}},
		{404, request{method: "HEAD", key: "none"}}, {404, request{method: "HEAD", bucket: "no-such-bucket-here"}},
		{412, request{method: "HEAD", key: "k", header: map[string]string{"If-Match": `"other"`}}},
		{416, request{method: "HEAD", key: "k", header: map[string]string{"Range": "bytes=100-"}}},
		{204, request{method: "DELETE", key: "none"}},
	} {
		if c.rq.bucket == "" {
			c.rq.bucket = b
		}
		r := s.build(t, c.rq)
		conn := s.socket(t)
		conn.head(r, "Connection: close")
		answer := conn.rest(t)
		head, body, _ := strings.Cut(answer, "\r\n\r\n")
		if !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %d ", c.status)) || body != "" {
			t.Errorf("%s %v %s: want %d and no body:\n%s", c.rq.method, c.rq.header, c.rq.query, c.status, answer)
		}
		if c.status < 300 && c.rq.method == "HEAD" && c.rq.key != "" && !strings.Contains(head, "\r\nContent-Length: ") {
			t.Errorf("HEAD %v: no length:\n%s", c.rq.header, head)
		}
	}
}

// TestConditionalAnswersHaveTheHeadersOfS3 and no others that say something of the object.
func TestConditionalAnswersHaveTheHeadersOfS3(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "answers")
		s.putRaw(t, b, "k", pattern(100), map[string]string{"Content-Type": "text/x", "Content-Encoding": "gzip", "Cache-Control": "no-store", "X-Amz-Meta-A": "1", "Content-Disposition": "inline"}).want(t, 200, "")
		head := s.send(t, request{method: "HEAD", bucket: b, key: "k"}).want(t, 200, "")
		etag, modified := head.header.Get("ETag"), head.header.Get("Last-Modified")
		for _, method := range []string{"GET", "HEAD"} {
			for _, cond := range []map[string]string{{"If-None-Match": etag}, {"If-Modified-Since": modified}, {"If-None-Match": "*"}} {
				got := s.send(t, request{method: method, bucket: b, key: "k", header: cond}).want(t, 304, "")
				for name, want := range map[string]string{"ETag": etag, "Last-Modified": modified, "Cache-Control": "no-store", "Content-Type": "", "Content-Encoding": "", "Content-Range": "", "Content-Length": "", "X-Amz-Meta-A": "", "Content-Disposition": "", "Accept-Ranges": ""} {
					if got.header.Get(name) != want {
						t.Errorf("%s %v: %s is %q, want %q", method, cond, name, got.header.Get(name), want)
					}
				}
				if got.header.Get("X-Amz-Request-Id") == "" || got.closing {
					t.Errorf("%s %v: %v, closing %v", method, cond, got.header, got.closing)
				}
			}
			for rng, code := range map[string]string{"bytes=100-": "InvalidRange", "bytes=-0": "InvalidRange"} {
				got := s.send(t, request{method: method, bucket: b, key: "k", header: map[string]string{"Range": rng}})
				if got.status != 416 || got.header.Get("Content-Range") != "bytes */100" || got.header.Get("Content-Encoding") != "" || got.header.Get("X-Amz-Meta-A") != "" || got.header.Get("ETag") != "" {
					t.Errorf("%s %s: %d %v", method, rng, got.status, got.header)
				}
				if method == "GET" && (got.code != code || textOf(got.body, "RangeRequested") != rng || textOf(got.body, "ActualObjectSize") != "100" || got.header.Get("Content-Type") != "application/xml") {
					t.Errorf("%s %s: %s", method, rng, got.body)
				}
			}
			got := s.send(t, request{method: method, bucket: b, key: "k", header: map[string]string{"If-Match": `"other"`}})
			if got.status != 412 || got.header.Get("Content-Encoding") != "" || got.header.Get("X-Amz-Meta-A") != "" {
				t.Errorf("%s if other: %d %v", method, got.status, got.header)
			}
			if method == "GET" && (got.code != "PreconditionFailed" || got.header.Get("Content-Length") != strconv.Itoa(len(got.body))) {
				t.Errorf("%s if other: %v %s", method, got.header, got.body)
			}
		}
	})
}

// TestSlowReadersGetTheirAnswerAndThoseWhoStopDoNotHoldIt: the one takes longer than a stall may last, and moves; the other
// does not move.
func TestSlowReadersGetTheirAnswerAndThoseWhoStopDoNotHoldIt(t *testing.T) {
	limits := proxy.Limits{DownloadStall: 2 * time.Second} // short, and longer than a busy machine takes for two megabytes
	s := newSite(t, diskStorage(t), siteConfig{limits: limits})
	b := s.bucket(t, "slow")
	body := pattern(24 << 20) // more than the buffers of both ends
	s.put(t, b, "k", body)
	r := s.build(t, request{method: "GET", bucket: b, key: "k"})
	slow := s.socket(t)
	slow.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	slow.head(r)
	resp, err := http.ReadResponse(slow.from, r)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for range 8 {
		time.Sleep(limits.DownloadStall / 4)
		if _, err := io.CopyN(&got, resp.Body, 2<<20); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(&got, resp.Body); err != nil || !bytes.Equal(got.Bytes(), body) {
		t.Fatalf("%d bytes, %v", got.Len(), err)
	}

	stopped := s.socket(t)
	stopped.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	stopped.head(r)
	if _, err := http.ReadResponse(stopped.from, r); err != nil {
		t.Fatal(err)
	}
	// Nothing more is read: the handler gives up, and says so in its line of the log.
	for s.logs.FilterMessage("request").FilterField(zap.Bool("aborted", true)).Len() == 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("the answer is still being held")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
