package s3api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var testHosts = Hosts{Domains: []string{"s3.example.com", "example.com", "S3.Localhost"}}

// newRequest makes a request as net/http's server does, with the target exactly as given.
func newRequest(method, target string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Method, r.RequestURI, r.URL, r.Host = method, target, nil, "127.0.0.1:9000" // a nil URL proves that nobody reads it
	return r
}

func TestParseSplitsTargets(t *testing.T) {
	for _, c := range []struct {
		host, target         string
		op                   Operation
		bucket, key, rawPath string
	}{
		{"", "/", ListBuckets, "", "", "/"},
		{"", "/bucket", ListObjects, "bucket", "", "/bucket"},
		{"", "/bucket/", ListObjects, "bucket", "", "/bucket/"},
		{"", "/bucket//", GetObject, "bucket", "/", "/bucket//"},
		{"", "/bucket/key", GetObject, "bucket", "key", "/bucket/key"},
		{"", "/bucket/a//b/../c/./d/", GetObject, "bucket", "a//b/../c/./d/", "/bucket/a//b/../c/./d/"},
		{"", "/bucket/..", GetObject, "bucket", "..", "/bucket/.."},
		{"", "/bucket//lead", GetObject, "bucket", "/lead", "/bucket//lead"},
		{"", "/bucket/a%2Fb", GetObject, "bucket", "a/b", "/bucket/a%2Fb"},
		{"", "/bucket/%2Flead", GetObject, "bucket", "/lead", "/bucket/%2Flead"},
		{"", "/bucket/a%252Fb", GetObject, "bucket", "a%2Fb", "/bucket/a%252Fb"},
		{"", "/bucket/a+b%2Bc%20d", GetObject, "bucket", "a+b+c d", "/bucket/a+b%2Bc%20d"},
		{"", "/bucket/%01%0A%7f", GetObject, "bucket", "\x01\n\x7f", "/bucket/%01%0A%7f"},
		{"", "/bucket/caf%C3%A9", GetObject, "bucket", "caf\u00e9", "/bucket/caf%C3%A9"},
		{"", "/bucket/cafe%CC%81", GetObject, "bucket", "cafe\u0301", "/bucket/cafe%CC%81"}, // not the same key
		{"", "/bucket/caf\u00e9#frag;x", GetObject, "bucket", "caf\u00e9#frag;x", "/bucket/caf\u00e9#frag;x"},
		{"", "/%62ucket/key", GetObject, "bucket", "key", "/%62ucket/key"},
		{"", "/my.old_Bucket/key", GetObject, "my.old_Bucket", "key", "/my.old_Bucket/key"},
		{"", "http://127.0.0.1:9000/bucket/key", GetObject, "bucket", "key", "/bucket/key"},
		{"", "http://127.0.0.1:9000/bucket/http://x", GetObject, "bucket", "http://x", "/bucket/http://x"},
		{"", "http://127.0.0.1:9000", ListBuckets, "", "", "/"},
		{"photos.s3.example.com", "/", ListObjects, "photos", "", "/"},
		{"photos.s3.example.com", "/key", GetObject, "photos", "key", "/key"},
		{"PHOTOS.S3.example.COM:9000", "/a/b", GetObject, "photos", "a/b", "/a/b"},
		{"my.photos.s3.example.com", "//", GetObject, "my.photos", "/", "//"},
		{"photos.s3.example.com", "http://photos.s3.example.com/a", GetObject, "photos", "a", "/a"},
		{"s3.example.com", "/bucket/key", GetObject, "bucket", "key", "/bucket/key"},
		{"example.com", "/bucket/key", GetObject, "bucket", "key", "/bucket/key"},
		{"elsewhere.org", "/bucket/key", GetObject, "bucket", "key", "/bucket/key"},
		{"[::1]:9000", "/bucket/key", GetObject, "bucket", "key", "/bucket/key"},
	} {
		r := newRequest(http.MethodGet, c.target)
		if c.host != "" {
			r.Host = c.host
		}
		got, err := Parse(r, testHosts)
		if err != nil || got.Op != c.op || got.Bucket != c.bucket || got.Key != c.key || got.RawPath != c.rawPath {
			t.Errorf("%s %s: got %v %q %q %q, %v", c.host, c.target, got.Op, got.Bucket, got.Key, got.RawPath, err)
		}
	}
}

