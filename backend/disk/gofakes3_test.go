package disk

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
)

// newFake gives the storage as gofakes3 sees it, with a bucket.
func newFake(t *testing.T) fake {
	t.Helper()
	b, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	f := fake{b.store}
	if err := f.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	return f
}

func fakePut(t *testing.T, f fake, key, body string) gofakes3.PutObjectResult {
	t.Helper()
	meta := map[string]string{"X-Amz-Meta-Name": "value", "X-Amz-Date": "not kept"}
	result, err := f.PutObject("bucket", key, meta, strings.NewReader(body), int64(len(body)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func fakeRead(t *testing.T, o *gofakes3.Object, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Contents.Close()
	var body bytes.Buffer
	// One byte at a time, to meet every edge between blobs; WriterTo is what the HTTP tests go through.
	if _, err := io.CopyBuffer(&body, struct{ io.Reader }{o.Contents}, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

func TestFakeObjects(t *testing.T) {
	f := newFake(t)
	fakePut(t, f, "key", "0123456789")
	o, err := f.GetObject("bucket", "key", nil)
	if got := fakeRead(t, o, err); got != "0123456789" || o.Metadata["x-amz-meta-name"] != "value" || o.Metadata["x-amz-date"] != "" {
		t.Errorf("got %q, %v", got, o.Metadata)
	}
	o, err = f.GetObject("bucket", "key", &gofakes3.ObjectRangeRequest{Start: 2, End: 4})
	if got := fakeRead(t, o, err); got != "234" {
		t.Errorf("range: %q", got)
	}
	if _, err := f.GetObject("bucket", "missing", nil); !gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey) {
		t.Errorf("missing: %v", err)
	}
	if _, err := f.CopyObject("bucket", "key", "bucket", "copy", map[string]string{"X-Amz-Meta-Other": "1"}); err != nil {
		t.Fatal(err)
	}
	list, err := f.ListBucket("bucket", nil, gofakes3.ListBucketPage{MaxKeys: 1})
	if err != nil || len(list.Contents) != 1 || !list.IsTruncated || list.NextMarker != "copy" {
		t.Errorf("list: %+v, %v", list, err)
	}
	all := "*"
	_, err = f.PutObject("bucket", "key", nil, strings.NewReader("x"), 1, &gofakes3.PutConditions{IfNoneMatch: &all})
	if !gofakes3.HasErrorCode(err, gofakes3.ErrPreconditionFailed) {
		t.Errorf("If-None-Match: %v", err)
	}
	_, err = f.PutObject("bucket", "key", nil, strings.NewReader("longer"), 1, nil)
	if !gofakes3.HasErrorCode(err, gofakes3.ErrIncompleteBody) {
		t.Errorf("a body that is too long: %v", err)
	}
	deleted, err := f.DeleteMulti("bucket", "key", "copy", "missing")
	if err != nil || len(deleted.Deleted) != 3 || len(deleted.Error) != 0 {
		t.Errorf("delete: %+v, %v", deleted, err)
	}
	if err := f.DeleteBucket("bucket"); err != nil {
		t.Error(err)
	}
	if ok, err := f.BucketExists("bucket"); ok || err != nil {
		t.Errorf("the bucket is still there: %v", err)
	}
}

func TestFakeVersions(t *testing.T) {
	f := newFake(t)
	if err := f.SetVersioningConfiguration("bucket", gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}); err != nil {
		t.Fatal(err)
	}
	one, two := fakePut(t, f, "key", "one").VersionID, fakePut(t, f, "key", "two").VersionID
	o, err := f.GetObjectVersion("bucket", "key", one, nil)
	if got := fakeRead(t, o, err); got != "one" {
		t.Errorf("version: %q", got)
	}
	removed, err := f.DeleteObject("bucket", "key")
	if err != nil || !removed.IsDeleteMarker {
		t.Errorf("delete: %+v, %v", removed, err)
	}
	// Pages of one, until there are no more.
	var seen []gofakes3.VersionID
	page := &gofakes3.ListBucketVersionsPage{MaxKeys: 1}
	for {
		list, err := f.ListBucketVersions("bucket", nil, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list.Versions {
			seen = append(seen, v.GetVersionID())
		}
		if !list.IsTruncated {
			break
		}
		page = &gofakes3.ListBucketVersionsPage{MaxKeys: 1, HasKeyMarker: true, KeyMarker: list.NextKeyMarker, HasVersionIDMarker: true, VersionIDMarker: list.NextVersionIDMarker}
	}
	if len(seen) != 3 || seen[0] != removed.VersionID || seen[1] != two || seen[2] != one {
		t.Errorf("versions: %v", seen)
	}
}

func TestFakeMultipart(t *testing.T) {
	f := newFake(t)
	id, err := f.CreateMultipartUpload("bucket", "key", nil)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", minPartSize)
	second, err := f.UploadPart("bucket", "key", id, 2, 3, strings.NewReader("end"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := f.UploadPart("bucket", "key", id, 1, minPartSize, strings.NewReader(long))
	if err != nil {
		t.Fatal(err)
	}
	parts, err := f.ListParts("bucket", "key", id, 0, 1)
	if err != nil || len(parts.Parts) != 1 || parts.Parts[0].ETag != first || !parts.IsTruncated || parts.NextPartNumberMarker != 1 {
		t.Errorf("parts: %+v, %v", parts, err)
	}
	uploads, err := f.ListMultipartUploads("bucket", nil, gofakes3.Prefix{}, 1)
	if err != nil || len(uploads.Uploads) != 1 || uploads.Uploads[0].UploadID != id {
		t.Errorf("uploads: %+v, %v", uploads, err)
	}
	input := &gofakes3.CompleteMultipartUploadRequest{Parts: []gofakes3.CompletedPart{{PartNumber: 1, ETag: first}, {PartNumber: 2, ETag: second}}}
	if _, _, err := f.CompleteMultipartUpload("bucket", "key", id, input); err != nil {
		t.Fatal(err)
	}
	o, err := f.GetObject("bucket", "key", &gofakes3.ObjectRangeRequest{Start: minPartSize - 2, End: gofakes3.RangeNoEnd})
	if got := fakeRead(t, o, err); got != "xxend" {
		t.Errorf("got %q", got)
	}
	if err := f.AbortMultipartUpload("bucket", "key", id); !gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchUpload) {
		t.Errorf("abort: %v", err)
	}
	if fakeError(errors.New("x")).Error() != "x" {
		t.Error("an error of another kind is changed")
	}
}
