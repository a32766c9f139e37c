package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"cofre/proxy"
	"cofre/seal"
)

// TestCopiesHaveTheBodyAndTheirOwnAttributes over all kinds of source and destination.
func TestCopiesHaveTheBodyAndTheirOwnAttributes(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b, other := s.bucket(t, "copies"), s.bucket(t, "elsewhere")
		body := pattern(3*seal.ChunkSize + 5)
		if _, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("single"), Body: bytes.NewReader(body), Metadata: map[string]string{"a": "1"}, ContentType: str("text/a"), Tagging: str("t=1")}); err != nil {
			t.Fatal(err)
		}
		id, parts := s.upload(t, b, "multi", body)
		if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "multi", id, parts)); err != nil {
			t.Fatal(err)
		}
		s.put(t, b, "empty", nil)
		for _, source := range []string{"single", "multi", "empty"} {
			want := s.get(t, b, source)
			for _, dest := range []string{b, other} {
				for _, replace := range []bool{false, true} {
					name := fmt.Sprintf("%s to %s, replace %v", source, dest, replace)
					in := &s3.CopyObjectInput{Bucket: &dest, Key: aws.String(fmt.Sprint(source, "-copy-", replace)), CopySource: aws.String(b + "/" + source)}
					meta := map[string]string{}
					if source == "single" {
						meta["a"] = "1"
					}
					if replace {
						meta = map[string]string{"b": "2"}
						in.MetadataDirective, in.Metadata = types.MetadataDirectiveReplace, meta
					}
					out, err := s.client.CopyObject(t.Context(), in)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					// A reader that has to make the record itself sees the same.
					for _, reader := range []*site{s, newSite(t, st, siteConfig{identity: s.identity})} {
						got, err := reader.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &dest, Key: in.Key})
						if err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						text, err := io.ReadAll(got.Body)
						got.Body.Close()
						if err != nil || !bytes.Equal(text, want) || *got.ETag != *out.CopyObjectResult.ETag {
							t.Fatalf("%s: %d bytes, %v, ETag %s and %s", name, len(text), err, *got.ETag, *out.CopyObjectResult.ETag)
						}
						if len(got.Metadata) != len(meta) {
							t.Errorf("%s: metadata %v, want %v", name, got.Metadata, meta)
						}
						for k, v := range meta {
							if got.Metadata[k] != v {
								t.Errorf("%s: metadata %v, want %v", name, got.Metadata, meta)
							}
						}
					}
				}
			}
		}
		// tagging goes along
		tags, err := s.client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &b, Key: str("single-copy-false")})
		if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Key != "t" {
			t.Errorf("tags of a copy: %+v %v", tags, err)
		}
		// onto itself
		self := &s3.CopyObjectInput{Bucket: &b, Key: str("single"), CopySource: aws.String(b + "/single")}
		_, err = s.client.CopyObject(t.Context(), self)
		wantCode(t, err, "InvalidRequest")
		self.MetadataDirective, self.Metadata = types.MetadataDirectiveReplace, map[string]string{"mtime": "now"}
		for range 2 {
			if _, err := s.client.CopyObject(t.Context(), self); err != nil {
				t.Fatal(err)
			}
		}
		head, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: str("single")})
		if err != nil || head.Metadata["mtime"] != "now" || head.Metadata["a"] != "" {
			t.Errorf("after a copy onto itself: %+v %v", head, err)
		}
		if got := s.get(t, b, "single"); !bytes.Equal(got, body) {
			t.Error("a copy onto itself changed the body")
		}
		s.copyConditions(t, b)
		s.partCopies(t, b, body)
	})
}

func (s *site) copyConditions(t *testing.T, b string) {
	t.Helper()
	head, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: str("single")})
	if err != nil {
		t.Fatal(err)
	}
	copyWith := func(header map[string]string, source string) reply {
		all := map[string]string{"X-Amz-Copy-Source": source}
		for k, v := range header {
			all[k] = v
		}
		return s.send(t, request{method: "PUT", bucket: b, key: "conditional", header: all})
	}
	copyWith(map[string]string{"X-Amz-Copy-Source-If-Match": `"other"`}, b+"/single").want(t, 412, "PreconditionFailed")
	copyWith(map[string]string{"X-Amz-Copy-Source-If-None-Match": *head.ETag}, b+"/single").want(t, 412, "PreconditionFailed")
	copyWith(nil, b+"/none").want(t, 404, "NoSuchKey")
	copyWith(nil, "no-such-bucket-here/none").want(t, 404, "NoSuchBucket")
	copyWith(nil, b+"/").want(t, 400, "InvalidArgument")
	copyWith(map[string]string{"X-Amz-Metadata-Directive": "WHAT"}, b+"/single").want(t, 400, "InvalidArgument")
	s.send(t, request{method: "HEAD", bucket: b, key: "conditional"}).want(t, 404, "")
	copyWith(map[string]string{"X-Amz-Copy-Source-If-Match": *head.ETag, "If-None-Match": "*"}, b+"/single").want(t, 200, "")
	copyWith(map[string]string{"If-None-Match": "*"}, b+"/single").want(t, 412, "PreconditionFailed")
}

