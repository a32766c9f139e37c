package e2e_test

import (
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Bodies go out in signed chunks.
func TestClientMinioGo(t *testing.T) { testMinioGo(t, false) }

// Bodies go out in signed chunks with a signed checksum behind them.
func TestClientMinioGoWithTrailers(t *testing.T) { testMinioGo(t, true) }

func testMinioGo(t *testing.T, trailers bool) {
	testClient(t, func(t *testing.T, r *replica, bucket string) program {
		c, err := minio.New(strings.TrimPrefix(r.endpoint, "http://"), &minio.Options{
			Creds: credentials.NewStaticV4(r.access, r.secret, ""), Region: region, TrailingHeaders: trailers,
		})
		if err != nil {
			t.Fatal(err)
		}
		return &minioGo{s3: c, bucket: bucket}
	})
}

// minioGo is minio-go as a program of the matrix.
type minioGo struct {
	s3     *minio.Client
	bucket string
}

func (*minioGo) traits() traits { return traits{partSize: 5 * mib, pages: true} }

func (c *minioGo) put(t *testing.T, file, key string) {
	if _, err := c.s3.FPutObject(t.Context(), c.bucket, key, file, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c *minioGo) upload(t *testing.T, file, key string) {
	if _, err := c.s3.FPutObject(t.Context(), c.bucket, key, file, minio.PutObjectOptions{PartSize: 5 * mib}); err != nil {
		t.Fatal(err)
	}
}

func (c *minioGo) get(t *testing.T, key, file string) {
	if err := c.s3.FGetObject(t.Context(), c.bucket, key, file, minio.GetObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// read seeks, as programs that read archives do: minio-go opens a range that reaches to the end and hangs up on it.
func (c *minioGo) read(t *testing.T, key string, first, last int64) string {
	object, err := c.s3.GetObject(t.Context(), c.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if _, err := object.Seek(first, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, last-first+1)
	if _, err := io.ReadFull(object, got); err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func (c *minioGo) list(t *testing.T, prefix string) map[string]int64 {
	sizes := map[string]int64{}
	for o := range c.s3.ListObjects(t.Context(), c.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, MaxKeys: listPage}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		sizes[o.Key] = o.Size
	}
	return sizes
}

func (c *minioGo) copy(t *testing.T, from, to string) {
	_, err := c.s3.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: c.bucket, Object: to}, minio.CopySrcOptions{Bucket: c.bucket, Object: from})
	if err != nil {
		t.Fatal(err)
	}
}

func (c *minioGo) remove(t *testing.T, keys ...string) {
	objects := make(chan minio.ObjectInfo, len(keys))
	for _, key := range keys {
		objects <- minio.ObjectInfo{Key: key}
	}
	close(objects)
	for refused := range c.s3.RemoveObjects(t.Context(), c.bucket, objects, minio.RemoveObjectsOptions{}) {
		t.Errorf("remove %s: %v", refused.ObjectName, refused.Err)
	}
}

func (c *minioGo) presign(t *testing.T, key string) []string {
	u, err := c.s3.PresignedGetObject(t.Context(), c.bucket, key, 10*time.Minute, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	return []string{u.String()}
}

func (c *minioGo) presignPut(t *testing.T, key string) string {
	u, err := c.s3.PresignedPutObject(t.Context(), c.bucket, key, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}
