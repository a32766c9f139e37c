package s3api

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// requestLine makes a request of "METHOD target".
func requestLine(line string) *http.Request {
	method, target, _ := strings.Cut(line, " ")
	return newRequest(method, target)
}

// TestParseNeverTakesTwoSubresourcesForOne combines every sub-resource with every other, on every method and level, in either order: storage
// that looks at the first it knows, or at the last, would do something else than was authorised.
func TestParseNeverTakesTwoSubresourcesForOne(t *testing.T) {
	var names []string
	for name := range everySelector {
		names = append(names, name)
	}
	names = append(names, "partNumber", "versionId", "id", "select-type", "append", "layout", "mdsearch", "usage", "torrent2")
	slices.Sort(names)
	pairs := 0
	for _, a := range names {
		for _, b := range names {
			if a == b {
				continue
			}
			for _, path := range []string{"/", "/bucket", "/bucket/key"} {
				for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"} {
					pairs++
					target := path + "?" + a + "=1&" + b + "=1"
					call, err := Parse(newRequest(method, target), Hosts{})
					if err == nil && !meansBoth(call, a, b) {
						t.Errorf("%s %s is %v", method, target, call.Op)
					}
				}
			}
		}
	}
	if pairs < 40_000 {
		t.Errorf("%d pairs", pairs)
	}
}

// meansBoth says whether a call takes both parameters into account, or may do without one that it has dropped.
func meansBoth(c Call, names ...string) bool {
	for _, name := range names {
		switch {
		case c.Query.Has(name):
		case !everySelector[name] && (c.Op == GetObject || c.Op == HeadObject || c.Op == HeadBucket || c.Op == ListObjects || c.Op == ListObjectsV2 || c.Op == ListObjectVersions):
		default:
			return false
		}
	}
	return true
}

// FuzzRequest parses the head of a request as it comes over the wire.
func FuzzRequest(f *testing.F) {
	for _, rt := range routes {
		f.Add(fmt.Appendf(nil, "%s /bucket/key?%s&versionId=x HTTP/1.1\r\nHost: photos.s3.example.com\r\n\r\n", rt.method, rt.selector))
	}
	f.Add([]byte("PUT http://h/bucket/%2e%2e//a+b?x-amz-acl=private&X-Amz-Meta-A=%c3 HTTP/1.1\r\nHost: h:1\r\nx-amz-acl: private\r\nX-Amz-Copy-Source: /b/k?versionId=1\r\n\r\n"))
	f.Add([]byte("POST /bucket HTTP/1.0\r\nContent-Type: multipart/form-data; boundary=x\r\nx-amz-request-route: r\r\n\r\n"))
	f.Add([]byte("PUT /bucket/key HTTP/1.1\r\nHost: [::1]:9\r\nx-amz-tagging: a=b&c\r\nx-amz-grant-read: id=\"a\", uri=b\r\nx-amz-object-lock-mode: GOVERNANCE\r\nRange: bytes=0-\r\n\r\n"))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("GET /a;b?c;d&&=&%20 HTTP/1.1\r\nHost: \r\n\r\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			return
		}
		checkParsed(t, r)
	})
}

func FuzzParse(f *testing.F) {
	for _, rt := range routes {
		f.Add(rt.method, "/bucket/key?"+rt.selector+"&versionId=x&partNumber=1", "127.0.0.1", "")
	}
	f.Add("PUT", "/bucket/%2e%2E/a+b%00?x-amz-acl=%0d", "photos.s3.example.com", "bucket/source")
	f.Add("GET", "http://host/bucket//?a;b&c=%", "s3.example.com:80", "")
	f.Fuzz(func(t *testing.T, method, target, host, source string) {
		r := newRequest(method, target)
		r.Host = host
		if source != "" {
			r.Header["X-Amz-Copy-Source"] = []string{source}
		}
		checkParsed(t, r)
	})
}

// checkParsed parses a request and fails if what comes out could not be acted upon.
func checkParsed(t *testing.T, r *http.Request) {
	call, err := Parse(r, testHosts)
	if err != nil {
		var s3 *Error
		if !errors.As(err, &s3) || s3.Code == "" || s3.Message == "" || s3.Status < 400 {
			t.Fatalf("error %#v", err)
		}
		return
	}
	if call.Op.String() == "Unknown" {
		t.Fatal("no operation and no error")
	}
	if call.Bucket != "" && !ValidBucketName(call.Bucket) || checkKey(call.Key) != nil {
		t.Fatalf("bucket %q, key %q", call.Bucket, call.Key)
	}
	if call.Key != "" && call.Bucket == "" {
		t.Fatal("key without bucket")
	}
	// What was understood is understood again from the canonical form of the same address.
	if call.Op == CORSPreflight || call.Op == PostObject || call.Op == ListDirectoryBuckets || call.Op == WriteGetObjectResponse {
		return
	}
	uri := "/"
	if call.Bucket != "" {
		uri += call.Bucket + "/" + EscapePath(call.Key)
	}
	again := newRequest(r.Method, uri+"?"+call.Query.Encode())
	again.Header = call.Header
	got, err := Parse(again, Hosts{})
	if err != nil || got.Op != call.Op || got.Bucket != call.Bucket || got.Key != call.Key || got.Query.Encode() != call.Query.Encode() {
		t.Fatalf("%s: %+v became %+v, %v", again.RequestURI, call, got, err)
	}
}
