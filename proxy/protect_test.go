package proxy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/access"
	"cofre/proxy"
)

// lockedBucket makes a bucket that can protect objects.
func (s *site) lockedBucket(t *testing.T, name string) string {
	t.Helper()
	b := name + "-" + randomHex(4)
	if _, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	return b
}

// wantProtected looks at an object's protection and tags, and that its version cannot be deleted.
func (s *site) wantProtected(t *testing.T, bucket, key string, until time.Time) {
	t.Helper()
	head, err := s.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	if head.ObjectLockMode != types.ObjectLockModeGovernance || !aws.ToTime(head.ObjectLockRetainUntilDate).Equal(until) || head.ObjectLockLegalHoldStatus != types.ObjectLockLegalHoldStatusOn {
		t.Errorf("%s: %v until %v, hold %v", key, head.ObjectLockMode, head.ObjectLockRetainUntilDate, head.ObjectLockLegalHoldStatus)
	}
	tags, err := s.client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: &key})
	if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Key != "kind" || *tags.TagSet[0].Value != "scan é" {
		t.Errorf("%s: tags %v, %v", key, tags, err)
	}
	_, err = s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: head.VersionId})
	wantCode(t, err, "AccessDenied")
}

// TestProtectionAndTagsOfEveryKindOfWrite asks for retention, legal hold and tags in the three ways to make an object. RGW 16 by itself
// keeps them of PutObject only.
func TestProtectionAndTagsOfEveryKindOfWrite(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.lockedBucket(t, "protected")
	until := time.Now().Add(30 * time.Second).UTC().Truncate(time.Second)
	const tags = "kind=scan%20%C3%A9"
	s.put(t, b, "source", []byte("x"))
	if _, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &b, Key: str("put"), Body: strings.NewReader("x"), Tagging: str(tags), ObjectLockMode: types.ObjectLockModeGovernance,
		ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: &b, Key: str("copy"), CopySource: str(b + "/source"), Tagging: str(tags), TaggingDirective: types.TaggingDirectiveReplace,
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn,
	}); err != nil {
		t.Fatal(err)
	}
	s.joinOne(t, &s3.CreateMultipartUploadInput{
		Bucket: &b, Key: str("multipart"), Tagging: str(tags), ObjectLockMode: types.ObjectLockModeGovernance,
		ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn,
	})
	// What was asked for takes the place of the bucket's default, also where that is longer.
	if _, err := s.client.PutObjectLockConfiguration(t.Context(), &s3.PutObjectLockConfigurationInput{Bucket: &b, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: types.ObjectLockEnabledEnabled,
		Rule:              &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeGovernance, Days: num(int32(1))}},
	}}); err != nil {
		t.Fatal(err)
	}
	s.joinOne(t, &s3.CreateMultipartUploadInput{
		Bucket: &b, Key: str("over the default"), Tagging: str(tags), ObjectLockMode: types.ObjectLockModeGovernance,
		ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn,
	})
	for _, key := range []string{"put", "copy", "multipart", "over the default"} {
		s.wantProtected(t, b, key, until)
	}
}

// joinOne makes an object of one part.
func (s *site) joinOne(t *testing.T, in *s3.CreateMultipartUploadInput) {
	t.Helper()
	if _, err := s.client.CompleteMultipartUpload(t.Context(), s.uploadOne(t, in)); err != nil {
		t.Fatal(err)
	}
}

// uploadOne uploads one part, and gives what completes the object.
func (s *site) uploadOne(t *testing.T, in *s3.CreateMultipartUploadInput) *s3.CompleteMultipartUploadInput {
	t.Helper()
	up, err := s.client.CreateMultipartUpload(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	part, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: in.Bucket, Key: in.Key, UploadId: up.UploadId, PartNumber: num(int32(1)), Body: strings.NewReader("part")})
	if err != nil {
		t.Fatal(err)
	}
	return &s3.CompleteMultipartUploadInput{
		Bucket: in.Bucket, Key: in.Key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: num(int32(1)), ETag: part.ETag}}},
	}
}

// TestACompleteThatCouldNotProtectIsNotDone has the storage refuse the retention once: the client is told, and completing again
// protects the object.
func TestACompleteThatCouldNotProtectIsNotDone(t *testing.T) {
	var refuse refusedOnce
	s := newSite(t, rgwStorage(t), siteConfig{wrap: func(b proxy.Backend) proxy.Backend { refuse.Backend = b; return &refuse }})
	b := s.lockedBucket(t, "protectagain")
	until := time.Now().Add(30 * time.Second).UTC().Truncate(time.Second)
	complete := s.uploadOne(t, &s3.CreateMultipartUploadInput{
		Bucket: &b, Key: str("k"), Tagging: str("kind=scan%20%C3%A9"), ObjectLockMode: types.ObjectLockModeGovernance,
		ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn,
	})
	refuse.left = 1
	_, err := s.client.CompleteMultipartUpload(t.Context(), complete)
	wantCode(t, err, "SlowDown")
	if _, err := s.client.CompleteMultipartUpload(t.Context(), complete); err != nil {
		t.Fatal(err)
	}
	s.wantProtected(t, b, "k", until)
}

type refusedOnce struct {
	proxy.Backend
	left int
}

func (r *refusedOnce) Do(ctx context.Context, as access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	if rq.Query.Has("retention") && r.left > 0 {
		r.left--
		return nil, proxy.ErrBackendUnavailable
	}
	return r.Backend.Do(ctx, as, rq)
}

// TestProtectionThatCannotBeIsRefusedBeforeTheUpload sends what S3 refuses.
func TestProtectionThatCannotBeIsRefusedBeforeTheUpload(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	locked, plain := s.lockedBucket(t, "lockargs"), s.bucket(t, "nolock")
	s.put(t, locked, "source", []byte("x"))
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	lock := func(mode, until, hold string) map[string]string {
		h := map[string]string{}
		for name, v := range map[string]string{"x-amz-object-lock-mode": mode, "x-amz-object-lock-retain-until-date": until, "x-amz-object-lock-legal-hold": hold} {
			if v != "" {
				h[name] = v
			}
		}
		return h
	}
	for _, test := range []struct {
		bucket, mode, until, hold, code string
	}{
		{locked, "GOVERNANCE", "", "", "InvalidArgument"},
		{locked, "", future, "", "InvalidArgument"},
		{locked, "FOREVER", future, "", "InvalidArgument"},
		{locked, "GOVERNANCE", "tomorrow", "", "InvalidArgument"},
		{locked, "COMPLIANCE", "2015-01-01T00:00:00Z", "", "InvalidArgument"},
		{locked, "", "", "PERHAPS", "InvalidArgument"},
		{plain, "GOVERNANCE", future, "", "InvalidRequest"},
		{plain, "", "", "ON", "InvalidRequest"},
	} {
		h := lock(test.mode, test.until, test.hold)
		s.send(t, request{method: "POST", bucket: test.bucket, key: "k", query: "uploads=", header: h}).want(t, 400, test.code)
		s.send(t, request{method: "PUT", bucket: test.bucket, key: "k", header: h}).want(t, 400, test.code)
		h["x-amz-copy-source"] = locked + "/source"
		s.send(t, request{method: "PUT", bucket: test.bucket, key: "k", header: h}).want(t, 400, test.code)
	}
	s.send(t, request{method: "POST", bucket: plain, key: "k", query: "uploads=", header: map[string]string{"x-amz-tagging": "a=1&a=2"}}).want(t, 400, "InvalidArgument")
	list, err := s.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &locked})
	if err != nil || len(list.Uploads) != 0 {
		t.Errorf("%v, %v", list.Uploads, err)
	}
}
