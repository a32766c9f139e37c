package e2e_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// TestPoliciesOnTheStorageAddUp has one system bucket for two shared buckets, one of which a site only deposits in, and for a bucket of
// the guest's own, all by what `cofre share policy` prints; then the guest leaves one of them.
func TestPoliciesOnTheStorageAddUp(t *testing.T) {
	a := newSite(t, "")
	b := newSiteAs(t, otherUserOf(t), a.systemBucket)
	uidA, uidB := service(t, "rgw", "COFRE_TEST_RGW_UID"), service(t, "rgw", "COFRE_TEST_RGW_ALT_UID")
	name := randomHex(6)
	shared, registry, own := "shared-"+name, "registry-"+name, "own-"+name
	ra := a.start(t, "A")
	for _, bucket := range []string{shared, registry} {
		if _, err := ra.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			t.Fatal(err)
		}
	}
	a.trusts(t, b, shared)
	b.trusts(t, a, shared)
	for what, args := range map[string][]string{
		"share add": {"share", "add", "--bucket", shared, "--site", a.card(t)},
		"doctor":    {"doctor"},
	} {
		cmd := b.command(append(args, "--config", b.writeConfig("command", "127.0.0.1:9000", "127.0.0.1:9090"))...)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "`cofre share policy --bucket ") {
			t.Errorf("%s before the storage lets B in says %v\n%s", what, err, out)
		}
	}
	a.putPolicies(t, shared, uidA, uidB)
	b.cofre(t, "share", "add", "--bucket", shared, "--site", a.card(t))
	a.putPoliciesFor(t, registry, "--backend-user", uidA, "--deposit-user", uidB, "--prefix", "in/")
	a.putPolicy(t, a.systemBucket, a.cofre(t, "share", "policy", "--bucket", own, "--backend-user", uidB, "--for", "system"))
	if out := b.cofre(t, "doctor"); !strings.Contains(out, "can be written, read and deleted in") {
		t.Errorf("doctor at the guest says\n%s", out)
	}

	// The guest's own bucket works on the other's system bucket.
	rb := b.start(t, "B")
	if _, err := rb.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &own}); err != nil {
		t.Fatal(err)
	}
	p := newPayload(20_000)
	rb.put(t, own, "mine", p, nil)
	rb.wantRead(t, own, "mine", p)

	as := b.rgw.client()
	write := func(bucket, key string) error {
		_, err := as.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")})
		return err
	}
	remove := func(bucket, key string) error {
		_, err := as.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
		return err
	}
	keks := func(bucket string) string { return "buckets/" + bucket + "/keks/probe" }
	for what, err := range map[string]error{
		"write where it is a member":                 write(shared, "x"),
		"delete where it is a member":                remove(shared, "x"),
		"write below its prefix":                     write(registry, "in/x"),
		"write keys of the bucket of which a member": write(a.systemBucket, keks(shared)),
		"remove keys there":                          remove(a.systemBucket, keks(shared)),
		"write keys of the bucket it deposits in":    write(a.systemBucket, keks(registry)),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"write beside its prefix":              write(registry, "x"),
		"delete what it deposited":             remove(registry, "in/x"),
		"remove keys where it deposits":        remove(a.systemBucket, keks(registry)),
		"remove layouts where it deposits":     remove(a.systemBucket, "buckets/"+registry+"/layouts/x"),
		"write keys of a bucket of others":     write(a.systemBucket, keks("other-"+name)),
		"write where nothing is anybody's":     write(a.systemBucket, "elsewhere"),
		"write other things where it deposits": write(a.systemBucket, "buckets/"+registry+"/x"),
	} {
		if code := errorCode(err); code != "AccessDenied" {
			t.Errorf("%s: %q, want AccessDenied", what, code)
		}
	}

	a.putPoliciesFor(t, shared, "--remove-user", uidB)
	if code := errorCode(write(shared, "x")); code != "AccessDenied" {
		t.Errorf("the guest has left, and writes: %q", code)
	}
	if err := write(registry, "in/x"); err != nil {
		t.Errorf("the guest left another bucket: %v", err)
	}
	rb.put(t, own, "more", p, nil)
	if keys := b.cofre(t, "key", "list", "--bucket", own); !strings.Contains(keys, " active ") {
		t.Errorf("key list:\n%s", keys)
	}
	left := a.cofre(t, "share", "policy", "--bucket", registry, "--backend-user", uidA, "--for", "bucket")
	if !slices.Contains(strings.Fields(left), `"arn:aws:s3:::`+registry+`/in/*"`) {
		t.Errorf("the policy forgot the depositor:\n%s", left)
	}
}

// putPolicy puts a policy on a bucket, as its owner.
func (s *site) putPolicy(t *testing.T, bucket, text string) {
	t.Helper()
	if _, err := s.rgw.client().PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: &text}); err != nil {
		t.Fatalf("policy of %s: %v\n%s", bucket, err, text)
	}
}

// errorCode is S3's word for an error, empty for none.
func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
