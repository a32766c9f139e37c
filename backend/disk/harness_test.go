package disk_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"cofre/backend/disk"
)

// open serves a directory and gives a client of it. The directory is closed when the test ends.
func open(t *testing.T, dir string) *s3.Client {
	t.Helper()
	client, stop := serve(t, dir)
	t.Cleanup(stop)
	return client
}

func serve(t *testing.T, dir string) (client *s3.Client, stop func()) {
	t.Helper()
	b, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(b.Handler())
	return newS3(server.URL), func() {
		server.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func newS3(endpoint string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint), UsePathStyle: true, RetryMaxAttempts: 1, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
}

// withBucket is open with a bucket.
func withBucket(t *testing.T) *s3.Client {
	t.Helper()
	c := open(t, t.TempDir())
	createBucket(t, c, bucket)
	return c
}

func createBucket(t *testing.T, c *s3.Client, name string) {
	t.Helper()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, c *s3.Client, key string, body []byte) *s3.PutObjectOutput {
	t.Helper()
	out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return out
}

func get(t *testing.T, c *s3.Client, in *s3.GetObjectInput) ([]byte, *s3.GetObjectOutput, error) {
	t.Helper()
	in.Bucket = aws.String(bucket)
	out, err := c.GetObject(t.Context(), in)
	if err != nil {
		return nil, nil, err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	return body, out, err
}

func mustGet(t *testing.T, c *s3.Client, key string) []byte {
	t.Helper()
	body, _, err := get(t, c, &s3.GetObjectInput{Key: &key})
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return body
}

// wantCode expects an error with an S3 code; an answer to HEAD has none, only the status as a name.
func wantCode(t *testing.T, err error, codes ...string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("got %v, want one of %v", err, codes)
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return
		}
	}
	t.Fatalf("got %v, want one of %v", err, codes)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(b)
	return b
}

func etagOf(b []byte) string {
	sum := md5.Sum(b)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// blobCount counts the files that hold bytes.
func blobCount(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(dir, "blobs"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
