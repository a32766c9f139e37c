package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/proxy"
	"cofre/s3api"
	"cofre/seal"
)

// TestAnotherVersionIsNotTakenForTheOneAskedFor has the storage answer with one version, as it is, where another was asked for.
func TestAnotherVersionIsNotTakenForTheOneAskedFor(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "exchange")
	if _, err := s.client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &b, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	first, second := *s.put(t, b, "k", []byte("first")).VersionId, *s.put(t, b, "k", []byte("second")).VersionId
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		if rq.Key == "k" && rq.Query.Get("versionId") == second {
			rq.Query.Set("versionId", first)
			rq.Header.Del("If-Match")
		}
		return nil, nil, false
	}
	_, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("k"), VersionId: &second})
	wantCode(t, err, "InternalError")
}

// TestAReaderGoesOnWhereTheBackendBrokeOff cuts every answer after some bytes; the client gets the whole object.
func TestAReaderGoesOnWhereTheBackendBrokeOff(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "resume")
	body := pattern(20*seal.ChunkSize + 77)
	s.put(t, b, "k", body)
	var opened, closed atomic.Int32
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		if err == nil && rq.Method == http.MethodGet && rq.Key == "k" {
			opened.Add(1)
			resp.Body = &cut{ReadCloser: resp.Body, left: 100_000, closed: &closed}
		}
		return resp, err
	}
	got := s.send(t, request{method: "GET", bucket: b, key: "k"}).want(t, 200, "")
	if got.cut != nil || !bytes.Equal(got.body, body) {
		t.Fatalf("%d bytes, %v", len(got.body), got.cut)
	}
	if opened.Load() < 10 || opened.Load() != closed.Load() {
		t.Errorf("%d answers were opened and %d closed", opened.Load(), closed.Load())
	}
	got = s.send(t, request{method: "GET", bucket: b, key: "k", header: map[string]string{"Range": "bytes=70000-900000"}}).want(t, 206, "")
	if got.cut != nil || !bytes.Equal(got.body, body[70000:900001]) {
		t.Fatalf("range: %d bytes, %v", len(got.body), got.cut)
	}
	// An object that is replaced meanwhile ends the answer short, never mixed.
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		if err == nil && rq.Method == http.MethodGet && rq.Key == "k" {
			resp.Body = &cut{ReadCloser: resp.Body, left: 200_000, closed: &closed, atCut: func() {
				m.after = nil
				s.put(t, b, "k", pattern(30*seal.ChunkSize))
			}}
		}
		return resp, err
	}
	if got := s.send(t, request{method: "GET", bucket: b, key: "k"}); got.cut == nil || !bytes.HasPrefix(body, got.body) {
		t.Errorf("an object replaced under its reader came as %d clean bytes", len(got.body))
	}
}

// cut breaks a stream after some bytes.
type cut struct {
	io.ReadCloser
	left   int
	closed *atomic.Int32
	shut   bool
	atCut  func()
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		if c.atCut != nil {
			c.atCut()
			c.atCut = nil
		}
		return 0, proxy.ErrBackendUnavailable
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *cut) Close() error {
	if !c.shut {
		c.shut = true
		c.closed.Add(1)
	}
	return c.ReadCloser.Close()
}

// TestATruncatedObjectIsAnErrorBeforeTheFirstByte also for ranges, HEAD and readers that know the object.
func TestATruncatedObjectIsAnErrorBeforeTheFirstByte(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "short")
	s.put(t, b, "k", pattern(3*seal.ChunkSize))
	raw, sealed := s.rawObject(t, b, "k")
	for _, stored := range [][]byte{sealed[:seal.ChunkSize+200], append(bytes.Clone(sealed), 1)} {
		s.rawPut(t, b, "k", stored, raw.Metadata)
		for _, rq := range []request{
			{method: "GET"}, {method: "HEAD"}, {method: "GET", header: map[string]string{"Range": "bytes=0-9"}},
			{method: "GET", header: map[string]string{"Range": "bytes=150000-"}},
		} {
			rq.bucket, rq.key = b, "k"
			if got := s.send(t, rq); got.status != 500 || rq.method == "GET" && got.code != "InternalError" {
				t.Errorf("%s %v of %d stored bytes: %d %s", rq.method, rq.header, len(stored), got.status, got.code)
			}
		}
	}
}

// TestAnETagOfAnotherStoreIsOnlyAPin moves an object as a migration does: the same bytes and metadata get another ETag.
func TestAnETagOfAnotherStoreIsOnlyAPin(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "moved")
	s.put(t, b, "k", []byte("body"))
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		switch rq.Header.Get("If-Match") {
		case "", `"0123456789abcdef0123456789abcdef-7"`:
			rq.Header.Del("If-Match")
			return nil, nil, false
		}
		return nil, s3api.ErrPreconditionFailed, true
	}
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		if err == nil && rq.Key == "k" {
			resp.Header.Set("ETag", `"0123456789abcdef0123456789abcdef-7"`)
		}
		return resp, err
	}
	if got := s.get(t, b, "k"); string(got) != "body" {
		t.Fatalf("%q", got)
	}
}

// TestAPartWithoutBytesIsReadAsOne asks for an empty last part by its number.
func TestAPartWithoutBytesIsReadAsOne(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "emptypart")
	big := pattern(5 << 20)
	id, parts := s.upload(t, b, "k", big)
	last, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &b, Key: str("k"), UploadId: &id, PartNumber: aws.Int32(2), Body: bytes.NewReader(nil)})
	if err != nil {
		t.Fatal(err)
	}
	parts = append(parts, types.CompletedPart{ETag: last.ETag, PartNumber: aws.Int32(2)})
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts)); err != nil {
		t.Fatal(err)
	}
	for n, size := range map[int]int{1: len(big), 2: 0} {
		for _, method := range []string{"GET", "HEAD"} {
			got := s.send(t, request{method: method, bucket: b, key: "k", query: fmt.Sprint("partNumber=", n)})
			if got.status/100 != 2 || got.cut != nil || got.header.Get("Content-Length") != fmt.Sprint(size) || got.header.Get("X-Amz-Mp-Parts-Count") != "2" || method == "GET" && len(got.body) != size {
				t.Errorf("%s part %d: %d, %s, %d bytes, %v", method, n, got.status, got.header.Get("Content-Length"), len(got.body), got.cut)
			}
		}
	}
	s.send(t, request{method: "GET", bucket: b, key: "k", query: "partNumber=3"}).want(t, 416, "InvalidPartNumber")
}
