package proxy_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/checksum"
	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// passing lets the buckets whose name begins with "pass" serve unsealed objects.
func passing() siteConfig {
	return siteConfig{keysOverHTTP: true, policy: func(name string) proxy.BucketPolicy {
		return proxy.BucketPolicy{PassUnsealed: strings.HasPrefix(name, "pass")}
	}}
}

// layOld puts objects on the storage as they were before cofre came: of one PUT, without bytes, in parts.
func (s *storage) layOld(t *testing.T, b string) map[string][]byte {
	t.Helper()
	bodies := map[string][]byte{"old": []byte("laid here before cofre came"), "empty": {}, "short": []byte("c"), "parts": pattern(5<<20 + 9)}
	for _, key := range []string{"old", "empty", "short"} {
		s.rawPut(t, b, key, bodies[key], map[string]string{"how": "raw"})
	}
	up, err := s.raw.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("parts")})
	if err != nil {
		t.Fatal(err)
	}
	var done []types.CompletedPart
	for i, body := range [][]byte{bodies["parts"][:5<<20], bodies["parts"][5<<20:]} {
		n := aws.Int32(int32(i + 1))
		out, err := s.raw.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &b, Key: str("parts"), UploadId: up.UploadId, PartNumber: n, Body: bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: n})
	}
	if _, err := s.raw.CompleteMultipartUpload(t.Context(), completeInput(b, "parts", *up.UploadId, done)); err != nil {
		t.Fatal(err)
	}
	return bodies
}

// TestUnsealedObjectsAreReadLikeAnyOther in a bucket that passes them: ETag and size everywhere, parts, ranges, conditions.
func TestUnsealedObjectsAreReadLikeAnyOther(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, passing())
		b := s.bucket(t, "pass-read")
		for key, body := range st.layOld(t, b) {
			seen := s.wantEverywhere(t, b, key, body)
			if raw, _ := st.rawObject(t, b, key); *raw.ETag != seen.ETag {
				t.Errorf("%q: ETag %s, on the storage %s", key, seen.ETag, *raw.ETag)
			}
			if len(body) < 20 {
				continue
			}
			s.readOld(t, b, key, body, seen.ETag)
		}
		for _, c := range []struct {
			key, header string
			status      int
		}{{"empty", "bytes=0-", 416}, {"empty", "bytes=-1", 200}, {"short", "bytes=0-9", 206}, {"short", "bytes=1-", 416}} {
			if got := s.send(t, request{method: "GET", bucket: b, key: c.key, header: map[string]string{"Range": c.header}}); got.status != c.status {
				t.Errorf("%s of %q: %d, want %d", c.header, c.key, got.status, c.status)
			}
		}
	})
}

func (s *site) readOld(t *testing.T, b, key string, body []byte, etag string) {
	t.Helper()
	n := len(body)
	for _, c := range []struct {
		query, name, value string
		status             int
		from, to           int // of the body, where there is one
	}{
		{"", "Range", "bytes=3-7", 206, 3, 7},
		{"", "Range", "bytes=-5", 206, n - 5, n - 1},
		{"", "Range", fmt.Sprintf("bytes=%d-", n), 416, 0, -1},
		{"", "If-Match", etag, 200, 0, n - 1},
		{"", "If-Match", `"other"`, 412, 0, -1},
		{"", "If-None-Match", etag, 304, 0, -1},
		{"", "If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT", 304, 0, -1},
		{"", "If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", 412, 0, -1},
		{"partNumber=1", "If-Match", etag, 206, 0, n - 1},
		{"partNumber=2", "If-Match", etag, 416, 0, -1},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			name := strings.Join([]string{method, key, c.query, c.name, c.value}, " ")
			got := s.send(t, request{method: method, bucket: b, key: key, query: c.query, header: map[string]string{c.name: c.value}})
			want, rng := body[c.from:c.to+1], ""
			switch {
			case c.status == 206:
				rng = fmt.Sprintf("bytes %d-%d/%d", c.from, c.to, n)
			case c.status == 416 && c.query == "" && method == "GET":
				rng = fmt.Sprintf("bytes */%d", n)
			}
			if got.status != c.status || got.header.Get("Content-Range") != rng && method == "GET" {
				t.Errorf("%s: %d with Content-Range %q, want %d with %q", name, got.status, got.header.Get("Content-Range"), c.status, rng)
			}
			if got.status >= 300 {
				continue
			}
			if got.header.Get("ETag") != etag || got.header.Get("Content-Length") != fmt.Sprint(len(want)) || method == "GET" && !bytes.Equal(got.body, want) {
				t.Errorf("%s: %d bytes, %v", name, len(got.body), got.header)
			}
		}
	}
}

