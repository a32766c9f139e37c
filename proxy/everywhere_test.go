package proxy_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/proxy"
	"cofre/sigv4/sigv4test"
)

// sight is what one way of looking at an object says of it.
type sight struct {
	ETag string // as HEAD writes it, quoted
	Size int64
}

// listedObject is an entry of any listing of objects.
type listedObject struct {
	Key  string
	ETag string
	Size int64
}

// listingPage is the page of a listing of objects or versions, in any of the three forms.
type listingPage struct {
	Contents, Version []listedObject
}

// wantEverywhere fails unless every operation that shows an object's ETag and size shows the same: GET, HEAD, both listings,
// the versions, GetObjectAttributes. It gives what they show.
func (s *site) wantEverywhere(t *testing.T, bucket, key string, body []byte) sight {
	t.Helper()
	head := s.send(t, request{method: "HEAD", bucket: bucket, key: key}).want(t, 200, "")
	want := sight{head.header.Get("ETag"), int64(len(body))}
	seen := map[string]sight{"HEAD": {want.ETag, number(t, head.header.Get("Content-Length"))}}

	got := s.send(t, request{method: "GET", bucket: bucket, key: key}).want(t, 200, "")
	if !bytes.Equal(got.body, body) {
		t.Errorf("%q came back as %d other bytes", key, len(got.body))
	}
	seen["GET"] = sight{got.header.Get("ETag"), number(t, got.header.Get("Content-Length"))}
	for name, query := range map[string]string{"ListObjects": "", "ListObjectsV2": "list-type=2", "ListObjectVersions": "versions="} {
		seen[name] = s.listed(t, bucket, query+"&prefix="+escaped(key), key)
	}
	attributes := s.send(t, request{method: "GET", bucket: bucket, key: key, query: "attributes=", header: map[string]string{"X-Amz-Object-Attributes": "ETag,ObjectSize,StorageClass"}}).want(t, 200, "")
	var doc struct {
		ETag         string
		ObjectSize   int64
		StorageClass string
	}
	if err := xml.Unmarshal(attributes.body, &doc); err != nil || doc.StorageClass != "STANDARD" {
		t.Errorf("attributes of %q: %v: %s", key, err, attributes.body)
	}
	seen["GetObjectAttributes"] = sight{`"` + doc.ETag + `"`, doc.ObjectSize}
	for name, got := range seen {
		if got != want || len(want.ETag) < 34 {
			t.Errorf("%s of %q shows %+v, want %+v", name, key, got, want)
		}
	}
	return want
}

// listed finds an object in a listing; of its versions the first, which is the latest.
func (s *site) listed(t *testing.T, bucket, query, key string) sight {
	t.Helper()
	got := s.send(t, request{method: "GET", bucket: bucket, query: strings.TrimPrefix(query, "&")}).want(t, 200, "")
	var page listingPage
	if err := xml.Unmarshal(got.body, &page); err != nil {
		t.Fatalf("listing %s: %v", query, err)
	}
	for _, e := range append(page.Contents, page.Version...) {
		if e.Key == key {
			return sight{e.ETag, e.Size}
		}
	}
	return sight{}
}

// enableVersioning gives a bucket versions from now on.
func (s *site) enableVersioning(t *testing.T, bucket string) {
	t.Helper()
	doc := `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`
	s.send(t, request{method: "PUT", bucket: bucket, query: "versioning=", payload: sigv4test.Payload{Data: []byte(doc)}}).want(t, 200, "")
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// uploadTwo makes an object of two parts, by copying the second out of an object if there is a source. It gives the ETags
// of the parts and of the whole, as the answers name them.
func (s *site) uploadTwo(t *testing.T, bucket, key string, first, second []byte, source string) (parts []string, whole string) {
	t.Helper()
	up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key, Metadata: map[string]string{"how": "in parts"}, ContentType: str("text/parts")})
	if err != nil {
		t.Fatal(err)
	}
	one, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(first)})
	if err != nil {
		t.Fatal(err)
	}
	parts = append(parts, *one.ETag)
	if source == "" {
		two, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(2), Body: bytes.NewReader(second)})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, *two.ETag)
	} else {
		two, err := s.client.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(2), CopySource: &source})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, *two.CopyPartResult.ETag)
	}
	list, err := s.client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId})
	if err != nil {
		t.Fatal(err)
	}
	var done []types.CompletedPart
	for i, p := range list.Parts {
		if *p.ETag != parts[i] {
			t.Errorf("ListParts shows part %d with %s, its upload was answered %s", *p.PartNumber, *p.ETag, parts[i])
		}
		done = append(done, types.CompletedPart{ETag: p.ETag, PartNumber: p.PartNumber})
	}
	out, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(bucket, key, *up.UploadId, done))
	if err != nil {
		t.Fatal(err)
	}
	return parts, *out.ETag
}

