package proxy_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/access"
	"cofre/checksum"
	"cofre/proxy"
	"cofre/s3api"
)

// meddler stands between cofre and its backend. before may answer in the backend's place; after may change its answer.
type meddler struct {
	proxy.Backend
	before func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool)
	after  func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error)
}

func (m *meddler) Do(ctx context.Context, as access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	if m.before != nil {
		if resp, err, done := m.before(rq); done {
			return resp, err
		}
	}
	resp, err := m.Backend.Do(ctx, as, rq)
	if m.after != nil {
		return m.after(rq, resp, err)
	}
	return resp, err
}

// meddled is a site over disk whose backend can be meddled with.
func meddled(t *testing.T, cfg siteConfig) (*site, *meddler) {
	m := &meddler{}
	cfg.wrap = func(b proxy.Backend) proxy.Backend { m.Backend = b; return m }
	return newSite(t, diskStorage(t), cfg), m
}

func isComplete(rq *proxy.BackendRequest) bool {
	return rq.Method == http.MethodPost && rq.Query.Has("uploadId")
}

// upload makes an upload of one part.
func (s *site) upload(t *testing.T, bucket, key string, body []byte) (id string, parts []types.CompletedPart) {
	t.Helper()
	up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return *up.UploadId, []types.CompletedPart{{ETag: p.ETag, PartNumber: aws.Int32(1)}}
}

func completeInput(bucket, key, id string, parts []types.CompletedPart) *s3.CompleteMultipartUploadInput {
	return &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}
}

// TestABodyThatTheBackendRefusesUnreadIsEnded: what computes its digests is given back, for every way in which an object is written.
func TestABodyThatTheBackendRefusesUnreadIsEnded(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "unread")
	body := make([]byte, 3<<19) // large enough to be counted; from 2 MiB on the SDK asks first (Expect)
	s.put(t, b, "source", body)
	id, _ := s.upload(t, b, "parts", body)
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		return nil, s3api.ErrAccessDenied, rq.Method == http.MethodPut
	}
	source := b + "/source"
	for name, write := range map[string]func() error{
		"PUT": func() error {
			_, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("k"), Body: bytes.NewReader(body)})
			return err
		},
		"part": func() error {
			_, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &b, Key: str("parts"), UploadId: &id, PartNumber: aws.Int32(2), Body: bytes.NewReader(body)})
			return err
		},
		"copied part": func() error {
			_, err := s.client.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: &b, Key: str("parts"), UploadId: &id, PartNumber: aws.Int32(3), CopySource: &source})
			return err
		},
		"copy with another checksum": func() error {
			_, err := s.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &b, Key: str("copy"), CopySource: &source, ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
			return err
		},
	} {
		wantCode(t, write(), "AccessDenied")
		if n := checksum.Hashing(); n != 0 {
			t.Fatalf("%s: %d bodies are still being hashed", name, n)
		}
	}
}

