package proxy_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"cofre/sigv4/sigv4test"
)

// TestARedirectOfTheStorageIsNotFollowed: a storage that sends its reader elsewhere would have cofre call whomever it likes, with a
// signed request, from inside the network.
func TestARedirectOfTheStorageIsNotFollowed(t *testing.T) {
	var called atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		called.Add(1)
		fmt.Fprint(w, "from elsewhere")
	}))
	defer elsewhere.Close()
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{})
	b := s.bucket(t, "redirected")
	s.putRaw(t, b, "k", []byte("the object"), nil).want(t, 200, "")
	upload := s.startUpload(t, b, "u")
	for _, status := range []int{300, 301, 302, 303, 305, 307, 308} {
		for _, body := range []string{"", "<Error><Code>TemporaryRedirect</Code><Endpoint>" + elsewhere.URL + "</Endpoint></Error>", "<Error><Code>Moved</Code><Message>go to " + elsewhere.URL + "</Message></Error>"} {
			w.instead(func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Location", elsewhere.URL+"/x")
				rw.Header().Set("X-Amz-Bucket-Region", "elsewhere")
				rw.WriteHeader(status)
				fmt.Fprint(rw, body)
				return true
			})
			for name, rq := range map[string]request{
				"GET": {method: "GET", bucket: b, key: "k"}, "HEAD": {method: "HEAD", bucket: b, key: "k"}, "PUT": {method: "PUT", bucket: b, key: "k2", payload: sigv4test.Payload{Data: []byte("b")}},
				"DELETE": {method: "DELETE", bucket: b, key: "k"}, "list": {method: "GET", bucket: b}, "buckets": {method: "GET"}, "policy": {method: "GET", bucket: b, query: "policy="},
				"copy": {method: "PUT", bucket: b, key: "k3", header: map[string]string{"X-Amz-Copy-Source": b + "/k"}}, "part": {method: "PUT", bucket: b, key: "u", query: "partNumber=1&uploadId=" + escaped(upload), payload: sigv4test.Payload{Data: []byte("b")}},
				"create": {method: "PUT", bucket: "another"}, "acl": {method: "PUT", bucket: b, key: "k", query: "acl=", header: map[string]string{"X-Amz-Acl": "private"}},
				"delete many": {method: "POST", bucket: b, query: "delete=", header: map[string]string{"Content-Md5": md5Header(deleteK)}, payload: sigv4test.Payload{Data: []byte(deleteK)}},
			} {
				got := s.send(t, rq)
				if got.status < 400 && name != "delete many" || got.header.Get("Location") != "" || strings.Contains(string(got.body), "from elsewhere") {
					t.Errorf("%s, %d: answer %d, Location %q: %.200s", name, status, got.status, got.header.Get("Location"), got.body)
				}
			}
		}
	}
	if n := called.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// TestNoClientMakesCofreOrTheStorageCallOthers: what names an address is kept as text, or refused.
