package e2e_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// stream hides everything of a reader but Read: no seeking, no length.
type stream struct{ io.Reader }

// object is what a client sees of an object.
type object struct {
	ETag     string
	Size     int64
	Metadata map[string]string
}

// same says whether two listings show the same object.
func (o object) same(other object) bool { return o.ETag == other.ETag && o.Size == other.Size }

func (r *replica) head(t *testing.T, bucket, key string) object {
	t.Helper()
	out, err := r.client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("HEAD %s: %v", key, err)
	}
	return object{strings.Trim(aws.ToString(out.ETag), `"`), aws.ToInt64(out.ContentLength), out.Metadata}
}

// listed gives the objects of a bucket as a listing shows them, without their metadata.
func (r *replica) listed(t *testing.T, bucket string) map[string]object {
	t.Helper()
	objects := map[string]object{}
	pages := s3.NewListObjectsV2Paginator(r.client(), &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(7)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("list %s: %v", bucket, err)
		}
		for _, o := range page.Contents {
			objects[*o.Key] = object{ETag: strings.Trim(aws.ToString(o.ETag), `"`), Size: aws.ToInt64(o.Size)}
		}
	}
	return objects
}

// wantObject reads an object whole and fails unless it holds the body under that ETag, in HEAD, GET and the listing.
func (r *replica) wantObject(t *testing.T, bucket, key string, p payload, etag string) {
	t.Helper()
	out, err := r.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("GET %s: %v", key, err)
	}
	defer out.Body.Close()
	p.wantReader(t, key, out.Body)
	if got := strings.Trim(aws.ToString(out.ETag), `"`); got != etag {
		t.Errorf("GET %s: ETag %s, want %s", key, got, etag)
	}
	if got := r.head(t, bucket, key); got.ETag != etag || got.Size != p.size {
		t.Errorf("HEAD %s: ETag %s, %d bytes; want %s, %d", key, got.ETag, got.Size, etag, p.size)
	}
	if got := r.listed(t, bucket)[key]; got.ETag != etag || got.Size != p.size {
		t.Errorf("listing of %s: ETag %s, %d bytes; want %s, %d", key, got.ETag, got.Size, etag, p.size)
	}
}

// put writes a body in one PUT and gives its ETag.
func (r *replica) put(t *testing.T, bucket, key string, p payload, metadata map[string]string) string {
	t.Helper()
	_, err := r.client().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: bytes.NewReader(p.bytes()), Metadata: metadata,
	})
	if err != nil {
		t.Fatalf("PUT %s: %v", key, err)
	}
	return p.etag()
}

// upload writes a body in parts and gives its ETag.
func (r *replica) upload(t *testing.T, bucket, key string, p payload, partSize int64, metadata map[string]string) string {
	t.Helper()
	uploader := manager.NewUploader(r.client(), func(u *manager.Uploader) { u.PartSize = partSize })                                     //nolint:staticcheck // deprecated, and what programs in the field use
	_, err := uploader.Upload(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: stream{p.reader()}, Metadata: metadata}) //nolint:staticcheck // deprecated, and what programs in the field use
	if err != nil {
		t.Fatalf("upload %s: %v", key, err)
	}
	if p.size < partSize {
		return p.etag()
	}
	return p.multipartETag(partSize)
}

func TestSDKUploadsAStreamOfUnknownLength(t *testing.T) {
	r := newSite(t, "").start(t, "cofre")
	bucket := r.bucket(t, "sdk")
	note := map[string]string{"note": secretNote}
	for _, size := range []int64{0, 1000, 5 * mib, 33*mib + 7} {
		p := newPayload(size)
		etag := r.upload(t, bucket, "streamed", p, 5*mib, note)
		r.wantObject(t, bucket, "streamed", p, etag)
		if got := r.head(t, bucket, "streamed").Metadata["note"]; got != secretNote {
			t.Errorf("%d bytes: metadata %q", size, got)
		}
		needles := spellings("the metadata value", []byte(secretNote))
		if size >= markerLength {
			needles = append(needles, p.needles(5*mib)...)
		}
		r.wantSealed(t, bucket, "streamed", size, needles...)

		back := manager.NewWriteAtBuffer(nil)
		downloader := manager.NewDownloader(r.client(), func(d *manager.Downloader) { d.PartSize = 5*mib + 1 })            //nolint:staticcheck // deprecated, and what programs in the field use
		_, err := downloader.Download(t.Context(), back, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("streamed")}) //nolint:staticcheck // deprecated, and what programs in the field use
		if err != nil && size > 0 {                                                                                        // a range of an empty object is refused
			t.Fatalf("download in ranges: %v", err)
		}
		p.wantReader(t, "download in ranges", bytes.NewReader(back.Bytes()))
	}
}

// A stream of known length that the SDK can neither hash nor send twice: UNSIGNED-PAYLOAD.
func TestSDKPutsAnUnseekableStream(t *testing.T) {
	r := newSite(t, "").start(t, "cofre")
	bucket, p := r.bucket(t, "sdk"), newPayload(3*mib+1)
	_, err := r.client().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("stream"), Body: stream{p.reader()}, ContentLength: aws.Int64(p.size),
	}, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware), func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	if err != nil {
		t.Fatal(err)
	}
	r.wantObject(t, bucket, "stream", p, p.etag())
	r.wantSealed(t, bucket, "stream", p.size, p.needles(0)...)
}

func TestSDKSendsAndReadsEveryChecksum(t *testing.T) {
	r := newSite(t, "").start(t, "cofre")
	bucket, p := r.bucket(t, "sdk"), newPayload(100_000)
	for _, algorithm := range types.ChecksumAlgorithm("").Values() {
		switch algorithm {
		case types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmSha1,
			types.ChecksumAlgorithmSha256, types.ChecksumAlgorithmCrc64nvme:
		default:
			continue // newer than what cofre takes
		}
		key := string(algorithm)
		_, err := r.client().PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: &bucket, Key: &key, Body: bytes.NewReader(p.bytes()), ChecksumAlgorithm: algorithm,
		})
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		out, err := r.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		p.wantReader(t, key, out.Body) // the SDK checks the checksum as the body ends
		out.Body.Close()
		if out.ChecksumCRC32 == nil && out.ChecksumCRC32C == nil && out.ChecksumSHA1 == nil && out.ChecksumSHA256 == nil && out.ChecksumCRC64NVME == nil {
			t.Errorf("%s: no checksum came back", algorithm)
		}
		r.wantSealed(t, bucket, key, p.size, p.needles(0)...)
	}
}