// TestACompleteWhoseAnswerWasLostIsRepeatable loses both the answer and the look-up behind it, and completes again: with the
// condition that the object itself now breaks, and after an abort that must not take what is there for an open upload.
func TestACompleteWhoseAnswerWasLostIsRepeatable(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "complete")
	s.put(t, b, "warm", nil) // makes the KEK
	id, parts := s.upload(t, b, "k", []byte("body"))
	var lost atomic.Bool
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		if isComplete(rq) {
			lost.Store(true)
		}
		if lost.Load() && rq.Key == "k" {
			if err == nil {
				resp.Body.Close()
			}
			return nil, proxy.ErrBackendUnavailable
		}
		return resp, err
	}
	in := completeInput(b, "k", id, parts)
	in.IfNoneMatch = str("*")
	_, err := s.client.CompleteMultipartUpload(t.Context(), in)
	wantCode(t, err, "SlowDown")
	m.after = nil

	_, err = s.client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &b, Key: str("k"), UploadId: &id})
	wantCode(t, err, "NoSuchUpload")
	for range 2 {
		if _, err := s.client.CompleteMultipartUpload(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.get(t, b, "k"); string(got) != "body" {
		t.Fatalf("%q", got)
	}
	other := completeInput(b, "k", id, []types.CompletedPart{{ETag: str("00000000000000000000000000000000"), PartNumber: aws.Int32(1)}})
	_, err = s.client.CompleteMultipartUpload(t.Context(), other)
	wantCode(t, err, "NoSuchUpload")
}

// TestACompleteAskedForAgainDoesNotBuryItsOwnObject: the process dies behind the storage's answer, a reader heals the object's row, and
// then the client completes once more.
func TestACompleteAskedForAgainDoesNotBuryItsOwnObject(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "complete-healed")
	s.put(t, b, "k", []byte("old"))
	id, parts := s.upload(t, b, "k", []byte("body"))
	lost := true
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		if lost && (isComplete(rq) || rq.Method == http.MethodHead && rq.Key == "k") {
			return nil, proxy.ErrBackendUnavailable
		}
		return resp, err
	}
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts)); err == nil {
		t.Fatal("the answer was not lost")
	}
	lost = false
	reader := newSite(t, s.storage, siteConfig{identity: s.identity, store: s.store}) // it remembers no record of before
	if got := reader.get(t, b, "k"); string(got) != "body" {
		t.Fatalf("read %q", got)
	}
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts)); err != nil {
		t.Fatal(err)
	}
	if got := newSite(t, s.storage, siteConfig{identity: s.identity, store: s.store}).get(t, b, "k"); string(got) != "body" {
		t.Errorf("after the second Complete %q is read", got)
	}
}

// TestAnIntentOpensAgainOnlyAfterARefusal lets the backend fail inside a 200: whether it acts after all is open, so another
// list must be refused; after a true refusal another list is taken.
func TestAnIntentOpensAgainOnlyAfterARefusal(t *testing.T) {
	for _, c := range []struct{ name, document, code, other string }{
		{"failure", `<Error><Code>InternalError</Code></Error>`, "InternalError", "OperationAborted"},
		{"refusal", `<Error><Code>InvalidPart</Code></Error>`, "InvalidPart", "InvalidPart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, m := meddled(t, siteConfig{})
			b := s.bucket(t, "intent")
			s.put(t, b, "warm", nil)
			id, parts := s.upload(t, b, "k", []byte("body"))
			m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
				if !isComplete(rq) {
					return nil, nil, false
				}
				return &proxy.BackendResponse{Status: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.document)), Length: -1}, nil, true
			}
			_, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts))
			wantCode(t, err, c.code)
			m.before = nil
			other := completeInput(b, "k", id, []types.CompletedPart{{ETag: str("00000000000000000000000000000000"), PartNumber: aws.Int32(1)}})
			_, err = s.client.CompleteMultipartUpload(t.Context(), other)
			wantCode(t, err, c.other)
			if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestAPassing404DoesNotBuryABucket has something before the storage answer 404 to the look whether a bucket is there.
func TestAPassing404DoesNotBuryABucket(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "glitch")
	s.put(t, b, "k", []byte("body"))
	var once atomic.Bool
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		if rq.Method == http.MethodHead && rq.Bucket == b && rq.Key == "" && once.CompareAndSwap(false, true) {
			return nil, s3api.ErrNoSuchBucket, true
		}
		return nil, nil, false
	}
	s.send(t, request{method: "PUT", bucket: b})
	if !once.Load() {
		t.Fatal("the bucket was not looked for")
	}
	if got := s.get(t, b, "k"); string(got) != "body" {
		t.Fatalf("%q", got)
	}
}

func TestABucketMadeAgainHasKeysOfItsOwn(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "again")
	s.put(t, b, "k", []byte("old"))
	raw, sealed := s.rawObject(t, b, "k")
	if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("k")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.raw.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &b}); err != nil { // behind cofre's back
		t.Fatal(err)
	}
	s.bucket(t, "again")
	s.rawPut(t, b, "k", sealed, raw.Metadata)
	_, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("k")})
	wantCode(t, err, "InternalError")
	s.put(t, b, "k2", []byte("new"))
	now, _ := s.rawObject(t, b, "k2")
	if now.Metadata["cofre-envelope"][26:48] == raw.Metadata["cofre-envelope"][26:48] {
		t.Fatal("sealed under the old bucket's KEK")
	}
}

