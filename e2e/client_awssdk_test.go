package e2e_test

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestClientAWSSDKGo(t *testing.T) {
	testClient(t, func(_ *testing.T, r *replica, bucket string) program {
		return &awsSDK{s3: r.client(), bucket: bucket}
	})
}

// awsSDK is aws-sdk-go-v2 as a program of the matrix.
type awsSDK struct {
	s3     *s3.Client
	bucket string
}

func (*awsSDK) traits() traits { return traits{partSize: 5 * mib, pages: true} }

func open(t *testing.T, file string) *os.File {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() }) // where it is still open
	return f
}

func (c *awsSDK) put(t *testing.T, file, key string) {
	if _, err := c.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: open(t, file)}); err != nil {
		t.Fatal(err)
	}
}

func (c *awsSDK) upload(t *testing.T, file, key string) {
	_, err := manager.NewUploader(c.s3).Upload(t.Context(), &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: open(t, file)}) //nolint:staticcheck // deprecated, and what programs in the field use
	if err != nil {
		t.Fatal(err)
	}
}

func (c *awsSDK) get(t *testing.T, key, file string) {
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := c.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &c.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if _, err := io.Copy(f, out.Body); err != nil { // the SDK checks the checksum as the body ends
		t.Fatal(err)
	}
}

func (c *awsSDK) read(t *testing.T, key string, first, last int64) string {
	out, err := c.s3.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &c.bucket, Key: &key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", first, last))})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func (c *awsSDK) list(t *testing.T, prefix string) map[string]int64 {
	sizes := map[string]int64{}
	pages := s3.NewListObjectsV2Paginator(c.s3, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &prefix, MaxKeys: aws.Int32(listPage)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			sizes[*o.Key] = *o.Size
		}
	}
	return sizes
}

// copy escapes the source itself: the SDK leaves that to its user.
func (c *awsSDK) copy(t *testing.T, from, to string) {
	source := c.bucket + "/" + url.PathEscape(from)
	if _, err := c.s3.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: &c.bucket, Key: &to, CopySource: &source}); err != nil {
		t.Fatal(err)
	}
}

func (c *awsSDK) remove(t *testing.T, keys ...string) {
	var objects []types.ObjectIdentifier
	for _, key := range keys {
		objects = append(objects, types.ObjectIdentifier{Key: &key})
	}
	out, err := c.s3.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &c.bucket, Delete: &types.Delete{Objects: objects}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Deleted) != len(keys) || len(out.Errors) != 0 {
		t.Errorf("deleted %v, errors %v", out.Deleted, out.Errors)
	}
}

func (c *awsSDK) presign(t *testing.T, key string) []string {
	request, err := s3.NewPresignClient(c.s3).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &c.bucket, Key: &key}, s3.WithPresignExpires(10*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return []string{request.URL}
}

func (c *awsSDK) presignPut(t *testing.T, key string) string {
	request, err := s3.NewPresignClient(c.s3).PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: &c.bucket, Key: &key}, s3.WithPresignExpires(10*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return request.URL
}