// TestCopiesOfUnsealedObjectsAreSealed by CopyObject and by UploadPartCopy, under the conditions of the request.
func TestCopiesOfUnsealedObjectsAreSealed(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, passing())
		from, to := s.bucket(t, "pass-copies"), s.bucket(t, "sealed-copies")
		bodies := st.layOld(t, from)
		for key, body := range bodies {
			s.send(t, request{method: "PUT", bucket: to, key: key, header: map[string]string{"X-Amz-Copy-Source": from + "/" + key}}).want(t, 200, "")
			s.wantEverywhere(t, to, key, body)
			if _, stored := st.rawObject(t, to, key); !bytes.HasPrefix(stored, []byte("cofre\x01")) {
				t.Errorf("the copy of %q is not sealed", key)
			}
		}
		s.copyOldParts(t, from, to, bodies)
		s.copyOldTags(t, from, to)
	})
}

// copyOldTags wants the tags of an unsealed object, or those of the request, on its copy.
func (s *site) copyOldTags(t *testing.T, from, to string) {
	t.Helper()
	doc := "<Tagging><TagSet><Tag><Key>of</Key><Value>source</Value></Tag></TagSet></Tagging>"
	s.send(t, request{method: "PUT", bucket: from, key: "old", query: "tagging=", payload: sigv4test.Payload{Data: []byte(doc), Checksum: checksum.CRC32C}}).want(t, 200, "")
	for want, header := range map[string]map[string]string{"source": {}, "request": {"X-Amz-Tagging-Directive": "REPLACE", "X-Amz-Tagging": "of=request"}} {
		header["X-Amz-Copy-Source"] = from + "/old"
		s.send(t, request{method: "PUT", bucket: to, key: "tagged", header: header}).want(t, 200, "")
		if got := s.send(t, request{method: "GET", bucket: to, key: "tagged", query: "tagging="}).want(t, 200, ""); textOf(got.body, "Value") != want {
			t.Errorf("tags of the copy: %s, want %s", got.body, want)
		}
	}
}

func (s *site) copyOldParts(t *testing.T, from, to string, bodies map[string][]byte) {
	t.Helper()
	up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &to, Key: str("joined")})
	if err != nil {
		t.Fatal(err)
	}
	part := func(n int, source string, header map[string]string) reply {
		all := map[string]string{"X-Amz-Copy-Source": from + "/" + source}
		for name, v := range header {
			all[name] = v
		}
		return s.send(t, request{method: "PUT", bucket: to, key: "joined", query: fmt.Sprintf("partNumber=%d&uploadId=%s", n, *up.UploadId), header: all})
	}
	etag := s.send(t, request{method: "HEAD", bucket: from, key: "parts"}).want(t, 200, "").header.Get("ETag")
	n := len(bodies["parts"])
	part(1, "parts", map[string]string{"X-Amz-Copy-Source-If-Match": `"other"`}).want(t, 412, "PreconditionFailed")
	part(1, "parts", map[string]string{"X-Amz-Copy-Source-If-None-Match": etag}).want(t, 412, "PreconditionFailed")
	part(1, "parts", map[string]string{"X-Amz-Copy-Source-Range": fmt.Sprintf("bytes=1-%d", n)}).want(t, 400, "InvalidArgument")
	part(1, "empty", map[string]string{"X-Amz-Copy-Source-Range": "bytes=0-0"}).want(t, 400, "InvalidRequest")

	var done []types.CompletedPart
	take := func(r reply) {
		t.Helper()
		var doc struct{ ETag string }
		if err := xml.Unmarshal(r.want(t, 200, "").body, &doc); err != nil {
			t.Fatal(err)
		}
		done = append(done, types.CompletedPart{ETag: &doc.ETag, PartNumber: aws.Int32(int32(len(done) + 1))})
	}
	take(part(1, "parts", map[string]string{"X-Amz-Copy-Source-If-Match": etag}))
	take(part(2, "parts", map[string]string{"X-Amz-Copy-Source-Range": fmt.Sprintf("bytes=2-%d", 5<<20+7)}))
	take(part(3, "empty", nil))
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(to, "joined", *up.UploadId, done)); err != nil {
		t.Fatal(err)
	}
	s.wantEverywhere(t, to, "joined", append(bytes.Clone(bodies["parts"]), bodies["parts"][2:5<<20+8]...))
}

