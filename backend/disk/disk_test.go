package disk_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/backend/disk"
)

const bucket = "bucket"

func TestObjectsOfEverySizeComeBack(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	createBucket(t, c, bucket)
	for _, size := range []int{0, 1, 2, 79, 80, 81, 4095, 4096, 65535, 65536, 65537, 131072, 131073, 1 << 20, 20 << 20} {
		body := randomBytes(size)
		out := put(t, c, "key", body)
		if *out.ETag != etagOf(body) {
			t.Errorf("%d bytes: ETag %s", size, *out.ETag)
		}
		got, o, err := get(t, c, &s3.GetObjectInput{Key: aws.String("key")})
		if err != nil || !bytes.Equal(got, body) || *o.ETag != etagOf(body) || *o.ContentLength != int64(size) {
			t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
		}
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
		if err != nil || *head.ContentLength != int64(size) || *head.ETag != etagOf(body) {
			t.Errorf("%d bytes: HEAD says %v, %v", size, head, err)
		}
	}
	if n := blobCount(t, dir); n != 1 {
		t.Errorf("%d blobs are kept for one object", n)
	}
}

func TestRanges(t *testing.T) {
	c := withBucket(t)
	parts := uploadParts(t, c, "multipart", 5<<20, 5<<20, 1000)
	put(t, c, "single", parts)
	n := len(parts)
	for _, key := range []string{"single", "multipart"} {
		for _, test := range []struct {
			header     string
			start, end int // of what comes back; start < 0 for 416
		}{
			{"bytes=0-0", 0, 1}, {"bytes=-80", n - 80, n}, {fmt.Sprintf("bytes=-%d", n+1), 0, n}, {"bytes=0-", 0, n},
			{fmt.Sprintf("bytes=%d-", n-1), n - 1, n}, {fmt.Sprintf("bytes=%d-%d", 5<<20-1, 5<<20), 5<<20 - 1, 5<<20 + 1},
			{fmt.Sprintf("bytes=%d-%d", 5<<20, 5<<20), 5 << 20, 5<<20 + 1}, {fmt.Sprintf("bytes=100-%d", n-101), 100, n - 100},
			{fmt.Sprintf("bytes=%d-%d", 10<<20, n*2), 10 << 20, n}, {fmt.Sprintf("bytes=%d-", n), -1, 0}, {"bytes=-0", -1, 0},
		} {
			got, out, err := get(t, c, &s3.GetObjectInput{Key: &key, Range: &test.header})
			if test.start < 0 {
				wantCode(t, err, "InvalidRange")
				continue
			}
			if err != nil || !bytes.Equal(got, parts[test.start:test.end]) {
				t.Errorf("%s, %s: %d bytes, %v", key, test.header, len(got), err)
				continue
			}
			if want := fmt.Sprintf("bytes %d-%d/%d", test.start, test.end-1, n); *out.ContentRange != want {
				t.Errorf("%s, %s: Content-Range %q, want %q", key, test.header, *out.ContentRange, want)
			}
			head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key, Range: &test.header})
			if err != nil || *head.ContentLength != int64(test.end-test.start) {
				t.Errorf("%s, HEAD %s: %v", key, test.header, err)
			}
		}
	}
}

// uploadParts makes an object of parts with these sizes, and gives its bytes.
func uploadParts(t *testing.T, c *s3.Client, key string, sizes ...int) []byte {
	t.Helper()
	created, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, ContentType: aws.String("text/x-parts"), Metadata: map[string]string{"cofre-envelope": "abc"}})
	if err != nil {
		t.Fatal(err)
	}
	var whole []byte
	var completed []types.CompletedPart
	sums := md5.New()
	for i, size := range sizes {
		body := randomBytes(size + i)[:size]
		number := aws.Int32(int32(2*i + 1))
		out, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: created.UploadId, PartNumber: number, Body: bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		if *out.ETag != etagOf(body) {
			t.Errorf("part %d: ETag %s", *number, *out.ETag)
		}
		sum := md5.Sum(body)
		sums.Write(sum[:])
		whole = append(whole, body...)
		completed = append(completed, types.CompletedPart{ETag: out.ETag, PartNumber: number})
	}
	done, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, UploadId: created.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: completed}})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`"%x-%d"`, sums.Sum(nil), len(sizes)); *done.ETag != want {
		t.Errorf("ETag %s, want %s", *done.ETag, want)
	}
	return whole
}