// TestAnObjectLooksTheSameEverywhere holds each kind of bucket to one ETag and one size per object: in the answer to the
// write, and wherever it is shown after; by the process that wrote it and by one that has to make the record anew.
func TestAnObjectLooksTheSameEverywhere(t *testing.T) {
	t.Parallel()
	policies := map[string]proxy.BucketPolicy{
		"default": {}, "opaque": {ETag: proxy.ETagOpaque}, "clear": {ClearAttributes: true},
		"opaque-clear": {ETag: proxy.ETagOpaque, ClearAttributes: true},
	}
	eachStorage(t, func(t *testing.T, st *storage) {
		for name, policy := range policies {
			cfg := siteConfig{policy: func(string) proxy.BucketPolicy { return policy }}
			s := newSite(t, st, cfg)
			b := s.bucket(t, "everywhere-"+name)
			bodies, written := s.writeEveryWay(t, b)
			cfg.identity = s.identity
			for who, reader := range map[string]*site{"writer": s, "fresh process": newSite(t, st, cfg)} {
				for key, body := range bodies {
					if got := reader.wantEverywhere(t, b, key, body); got.ETag != written[key] {
						t.Errorf("%s bucket, %s: %q has %s, its write was answered %s", name, who, key, got.ETag, written[key])
					}
					reader.wantCondition(t, b, key, written[key])
				}
			}
			for key, etag := range written {
				whole, parts, multi := strings.Cut(strings.Trim(etag, `"`), "-")
				switch opaque := policy.ETag == proxy.ETagOpaque; {
				case len(whole) != 32, multi && key != "parts" && key != "joined" && !opaque:
					t.Errorf("%s bucket: %q has ETag %s", name, key, etag)
				case opaque && !multi:
					t.Errorf("%s bucket: %q has ETag %s, which tools take for an MD5", name, key, etag)
				case (key == "parts" || key == "joined") && parts != "2":
					t.Errorf("%s bucket: %q has ETag %s, of two parts", name, key, etag)
				}
			}
		}
	})
}

// writeEveryWay writes objects by every operation that makes one, and gives the bodies and the ETags of the answers.
func (s *site) writeEveryWay(t *testing.T, b string) (bodies map[string][]byte, written map[string]string) {
	t.Helper()
	large, small := pattern(5<<20), pattern(70_000)
	bodies = map[string][]byte{
		"put": small, "empty": {}, "copy": small, "replaced": small, "parts": append(bytes.Clone(large), small...),
		"joined": append(bytes.Clone(large), small...),
	}
	written = map[string]string{}
	header := map[string]string{"Content-Type": "text/x", "Content-Encoding": "aws-chunked,gzip", "X-Amz-Meta-Foo": "Bar", "Cache-Control": "no-store"}
	for _, key := range []string{"put", "empty"} {
		written[key] = s.putRaw(t, b, key, bodies[key], header).want(t, 200, "").header.Get("ETag")
	}
	for key, more := range map[string]map[string]string{"copy": {}, "replaced": {"X-Amz-Metadata-Directive": "REPLACE", "X-Amz-Meta-Foo": "Bar", "Content-Type": "text/x", "Content-Encoding": "gzip", "Cache-Control": "no-store"}} {
		more["X-Amz-Copy-Source"] = b + "/put"
		got := s.send(t, request{method: "PUT", bucket: b, key: key, header: more}).want(t, 200, "")
		var doc struct{ ETag string }
		if err := xml.Unmarshal(got.body, &doc); err != nil {
			t.Fatal(err)
		}
		written[key] = doc.ETag
	}
	for _, key := range []string{"put", "empty", "copy", "replaced"} {
		got := s.send(t, request{method: "HEAD", bucket: b, key: key}).want(t, 200, "")
		for name, want := range map[string]string{"Content-Type": "text/x", "Content-Encoding": "gzip", "X-Amz-Meta-Foo": "Bar", "Cache-Control": "no-store"} {
			if got.header.Get(name) != want {
				t.Errorf("%s of %q is %q, want %q", name, key, got.header.Get(name), want)
			}
		}
	}
	_, written["parts"] = s.uploadTwo(t, b, "parts", large, small, "")
	_, written["joined"] = s.uploadTwo(t, b, "joined", large, nil, b+"/put")
	for _, key := range []string{"parts", "joined"} {
		got := s.send(t, request{method: "HEAD", bucket: b, key: key}).want(t, 200, "")
		if got.header.Get("Content-Type") != "text/parts" || got.header.Get("X-Amz-Meta-How") != "in parts" {
			t.Errorf("HEAD of %q: %v", key, got.header)
		}
	}
	return bodies, written
}

// wantCondition uses an ETag as clients do that have it from an answer or a listing.
func (s *site) wantCondition(t *testing.T, bucket, key, etag string) {
	t.Helper()
	for _, c := range []struct {
		name, value string
		status      int
	}{{"If-Match", etag, 200}, {"If-None-Match", etag, 304}, {"If-Match", `"00000000000000000000000000000000"`, 412}} {
		if got := s.send(t, request{method: "GET", bucket: bucket, key: key, header: map[string]string{c.name: c.value}}); got.status != c.status {
			t.Errorf("%q with %s: %s: %d, want %d", key, c.name, c.value, got.status, c.status)
		}
	}
	up := fmt.Sprintf("%s/%s", bucket, key)
	if got := s.send(t, request{method: "PUT", bucket: bucket, key: "conditional", header: map[string]string{"X-Amz-Copy-Source": up, "X-Amz-Copy-Source-If-None-Match": etag}}); got.code != "PreconditionFailed" {
		t.Errorf("a copy of %q unless %s: %d %s", key, etag, got.status, got.code)
	}
}
