package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/proxy"
)

func TestCopiesAreRefusedWhileTheStoreIsDown(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "downcopy")
	s.put(t, b, "k", []byte("body"))
	down := newSite(t, s.storage, siteConfig{identity: s.identity, store: downStore{s.store}})
	down.backend.take()
	down.send(t, request{method: "PUT", bucket: b, key: "copy", header: map[string]string{"X-Amz-Copy-Source": b + "/k"}}).want(t, 503, "ServiceUnavailable")
	if calls := down.backend.take(); len(calls) != 0 {
		t.Fatalf("the backend was asked: %v", calls)
	}
}

// TestAStreamedCopyTakesBodyAndAttributesOfOneObject replaces the source between the first look at it and the copy.
func TestAStreamedCopyTakesBodyAndAttributesOfOneObject(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	from, to := s.bucket(t, "mixfrom"), s.bucket(t, "mixto")
	put := func(name string) {
		if _, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &from, Key: str("k"), Body: strings.NewReader(name), Metadata: map[string]string{"name": name}}); err != nil {
			t.Fatal(err)
		}
	}
	put("first")
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		if rq.Bucket == from && rq.Query.Has("tagging") {
			m.before = nil
			put("second")
		}
		return nil, nil, false
	}
	if _, err := s.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &to, Key: str("k"), CopySource: aws.String(from + "/k")}); err != nil {
		t.Fatal(err)
	}
	out, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &to, Key: str("k")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if body, _ := io.ReadAll(out.Body); string(body) != out.Metadata["name"] {
		t.Fatalf("body of %q with attributes of %q", body, out.Metadata["name"])
	}
}

// TestACopyThatWasOvertakenTouchesNobodysObject has another writer replace a copy before cofre can look at it.
func TestACopyThatWasOvertakenTouchesNobodysObject(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "overtaken")
	s.put(t, b, "source", []byte("source"))
	if _, err := s.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &b, Key: str("first"), CopySource: aws.String(b + "/source")}); err != nil {
		t.Fatal(err)
	}
	var copied, tagged bool
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		switch {
		case rq.Header.Get("x-amz-copy-source") != "" && rq.Bucket == b:
			copied = true
			m2 := m.after
			m.after = nil
			s.put(t, b, "copy", []byte("theirs"))
			m.after = m2
		case rq.Method == http.MethodPut && rq.Query.Has("tagging"):
			tagged = true
		}
		return resp, err
	}
	_, err := s.client.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: &b, Key: str("copy"), CopySource: aws.String(b + "/source"), TaggingDirective: types.TaggingDirectiveReplace, Tagging: str("mine=1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !copied {
		t.Fatal("the backend was not asked to copy: this test tests nothing")
	}
	if tagged {
		t.Error("another writer's object was tagged")
	}
	if got := s.get(t, b, "copy"); string(got) != "theirs" {
		t.Fatalf("%q", got)
	}
}
