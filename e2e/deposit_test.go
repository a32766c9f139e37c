package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/jackc/pgx/v5"
)

// balance stands before the replicas of a site as a load balancer does: each connection goes to the next one. It gives its URL.
func balance(t *testing.T, replicas ...*replica) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var turn atomic.Int64
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			to := replicas[int(turn.Add(1))%len(replicas)]
			server, err := net.Dial("tcp", strings.TrimPrefix(to.endpoint, "http://"))
			if err != nil {
				client.Close()
				continue
			}
			for from, into := range map[net.Conn]net.Conn{client: server, server: client} {
				go func() {
					_, _ = io.Copy(into, from) // whichever side ends it
					into.Close()
				}()
			}
		}
	}()
	return "http://" + l.Addr().String()
}

// query gives the rows of a statement in the site's own database, as text.
func (s *site) query(t *testing.T, statement string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.metadataURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return found
}

// kekOf says which KEK the envelope of a raw object names (docs/FORMAT.md section 4).
func (s *site) kekOf(t *testing.T, bucket, key string) string {
	t.Helper()
	out, err := s.rgw.client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("raw HEAD %s: %v", key, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(out.Metadata["cofre-envelope"])
	if err != nil || len(raw) != 132 {
		t.Fatalf("envelope of %s: %d bytes, %v", key, len(raw), err)
	}
	return hex.EncodeToString(raw[20:36])
}

// id is the site's id, as its card names it.
func (s *site) id(t *testing.T) string {
	t.Helper()
	_, rest, _ := strings.Cut(s.cofre(t, "site", "show"), "site id:")
	return strings.Fields(rest)[0]
}

// wantNothingOpen fails if the site keeps anything by which it could open what it deposited: a KEK or a data key in its
// database, or a grant to itself on the backend.
func (s *site) wantNothingOpen(t *testing.T, bucket string) {
	t.Helper()
	if held := s.query(t, "SELECT encode(id, 'hex') FROM keks"); len(held) != 0 {
		t.Errorf("the database holds KEKs %v", held)
	}
	if kept := s.query(t, "SELECT encode(id, 'escape') FROM uploads WHERE length(sealed_dek) > 0"); len(kept) != 0 {
		t.Errorf("the database holds data keys of uploads %v", kept)
	}
	prefix, own, grants := "buckets/"+bucket+"/keks/", s.id(t), 0
	pages := s3.NewListObjectsV2Paginator(s.rgw.client(), &s3.ListObjectsV2Input{Bucket: &s.systemBucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			if strings.Contains(*o.Key, "/grants/") {
				grants++
			}
			if strings.HasSuffix(*o.Key, own+".json") {
				t.Errorf("there is %s", *o.Key)
			}
		}
	}
	if grants == 0 {
		t.Error("there are no grants at all")
	}
}

// TestADepositSiteFillsABucketThatItCannotRead is a registry: site D, two replicas behind a balancer, writes into the bucket of
// site A, each as its own user of the storage.
func TestADepositSiteFillsABucketThatItCannotRead(t *testing.T) {
	awsCLI := tool(t, "aws")
	a := newSite(t, "")
	d := newSiteAs(t, otherUserOf(t), a.systemBucket)
	bucket, dir := "registry-"+randomHex(6), t.TempDir()
	if said := d.cofre(t, "site", "trust", d.card(t), "--bucket", bucket, "--as", "deposit", "--prefix", "in/"); !strings.Contains(said, "reads nothing of what it writes") {
		t.Errorf("site trust says %s", said)
	}
	d.trusts(t, a, bucket)
	a.cofre(t, "site", "trust", d.card(t), "--bucket", bucket, "--as", "deposit", "--prefix", "in/")
	ra := a.start(t, "A")
	if _, err := ra.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	theirs := newPayload(50_000)
	ra.put(t, bucket, "in/of A", theirs, nil)
	a.putPoliciesFor(t, bucket, "--backend-user", service(t, "rgw", "COFRE_TEST_RGW_UID"), "--deposit-user", service(t, "rgw", "COFRE_TEST_RGW_ALT_UID"))
	one, two := d.start(t, "D1"), d.start(t, "D2")
	front := balance(t, one, two)
	cp := func(from, to string) string {
		t.Helper()
		return run(t, one.awsEnv(), nil, awsCLI, "--endpoint-url", front, "s3", "cp", "--no-progress", from, to)
	}

	small, large := newPayload(10_000), newPayload(8*awsChunk+5)
	cp(small.file(t, filepath.Join(dir, "small")), "s3://"+bucket+"/in/small")
	cp(large.file(t, filepath.Join(dir, "large")), "s3://"+bucket+"/in/large")
	for _, r := range []*replica{one, two} {
		if !slices.Contains(r.served(t), "UploadPart 200") {
			t.Errorf("%s was sent no part", r.name)
		}
	}
	seen := map[string]payload{"in/small": small, "in/large": large}
	etags := map[string]string{"in/small": small.etag(), "in/large": large.multipartETag(awsChunk)}
	at, there := ra.listed(t, bucket), one.listed(t, bucket)
	for key, p := range seen {
		ra.wantRead(t, bucket, key, p)
		if want := (object{ETag: etags[key], Size: p.size}); !at[key].same(want) || !there[key].same(want) {
			t.Errorf("%s: A lists %+v, D lists %+v, want %+v", key, at[key], there[key], want)
		}
		a.wantSealed(t, bucket, key, p.size, p.needles(awsChunk)...)
		for _, r := range []*replica{one, two} {
			r.wantClosed(t, bucket, key, p, 403, "AccessDenied")
		}
	}
	one.wantClosed(t, bucket, "in/of%20A", theirs, 403, "AccessDenied")
	d.wantNothingOpen(t, bucket)
	wantFailure(t, one, "403", "s3", "cp", "s3://"+bucket+"/in/small", filepath.Join(dir, "down"))
	wantFailure(t, one, "AccessDenied", "s3", "cp", filepath.Join(dir, "small"), "s3://"+bucket+"/elsewhere")

	// A client that looks at what it sent has to be told not to, and compares by what listings show.
	if _, err := exec.LookPath("rclone"); err == nil {
		folder := t.TempDir()
		large.file(t, filepath.Join(folder, "large"))
		small.file(t, filepath.Join(folder, "small"))
		one.rclone(t, "copy", folder, "cofre:"+bucket+"/in/rclone", "--s3-no-head")
		if out := one.rclone(t, "copy", folder, "cofre:"+bucket+"/in/rclone", "--s3-no-head", "--size-only", "-v"); !strings.Contains(out, "There was nothing to transfer") {
			t.Errorf("second rclone copy:\n%s", out)
		}
		ra.wantRead(t, bucket, "in/rclone/large", large)
		ra.wantRead(t, bucket, "in/rclone/small", small)
	}

	// After a restart it still cannot, and goes on under a new KEK.
	before := d.kekOf(t, bucket, "in/small")
	one.stop(t)
	one.restart(t)
	one.wantClosed(t, bucket, "in/small", small, 403, "AccessDenied")
	one.put(t, bucket, "in/after", small, nil)
	ra.wantRead(t, bucket, "in/after", small)
	if now := d.kekOf(t, bucket, "in/after"); now == before {
		t.Error("a new process seals under an old KEK")
	}
	d.wantNothingOpen(t, bucket)
	if out := d.cofre(t, "key", "list", "--bucket", bucket); strings.Contains(out, "active") {
		t.Errorf("key list at D:\n%s", out)
	}

	// An upload begun at a process that is gone is finished by another.
	create, err := one.client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: aws.String("in/begun")})
	if err != nil {
		t.Fatal(err)
	}
	one.kill(t)
	rest := newPayload(70_000)
	part, err := two.client().UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &bucket, Key: aws.String("in/begun"), UploadId: create.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(rest.bytes())})
	if err != nil {
		t.Fatal(err)
	}
	list := &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}}
	if _, err := two.client().CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: aws.String("in/begun"), UploadId: create.UploadId, MultipartUpload: list}); err != nil {
		t.Fatal(err)
	}
	ra.wantRead(t, bucket, "in/begun", rest)
	two.wantRefused(t, bucket, "in/begun", "AccessDenied")
	d.wantNothingOpen(t, bucket)

	// The registry ends: what was deposited stays, and nothing that D writes is believed any more.
	if said := a.cofre(t, "share", "revoke", "--bucket", bucket, "--site", d.card(t)); !strings.Contains(said, "records endorsed") {
		t.Errorf("revoke says %s", said)
	}
	ra.stop(t) // instead of waiting until it has looked at the store again
	ra.restart(t)
	two.put(t, bucket, "in/late", small, nil) // the storage lets it
	ra.wantRefused(t, bucket, "in/late", "InternalError")
	for key, p := range seen {
		ra.wantRead(t, bucket, key, p)
	}
}

