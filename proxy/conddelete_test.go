package proxy_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// version turns versioning of a bucket on.
func (s *site) version(t *testing.T, bucket string) {
	t.Helper()
	s.send(t, sub2("PUT", bucket, "", "versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")).want(t, 200, "")
}

func num[T int32 | int64](n T) *T { return &n }

// TestDeletesHappenOnlyIfTheirConditionsHold sends each condition of DeleteObject, alone and beside another, to an object of which
// plaintext size and ETag are nowhere on the storage.
func TestDeletesHappenOnlyIfTheirConditionsHold(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "conddelete")
		put := func() (etag string, modified time.Time) {
			s.put(t, b, "k", []byte("seven b"))
			head, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: str("k")})
			if err != nil {
				t.Fatal(err)
			}
			return *head.ETag, *head.LastModified
		}
		etag, _ := put()
		old := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, in := range []s3.DeleteObjectInput{
			{IfMatch: str("0123456789abcdef0123456789abcdef")},
			{IfMatchSize: num(int64(8))},
			{IfMatchLastModifiedTime: &old},
			{IfMatch: &etag, IfMatchSize: num(int64(8))},
			{IfMatch: &etag, IfMatchSize: num(int64(7)), IfMatchLastModifiedTime: &old},
		} {
			in.Bucket, in.Key = &b, str("k")
			_, err := s.client.DeleteObject(t.Context(), &in)
			wantCode(t, err, "PreconditionFailed")
		}
		if got := s.get(t, b, "k"); string(got) != "seven b" {
			t.Fatalf("%q", got)
		}
		for name, holds := range map[string]func(etag string, modified time.Time) s3.DeleteObjectInput{
			"any":  func(string, time.Time) s3.DeleteObjectInput { return s3.DeleteObjectInput{IfMatch: str("*")} },
			"etag": func(etag string, _ time.Time) s3.DeleteObjectInput { return s3.DeleteObjectInput{IfMatch: &etag} },
			"size": func(string, time.Time) s3.DeleteObjectInput { return s3.DeleteObjectInput{IfMatchSize: num(int64(7))} },
			"modified": func(_ string, m time.Time) s3.DeleteObjectInput {
				return s3.DeleteObjectInput{IfMatchLastModifiedTime: &m}
			},
			"all": func(etag string, m time.Time) s3.DeleteObjectInput {
				return s3.DeleteObjectInput{IfMatch: &etag, IfMatchSize: num(int64(7)), IfMatchLastModifiedTime: &m}
			},
		} {
			in := holds(put())
			in.Bucket, in.Key = &b, str("k")
			for _, when := range []string{"there", "gone"} { // what is gone is deleted already, whatever it should have been
				if _, err := s.client.DeleteObject(t.Context(), &in); err != nil {
					t.Errorf("%s, %s: %v", name, when, err)
				}
				s.send(t, request{method: "HEAD", bucket: b, key: "k"}).want(t, 404, "")
			}
		}
		s.send(t, request{method: "DELETE", bucket: b, key: "k", header: map[string]string{"x-amz-if-match-size": "many"}}).want(t, 400, "InvalidArgument")
		s.send(t, request{method: "DELETE", bucket: b, key: "k", header: map[string]string{"x-amz-if-match-last-modified-time": "today"}}).want(t, 400, "InvalidArgument")
	})
}

// TestEachKeyOfDeleteObjectsHasItsOwnCondition mixes keys whose conditions hold, fail, and keys without.
func TestEachKeyOfDeleteObjectsHasItsOwnCondition(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "conddeletes")
		etag := s.put(t, b, "right", []byte("a")).ETag
		for _, key := range []string{"wrong", "free", "size"} {
			s.put(t, b, key, []byte("bcd"))
		}
		out, err := s.client.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
			{Key: str("right"), ETag: etag}, {Key: str("wrong"), ETag: etag}, {Key: str("free")}, {Key: str("size"), Size: num(int64(4))}, {Key: str("nothing"), ETag: etag},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		failed := map[string]string{}
		for _, e := range out.Errors {
			failed[*e.Key] = *e.Code
		}
		if len(out.Deleted) != 3 || len(failed) != 2 || failed["wrong"] != "PreconditionFailed" || failed["size"] != "PreconditionFailed" {
			t.Errorf("deleted %v, failed %v", out.Deleted, failed)
		}
		list, err := s.client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b})
		if err != nil || len(list.Contents) != 2 || *list.Contents[0].Key != "size" || *list.Contents[1].Key != "wrong" {
			t.Errorf("left: %v, %v", list.Contents, err)
		}
	})
}

// TestConditionalDeletesOfVersions judges the version that is named, the current one where none is, and takes a delete marker
// for an object without ETag.
func TestConditionalDeletesOfVersions(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "condversions")
	s.version(t, b)
	first := s.put(t, b, "k", []byte("first"))
	second := s.put(t, b, "k", []byte("second"))
	del := func(versionID, etag *string) (*s3.DeleteObjectOutput, error) {
		return s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("k"), VersionId: versionID, IfMatch: etag})
	}
	_, err := del(nil, first.ETag)
	wantCode(t, err, "PreconditionFailed")
	_, err = del(first.VersionId, second.ETag)
	wantCode(t, err, "PreconditionFailed")
	if _, err := del(first.VersionId, first.ETag); err != nil {
		t.Error(err)
	}
	marked, err := del(nil, second.ETag)
	if err != nil || marked.DeleteMarker == nil || !*marked.DeleteMarker {
		t.Fatalf("%v, %v", marked, err)
	}
	_, err = del(nil, second.ETag)
	wantCode(t, err, "PreconditionFailed")
	if _, err := del(nil, str("*")); err != nil {
		t.Error(err)
	}
	if _, err := del(second.VersionId, second.ETag); err != nil {
		t.Error(err)
	}
	var api smithy.APIError
	if _, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("k")}); !errors.As(err, &api) || api.ErrorCode() != "NoSuchKey" {
		t.Error(err)
	}
}
