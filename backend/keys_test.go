package backend_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"cofre/proxy"
	"cofre/s3api"
)

// tortureKeys are object keys that path cleaning, escaping or XML get wrong somewhere.
var tortureKeys = []string{
	"plain", "a/b/c", "a//b", "//", "/lead", "//lead", "trail/", "trail//", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "/../../x",
	"a b", " lead", "trail ", "a+b", "a%b", "a%2Fb", "a%252Fb", "%", "%%", "100%", "?", "a?b=c&d", "#", "a#b", "a;b", "a&b=c", "a=b", "a:b", "a@b",
	"!$&'()*,", "~-._", `back\slash`, `"quoted"`, "<tag>&amp;", "[]{}|^`", "a\nb", "a\r\nb", "\t", "\x01\x02\x1f\x7f",
	"é", "e\u0301", "日本語/キー", "\u200b", "\ufeff", "😀", "ＡＢＣ", "http://host/x", "x/..%2f..%2fy",
	strings.Repeat("k", 1024), strings.Repeat("%", 341), strings.Repeat("d/", 512),
}

// rawServer answers 200 to everything and hands over each request as it was on the wire.
func rawServer(t *testing.T) (endpoint string, requests <-chan rawRequest) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	out := make(chan rawRequest, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveRaw(conn, out)
		}
	}()
	return "http://" + listener.Addr().String(), out
}

type rawRequest struct {
	line   string
	header http.Header
	body   []byte
}

func serveRaw(conn net.Conn, out chan<- rawRequest) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		header, err := textproto.NewReader(reader).ReadMIMEHeader()
		if err != nil {
			return
		}
		// Not http.ReadRequest, which would parse the very thing that is tested here. It serves to read the body only.
		fake := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + header.Get("Content-Length") + "\r\n\r\n"
		var body []byte
		if header.Get("Content-Length") != "" {
			r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(fake), reader)))
			if err != nil {
				return
			}
			if body, err = io.ReadAll(r.Body); err != nil {
				return
			}
		}
		out <- rawRequest{strings.TrimSuffix(line, "\r\n"), http.Header(header), body}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

// escape is RFC 3986 escaping of everything but unreserved characters and the slash, written apart from the code under
// test.
func escape(key string) string {
	var b strings.Builder
	for _, c := range []byte(key) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}

func TestKeysReachTheWireByteForByte(t *testing.T) {
	endpoint, requests := rawServer(t)
	c := newClient(t, endpoint, nil)
	for _, key := range tortureKeys {
		if _, err := do(t, c, get("bucket", key)); err != nil {
			t.Fatalf("key %q: %v", key, err)
		}
		got := <-requests
		if want := "GET /bucket/" + escape(key) + " HTTP/1.1"; got.line != want {
			t.Errorf("key %q: request line %q, want %q", key, got.line, want)
		}
		checkSignature(t, got, site.SecretAccessKey)
	}
}

func TestRequestsWithoutKeyOrBucket(t *testing.T) {
	endpoint, requests := rawServer(t)
	c := newClient(t, endpoint, nil)
	var query s3api.Query
	query.Set("prefix", "a b/+;&=%é")
	query.Set("list-type", "2")
	query.Set("uploads", "")
	for _, test := range []struct {
		req  *proxy.BackendRequest
		line string
	}{
		{&proxy.BackendRequest{Method: "GET"}, "GET / HTTP/1.1"},
		{&proxy.BackendRequest{Method: "HEAD", Bucket: "bucket"}, "HEAD /bucket HTTP/1.1"},
		{&proxy.BackendRequest{Method: "GET", Bucket: "bucket", Query: query}, "GET /bucket?list-type=2&prefix=a%20b%2F%2B%3B%26%3D%25%C3%A9&uploads= HTTP/1.1"},
	} {
		if _, err := do(t, c, test.req); err != nil {
			t.Fatal(err)
		}
		got := <-requests
		if got.line != test.line {
			t.Errorf("request line %q, want %q", got.line, test.line)
		}
		checkSignature(t, got, site.SecretAccessKey)
	}
}

