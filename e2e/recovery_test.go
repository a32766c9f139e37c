package e2e_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// initRecovery makes a recovery identity of three shares, of which two open it, that believes the site from the beginning.
func (s *site) initRecovery(t *testing.T) (identity string, shares []string) {
	t.Helper()
	dir := t.TempDir()
	identity = filepath.Join(dir, "safe.age")
	out, err := s.command("site", "init", "--recovery", "--identity", identity, "--name", "Safe", "--shares", "3", "--threshold", "2",
		"--share-dir", dir, "--trust", s.card(t)).CombinedOutput()
	if err != nil {
		t.Fatalf("site init --recovery: %v\n%s", err, out)
	}
	shares, err = filepath.Glob(filepath.Join(dir, "safe.share-*-of-3.txt"))
	if err != nil || len(shares) != 3 {
		t.Fatalf("%d shares, %v", len(shares), err)
	}
	return identity, shares
}

// becomes has a site take an identity from files of another machine, sealed anew by its own passphrase.
func (s *site) becomes(t *testing.T, identity string, shares ...string) {
	t.Helper()
	for from, to := range map[string]string{identity: "site.age", identity + ".trust.json": "site.age.trust.json"} {
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		s.write(to, string(raw))
	}
	args := []string{"site", "reseal", "--passphrase", "--new-passphrase-file", filepath.Join(s.dir, "passphrase")}
	for _, share := range shares {
		args = append(args, "--share", share)
	}
	s.cofre(t, args...)
}

// waitFor asks again and again until what a command prints holds a text.
func (s *site) waitFor(t *testing.T, text string, args ...string) {
	t.Helper()
	out := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if out = s.cofre(t, args...); strings.Contains(out, text) {
			return
		}
	}
	t.Fatalf("cofre %s never says %q:\n%s", strings.Join(args, " "), text, out)
}

// TestASiteIsRecoveredByTwoOfThreeShares loses a site whole: identity, trust list and database. What is left is the storage, and
// a recovery identity in a safe.
func TestASiteIsRecoveredByTwoOfThreeShares(t *testing.T) {
	a := newSite(t, "")
	ra := a.start(t, "A")
	bucket := ra.bucket(t, "lost")
	small, large, older := newPayload(70_000), newPayload(11*mib), newPayload(1234)
	ra.put(t, bucket, "small", small, nil)
	ra.upload(t, bucket, "large", large, 5*mib, map[string]string{"note": secretNote})
	_, err := ra.client().PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	if err != nil {
		t.Fatal(err)
	}
	ra.put(t, bucket, "versions", older, nil)
	ra.put(t, bucket, "versions", small, nil)

	// The recovery identity comes late: what was sealed before is granted to it by itself.
	identity, shares := a.initRecovery(t)
	shown, err := a.command("site", "show", "--identity", identity, "--share", shares[0], "--share", shares[1], "--card").Output()
	if err != nil {
		t.Fatal(err)
	}
	card := a.write("safe.card", string(shown))
	a.cofre(t, "site", "trust", card, "--bucket", "*", "--as", "recovery")
	a.waitFor(t, "1 of 1  "+siteIDOf(t, shown), "share", "list", "--bucket", bucket)
	a.cofre(t, "key", "rotate", "--bucket", bucket)
	ra.stop(t) // instead of waiting until it has looked at the store again
	ra.restart(t)
	ra.put(t, bucket, "after the rotation", small, nil)
	before := ra.listed(t, bucket)

	ra.stop(t)
	for _, name := range []string{"site.age", "site.age.trust.json"} {
		if err := os.Remove(filepath.Join(a.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	a.dropDatabase()

	// On the recovery machine.
	safe := newSite(t, a.systemBucket)
	safe.becomes(t, identity, shares[2], shares[0])
	if out := safe.cofre(t, "rebuild", "--bucket", bucket); !strings.Contains(out, "2 KEKs opened; 5 objects: 0 known, 5 healed") {
		t.Errorf("rebuild says %s", out)
	}
	rs := safe.start(t, "safe")
	if after := rs.listed(t, bucket); !maps.EqualFunc(after, before, object.same) {
		t.Errorf("the recovery identity lists %v, the site listed %v", after, before)
	}
	for key, p := range map[string]payload{"small": small, "large": large, "versions": small, "after the rotation": small} {
		rs.wantRead(t, bucket, key, p)
	}
	if head := rs.head(t, bucket, "large"); head.Metadata["note"] != secretNote {
		t.Errorf("metadata %v", head.Metadata)
	}
	rs.wantVersions(t, bucket, "versions", small, older)
	rs.wantNoWrites(t, bucket, safe.systemBucket)

	// A new site takes the bytes over with any client.
	heir := newSite(t, "").start(t, "heir")
	next := heir.bucket(t, "recovered")
	dir := t.TempDir()
	rs.aws(t, "s3", "sync", "s3://"+bucket, dir)
	heir.aws(t, "s3", "sync", dir, "s3://"+next)
	for key, p := range map[string]payload{"small": small, "large": large, "versions": small, "after the rotation": small} {
		heir.wantRead(t, next, key, p)
	}
}

// siteIDOf reads the site id of a card.
func siteIDOf(t *testing.T, card []byte) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(card), `"id":"`)
	if !ok || len(rest) < 64 {
		t.Fatalf("card %s", card)
	}
	return rest[:64]
}

// wantVersions wants all versions of a key, newest first.
func (r *replica) wantVersions(t *testing.T, bucket, key string, want ...payload) {
	t.Helper()
	list, err := r.client().ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &key})
	if err != nil || len(list.Versions) != len(want) {
		t.Fatalf("%d versions, want %d: %v", len(list.Versions), len(want), err)
	}
	for i, v := range list.Versions {
		if aws.ToInt64(v.Size) != want[i].size {
			t.Errorf("version %d lists %d bytes, want %d", i, aws.ToInt64(v.Size), want[i].size)
		}
		file := filepath.Join(t.TempDir(), "version")
		r.aws(t, "s3api", "get-object", "--bucket", bucket, "--key", key, "--version-id", aws.ToString(v.VersionId), file)
		want[i].wantFile(t, file)
	}
}

