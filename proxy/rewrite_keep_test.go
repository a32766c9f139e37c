package proxy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/proxy"
)

func TestProtectionOfARewrittenObjectIsKept(t *testing.T) {
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.lockedBucket(t, "held")
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	if _, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("put"), Body: strings.NewReader("x"), Tagging: str("kind=scan%20%C3%A9"),
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn}); err != nil {
		t.Fatal(err)
	}
	complete := s.uploadOne(t, &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("parts"), Tagging: str("kind=scan%20%C3%A9"),
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: &until, ObjectLockLegalHoldStatus: types.ObjectLockLegalHoldStatusOn})
	if _, err := s.client.CompleteMultipartUpload(t.Context(), complete); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.unprotect(b) })
	n := s.closed(t, b, siteConfig{})
	report, kinds := n.rewrite(t, b, proxy.RewriteConfig{RemoveReplaced: true})
	if report.Rewritten != 2 || report.Removed != 0 || !slices.Contains(kinds, "put locked") || !slices.Contains(kinds, "parts locked") {
		t.Errorf("%+v, %v", report, kinds)
	}
	for _, key := range []string{"put", "parts"} {
		n.wantProtected(t, b, key, until)
	}
}

// TestANullVersionOutlivesASuspensionDuringTheWalk: what is written then takes the place of the null version.
func TestANullVersionOutlivesASuspensionDuringTheWalk(t *testing.T) {
	t.Parallel()
	s := newSite(t, rgwStorage(t), siteConfig{})
	b := s.bucket(t, "suspending")
	for _, key := range []string{"k", "parts"} {
		s.put(t, b, key, []byte("null version"))
	}
	s.enableVersioning(t, b)
	s.put(t, b, "k", []byte("a version"))
	s.uploadTwo(t, b, "parts", pattern(5<<20), []byte("a version"), "")
	n := s.closed(t, b, siteConfig{})
	report, kinds := n.rewrite(t, b, proxy.RewriteConfig{Throttle: atFirstByte(func() {
		s.send(t, sub2("PUT", b, "", "versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")).want(t, 200, "")
	})})
	if report.Rewritten != 0 || !slices.Contains(kinds, "k suspended") || !slices.Contains(kinds, "parts suspended") {
		t.Errorf("%+v, %v", report, kinds)
	}
	for _, key := range []string{"k", "parts"} {
		got := n.send(t, request{method: "GET", bucket: b, key: key, query: "versionId=null"}).want(t, 200, "")
		if string(got.body) != "null version" {
			t.Errorf("the null version of %s is now %d bytes", key, len(got.body))
		}
	}
}

// unprotect lets a bucket's legal holds go, so that whoever tidies up after the tests can.
func (s *site) unprotect(bucket string) {
	list, err := s.raw.ListObjectVersions(context.Background(), &s3.ListObjectVersionsInput{Bucket: &bucket})
	if err != nil {
		return
	}
	for _, v := range list.Versions {
		_, _ = s.raw.PutObjectLegalHold(context.Background(), &s3.PutObjectLegalHoldInput{Bucket: &bucket, Key: v.Key, VersionId: v.VersionId,
			LegalHold: &types.ObjectLockLegalHold{Status: types.ObjectLockLegalHoldStatusOff}}) // it is the test's own storage
	}
}

// TestTheOwnerOfARewrittenObjectKeepsItsAccess on RGW, where an object belongs to the user who wrote it: also where the site may
// not look at the ACL, and knows its owner from the listing alone.
func TestTheOwnerOfARewrittenObjectKeepsItsAccess(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		actions string
		want    []string
	}{
		"the ACL is readable": {`"s3:*"`, []string{"/AllUsers READ", "ANN FULL_CONTROL", "BOB FULL_CONTROL"}},
		"it is not":           {`"s3:GetObject","s3:PutObject","s3:GetObjectTagging"`, []string{"ANN FULL_CONTROL", "BOB FULL_CONTROL"}},
	} {
		t.Run(name, func(t *testing.T) {
			st := rgwStorage(t)
			ann, bob := people(t, st)
			old := mappedSite(t, st, siteConfig{}, bob)
			b := old.bucket(t, "owner")
			policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam:::user/%s","arn:aws:iam:::user/%s"]},"Action":[%s],"Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]}]}`, ann.uid, bob.uid, c.actions, b, b)
			if _, err := st.raw.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &b, Policy: &policy}); err != nil {
				t.Fatal(err)
			}
			old.sendAs(t, bob.client(), request{method: "PUT", bucket: b, key: "k", header: map[string]string{"X-Amz-Acl": "public-read"}}).want(t, 200, "")
			s := old.closed(t, b, siteConfig{})
			if report, kinds := s.rewrite(t, b, proxy.RewriteConfig{}); report.Rewritten != 1 || len(kinds) > 0 {
				t.Fatalf("%+v, %v", report, kinds)
			}
			acl, err := st.raw.GetObjectAcl(t.Context(), &s3.GetObjectAclInput{Bucket: &b, Key: str("k")})
			if err != nil || *acl.Owner.ID != ann.uid {
				t.Fatalf("%+v, %v", acl, err)
			}
			names := strings.NewReplacer(ann.uid, "ANN", bob.uid, "BOB", "http://acs.amazonaws.com/groups/global", "")
			var got []string
			for _, g := range acl.Grants {
				got = append(got, names.Replace(aws.ToString(g.Grantee.ID)+aws.ToString(g.Grantee.URI)+" "+string(g.Permission)))
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("grants %q, want %q", got, c.want)
			}
		})
	}
}
