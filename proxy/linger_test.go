package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"cofre/sigv4/sigv4test"
)

// connect opens a bare connection.
func (s *site) connect(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// dial sends the head of a request over a connection of its own, as a client does that writes before it reads.
func (s *site) dial(t *testing.T, r *http.Request, length int) net.Conn {
	t.Helper()
	conn := s.connect(t)
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Method, r.URL.RequestURI(), r.URL.Host, length)
	for name, values := range r.Header {
		fmt.Fprintf(&head, "%s: %s\r\n", name, values[0])
	}
	if _, err := io.WriteString(conn, head.String()+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

func wrongSignature(r *http.Request) {
	at := len(r.Header.Get("Authorization")) - 64
	r.Header.Set("Authorization", r.Header.Get("Authorization")[:at]+strings.Repeat("0", 64))
}

// TestARefusalReachesWhoSendsTheWholeBodyFirst: a server that closes over unread bytes resets the connection, and the client
// never sees why. It is a race, so it is run often.
func TestARefusalReachesWhoSendsTheWholeBodyFirst(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "linger")
	s.put(t, b, "k", []byte("before"))
	for _, c := range []struct {
		name, code string
		status     int
		size       int
		rq         request
	}{
		{"a part of a known client", "PreconditionFailed", 412, 10 << 20, request{header: map[string]string{"If-None-Match": "*"}}},
		{"a forged first chunk of many", "SignatureDoesNotMatch", 403, 10 << 20, request{payload: sigv4test.Payload{Mode: sigv4test.Signed}, spoil: spoiledBody(flipAt(30))}},
		{"a stranger", "SignatureDoesNotMatch", 403, 1 << 20, request{spoil: wrongSignature}},
		{"a stranger's part", "SignatureDoesNotMatch", 403, 8 << 20, request{spoil: wrongSignature}},
		{"nobody", "AccessDenied", 403, 1 << 20, request{unsigned: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.rq.method, c.rq.bucket, c.rq.key = "PUT", b, "k"
			c.rq.payload.Data = pattern(c.size)
			if c.rq.payload.Mode == "" {
				c.rq.payload.Mode = sigv4test.Unsigned
			}
			r := s.build(t, c.rq)
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			for try := range 200 {
				conn := s.dial(t, r, len(body))
				if _, err := conn.Write(body); err != nil {
					t.Fatalf("try %d: %v", try, err)
				}
				resp, err := http.ReadResponse(bufio.NewReader(conn), r)
				if err != nil {
					t.Fatalf("try %d: %v", try, err)
				}
				got := read(resp).want(t, c.status, c.code)
				conn.Close()
				if got.cut != nil || !got.closing {
					t.Fatalf("try %d: %v, closing %v", try, got.cut, got.closing)
				}
			}
		})
	}
}

// TestBytesThatNobodyReadsDoNotTakeTheRefusalAlong: behind what is read of a refused body the server ends its own half of the connection
// first, and only a while later all of it (RFC 9112 section 9.6). A client that looks for an answer by then has it.
func TestBytesThatNobodyReadsDoNotTakeTheRefusalAlong(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "linger")
	const size = 9<<20 + 300<<10 // more than is read, and no more than the connection itself holds beyond that
	r := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Mode: sigv4test.Unsigned}, spoil: wrongSignature})
	for try := range 20 {
		conn := s.dial(t, r, size)
		_, sent := io.CopyN(conn, zeros{}, size)
		said, err := io.ReadAll(conn)
		conn.Close()
		if sent != nil || err != nil || !strings.HasPrefix(string(said), "HTTP/1.1 403 ") || !strings.HasSuffix(string(said), "</Error>") {
			t.Fatalf("try %d: %q, %v, %v", try, said, sent, err)
		}
	}
}

// TestAStrangersBodyIsNotReadForLong: whoever proves nothing cannot have the server read as much as he likes.
func TestAStrangersBodyIsNotReadForLong(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "bound")
	const size = 64 << 20 // far more than the buffers of a connection hold
	r := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Mode: sigv4test.Unsigned}, spoil: wrongSignature})
	conn := s.dial(t, r, size)
	defer conn.Close()
	if n, err := io.Copy(conn, io.LimitReader(zeros{}, size)); err == nil {
		t.Fatalf("%d bytes were taken from a stranger", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
