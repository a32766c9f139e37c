package proxy_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cofre/proxy"
	"cofre/s3api"
	"cofre/sigv4/sigv4test"
)

// request is one client request as it goes over the wire: no SDK decides what it holds.
type request struct {
	method  string
	bucket  string
	key     string // raw bytes
	query   string // encoded
	header  map[string]string
	payload sigv4test.Payload
	host    string // virtual-hosted, then the bucket is not in the path
	// spoil changes the request after it was signed.
	spoil func(*http.Request)
	// unsigned sends it without credentials, and as under others than the test client's.
	unsigned bool
	as       *sigv4test.Signer
}

// reply is the whole answer.
type reply struct {
	status int
	header http.Header
	body   []byte
	code   string // of an error document
	cut    error  // that ended the body early
	// closing says that the server ends the connection behind this answer.
	closing bool
}

// shortPatience lets go of clients that stand still for less than a second.
func shortPatience() proxy.Limits {
	return proxy.Limits{UploadStall: 400 * time.Millisecond, DownloadStall: 400 * time.Millisecond, MinRate: 1}
}

func signer() sigv4test.Signer {
	return sigv4test.Signer{AccessKeyID: accessKey, SecretAccessKey: secretKey, Region: region, Time: time.Now()}
}

// build makes the HTTP request.
func (s *site) build(t *testing.T, rq request) *http.Request {
	t.Helper()
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case rq.host != "":
		u.Path = "/" + rq.key
		u.RawPath = "/" + s3api.EscapePath(rq.key)
	case rq.bucket != "":
		u.Path = "/" + rq.bucket
		if rq.key != "" {
			u.Path += "/" + rq.key
		}
		u.RawPath = s3api.EscapePath(u.Path)
	default:
		u.Path = "/"
	}
	u.RawQuery = rq.query
	r := &http.Request{Method: rq.method, URL: u, Host: rq.host, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	for name, v := range rq.header {
		r.Header.Set(name, v)
	}
	if rq.payload.Mode == "" {
		rq.payload.Mode = sigv4test.SHA256
	}
	switch {
	case rq.unsigned:
		sigv4test.SetBody(r, rq.payload.Data, false)
	case rq.as != nil:
		rq.as.Sign(r, rq.payload)
	default:
		signer().Sign(r, rq.payload)
	}
	if rq.spoil != nil {
		rq.spoil(r)
	}
	return r.WithContext(t.Context())
}

// send sends a request and reads the whole answer. RGW 16 refuses a body with a bare 400 now and then, instead of saying why:
// then clients are told SlowDown, and send again, as this does.
func (s *site) send(t *testing.T, rq request) reply {
	t.Helper()
	for try := 1; ; try++ {
		resp, err := clientTransport.RoundTrip(s.build(t, rq))
		if err != nil {
			t.Fatalf("%s %q: %v", rq.method, rq.key, err)
		}
		got := read(resp)
		if got.code != "SlowDown" || s.bucketTag == "" || try == 4 {
			return got
		}
	}
}

func read(resp *http.Response) reply {
	defer resp.Body.Close()
	out := reply{status: resp.StatusCode, header: resp.Header, closing: resp.Close}
	out.body, out.cut = io.ReadAll(resp.Body)
	if bytes.Contains(out.body, []byte("<Error>")) {
		var doc struct{ Code string }
		if xml.Unmarshal(out.body, &doc) == nil {
			out.code = doc.Code
		}
	}
	return out
}

// want fails unless the answer has this status and, for an error, this code.
func (r reply) want(t *testing.T, status int, code string) reply {
	t.Helper()
	if r.status != status || r.code != code {
		t.Fatalf("answer %d %q, want %d %q: %.300s", r.status, r.code, status, code, r.body)
	}
	return r
}

// putRaw is a plain signed PUT.
func (s *site) putRaw(t *testing.T, bucket, key string, body []byte, header map[string]string) reply {
	t.Helper()
	return s.send(t, request{method: "PUT", bucket: bucket, key: key, header: header, payload: sigv4test.Payload{Data: body}})
}

func escaped(query string) string { return strings.ReplaceAll(url.QueryEscape(query), "+", "%20") }