// partCopies makes an object of ranges of another.
func (s *site) partCopies(t *testing.T, b string, body []byte) {
	t.Helper()
	up, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("joined")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ rng, code string }{{"bytes=0-", "InvalidArgument"}, {"bytes=10-5", "InvalidArgument"}, {fmt.Sprintf("bytes=0-%d", len(body)), "InvalidArgument"}} {
		_, err := s.client.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: &b, Key: str("joined"), UploadId: up.UploadId, PartNumber: aws.Int32(1), CopySource: aws.String(b + "/multi"), CopySourceRange: &c.rng})
		if err == nil {
			t.Errorf("range %q was taken", c.rng)
		}
	}
	out, err := s.client.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: &b, Key: str("joined"), UploadId: up.UploadId, PartNumber: aws.Int32(7), CopySource: aws.String(b + "/multi"), CopySourceRange: str("bytes=65000-140000")})
	if err != nil {
		t.Fatal(err)
	}
	parts := []types.CompletedPart{{ETag: out.CopyPartResult.ETag, PartNumber: aws.Int32(7)}}
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "joined", *up.UploadId, parts)); err != nil {
		t.Fatal(err)
	}
	if got := s.get(t, b, "joined"); !bytes.Equal(got, body[65000:140001]) {
		t.Error("a copied range came back as other bytes")
	}
}

// TestCopiesRacingAWriterAreNeverMixed copies an object while another client replaces it: each copy has body and metadata
// of one write.
func TestCopiesRacingAWriterAreNeverMixed(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "copyrace")
		write := func(name string) {
			_, err := s.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &b, Key: str("source"), Body: strings.NewReader(name), Metadata: map[string]string{"name": name}})
			if err != nil {
				t.Error(err)
			}
		}
		write("first")
		rounds, copied := 100, 0
		if st.bucketTag == "" {
			rounds = 20
		}
		for i := range rounds {
			var wg sync.WaitGroup
			wg.Add(1)
			go func() { defer wg.Done(); write(fmt.Sprint("write ", i)) }()
			dest := "copy"
			if i%2 == 0 {
				dest = "source"
			}
			in := &s3.CopyObjectInput{Bucket: &b, Key: &dest, CopySource: aws.String(b + "/source")}
			if dest == "source" {
				in.TaggingDirective, in.Tagging = types.TaggingDirectiveReplace, str("touched=1")
				in.StorageClass = types.StorageClassStandard
			}
			_, err := s.client.CopyObject(context.Background(), in)
			wg.Wait()
			if err == nil {
				copied++
			} else if api := smithy.APIError(nil); !errors.As(err, &api) || api.ErrorCode() != "SlowDown" {
				t.Fatalf("round %d: %v", i, err)
			}
			for _, key := range []string{dest, "source"} {
				out, err := s.client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &b, Key: &key})
				if err != nil {
					if i == 0 {
						continue
					}
					t.Fatalf("round %d: %s: %v", i, key, err)
				}
				body, err := io.ReadAll(out.Body)
				out.Body.Close()
				if err != nil || string(body) != out.Metadata["name"] {
					t.Fatalf("round %d: %s has body %q and metadata %q: %v", i, key, body, out.Metadata["name"], err)
				}
			}
		}
		if copied < rounds/2 {
			t.Errorf("%d of %d copies were made", copied, rounds)
		}
	})
}

