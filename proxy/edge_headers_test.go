package proxy_test

import (
	"bufio"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"cofre/backend/disk"
	"cofre/internal/longtest"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// head is what of a request came over the wire to the storage.
type head struct {
	method, target, host string
	header               http.Header
}

// watched is a storage that notes the head of every request that reaches it, from the wire.
type watched struct {
	*storage
	mu    sync.Mutex
	heads []head
	// answer, if set, answers in the storage's place, where it says true.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func watchedStorage(t *testing.T) *watched {
	t.Helper()
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{}
	handler := d.Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.heads = append(w.heads, head{r.Method, r.RequestURI, r.Host, r.Header.Clone()})
		answer := w.answer
		w.mu.Unlock()
		if answer == nil || !answer(rw, r) {
			handler.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(func() { srv.Close(); d.Close() })
	w.storage = &storage{endpoint: srv.URL, access: "site", secret: "site-secret"}
	w.raw = client(srv.URL, "site", "site-secret")
	return w
}

func (w *watched) take() []head {
	w.mu.Lock()
	defer w.mu.Unlock()
	heads := w.heads
	w.heads = nil
	return heads
}

func (w *watched) instead(answer func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

// toStorage are all headers that cofre ever sends to the storage, but for user metadata where that lies in clear.
var toStorage = strings.Fields(`
	Authorization Content-Length Content-Md5 Content-Type Expect Range User-Agent X-Amz-Content-Sha256 X-Amz-Date
	If-Match If-None-Match If-Modified-Since If-Unmodified-Since
	X-Amz-Acl X-Amz-Grant-Read X-Amz-Grant-Write X-Amz-Grant-Read-Acp X-Amz-Grant-Write-Acp X-Amz-Grant-Full-Control
	X-Amz-Storage-Class X-Amz-Tagging X-Amz-Object-Lock-Mode X-Amz-Object-Lock-Retain-Until-Date X-Amz-Object-Lock-Legal-Hold
	X-Amz-Website-Redirect-Location X-Amz-Bypass-Governance-Retention X-Amz-Mfa X-Amz-Bucket-Object-Lock-Enabled
	X-Amz-Object-Ownership X-Amz-Confirm-Remove-Self-Bucket-Access X-Amz-Bucket-Object-Lock-Token
	X-Amz-Copy-Source X-Amz-Copy-Source-If-Match X-Amz-Copy-Source-Range X-Amz-Metadata-Directive X-Amz-Tagging-Directive
	X-Amz-Meta-Cofre-Envelope X-Amz-Meta-Cofre-Attributes
	Origin Access-Control-Request-Method Access-Control-Request-Headers`)

// wantClosedList fails where anything reached the storage that cofre did not mean to send.
func (w *watched) wantClosedList(t *testing.T, what string, clear bool) {
	t.Helper()
	for _, h := range w.take() {
		if "http://"+h.host != w.endpoint {
			t.Errorf("%s: host %q", what, h.host)
		}
		for i := range len(h.target) {
			if c := h.target[i]; c <= ' ' || c >= 0x7f {
				t.Fatalf("%s: raw byte %#x in the target %q", what, c, h.target)
			}
		}
		for name, values := range h.header {
			lower := strings.ToLower(name)
			meta := clear && (strings.HasPrefix(lower, "x-amz-meta-") || slices.Contains([]string{"content-encoding", "content-disposition", "content-language", "cache-control", "expires"}, lower))
			if !slices.Contains(toStorage, name) && !strings.HasPrefix(name, "X-Amz-Meta-Cofre-") && !meta {
				t.Errorf("%s: %s %s carries %s: %q", what, h.method, h.target, name, values)
			}
			if len(values) != 1 {
				t.Errorf("%s: %s is sent %d times: %q", what, name, len(values), values)
			}
		}
	}
}

// hostileValues try to end a header and begin another, or the request and begin another.
var hostileValues = []string{
	"v\r\nX-Injected: 1", "v\nX-Injected: 1", "v\rX-Injected: 1", "v\r\n X-Injected: 1", "v\x00X", "v\x0b\x0c\x7f", "v\xff\xfe\x80", "v\u2028X-Injected: 1", "v\u560d\u560aX-Injected: 1",
	"v\r\n\r\nDELETE /bucket/k HTTP/1.1\r\nHost: x\r\n\r\n", "v%0d%0aX-Injected:%201", strings.Repeat("v", 3000), " ", "",
}

// clientHeaders are what clients may say of what they send.
var clientHeaders = []string{
	"x-amz-acl", "x-amz-grant-read", "x-amz-storage-class", "x-amz-tagging", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date",
	"x-amz-object-lock-legal-hold", "x-amz-website-redirect-location", "x-amz-meta-note", "x-amz-meta-cofre-envelope", "x-amz-copy-source", "x-amz-copy-source-range",
	"x-amz-copy-source-if-match", "x-amz-metadata-directive", "x-amz-tagging-directive", "x-amz-bypass-governance-retention", "x-amz-mfa", "x-amz-expected-bucket-owner",
	"x-amz-request-payer", "x-amz-checksum-algorithm", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-context",
	"x-amz-bucket-object-lock-enabled", "x-amz-object-ownership", "x-amz-unknown", "x-rgw-foo", "x-amz-security-token", "x-container-meta-x", "x-amz-meta-a\r\nb",
}

// TestNoClientPutsAHeaderIntoARequestToTheStorage puts what would end a header into every value that a client controls, on
// every road that can carry such bytes: percent-encoded in the query (where S3 takes x-amz- headers too), in forms, in documents.
func TestNoClientPutsAHeaderIntoARequestToTheStorage(t *testing.T) {
	for _, clear := range []bool{false, true} {
		w := watchedStorage(t)
		s := newSite(t, w.storage, siteConfig{policy: func(string) proxy.BucketPolicy { return proxy.BucketPolicy{ClearAttributes: clear} }})
		b := s.bucket(t, "injected")
		s.putRaw(t, b, "k", []byte("the object"), nil).want(t, 200, "")
		w.wantClosedList(t, "before", clear)
		tried := 0
		try := func(what string, rq request) {
			rq.bucket = b
			s.send(t, rq)
			w.wantClosedList(t, what, clear)
			tried++
		}
		for _, value := range hostileValues {
			in := url.QueryEscape(value)
			for _, name := range clientHeaders {
				try(name+" in the query of a PUT", request{method: "PUT", key: "k2", query: url.QueryEscape(name) + "=" + in, payload: sigv4test.Payload{Data: []byte("b")}})
			}
			for _, name := range []string{"x-amz-acl", "x-amz-meta-note", "x-amz-tagging", "x-amz-storage-class"} {
				try(name+" of an upload", request{method: "POST", key: "k3", query: "uploads=&" + name + "=" + in})
			}
			for query, rqs := range map[string][]request{
				"versionId=" + in:                {{method: "GET", key: "k"}, {method: "DELETE", key: "gone"}, {method: "HEAD", key: "k"}},
				"uploadId=" + in:                 {{method: "GET", key: "k"}, {method: "DELETE", key: "k"}, {method: "POST", key: "k", payload: sigv4test.Payload{Data: []byte("<x/>")}}},
				"partNumber=1&uploadId=" + in:    {{method: "PUT", key: "k", payload: sigv4test.Payload{Data: []byte("b")}}},
				"response-cache-control=" + in:   {{method: "GET", key: "k"}},
				"prefix=" + in + "&marker=" + in: {{method: "GET"}},
				"list-type=2&start-after=" + in + "&continuation-token=" + in + "&delimiter=" + in: {{method: "GET"}},
				"uploads=&key-marker=" + in + "&upload-id-marker=" + in:                            {{method: "GET"}},
				"versions=&key-marker=" + in + "&version-id-marker=" + in:                          {{method: "GET"}},
				"acl=&x-amz-grant-read=" + in:                                                      {{method: "PUT", key: "k"}, {method: "PUT"}},
			} {
				for _, rq := range rqs {
					rq.query = query
					try(rq.method+" "+query[:min(len(query), 40)], rq)
				}
			}
			try("key", request{method: "PUT", key: "key" + value, payload: sigv4test.Payload{Data: []byte("b")}})
			try("key of a GET", request{method: "GET", key: "key" + value})
			escapedXML := strings.NewReplacer("\r", "&#13;", "\n", "&#10;", "\x00", "&#0;", "\x0b", "&#11;", "\x0c", "&#12;", "\xff\xfe\x80", "é").Replace(value)
			try("tags", request{method: "PUT", key: "k", query: "tagging=", payload: sigv4test.Payload{Data: []byte("<Tagging><TagSet><Tag><Key>a</Key><Value>" + escapedXML + "</Value></Tag></TagSet></Tagging>")}})
			try("keys to delete", deleting("<Delete><Object><Key>"+escapedXML+"</Key><VersionId>"+escapedXML+"</VersionId></Object></Delete>"))
			for _, field := range []string{"key", "acl", "tagging", "Content-Type", "x-amz-meta-note", "x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-copy-source", "success_action_redirect", "x-amz-meta-a\r\nX-Injected"} {
				try("form field "+field, hostileForm(b, field, value))
			}
		}
		longtest.Figure(t, "hostile values tried on headers", tried)
		if got := s.get(t, b, "k"); string(got) != "the object" {
			t.Errorf("the object is %q now", got)
		}
	}
}

// deleting is a DeleteObjects with the digest that it must have.
func deleting(doc string) request {
	return request{method: "POST", query: "delete=", header: map[string]string{"Content-Md5": md5Header(doc)}, payload: sigv4test.Payload{Data: []byte(doc)}}
}

func md5Header(doc string) string {
	sum := md5.Sum([]byte(doc))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// hostileForm is a form with a field that its policy leaves open.
func hostileForm(bucket, field, value string) request {
	fields := [][2]string{{"key", "formed"}}
	if field == "key" {
		fields = nil
	}
	fields = signForm(2, bucket, append(fields, [2]string{field, value}), []string{"starts-with", "$" + field, ""})
	return request{method: "POST", unsigned: true, header: map[string]string{"Content-Type": "multipart/form-data; boundary=" + formBoundary},
		payload: sigv4test.Payload{Data: webForm{fields: fields, file: []byte("body")}.body()}}
}

// TestAHeaderGivenTwiceIsNotHandedOn: what was judged must be what the storage acts upon.
func TestAHeaderGivenTwiceIsNotHandedOn(t *testing.T) {
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{})
	b := s.bucket(t, "twice")
	for name, values := range map[string][]string{
		"X-Amz-Acl": {"private", "public-read"}, "X-Amz-Tagging": {"a=1", "b=2"}, "X-Amz-Storage-Class": {"STANDARD", "COLD"},
		"X-Amz-Grant-Read": {`id="a"`, `id="b"`}, "X-Amz-Website-Redirect-Location": {"/a", "/b"}, "X-Amz-Object-Lock-Legal-Hold": {"OFF", "ON"},
		"X-Amz-Copy-Source": {b + "/k", "cofre-system/k"},
	} {
		r := s.build(t, request{method: "PUT", bucket: b, key: "k", unsigned: true})
		r.Header[name] = values
		signer().Sign(r, sigv4test.Payload{Mode: sigv4test.SHA256, Data: []byte("b")})
		w.take()
		resp, err := clientTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(resp); got.status != 400 || got.code != "InvalidArgument" {
			t.Errorf("%s: %d %s", name, got.status, got.code)
		}
		if asked := w.take(); len(asked) > 0 {
			t.Errorf("%s: the storage was asked: %v", name, asked)
		}
	}
}

// TestWhatIsNoHeaderIsNotTakenFromTheWire sends heads that readers of HTTP differ about.
func TestWhatIsNoHeaderIsNotTakenFromTheWire(t *testing.T) {
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{})
	b := s.bucket(t, "wire")
	r := s.build(t, request{method: "PUT", bucket: b, key: "k", payload: sigv4test.Payload{Data: []byte("b")}})
	for name, line := range map[string]string{
		"NUL in a value": "X-Amz-Meta-A: a\x00b", "CR in a value": "X-Amz-Meta-A: a\rX-Injected: 1", "space before the colon": "X-Amz-Meta-A : a", "no name": ": a",
		"control in a name": "X-Amz-Me\x01ta: a", "no colon": "X-Amz-Meta-A", "DEL in a value": "X-Amz-Meta-A: a\x7f",
	} {
		w.take()
		conn := s.connect(t)
		fmt.Fprintf(conn, "PUT /%s/k HTTP/1.1\r\nHost: %s\r\nContent-Length: 1\r\n%s\r\n", b, r.URL.Host, line)
		for name, values := range r.Header {
			fmt.Fprintf(conn, "%s: %s\r\n", name, values[0])
		}
		io.WriteString(conn, "\r\nb")
		resp, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := read(resp); got.status != 400 && got.status != 403 {
			t.Errorf("%s: answered %d", name, got.status)
		}
		conn.Close()
		if asked := w.take(); len(asked) > 0 {
			t.Errorf("%s: the storage was asked: %v", name, asked)
		}
	}
}