func TestNoClientMakesCofreOrTheStorageCallOthers(t *testing.T) {
	var called atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	defer elsewhere.Close()
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{})
	b := s.bucket(t, "called")
	at := elsewhere.URL
	for _, source := range []string{at + "/x", "//" + strings.TrimPrefix(at, "http://") + "/x", "http%3A%2F%2F" + strings.TrimPrefix(at, "http://") + "/x", "file:///etc/passwd"} {
		if got := s.send(t, request{method: "PUT", bucket: b, key: "k", header: map[string]string{"X-Amz-Copy-Source": source}}); got.status < 400 {
			t.Errorf("a copy of %s: %d", source, got.status)
		}
	}
	// Who is told of events is a topic, which only the storage's operator can make: the calls that make one are no S3.
	w.take()
	for _, query := range []string{"Action=CreateTopic&Name=t&push-endpoint=" + escaped(at), "Action=CreateTopic&Name=t&Attributes.entry.1.key=push-endpoint&Attributes.entry.1.value=" + escaped(at), "Action=Subscribe"} {
		s.send(t, request{method: "POST", query: query}).want(t, 501, "NotImplemented")
		s.send(t, request{method: "POST", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, payload: sigv4test.Payload{Data: []byte(query)}}).want(t, 501, "NotImplemented")
	}
	for _, target := range []string{"<QueueConfiguration><Queue>" + at + "</Queue></QueueConfiguration>", "<CloudFunctionConfiguration><CloudFunction>" + at + "</CloudFunction></CloudFunctionConfiguration>",
		"<EventBridgeConfiguration/>", "<TopicConfiguration><Topic>" + at + "</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration>",
		"<TopicConfiguration><Topic>arn:aws:sns:default::t?push-endpoint=" + at + "</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration>"} {
		doc := "<NotificationConfiguration>" + target + "</NotificationConfiguration>"
		if got := s.send(t, request{method: "PUT", bucket: b, query: "notification=", payload: sigv4test.Payload{Data: []byte(doc)}}); got.status < 400 {
			t.Errorf("%s: %d", target, got.status)
		}
	}
	for _, query := range []string{"logging", "replication", "inventory&id=x", "website", "metadataTable"} {
		doc := "<x>" + at + "</x>"
		if got := s.send(t, request{method: "PUT", bucket: b, query: query, payload: sigv4test.Payload{Data: []byte(doc)}}); got.status < 400 {
			t.Errorf("%s: %d", query, got.status)
		}
	}
	if asked := w.take(); len(asked) > 0 {
		t.Errorf("the storage was asked: %v", asked)
	}
	// A place to redirect to is a text that travels with the object: nothing is fetched, and no read is answered by a redirect.
	s.putRaw(t, b, "k", []byte("here"), map[string]string{"X-Amz-Website-Redirect-Location": at + "/x"}).want(t, 200, "")
	if got := s.send(t, request{method: "GET", bucket: b, key: "k"}).want(t, 200, ""); string(got.body) != "here" || got.header.Get("Location") != "" {
		t.Errorf("the object is %q at %q", got.body, got.header.Get("Location"))
	}
	for redirect, want := range map[string]int{at + "/done": 303, "javascript:alert(1)": 204, "//" + at: 204, "file:///etc/passwd": 204, "http://x/\r\nSet-Cookie: a=b": 204} {
		got := s.post(t, b, webForm{fields: signForm(4, b, [][2]string{{"key", "f"}, {"success_action_redirect", redirect}}), file: []byte("x")})
		if got.status != want || got.header.Get("Set-Cookie") != "" {
			t.Errorf("redirect to %q: %d %v", redirect, got.status, got.header)
		}
	}
	if n := called.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// deleteK is the document of a DeleteObjects.
const deleteK = "<Delete><Object><Key>k</Key></Object></Delete>"

func bomb(t *testing.T, of []byte, times int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range times {
		if _, err := z.Write(of); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestNothingIsEverInflated: gzip is data, from a client and from the storage alike.
func TestNothingIsEverInflated(t *testing.T) {
	w := watchedStorage(t)
	s := newSite(t, w.storage, siteConfig{})
	b := s.bucket(t, "inflated")
	zeros := bomb(t, make([]byte, 1<<20), 64)
	s.putRaw(t, b, "k", zeros, map[string]string{"Content-Encoding": "gzip"}).want(t, 200, "")
	if got := s.send(t, request{method: "GET", bucket: b, key: "k"}).want(t, 200, ""); !bytes.Equal(got.body, zeros) || got.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%d bytes of %q came back, %d were sent", len(got.body), got.header.Get("Content-Encoding"), len(zeros))
	}
	for _, encoding := range []string{"gzip", "deflate", "br", "x-gzip"} {
		doc := bomb(t, []byte("<Delete><Object><Key>k</Key></Object></Delete>"), 1)
		rq := deleting(string(doc))
		rq.bucket, rq.header["Content-Encoding"] = b, encoding
		s.send(t, rq).want(t, 400, "MalformedXML")
	}
	for _, r := range w.take() {
		if r.header.Get("Accept-Encoding") != "" {
			t.Errorf("the storage is told that %q is accepted", r.header.Get("Accept-Encoding"))
		}
	}
	listing := bomb(t, []byte("<ListBucketResult><Name>x</Name></ListBucketResult>"), 1)
	w.instead(func(rw http.ResponseWriter, _ *http.Request) bool {
		rw.Header().Set("Content-Encoding", "gzip")
		rw.Write(listing)
		return true
	})
	for _, rq := range []request{{method: "GET", bucket: b}, {method: "GET"}, {method: "GET", bucket: b, query: "versions="}} {
		if got := s.send(t, rq); got.status < 500 {
			t.Errorf("%s ?%s of a storage that answers gzip: %d %.100s", rq.method, rq.query, got.status, got.body)
		}
	}
}