// TestCopiesUnderAClosedKEKAreSealedAnew never carry a DEK on that a site which left may know.
func TestCopiesUnderAClosedKEKAreSealedAnew(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "closedcopy")
	s.put(t, b, "k", []byte("body"))
	if err := s.store.CloseKEKs(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	later := newSite(t, s.storage, siteConfig{identity: s.identity, store: s.store})
	if _, err := later.client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &b, Key: str("copy"), CopySource: aws.String(b + "/k")}); err != nil {
		t.Fatal(err)
	}
	if got := later.get(t, b, "copy"); string(got) != "body" {
		t.Fatalf("%q", got)
	}
	source, stored := s.rawObject(t, b, "k")
	copied, restored := s.rawObject(t, b, "copy")
	if bytes.Equal(stored, restored) || source.Metadata["cofre-envelope"][:22] == copied.Metadata["cofre-envelope"][:22] {
		t.Fatal("the copy keeps the object id and the body of a closed KEK")
	}
}

// TestUnsealedObjectsAreServedOnlyWhereConfigured and never in the place of a sealed one.
func TestUnsealedObjectsAreServedOnlyWhereConfigured(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{policy: func(name string) proxy.BucketPolicy {
			return proxy.BucketPolicy{PassUnsealed: strings.HasPrefix(name, "pass")}
		}})
		open, shut := s.bucket(t, "pass-through"), s.bucket(t, "refuse")
		plain := []byte("laid here before cofre came")
		for _, b := range []string{open, shut} {
			st.rawPut(t, b, "old", plain, map[string]string{"a": "1"})
			st.rawPut(t, b, "empty", nil, nil)
			s.put(t, b, "sealed", []byte("sealed"))
		}
		for _, rq := range []request{{method: "GET"}, {method: "HEAD"}, {method: "GET", header: map[string]string{"Range": "bytes=0-3"}}, {method: "PUT", header: map[string]string{"X-Amz-Copy-Source": shut + "/old"}}} {
			rq.bucket, rq.key = shut, "old"
			if rq.method == "PUT" {
				rq.key = "copy"
			}
			if got := s.send(t, rq); got.status != 403 {
				t.Errorf("%s in a bucket that refuses: %d %s", rq.method, got.status, got.code)
			}
		}
		got := s.send(t, request{method: "GET", bucket: open, key: "old"}).want(t, 200, "")
		if !bytes.Equal(got.body, plain) || got.header.Get("X-Amz-Meta-A") != "1" {
			t.Errorf("passed: %q %v", got.body, got.header)
		}
		etag := got.header.Get("ETag")
		if got := s.send(t, request{method: "GET", bucket: open, key: "old", header: map[string]string{"Range": "bytes=5-9"}}); got.status != 206 || !bytes.Equal(got.body, plain[5:10]) {
			t.Errorf("range: %d %q", got.status, got.body)
		}
		s.send(t, request{method: "GET", bucket: open, key: "old", header: map[string]string{"If-None-Match": etag}}).want(t, 304, "")
		s.send(t, request{method: "GET", bucket: open, key: "empty"}).want(t, 200, "")
		if got := s.send(t, request{method: "HEAD", bucket: open, key: "old"}).want(t, 200, ""); got.header.Get("Content-Length") != fmt.Sprint(len(plain)) {
			t.Errorf("HEAD: %v", got.header)
		}
		// A copy is sealed.
		s.send(t, request{method: "PUT", bucket: open, key: "copy", header: map[string]string{"X-Amz-Copy-Source": open + "/old"}}).want(t, 200, "")
		if _, stored := st.rawObject(t, open, "copy"); bytes.Contains(stored, plain) {
			t.Error("the copy of an unsealed object lies in clear")
		}
		if got := s.get(t, open, "copy"); !bytes.Equal(got, plain) {
			t.Errorf("%q", got)
		}
		// What was sealed here once is not served in clear, nor what lost its envelope on the way.
		_, stored := st.rawObject(t, open, "sealed")
		st.rawPut(t, open, "sealed", plain, nil)
		s.send(t, request{method: "GET", bucket: open, key: "sealed"}).want(t, 500, "InternalError")
		st.rawPut(t, open, "stranger", stored, nil)
		s.send(t, request{method: "GET", bucket: open, key: "stranger"}).want(t, 500, "InternalError")
		down := newSite(t, st, siteConfig{identity: s.identity, store: downStore{s.store}, policy: func(string) proxy.BucketPolicy { return proxy.BucketPolicy{PassUnsealed: true} }})
		down.send(t, request{method: "GET", bucket: open, key: "old"}).want(t, http.StatusServiceUnavailable, "ServiceUnavailable")
	})
}