// TestTheSystemBucketsTroubleIsNotTheClients gives no client an AccessDenied that speaks of cofre's own rights.
func TestTheSystemBucketsTroubleIsNotTheClients(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "trouble")
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		if rq.Bucket == s.system {
			return nil, s3api.ErrAccessDenied, true
		}
		return nil, nil, false
	}
	got := s.putRaw(t, b, "k", []byte("x"), nil)
	if got.status != 503 {
		t.Fatalf("%d %s", got.status, got.code)
	}
	m.before = nil
	id, parts := s.upload(t, b, "k", []byte("body"))
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		if rq.Bucket == s.system {
			return nil, s3api.ErrAccessDenied, true
		}
		return nil, nil, false
	}
	_, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts))
	wantCode(t, err, "SlowDown")
	m.before = nil
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts)); err != nil {
		t.Fatal(err)
	}
}

// TestAConditionalPutWhoseAnswerWasLostIsNotToldThatItLost loses the answer of a PUT that was done, and that of the first look behind it.
func TestAConditionalPutWhoseAnswerWasLostIsNotToldThatItLost(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "won")
	s.put(t, b, "warm", nil)
	var lost atomic.Int32
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		if rq.Key == "k" && (rq.Method == http.MethodPut || lost.Load() == 1) {
			lost.Add(1)
			if err == nil {
				resp.Body.Close()
			}
			return nil, proxy.ErrBackendUnavailable
		}
		return resp, err
	}
	_, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("k"), IfNoneMatch: str("*"), Body: strings.NewReader("mine")})
	wantCode(t, err, "SlowDown")
	if got := s.get(t, b, "k"); string(got) != "mine" || lost.Load() != 2 {
		t.Fatalf("%q, %d answers lost", got, lost.Load())
	}
}

// TestDeleteObjectsBelievesOnlyWhatItAskedFor has the storage name an object that nobody deleted, and leave one out.
func TestDeleteObjectsBelievesOnlyWhatItAskedFor(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "believed")
	for _, key := range []string{"a", "b", "bystander"} {
		s.put(t, b, key, []byte(key))
	}
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		if !rq.Query.Has("delete") {
			return nil, nil, false
		}
		doc := `<DeleteResult><Deleted><Key>a</Key></Deleted><Deleted><Key>bystander</Key></Deleted></DeleteResult>`
		return &proxy.BackendResponse{Status: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(doc)), Length: -1}, nil, true
	}
	out, err := s.client.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: str("a")}, {Key: str("b")}}}})
	if err != nil {
		t.Fatal(err)
	}
	// What the answer left out was not believed to be done, and was asked for again, alone.
	if len(out.Deleted) != 2 || *out.Deleted[0].Key != "a" || *out.Deleted[1].Key != "b" || len(out.Errors) != 0 {
		t.Fatalf("%+v", out)
	}
	if _, err := s.raw.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: str("b")}); err == nil {
		t.Fatal("b was said to be deleted, and is there")
	}
	if got := s.get(t, b, "bystander"); string(got) != "bystander" {
		t.Fatalf("%q", got)
	}
}

// TestAClosedKEKWaitsForTheStore does not take a store that is down for a store that has no record.
func TestAClosedKEKWaitsForTheStore(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "closed")
	s.put(t, b, "k", []byte("body"))
	if err := s.store.CloseKEKs(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	reader := newSite(t, s.storage, siteConfig{identity: s.identity, store: s.store})
	if got := reader.get(t, b, "k"); string(got) != "body" {
		t.Fatalf("an object from before the closing: %q", got)
	}
	down := newSite(t, s.storage, siteConfig{identity: s.identity, store: downStore{s.store}})
	down.send(t, request{method: "GET", bucket: b, key: "k"}).want(t, 503, "ServiceUnavailable")
}
