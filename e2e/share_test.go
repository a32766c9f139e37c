package e2e_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// cofre runs a command of the site's own and gives its standard output.
func (s *site) cofre(t *testing.T, args ...string) string {
	t.Helper()
	cmd := s.command(append(args, "--config", s.writeConfig("command", "127.0.0.1:9000", "127.0.0.1:9090"))...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cofre %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// card writes the site's public card to a file, as it is sent to other sites.
func (s *site) card(t *testing.T) string {
	t.Helper()
	return s.write("card.json", s.cofre(t, "site", "show", "--card"))
}

// trusts has the site trust another one as a member of all buckets whose names begin with a prefix, or of one.
func (s *site) trusts(t *testing.T, other *site, bucket string) {
	t.Helper()
	s.cofre(t, "site", "trust", other.card(t), "--bucket", bucket, "--as", "member")
}

// putPolicies puts what `cofre share policy` prints on the storage, as the owner of both buckets.
func (s *site) putPolicies(t *testing.T, bucket string, users ...string) {
	t.Helper()
	var flags []string
	for _, u := range users {
		flags = append(flags, "--backend-user", u)
	}
	s.putPoliciesFor(t, bucket, flags...)
}

// putPoliciesFor is putPolicies for the users that flags name.
func (s *site) putPoliciesFor(t *testing.T, bucket string, flags ...string) {
	t.Helper()
	args := append([]string{"share", "policy", "--bucket", bucket}, flags...)
	parts := strings.Split(s.cofre(t, args...), "# policy of ")
	if len(parts) != 3 {
		t.Fatalf("share policy printed %q", parts)
	}
	for i, name := range []string{bucket, s.systemBucket} {
		_, text, _ := strings.Cut(parts[i+1], "\n")
		s.putPolicy(t, name, text)
	}
}

// read gets an object whole; an error of S3 is given by its code.
func (r *replica) read(t *testing.T, bucket, key string) (string, string) {
	t.Helper()
	out, err := r.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	var api smithy.APIError
	if errors.As(err, &api) {
		return "", api.ErrorCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), ""
}

func (r *replica) wantRead(t *testing.T, bucket, key string, p payload) {
	t.Helper()
	if got, code := r.read(t, bucket, key); code != "" || got != string(p.bytes()) {
		t.Errorf("%s reads %d bytes of %s, %s", r.name, len(got), key, code)
	}
}

func (r *replica) wantRefused(t *testing.T, bucket, key, code string) {
	t.Helper()
	if got, is := r.read(t, bucket, key); is != code {
		t.Errorf("%s reads %s: %d bytes, %q, want %s", r.name, key, len(got), is, code)
	}
}

// TestThreeSitesOfWhichTwoShareABucket has three installations on one storage, each with its own keys and its own database, two of
// them as the same user of the storage, so that nothing but keys stands between them and the objects.
func TestThreeSitesOfWhichTwoShareABucket(t *testing.T) {
	a := newSite(t, "")
	b, c := newSiteAs(t, otherUserOf(t), a.systemBucket), newSiteAs(t, otherUserOf(t), a.systemBucket)
	bucket := "shared-" + randomHex(6)
	a.trusts(t, b, bucket)
	b.trusts(t, a, bucket)
	c.trusts(t, a, bucket) // which A does not return
	ra := a.start(t, "A")
	if _, err := ra.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	small, large, theirs := newPayload(70_000), newPayload(11*mib), newPayload(6*mib+5)
	ra.put(t, bucket, "small", small, nil)
	ra.upload(t, bucket, "large", large, 5*mib, map[string]string{"note": secretNote})
	a.putPolicies(t, bucket, service(t, "rgw", "COFRE_TEST_RGW_UID"), service(t, "rgw", "COFRE_TEST_RGW_ALT_UID"))
	a.cofre(t, "share", "add", "--bucket", bucket, "--site", b.card(t))
	rb, rc := b.start(t, "B"), c.start(t, "C")

	rb.wantRead(t, bucket, "small", small)
	rb.wantRead(t, bucket, "large", large)
	if head := rb.head(t, bucket, "large"); head.Metadata["note"] != secretNote {
		t.Errorf("B sees metadata %v", head.Metadata)
	}
	rb.upload(t, bucket, "from B", theirs, 5*mib, nil)
	rb.put(t, bucket, "small from B", small, nil)
	ra.wantRead(t, bucket, "from B", theirs)
	ra.wantRead(t, bucket, "small from B", small)
	at, other := ra.listed(t, bucket), rb.listed(t, bucket)
	if len(at) != 4 {
		t.Errorf("A lists %v", at)
	}
	for key, facts := range at {
		if other[key].ETag != facts.ETag || other[key].Size != facts.Size {
			t.Errorf("%s: A lists %v, B lists %v", key, facts, other[key])
		}
	}
	if out := b.cofre(t, "heal", "--bucket", bucket); !strings.HasPrefix(out, "4 objects: 4 known") {
		t.Errorf("heal says %s", out)
	}
	for _, key := range []string{"small", "large", "from B"} {
		rc.wantRefused(t, bucket, key, "AccessDenied")
	}
	if list := a.cofre(t, "share", "list", "--bucket", bucket); strings.Count(list, "2 of 2") != 2 {
		t.Errorf("share list:\n%s", list)
	}

	needles := append(append(small.needles(0), large.needles(5*mib)...), theirs.needles(5*mib)...)
	operatorFindsNothing(t, bucket, needles, a, b)

	// A loses its database: its identity and the storage give all of it back.
	ra.rebuilt(t, bucket, "2 KEKs opened; 4 objects: 0 known, 4 healed")
	if again := ra.listed(t, bucket); !maps.EqualFunc(again, at, object.same) {
		t.Errorf("after the rebuild A lists %v, before %v", again, at)
	}
	if out := a.cofre(t, "key", "rotate", "--bucket", bucket); !strings.Contains(out, "seals under its first KEK") {
		t.Errorf("rotate after a rebuild, which makes no KEK active, says %s", out)
	}
	if out := a.cofre(t, "key", "list", "--bucket", bucket); strings.Count(out, "read-only") != 2 || strings.Count(out, "active") != 1 {
		t.Errorf("key list:\n%s", out)
	}

	// B leaves. What A writes from now on is closed to it; what lies there stays readable at A, B's own objects too.
	said := a.cofre(t, "share", "revoke", "--bucket", bucket, "--site", b.card(t))
	if !strings.Contains(said, "3 KEKs closed") {
		t.Errorf("revoke says %s", said)
	}
	ra.stop(t) // instead of waiting until it has looked at the store again
	ra.restart(t)
	ra.put(t, bucket, "after", small, nil)
	for key, p := range map[string]payload{"small": small, "large": large, "from B": theirs, "after": small} {
		ra.wantRead(t, bucket, key, p)
	}
	rb.wantRefused(t, bucket, "after", "AccessDenied")
	rb.wantRead(t, bucket, "small", small)  // it has the old keys: nothing else could be expected
	rb.put(t, bucket, "forged", small, nil) // the storage lets it: A does not believe it
	ra.wantRefused(t, bucket, "forged", "InternalError")
	if log, err := os.ReadFile(ra.log); err != nil || !strings.Contains(string(log), "closed") {
		t.Errorf("A's log does not say why: %v", err)
	}
	if _, err := ra.client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("forged")}); err != nil {
		t.Fatal(err)
	}

	// Only writing the old objects anew closes them to B too.
	at = ra.listed(t, bucket)
	a.wantDone(t, jobOf(t, a.cofre(t, "reencrypt", "--bucket", bucket)))
	rb.stop(t)
	rb.restart(t) // with everything that its identity, its database and the storage still give it
	kept := map[string]payload{"small": small, "large": large, "from B": theirs, "small from B": small, "after": small}
	for key := range kept {
		rb.wantRefused(t, bucket, key, "AccessDenied")
	}

	// And all of it comes back from the storage once more, with nobody's word needed.
	ra.rebuilt(t, bucket, "5 objects: 0 known, 5 healed, 0 unsealed, 0 failed")
	if again := ra.listed(t, bucket); !maps.EqualFunc(again, at, object.same) {
		t.Errorf("after the rebuild A lists %v, before the re-encryption %v", again, at)
	}
	for key, p := range kept {
		ra.wantRead(t, bucket, key, p)
	}
	operatorFindsNothing(t, bucket, needles, a, b)
}

// rebuilt takes the database from a site, has it made again from the storage, and fails unless that says what it should.
func (r *replica) rebuilt(t *testing.T, bucket, says string) {
	t.Helper()
	r.stop(t)
	r.dropDatabase()
	r.createDatabase()
	r.flushRedis()
	if out := r.cofre(t, "rebuild", "--bucket", bucket); !strings.Contains(out, says) {
		t.Errorf("rebuild says %s", out)
	}
	r.restart(t)
}