func TestHostsFindTheBucket(t *testing.T) {
	for host, want := range map[string]string{
		"s3.example.com": "", "example.com": "", "a.s3.example.com": "a", "a.b.s3.example.com:80": "a.b", "A.S3.EXAMPLE.COM.": "a",
		"other.example.com": "other", "rb2.s3.localhost": "rb2", "s3.localhost:7480": "", "10.0.0.1": "", "10.0.0.1:80": "", "[fe80::1]:80": "", "[fe80::1]": "",
		"": "", ".s3.example.com": "", "xs3.example.com": "xs3", "s3.example.com.evil.org": "",
	} {
		if got := testHosts.Bucket(host); got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
	if got := (Hosts{}).Bucket("a.b.c"); got != "" {
		t.Errorf("no domains: got %q", got)
	}
}

func TestParseFindsTheOperation(t *testing.T) {
	for _, c := range []struct {
		method, target string
		op             Operation
	}{
		{"POST", "/bucket/key?uploads", CreateMultipartUpload},
		{"POST", "/bucket/key?uploads=", CreateMultipartUpload},
		{"POST", "/bucket/key?uploads&x-id=CreateMultipartUpload", CreateMultipartUpload},
		{"PUT", "/bucket/key?x-id=PutObject", PutObject},
		{"PUT", "/bucket/key?x-id=DeleteObject", PutObject}, // a hint, no more
		{"GET", "/bucket?uploads&prefix=a/b&delimiter=/", ListMultipartUploads},
		{"GET", "/bucket/?list-type=2&prefix=a%2Fb&start-after=", ListObjectsV2},
		{"GET", "/bucket?max-keys=1&marker=x&start-after=y", ListObjects},
		{"GET", "/bucket?versions=&key-marker=x", ListObjectVersions},
		{"PUT", "/bucket/key?partNumber=1&uploadId=a", UploadPart},
		{"PUT", "/bucket/key?uploadId=a&partNumber=10000", UploadPart},
		{"GET", "/bucket/key?uploadId=a&max-parts=2", ListParts},
		{"GET", "/bucket/key?partNumber=2&versionId=null", GetObject},
		{"GET", "/bucket/key?response-content-type=text%2Fplain", GetObject},
		{"HEAD", "/bucket/key?response-expires=x", HeadObject},
		{"GET", "/bucket/key?v=2&utm_source=mail", GetObject},
		{"HEAD", "/bucket/key?v=2", HeadObject},
		{"GET", "/bucket?analytics", ListBucketAnalyticsConfigurations},
		{"GET", "/bucket?analytics&id=x", GetBucketAnalyticsConfiguration},
		{"DELETE", "/bucket?intelligent-tiering&id=x", DeleteBucketIntelligentTieringConfiguration},
		{"POST", "/bucket/key?select&select-type=2", SelectObjectContent},
		{"GET", "/?x-id=ListBuckets", ListBuckets},
		{"GET", "/?x-id=ListDirectoryBuckets", ListDirectoryBuckets},
		{"GET", "/?max-directory-buckets=3", ListDirectoryBuckets},
		{"POST", "/bucket?delete", DeleteObjects},
		{"GET", "/?max-buckets=10000", ListBuckets},
		{"GET", "/bucket?list-type=2&metadata=true", ListObjectsV2}, // minio-go
		{"GET", "/bucket/key?%61cl", GetObjectAcl},
		{"GET", "/bucket?prefix=a;acl&delimiter=;", ListObjects},
		{"GET", "/bucket?bucket=bucket&key=a%2Fb&etag=%22e%22", ListObjects}, // where a form's redirect may lead
		{"OPTIONS", "/bucket/key?anything&at=all&%zz", CORSPreflight},
		{"OPTIONS", "*", CORSPreflight},
		{"GET", "/bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Date=b&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=c&X-Amz-Security-Token=d", GetObject},
		{"PUT", "/bucket/key?AWSAccessKeyId=a&Signature=b%3D&Expires=1", PutObject},
		{"PUT", "/bucket/key?tagging&AWSAccessKeyId=a&Signature=b%3D&Expires=1&versionId=v", PutObjectTagging},
	} {
		got, err := Parse(newRequest(c.method, c.target), testHosts)
		if err != nil || got.Op != c.op {
			t.Errorf("%s %s: got %v, %v", c.method, c.target, got.Op, err)
		}
		for name := range got.Query.All() {
			if isSignatureParam(name) || name == "x-id" || name == "v" || name == "utm_source" {
				t.Errorf("%s %s: kept %s", c.method, c.target, name)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("k", MaxKeyLength+1)
	for _, c := range []struct {
		method, target string
		want           *Error
	}{
		// What Ceph RGW takes for the operation underneath.
		{"PUT", "/bucket/key?append&position=0", ErrNotImplemented},
		{"PUT", "/bucket/key?unknown", ErrNotImplemented},
		{"PUT", "/bucket/key?unknown=1", ErrNotImplemented},
		{"PUT", "/bucket/key?v=2", ErrNotImplemented},
		{"DELETE", "/bucket?unknown", ErrNotImplemented},
		{"DELETE", "/bucket/key?unknown=1", ErrNotImplemented},
		{"GET", "/bucket?mdsearch", ErrNotImplemented},
		{"GET", "/bucket?usage", ErrNotImplemented},
		{"GET", "/bucket/key?layout", ErrNotImplemented},
		{"GET", "/bucket/key?layout=", ErrNotImplemented},
		{"GET", "/bucket/key?policy=1", ErrNotImplemented}, // a sub-resource, if of buckets
		{"GET", "/bucket?attributes", ErrNotImplemented},
		{"HEAD", "/bucket?read-stats", ErrNotImplemented},
		{"PUT", "/bucket/key?response-content-type=x", ErrNotImplemented},
		{"DELETE", "/bucket/key?response-content-type=x", ErrNotImplemented},
		{"GET", "/bucket?list-type=2&usage", ErrNotImplemented},
		{"GET", "/bucket?ACL", ErrNotImplemented},
		{"PUT", "/bucket/key?Tagging=", ErrNotImplemented},
		{"DELETE", "/bucket?id=x", ErrNotImplemented},
		{"GET", "/?max-buckets=0", ErrInvalidArgument},
		{"GET", "/?max-buckets=10001", ErrInvalidArgument},
		{"GET", "/?max-buckets=x", ErrInvalidArgument},
		{"GET", "/bucket/key?acl&response-content-type=x", ErrNotImplemented},
		{"POST", "/", ErrNotImplemented}, // STS and IAM

		{"PUT", "/bucket/key?partNumber=1", ErrInvalidArgument},
		{"PUT", "/bucket/key?uploadId=a", ErrMethodNotAllowed},
		{"HEAD", "/bucket/key?uploadId=a", ErrMethodNotAllowed},
		{"HEAD", "/bucket/key?acl", ErrMethodNotAllowed},
		{"GET", "/bucket/key?uploads", ErrInvalidRequest},
		{"GET", "/bucket/key?versions", ErrInvalidRequest},
		{"DELETE", "/bucket/key?acl", ErrMethodNotAllowed},
		{"POST", "/bucket/key", ErrMethodNotAllowed},
		{"PATCH", "/bucket/key", ErrMethodNotAllowed},
		{"TRACE", "/bucket", ErrMethodNotAllowed},
		{"get", "/bucket/key", ErrMethodNotAllowed},
		{"HEAD", "/", ErrMethodNotAllowed},
		{"PUT", "/", ErrMethodNotAllowed},
		{"POST", "/bucket", ErrPreconditionFailed},

		{"DELETE", "/bucket/key?uploadId=", ErrNoSuchUpload},
		{"DELETE", "/bucket/key?uploadId", ErrNoSuchUpload},
		{"PUT", "/bucket/key?uploadId&partNumber=1", ErrNoSuchUpload},
		{"GET", "/bucket/key?uploadId", ErrNoSuchUpload},
		{"POST", "/bucket/key?uploadId", ErrNoSuchUpload},

		{"GET", "/bucket/key?acl&tagging", ErrInvalidArgument},
		{"DELETE", "/bucket?policy&cors", ErrInvalidArgument},
		{"PUT", "/bucket/key?uploadId=a&partNumber=1&tagging", ErrInvalidArgument},
		{"GET", "/bucket/key?versionId=a&versionId=b", ErrInvalidArgument},
		{"GET", "/bucket?prefix=a&prefix=a", ErrInvalidArgument},
		{"GET", "/bucket?acl&acl", ErrInvalidArgument},
		{"GET", "/bucket/key?versionId", ErrInvalidArgument},
		{"GET", "/bucket/key?versionId=", ErrInvalidArgument},
		{"PUT", "/bucket/key?versionId=a", ErrInvalidArgument},
		{"GET", "/bucket?versionId=a", ErrInvalidArgument},
		{"PUT", "/bucket/key?partNumber=1&uploadId=a&versionId=b", ErrInvalidArgument},
		{"GET", "/bucket/key?partNumber=0", ErrInvalidArgument},
		{"GET", "/bucket/key?partNumber=10001", ErrInvalidArgument},
		{"GET", "/bucket/key?partNumber=", ErrInvalidArgument},
		{"GET", "/bucket/key?partNumber=%2B1", ErrInvalidArgument},
		{"PUT", "/bucket/key?partNumber=-1&uploadId=a", ErrInvalidArgument},
		{"PUT", "/bucket/key?partNumber=99999999999999999999&uploadId=a", ErrInvalidArgument},
		{"GET", "/bucket?partNumber=1", ErrInvalidRequest},
		{"DELETE", "/bucket/key?partNumber=1", ErrNotImplemented},
		{"GET", "/bucket?list-type=1", ErrInvalidArgument},
		{"GET", "/bucket?list-type", ErrInvalidArgument},
		{"GET", "/bucket?prefix=a%00b", ErrInvalidArgument},
		{"PUT", "/bucket/key?x-amz-acl=a%0Db", ErrInvalidArgument},

		{"GET", "/bucket/key%", ErrInvalidURI},
		{"GET", "/bucket/key%2", ErrInvalidURI},
		{"GET", "/bucket/key%zz", ErrInvalidURI},
		{"GET", "/buck%et/key", ErrInvalidURI},
		{"GET", "/bucket/key?prefix=%", ErrInvalidURI},
		{"GET", "/bucket/a%00b", ErrInvalidURI},
		{"GET", "/bucket/%FF", ErrInvalidURI},
		{"GET", "bucket/key", ErrInvalidURI},
		{"GET", "", ErrInvalidURI},
		{"CONNECT", "host:443", ErrInvalidURI},
		{"GET", "/bucket/" + long, ErrKeyTooLongError},
		{"GET", "/bucket/%41" + long, ErrKeyTooLongError},
		{"GET", "//key", ErrInvalidBucketName},
		{"GET", "//", ErrInvalidBucketName},
		{"GET", "/ab", ErrInvalidBucketName},
		{"GET", "/a%2Fb/key", ErrInvalidBucketName},
		{"GET", "/tenant:bucket/key", ErrInvalidBucketName},
		{"GET", "/.../key", ErrInvalidBucketName},
		{"GET", "/10.0.0.1/key", ErrInvalidBucketName},
		{"GET", "/" + strings.Repeat("b", 256), ErrInvalidBucketName},
	} {
		call, err := Parse(newRequest(c.method, c.target), testHosts)
		var s3 *Error
		if !errors.As(err, &s3) || !errors.Is(err, c.want) {
			t.Errorf("%s %.60s: got %v, %v, want %s", c.method, c.target, call.Op, err, c.want.Code)
		} else if s3.Status != c.want.Status {
			t.Errorf("%s %.60s: status %d", c.method, c.target, s3.Status)
		}
	}
}

func TestParseUsesTheWordsOfAWS(t *testing.T) {
	for _, c := range []struct {
		method, target, message string
		fields                  [][2]string
	}{
		{"GET", "/bucket/key?tagging&acl", "Conflicting query string parameters: acl, tagging", [][2]string{{"ArgumentName", "ResourceType"}, {"ArgumentValue", "acl"}}},
		{"PUT", "/bucket/key?partNumber=7", "This operation does not accept partNumber without uploadId", [][2]string{{"ArgumentName", "partNumber"}, {"ArgumentValue", "7"}}},
		{"GET", "/bucket/key?versionId=", "Version id cannot be the empty string", [][2]string{{"ArgumentName", "versionId"}, {"ArgumentValue", ""}}},
		{"GET", "/bucket?partNumber=1", "Object must have a valid key name.", nil},
		{"PUT", "/bucket/key?acl&versionId=x&uploadId=y", "Conflicting query string parameters: acl, uploadId", [][2]string{{"ArgumentName", "ResourceType"}, {"ArgumentValue", "acl"}}},
		{"HEAD", "/bucket/key?tagging", "The specified method is not allowed against this resource.", [][2]string{{"Method", "HEAD"}, {"ResourceType", "TAGGING"}}},
	} {
		_, err := Parse(newRequest(c.method, c.target), testHosts)
		var s3 *Error
		if !errors.As(err, &s3) || s3.Message != c.message || !equalFields(s3.Fields, c.fields) {
			t.Errorf("%s %s: got %+v", c.method, c.target, s3)
		}
	}
	_, err := Parse(newRequest("HEAD", "/bucket/key?tagging"), testHosts)
	var s3 *Error
	if !errors.As(err, &s3) || s3.Header.Get("Allow") != "GET, PUT, DELETE" {
		t.Errorf("Allow: got %+v", s3)
	}
}

func equalFields(a, b [][2]string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestParseTellsCopiesByTheirHeader(t *testing.T) {
	for _, c := range []struct {
		method, target, source string
		op                     Operation
		want                   *Error
	}{
		{"PUT", "/bucket/key", "bucket/source", CopyObject, nil},
		{"PUT", "/bucket/key", "", CopyObject, nil}, // an empty header is no ordinary PUT; reading the source refuses it
		{"PUT", "/bucket/key?partNumber=1&uploadId=a", "bucket/source", UploadPartCopy, nil},
		{"PUT", "/bucket/key?partNumber=1", "bucket/source", 0, ErrInvalidArgument},
		{"PUT", "/bucket/key?tagging", "bucket/source", 0, ErrInvalidArgument},
		{"PUT", "/bucket", "bucket/source", 0, ErrInvalidArgument},
		{"POST", "/bucket/key?uploads", "bucket/source", 0, ErrInvalidArgument},
		{"GET", "/bucket/key", "bucket/source", 0, ErrInvalidArgument},
	} {
		r := newRequest(c.method, c.target)
		r.Header["X-Amz-Copy-Source"] = []string{c.source}
		call, err := Parse(r, testHosts)
		if c.want == nil && (err != nil || call.Op != c.op) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s %s: got %v, %v", c.method, c.target, call.Op, err)
		}
	}
}

func TestParseMovesHeadersOutOfTheQuery(t *testing.T) {
	r := newRequest("PUT", "/bucket/key?X-Amz-Meta-A=1&x-amz-acl=private&X-Amz-Signature=s")
	sent := r.Header
	call, err := Parse(r, testHosts)
	if err != nil || call.Op != PutObject || call.Query.Len() != 0 {
		t.Fatalf("got %+v, %v", call, err)
	}
	if call.Header.Get("x-amz-meta-a") != "1" || call.Header.Get("x-amz-acl") != "private" || call.Header.Get("x-amz-signature") != "" {
		t.Errorf("headers: %v", call.Header)
	}
	if len(sent) != 0 {
		t.Error("the request's own headers were changed")
	}

	copying, err := Parse(newRequest("PUT", "/bucket/key?x-amz-copy-source=bucket%2Fother"), testHosts)
	if err != nil || copying.Op != CopyObject {
		t.Errorf("copy source in the query: %v, %v", copying.Op, err)
	}

	r = newRequest("PUT", "/bucket/key?x-amz-acl=private")
	r.Header.Set("x-amz-acl", "public-read")
	if _, err := Parse(r, testHosts); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("two values: %v", err)
	}
}

func TestParseRefusesRangeWithPartNumber(t *testing.T) {
	r := newRequest("GET", "/bucket/key?partNumber=1")
	r.Header.Set("Range", "bytes=0-1")
	if _, err := Parse(r, testHosts); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("got %v", err)
	}
	r.RequestURI = "/bucket/key?partNumber=12"
	r.Header.Del("Range")
	if call, err := Parse(r, testHosts); err != nil || call.PartNumber() != 12 {
		t.Errorf("got %+v, %v", call, err)
	}
}

func TestParseKnowsForms(t *testing.T) {
	r := newRequest("POST", "/bucket")
	r.Header.Set("Content-Type", `multipart/form-data; boundary="x"`)
	if call, err := Parse(r, testHosts); err != nil || call.Op != PostObject {
		t.Errorf("got %v, %v", call.Op, err)
	}
}

func TestValidBucketName(t *testing.T) {
	for name, want := range map[string]bool{
		"abc": true, "a-b": true, "a.b.c": true, "Old_Bucket": true, "123": true, "1.2.3": true, "1.2.3.4.5": true, "1..2.3": true,
		"-ab": true, "_ab": true, ".ab": true, strings.Repeat("a", 255): true,
		"": false, "ab": false, "...": false, "1.2.3.4": false, "255.255.255.255": false, "a b": false, "a/b": false, "a:b": false,
		"b\u00fccket": false, "a\x00b": false, strings.Repeat("a", 256): false,
	} {
		if got := ValidBucketName(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
}