// wantNoWrites wants every write refused, with the reason in the log, and nothing new in the system bucket.
func (r *replica) wantNoWrites(t *testing.T, bucket, systemBucket string) {
	t.Helper()
	count := func() int {
		out, err := r.rgw.client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &systemBucket, Prefix: aws.String("buckets/" + bucket + "/keks/")})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Contents)
	}
	before := count()
	_, err := r.client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("new"), Body: strings.NewReader("x")})
	if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("PUT through a recovery identity: %v", err)
	}
	_, err = r.client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("new")})
	if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("CreateMultipartUpload through a recovery identity: %v", err)
	}
	if after := count(); after != before {
		t.Errorf("%d documents in the system bucket became %d", before, after)
	}
	if log := r.logTail(40); !strings.Contains(log, "no member of bucket") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}

// with gives a configuration of the site that names another identity file.
func (s *site) with(t *testing.T, identity string) string {
	t.Helper()
	raw, err := os.ReadFile(s.writeConfig("other", "127.0.0.1:0", "localhost:0"))
	if err != nil {
		t.Fatal(err)
	}
	return s.write("other.yaml", strings.Replace(string(raw), s.dir+"/site.age", identity, 1))
}

// TestAnIdentityIsRotatedWhateverStopsIt has a site take on another identity, killed again and again on the way, with a client
// in the middle of an upload.
func TestAnIdentityIsRotatedWhateverStopsIt(t *testing.T) {
	a := newSite(t, "")
	r := a.start(t, "A")
	small, large := newPayload(70_000), newPayload(11*mib)
	var buckets []string
	for range 4 {
		bucket := r.bucket(t, "rotated")
		r.put(t, bucket, "small", small, nil)
		buckets = append(buckets, bucket)
	}
	bucket := buckets[0]
	r.upload(t, bucket, "large", large, 5*mib, map[string]string{"note": secretNote})
	up, err := r.client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("open")})
	if err != nil {
		t.Fatal(err)
	}
	part := func() types.CompletedPart {
		out, err := r.client().UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: aws.String("open"), UploadId: up.UploadId,
			PartNumber: aws.Int32(1), Body: strings.NewReader(string(small.bytes()))})
		if err != nil {
			t.Fatal(err)
		}
		return types.CompletedPart{PartNumber: aws.Int32(1), ETag: out.ETag}
	}
	part()
	stored := a.storedCredential(t)
	before := r.listed(t, bucket)

	next := filepath.Join(a.dir, "next.age")
	rotate := []string{"site", "rotate", "--new", next, "--new-passphrase-file", filepath.Join(a.dir, "passphrase"), "--prepare"}
	a.cofre(t, rotate...)
	config := a.with(t, filepath.Join(a.dir, "site.age"))
	killed := func(after time.Duration, args ...string) {
		cmd := a.command(append(args, "--config", config)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after)
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	}
	for after := 100 * time.Millisecond; after < time.Second; after += 130 * time.Millisecond {
		killed(after, rotate...)
		r.wantRead(t, bucket, "small", small)
	}
	r.put(t, bucket, "between", small, nil)
	late := r.bucket(t, "late")
	r.put(t, late, "small", small, nil)

	last := rotate[:len(rotate)-1]
	for after := 400 * time.Millisecond; after < time.Second; after += 200 * time.Millisecond {
		killed(after, last...)
	}

	// The last step. The process that is left ends by itself: nobody who is the site could open what it would seal.
	if out := a.cofre(t, last...); !strings.Contains(out, "as site.identity") {
		t.Errorf("rotate says %s", out)
	}
	select {
	case <-r.exited:
	case <-time.After(time.Minute):
		t.Fatal("the old identity still serves a minute after the store was taken")
	}
	if log := r.logTail(20); !strings.Contains(log, "belongs to another site identity by now") {
		t.Errorf("the log does not say why:\n%s", log)
	}
	out, err := a.command("serve", "--config", config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "site.identity must name the new identity's file") {
		t.Errorf("the old identity serves: %v\n%s", err, out)
	}
	a.cofre(t, last...) // once more changes nothing

	a.replaceIdentity(t, next)
	r.restart(t)
	for key, p := range map[string]payload{"small": small, "large": large, "between": small} {
		r.wantRead(t, bucket, key, p)
	}
	for _, name := range append(buckets, late) {
		r.wantRead(t, name, "small", small)
		r.put(t, name, "after", small, nil)
		r.wantRead(t, name, "after", small)
	}
	_, err = r.client().CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: aws.String("open"),
		UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{part()}}})
	if err != nil {
		t.Errorf("complete: %v", err)
	}
	r.wantRead(t, bucket, "open", small)
	after := r.listed(t, bucket)
	for key, facts := range before {
		if !after[key].same(facts) {
			t.Errorf("%s lists %v, before %v", key, after[key], facts)
		}
	}
	if _, err := sdkClient(r.endpoint, stored[0], stored[1]).ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil {
		t.Errorf("the stored credential: %v", err)
	}

	// From the storage and the new identity alone.
	r.stop(t)
	a.dropDatabase()
	a.createDatabase()
	a.flushRedis()
	if out := a.cofre(t, "rebuild", "--bucket", bucket); !strings.Contains(out, "2 KEKs opened; 5 objects: 0 known, 5 healed") {
		t.Errorf("rebuild says %s", out)
	}
}

// storedCredential makes a credential that may do everything, in the store.
func (s *site) storedCredential(t *testing.T) [2]string {
	t.Helper()
	var c struct {
		Access string `json:"access_key"`
		Secret string `json:"secret_key"`
	}
	if err := json.Unmarshal([]byte(s.cofre(t, "credential", "add", "--grant", "all:*", "--json")), &c); err != nil {
		t.Fatal(err)
	}
	return [2]string{c.Access, c.Secret}
}

// replaceIdentity puts another identity file, and its trust list, where the site's was.
func (s *site) replaceIdentity(t *testing.T, next string) {
	t.Helper()
	for _, suffix := range []string{"", ".trust.json"} {
		if err := os.Rename(next+suffix, filepath.Join(s.dir, "site.age")+suffix); err != nil {
			t.Fatal(err)
		}
	}
}