// TestAWriteOverAnUnsealedObjectSealsIt, also under a condition on what lies there.
func TestAWriteOverAnUnsealedObjectSealsIt(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, passing())
		b := s.bucket(t, "pass-writes")
		st.layOld(t, b)
		etag := s.send(t, request{method: "HEAD", bucket: b, key: "old"}).want(t, 200, "").header.Get("ETag")
		s.putRaw(t, b, "old", []byte("new"), map[string]string{"If-None-Match": "*"}).want(t, 412, "PreconditionFailed")
		s.putRaw(t, b, "old", []byte("new"), map[string]string{"If-Match": `"other"`}).want(t, 412, "PreconditionFailed")
		s.putRaw(t, b, "old", []byte("new"), map[string]string{"If-Match": etag}).want(t, 200, "")
		s.wantEverywhere(t, b, "old", []byte("new"))
		if _, stored := st.rawObject(t, b, "old"); bytes.Contains(stored, []byte("new")) {
			t.Error("the object that was written lies in clear")
		}
		// A copy onto itself is how a bucket is sealed object by object.
		s.send(t, request{method: "PUT", bucket: b, key: "short", header: map[string]string{"X-Amz-Copy-Source": b + "/short", "X-Amz-Metadata-Directive": "REPLACE"}}).want(t, 200, "")
		s.wantEverywhere(t, b, "short", []byte("c"))
		if _, stored := st.rawObject(t, b, "short"); !bytes.HasPrefix(stored, []byte("cofre\x01")) {
			t.Error("a copy onto itself did not seal the object")
		}
	})
}

// reads are all the ways to read an object, with what they write to "copy" or to a part of an upload to "joined".
func reads(b, key, uploadID string) map[string]request {
	source := map[string]string{"X-Amz-Copy-Source": b + "/" + key}
	return map[string]request{
		"GET":                 {method: "GET", bucket: b, key: key},
		"HEAD":                {method: "HEAD", bucket: b, key: key},
		"range":               {method: "GET", bucket: b, key: key, header: map[string]string{"Range": "bytes=0-3"}},
		"part":                {method: "GET", bucket: b, key: key, query: "partNumber=1"},
		"GetObjectAttributes": {method: "GET", bucket: b, key: key, query: "attributes=", header: map[string]string{"X-Amz-Object-Attributes": "ETag"}},
		"CopyObject":          {method: "PUT", bucket: b, key: "copy", header: source},
		"UploadPartCopy":      {method: "PUT", bucket: b, key: "joined", query: "partNumber=1&uploadId=" + uploadID, header: source},
	}
}