func TestMetadataIsKeptAsItCame(t *testing.T) {
	c := withBucket(t)
	in := &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader("x"),
		CacheControl: aws.String("no-store"), ContentType: aws.String("text/x-strange; a=b"), ContentLanguage: aws.String("es"),
		ContentDisposition: aws.String(`attachment; filename="é  x"`), ContentEncoding: aws.String("gzip"),
		Metadata: map[string]string{
			"cofre-envelope": strings.Repeat("A", 176), "cofre-attributes": strings.Repeat("b", 8<<10), "raw": "\xc3\xa9\xff", "under_score": "1",
		},
		Tagging: aws.String("a=b%20c&d=%2B"),
	}
	if _, err := c.PutObject(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	check := func(key string) {
		t.Helper()
		head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range in.Metadata {
			if head.Metadata[name] != value {
				t.Errorf("%s: %s is %q", key, name, head.Metadata[name])
			}
		}
		if len(head.Metadata) != len(in.Metadata) || *head.CacheControl != *in.CacheControl || *head.ContentType != *in.ContentType ||
			*head.ContentLanguage != *in.ContentLanguage || *head.ContentDisposition != *in.ContentDisposition || *head.ContentEncoding != "gzip" {
			t.Errorf("%s: %+v", key, head)
		}
	}
	check("key")
	copyObject(t, c, &s3.CopyObjectInput{Key: aws.String("copy"), CopySource: aws.String(bucket + "/key"), Metadata: map[string]string{"ignored": "1"}})
	check("copy")

	copyObject(t, c, &s3.CopyObjectInput{Key: aws.String("key"), CopySource: aws.String(bucket + "/key"),
		MetadataDirective: types.MetadataDirectiveReplace, ContentType: aws.String("text/new"), Metadata: map[string]string{"new": "1"}})
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
	if err != nil || len(head.Metadata) != 1 || head.Metadata["new"] != "1" || *head.ContentType != "text/new" || head.CacheControl != nil {
		t.Errorf("after REPLACE: %+v, %v", head, err)
	}
	tags, err := c.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: aws.String(bucket), Key: aws.String("key")})
	if err != nil || len(tags.TagSet) != 2 || *tags.TagSet[0].Value != "b c" || *tags.TagSet[1].Value != "+" {
		t.Errorf("tags after a copy: %+v, %v", tags, err)
	}
}

func copyObject(t *testing.T, c *s3.Client, in *s3.CopyObjectInput) *s3.CopyObjectOutput {
	t.Helper()
	in.Bucket = aws.String(bucket)
	out, err := c.CopyObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCopyIsPinnedToItsSource(t *testing.T) {
	c := withBucket(t)
	put(t, c, "key", []byte("one"))
	in := &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("copy"), CopySource: aws.String(bucket + "/key"), CopySourceIfMatch: aws.String(etagOf([]byte("two")))}
	_, err := c.CopyObject(t.Context(), in)
	wantCode(t, err, "PreconditionFailed")
	in.CopySourceIfMatch = aws.String(etagOf([]byte("one")))
	if out := copyObject(t, c, in); *out.CopyObjectResult.ETag != etagOf([]byte("one")) {
		t.Errorf("ETag %s", *out.CopyObjectResult.ETag)
	}
	put(t, c, "key", []byte("three")) // the copy has the blob of "one" alone now
	if got := mustGet(t, c, "copy"); string(got) != "one" {
		t.Errorf("the copy holds %q", got)
	}
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), CopySource: aws.String(bucket + "/key")})
	wantCode(t, err, "InvalidRequest")
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("x"), CopySource: aws.String(bucket + "/missing")})
	wantCode(t, err, "NoSuchKey")
}