func TestHeadersAreSignedAndNothingIsAdded(t *testing.T) {
	endpoint, requests := rawServer(t)
	c := newClient(t, endpoint, nil)
	const body = "0123456789"
	req := put("bucket", "key", strings.NewReader(body), int64(len(body)))
	req.Header = http.Header{
		"Content-Type":                {"text/plain; a=b"},
		"X-Amz-Meta-Cofre-Envelope":   {strings.Repeat("A", 176)},
		"X-Amz-Meta-Cofre-Attributes": {strings.Repeat("b", 8<<10)},
		"X-Amz-Meta-Raw":              {"  inner   spaces and \xc3\xa9 "},
	}
	before := req.Header.Clone()
	if _, err := do(t, c, req); err != nil {
		t.Fatal(err)
	}
	got := <-requests
	checkSignature(t, got, site.SecretAccessKey)
	if string(got.body) != body {
		t.Errorf("body %q", got.body)
	}
	for _, name := range []string{"Authorization", "Content-Length", "Host", "User-Agent", "X-Amz-Content-Sha256", "X-Amz-Date"} {
		if got.header.Get(name) == "" {
			t.Errorf("%s was not sent", name)
		}
		got.header.Del(name)
	}
	for name, values := range req.Header {
		if want := strings.TrimSpace(values[0]); got.header.Get(name) != want {
			t.Errorf("%s: sent %q, want %q", name, got.header.Get(name), want)
		}
		got.header.Del(name)
	}
	if len(got.header) != 0 {
		t.Errorf("also sent: %v", got.header)
	}
	for name := range req.Header {
		if _, ok := before[name]; !ok {
			t.Errorf("the caller's header gained %s", name)
		}
	}
}

func TestDocumentsAreSignedWithTheirHash(t *testing.T) {
	endpoint, requests := rawServer(t)
	c := newClient(t, endpoint, nil)
	for _, test := range []struct {
		req  *proxy.BackendRequest
		hash string
	}{
		{document("POST", "bucket", "", "<Delete/>"), sum([]byte("<Delete/>"))},
		{put("bucket", "key", strings.NewReader("stream"), 6), "UNSIGNED-PAYLOAD"},
		{put("bucket", "key", strings.NewReader(""), 0), sum(nil)},
		{get("bucket", "key"), sum(nil)},
	} {
		if _, err := do(t, c, test.req); err != nil {
			t.Fatal(err)
		}
		got := <-requests
		if h := got.header.Get("X-Amz-Content-Sha256"); h != test.hash {
			t.Errorf("%s: payload hash %q, want %q", test.req.Method, h, test.hash)
		}
		checkSignature(t, got, site.SecretAccessKey)
	}
}

// checkSignature computes the version 4 signature of a request from what was on the wire.
func checkSignature(t *testing.T, r rawRequest, secret string) {
	t.Helper()
	target := strings.Split(r.line, " ")[1]
	path, query, _ := strings.Cut(target, "?")
	credential, rest, _ := strings.Cut(strings.TrimPrefix(r.header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="), ", SignedHeaders=")
	signed, signature, ok := strings.Cut(rest, ", Signature=")
	if !ok {
		t.Fatalf("Authorization %q", r.header.Get("Authorization"))
	}
	if !slices.Contains(strings.Split(signed, ";"), "x-amz-content-sha256") {
		t.Error("x-amz-content-sha256 is not signed")
	}
	pairs := strings.Split(query, "&")
	slices.Sort(pairs)
	var canonical bytes.Buffer
	canonical.WriteString(strings.Fields(r.line)[0] + "\n" + path + "\n" + strings.Join(pairs, "&") + "\n")
	for _, name := range strings.Split(signed, ";") {
		canonical.WriteString(name + ":" + strings.Join(strings.Fields(r.header.Get(name)), " ") + "\n")
	}
	canonical.WriteString("\n" + signed + "\n" + r.header.Get("X-Amz-Content-Sha256"))

	_, scope, _ := strings.Cut(credential, "/")
	key := []byte("AWS4" + secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	toSign := "AWS4-HMAC-SHA256\n" + r.header.Get("X-Amz-Date") + "\n" + scope + "\n" + sum(canonical.Bytes())
	if want := hex.EncodeToString(mac(key, toSign)); signature != want {
		t.Errorf("signature of %q does not verify; canonical request:\n%s", r.line, canonical.String())
	}
	if _, err := url.ParseQuery(query); err != nil {
		t.Errorf("query %q: %v", query, err)
	}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