// TestUnsealedObjectsAreRefusedOnEveryWay where the bucket does not pass them, where one lies in the place of a sealed
// object, and where a customer's key is said to have locked it.
func TestUnsealedObjectsAreRefusedOnEveryWay(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, passing())
		shut, open := s.bucket(t, "shut"), s.bucket(t, "pass-swapped")
		st.layOld(t, shut)
		s.put(t, open, "swapped", []byte("sealed"))
		st.rawPut(t, open, "swapped", []byte("what the storage made"), nil)
		for _, c := range []struct {
			bucket, key string
			status      int
			code        string
		}{{shut, "old", 403, "AccessDenied"}, {shut, "empty", 403, "AccessDenied"}, {open, "swapped", 500, "InternalError"}} {
			id, _ := s.upload(t, c.bucket, "joined", []byte("x"))
			for name, rq := range reads(c.bucket, c.key, id) {
				got := s.send(t, rq)
				if got.status != c.status || got.code != c.code && rq.method != "HEAD" || got.header.Get("ETag") != "" {
					t.Errorf("%s of %s/%s: %d %s, want %d %s", name, c.bucket, c.key, got.status, got.code, c.status, c.code)
				}
			}
			s.send(t, request{method: "HEAD", bucket: c.bucket, key: "copy"}).want(t, 404, "")
		}
		// A sync tool deletes what it does not see, so it is listed all the same.
		if got := s.listed(t, shut, "list-type=2", "old"); got.Size != 27 {
			t.Errorf("listed as %+v", got)
		}
		mine := newCustomer()
		st.rawPut(t, open, "old", []byte("in clear"), nil)
		if _, err := s.getWith(t, open, "old", mine); err == nil {
			t.Error("a customer's key opened an object that lies in clear")
		}
		locked := map[string]string{"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256", "X-Amz-Server-Side-Encryption-Customer-Key": *mine.key, "X-Amz-Server-Side-Encryption-Customer-Key-Md5": *mine.sum}
		locked["X-Amz-Object-Attributes"] = "ETag"
		s.send(t, request{method: "GET", bucket: open, key: "old", query: "attributes=", header: locked}).want(t, 400, "InvalidRequest")
	})
}

// TestAnUnsealedObjectThatIsReplacedIsNotMixed has the object change between the first look at it and the body.
func TestAnUnsealedObjectThatIsReplacedIsNotMixed(t *testing.T) {
	cfg := passing()
	s, m := meddled(t, cfg)
	b := s.bucket(t, "pass-replaced")
	for _, name := range []string{"GET", "CopyObject", "UploadPartCopy"} {
		s.rawPut(t, b, "old", bytes.Repeat([]byte("first"), 100), nil)
		id, _ := s.upload(t, b, "joined", []byte("x"))
		rq := reads(b, "old", id)[name]
		calls := 0
		m.after = func(brq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
			if brq.Key == "old" {
				if calls++; calls == 1 {
					s.rawPut(t, b, "old", []byte("second"), nil)
				}
			}
			return resp, err
		}
		if got := s.send(t, rq); got.status != 503 && string(got.body) != "second" || bytes.Contains(got.body, []byte("first")) {
			t.Errorf("%s: %d %s %.100s", name, got.status, got.code, got.body)
		}
		m.after = nil
	}
}

// TestPlaintextInPlaceOfASealedObjectIsAFinding where such objects are refused in any case too: somebody put it there.
func TestPlaintextInPlaceOfASealedObjectIsAFinding(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "swapped")
		s.put(t, b, "k", []byte("sealed"))
		for _, key := range []string{"k", "stranger"} {
			must(s.raw.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: &key, Body: bytes.NewReader([]byte("plaintext"))}))
		}
		got := s.send(t, request{method: "GET", bucket: b, key: "k"}).want(t, 500, "InternalError")
		if detail := fmt.Sprint(s.logged(got.header.Get("X-Amz-Request-Id"), "detail")); !strings.Contains(detail, "unsealed") {
			t.Errorf("the log says %q", detail)
		}
		s.send(t, request{method: "HEAD", bucket: b, key: "k"}).want(t, 500, "")
		if n := s.findings(t, "unsealed"); n != 2 {
			t.Errorf("%v findings were counted", n)
		}
		got = s.send(t, request{method: "GET", bucket: b, key: "stranger"}).want(t, 403, "AccessDenied")
		if detail := fmt.Sprint(s.logged(got.header.Get("X-Amz-Request-Id"), "detail")); !strings.Contains(detail, "object is not sealed") {
			t.Errorf("the log says %q", detail)
		}
		if n := s.findings(t, "unsealed"); n != 2 {
			t.Errorf("%v findings were counted: what was never sealed is none", n)
		}
	})
}