func TestConditions(t *testing.T) {
	c := withBucket(t)
	one, two := etagOf([]byte("one")), etagOf([]byte("two"))
	write := func(body string, match, noneMatch *string) error {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader(body), IfMatch: match, IfNoneMatch: noneMatch})
		return err
	}
	wantCode(t, write("one", &one, nil), "NoSuchKey", "PreconditionFailed")
	if err := write("one", nil, aws.String("*")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, write("two", nil, aws.String("*")), "PreconditionFailed")
	wantCode(t, write("two", &two, nil), "PreconditionFailed")
	if err := write("two", &one, nil); err != nil {
		t.Fatal(err)
	}
	_, _, err := get(t, c, &s3.GetObjectInput{Key: aws.String("key"), IfMatch: &one})
	wantCode(t, err, "PreconditionFailed")
	if got, _, err := get(t, c, &s3.GetObjectInput{Key: aws.String("key"), IfMatch: &two}); string(got) != "two" {
		t.Errorf("got %q, %v", got, err)
	}
	_, _, err = get(t, c, &s3.GetObjectInput{Key: aws.String("key"), IfNoneMatch: &two})
	wantCode(t, err, "NotModified")
	_, err = c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), IfMatch: &one})
	wantCode(t, err, "PreconditionFailed")
}

func TestMultipart(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	createBucket(t, c, bucket)
	ctx := t.Context()
	created, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("key")})
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[int32][]byte{}
	send := func(number int32, body []byte) string {
		t.Helper()
		out, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: created.UploadId, PartNumber: &number, Body: bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		bodies[number] = body
		return *out.ETag
	}
	complete := func(parts ...types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
		return c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: created.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	}
	part := func(number int32, etag string) types.CompletedPart {
		return types.CompletedPart{PartNumber: &number, ETag: &etag}
	}
	third := send(3, []byte("the end"))
	first := send(1, randomBytes(5<<20+1))
	stale := send(2, randomBytes(5<<20+7))
	second := send(2, randomBytes(5<<20)) // sent again, with other bytes
	empty := send(4, nil)
	send(10000, []byte("never used"))

	listed, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: created.UploadId, MaxParts: aws.Int32(2)})
	if err != nil || len(listed.Parts) != 2 || *listed.Parts[1].ETag != second || *listed.Parts[1].Size != 5<<20 || !*listed.IsTruncated || *listed.NextPartNumberMarker != "2" {
		t.Errorf("first page of parts: %+v, %v", listed, err)
	}
	listed, err = c.ListParts(ctx, &s3.ListPartsInput{Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: created.UploadId, PartNumberMarker: aws.String("2")})
	if err != nil || len(listed.Parts) != 3 || *listed.Parts[2].PartNumber != 10000 || *listed.IsTruncated {
		t.Errorf("second page of parts: %+v, %v", listed, err)
	}
	uploads, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
	if err != nil || len(uploads.Uploads) != 1 || *uploads.Uploads[0].UploadId != *created.UploadId || *uploads.Uploads[0].Key != "key" {
		t.Errorf("uploads: %+v, %v", uploads, err)
	}

	_, err = complete(part(1, first), part(2, stale))
	wantCode(t, err, "InvalidPart")
	_, err = complete(part(2, second), part(1, first))
	wantCode(t, err, "InvalidPartOrder")
	_, err = complete(part(1, first), part(5, first))
	wantCode(t, err, "InvalidPart")
	_, err = complete(part(1, first), part(3, third), part(4, empty))
	wantCode(t, err, "EntityTooSmall")

	parts := []types.CompletedPart{part(1, first), part(2, second), part(3, third)}
	done, err := complete(parts...)
	if err != nil {
		t.Fatal(err)
	}
	whole := bytes.Join([][]byte{bodies[1], bodies[2], bodies[3]}, nil)
	if got := mustGet(t, c, "key"); !bytes.Equal(got, whole) {
		t.Errorf("%d bytes came back of %d", len(got), len(whole))
	}
	if n := blobCount(t, dir); n != 3 {
		t.Errorf("%d blobs are kept for three parts", n)
	}
	again, err := complete(parts...)
	if err != nil || *again.ETag != *done.ETag {
		t.Errorf("completing again: %v", err)
	}
	_, err = complete(parts[:2]...)
	wantCode(t, err, "NoSuchUpload")
	_, err = c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: created.UploadId})
	wantCode(t, err, "NoSuchUpload")
}

func TestAbortedUploadLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	createBucket(t, c, bucket)
	ctx := t.Context()
	created, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("key")})
	if err != nil {
		t.Fatal(err)
	}
	upload := &s3.UploadPartInput{Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: created.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")}
	if _, err := c.UploadPart(ctx, upload); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: created.UploadId}); err != nil {
		t.Fatal(err)
	}
	if n := blobCount(t, dir); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
	upload.Body = strings.NewReader("x")
	_, err = c.UploadPart(ctx, upload)
	wantCode(t, err, "NoSuchUpload")
}

