package proxy_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden traces anew")

// TestTraces compares what each client request costs on the backend with testdata/traces.txt: one text shows what a
// request does, in order, and a change of behaviour shows in review.
func TestTraces(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "trace")
	var out strings.Builder
	step := func(name string, do func() error) {
		t.Helper()
		s.backend.take()
		result := "ok"
		if err := do(); err != nil {
			result = "error: " + shortError(err)
		}
		fmt.Fprintf(&out, "# %s: %s\n", name, result)
		for _, c := range s.backend.take() {
			fmt.Fprintf(&out, "  %s\n", c)
		}
	}
	ctx := t.Context()
	put := func(key string, n int) func() error {
		return func() error {
			_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: &key, Body: bytes.NewReader(pattern(n))})
			return err
		}
	}
	get := func(key, rng string) func() error {
		return func() error {
			in := &s3.GetObjectInput{Bucket: &b, Key: &key}
			if rng != "" {
				in.Range = &rng
			}
			o, err := s.client.GetObject(ctx, in)
			if err != nil {
				return err
			}
			defer o.Body.Close()
			_, err = io.Copy(io.Discard, o.Body)
			return err
		}
	}
	step("the first PUT in a bucket makes its KEK", put("a", 10))
	step("a further PUT", put("b", 100_000))
	step("a GET", get("b", ""))
	step("a range of 10 bytes in the second chunk", get("b", "bytes=70000-70009"))
	step("a range that cannot be had", get("b", "bytes=200000-"))
	step("a GET of nothing", get("nothing", ""))
	step("a HEAD", func() error {
		_, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b, Key: str("b")})
		return err
	})
	step("a GET that is not modified", func() error {
		h, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b, Key: str("b")})
		if err != nil {
			return err
		}
		s.backend.take()
		_, err = s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b, Key: str("b"), IfNoneMatch: h.ETag})
		return err
	})
	step("a listing", func() error {
		_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b})
		return err
	})
	step("a PUT if absent, that is there", func() error {
		_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: str("b"), Body: bytes.NewReader(nil), IfNoneMatch: str("*")})
		return err
	})
	step("a PUT if absent, that is not there", func() error {
		_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &b, Key: str("c"), Body: bytes.NewReader(nil), IfNoneMatch: str("*")})
		return err
	})
	step("the first copy probes whether the backend pins", func() error {
		_, err := s.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &b, Key: str("d"), CopySource: aws.String(b + "/b")})
		return err
	})
	step("a multipart upload of one part", func() error {
		up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("m")})
		if err != nil {
			return err
		}
		p, err := s.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &b, Key: str("m"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(pattern(1000))})
		if err != nil {
			return err
		}
		_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b, Key: str("m"), UploadId: up.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: p.ETag, PartNumber: aws.Int32(1)}}}})
		return err
	})
	step("a DELETE", func() error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b, Key: str("a")})
		return err
	})
	step("the system bucket is nobody's", func() error {
		_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.system})
		return err
	})
	fresh := newSite(t, st, siteConfig{identity: s.identity})
	s = fresh
	step("a GET of an object without record heals it", get("b", ""))
	step("and the next one does not", get("b", ""))
	step("a GET of a multipart object without record reads its layout", get("m", ""))

	golden := filepath.Join("testdata", "traces.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Fatalf("traces changed (go test ./proxy -run TestTraces -update writes them anew):\n%s", diff)
	}
}

var codeIn = regexp.MustCompile(`api error (\w+)`)

func shortError(err error) string {
	if m := codeIn.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	if strings.Contains(err.Error(), "StatusCode: 304") {
		return "304"
	}
	if strings.Contains(err.Error(), "StatusCode: 404") {
		return "404"
	}
	return "other"
}