// wantFailure fails unless the aws CLI ends with an error that says so.
func wantFailure(t *testing.T, r *replica, says string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t, "aws"), append([]string{"--endpoint-url", r.endpoint}, args...)...)
	cmd.Env = append(cmd.Environ(), append(r.awsEnv(), "AWS_DEFAULT_REGION="+region, "AWS_CONFIG_FILE=/dev/null", "NO_PROXY=*")...)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), says) {
		t.Errorf("aws %s: %v, want %s:\n%s", strings.Join(args, " "), err, says, out)
	}
}

// TestAnOldKEKIsReplacedByTheProcessesThatUseIt has the store call a KEK older than it is.
func TestAnOldKEKIsReplacedByTheProcessesThatUseIt(t *testing.T) {
	s := newSite(t, "")
	one, two := s.start(t, "one"), s.start(t, "two")
	bucket, p := one.bucket(t, "old"), newPayload(1000)
	one.put(t, bucket, "first", p, nil)
	two.put(t, bucket, "second", p, nil)
	old := s.kekOf(t, bucket, "first")
	s.query(t, "UPDATE keks SET created = created - interval '91 days' RETURNING encode(id, 'hex')")
	for key, r := range map[string]*replica{"of one": one, "of two": two} {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
			r.put(t, bucket, key, p, nil)
			if s.kekOf(t, bucket, key) != old {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s still seals under the old KEK", r.name)
			}
		}
	}
	if s.kekOf(t, bucket, "of one") != s.kekOf(t, bucket, "of two") {
		t.Error("the replicas ended with two KEKs")
	}
	for _, key := range []string{"first", "second", "of one", "of two"} {
		two.wantRead(t, bucket, key, p)
	}
	if log := one.logTail(1000) + two.logTail(1000); strings.Count(log, `"KEK replaced"`) != 1 {
		t.Errorf("it was told %d times", strings.Count(log, `"KEK replaced"`))
	}
}