func TestUploadManagerWithAStream(t *testing.T) {
	c := withBucket(t)
	body := randomBytes(17<<20 + 3)
	_, err := manager.NewUploader(c).Upload(t.Context(), &s3.PutObjectInput{ //nolint:staticcheck // its successor is not in go.mod
		Bucket: aws.String(bucket), Key: aws.String("key"), Body: io.LimitReader(bytes.NewReader(body), int64(len(body)))})
	if err != nil {
		t.Fatal(err)
	}
	if got := mustGet(t, c, "key"); !bytes.Equal(got, body) {
		t.Errorf("%d bytes came back", len(got))
	}
}

func TestBuckets(t *testing.T) {
	c := withBucket(t)
	ctx := t.Context()
	createBucket(t, c, "another-bucket")
	createBucket(t, c, "short.labels.x")
	_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	wantCode(t, err, "BucketAlreadyOwnedByYou")
	all, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(all.Buckets) != 3 || *all.Buckets[0].Name != "another-bucket" || all.Buckets[0].CreationDate.IsZero() {
		t.Errorf("buckets: %+v, %v", all, err)
	}
	if _, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: aws.String(bucket)}); err != nil {
		t.Error(err)
	}
	put(t, c, "key", nil)
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String(bucket)})
	wantCode(t, err, "BucketNotEmpty")
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("another-bucket")}); err != nil {
		t.Error(err)
	}
	_, err = c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("another-bucket")})
	wantCode(t, err, "NotFound", "NoSuchBucket")
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("another-bucket"), Key: aws.String("k"), Body: strings.NewReader("x")})
	wantCode(t, err, "NoSuchBucket")
}

func TestSubresourcesAreNotTheObject(t *testing.T) {
	c := withBucket(t)
	ctx := t.Context()
	put(t, c, "key", []byte("body"))
	_, err := c.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: aws.String(bucket), Key: aws.String("key"),
		Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("a=b"), Value: aws.String("c=+ é")}}}})
	if err != nil {
		t.Fatal(err)
	}
	tags, err := c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: aws.String(bucket), Key: aws.String("key")})
	if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Key != "a=b" || *tags.TagSet[0].Value != "c=+ é" {
		t.Errorf("tags: %+v, %v", tags, err)
	}
	if _, err := c.DeleteObjectTagging(ctx, &s3.DeleteObjectTaggingInput{Bucket: aws.String(bucket), Key: aws.String("key")}); err != nil {
		t.Fatal(err)
	}
	_, err = c.PutObjectAcl(ctx, &s3.PutObjectAclInput{Bucket: aws.String(bucket), Key: aws.String("key"), ACL: types.ObjectCannedACLPrivate})
	wantCode(t, err, "NotImplemented")
	if got := mustGet(t, c, "key"); string(got) != "body" {
		t.Errorf("the object holds %q", got)
	}
}

func TestOnlyOneProcessOpensADirectory(t *testing.T) {
	dir := t.TempDir()
	_ = open(t, dir)
	if _, err := disk.Open(dir); !errors.Is(err, disk.ErrInUse) {
		t.Fatalf("got %v", err)
	}
}

func TestEverythingIsThereAfterReopening(t *testing.T) {
	dir := t.TempDir()
	c, stop := serve(t, dir)
	createBucket(t, c, bucket)
	put(t, c, "key", []byte("body"))
	whole := uploadParts(t, c, "multipart", 5<<20, 10)
	stop()
	c = open(t, dir)
	if got := mustGet(t, c, "key"); string(got) != "body" {
		t.Errorf("got %q", got)
	}
	if got := mustGet(t, c, "multipart"); !bytes.Equal(got, whole) {
		t.Errorf("%d bytes came back", len(got))
	}
}

func TestReaderKeepsWhatIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	createBucket(t, c, bucket)
	body := uploadParts(t, c, "key", 5<<20, 5<<20, 5<<20)
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "key", []byte("new")) // while most of the parts are not even open
	got, err := io.ReadAll(out.Body)
	out.Body.Close()
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if got := mustGet(t, c, "key"); string(got) != "new" {
		t.Errorf("got %q", got)
	}
}
