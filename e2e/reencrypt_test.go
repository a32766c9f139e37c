package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"cofre/keys"
	"cofre/seal"
)

// rawObject is an object as the storage operator has it.
type rawObject struct {
	kek  keys.KEKID
	body []byte
}

// rawObjects gives all current objects of a bucket as they lie on the storage. One without an envelope has the zero KEK.
func (s *site) rawObjects(t *testing.T, bucket string) map[string]rawObject {
	t.Helper()
	client := s.rgw.client()
	found := map[string]rawObject{}
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(out.Body)
			out.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			r := rawObject{body: raw}
			if text := out.Metadata["cofre-envelope"]; text != "" {
				env, err := seal.ParseEnvelope(text)
				if err != nil {
					t.Fatal(err)
				}
				r.kek = env.KEKID
			}
			found[*o.Key] = r
		}
	}
	return found
}

var jobID = regexp.MustCompile(`(?m)^Job ([a-z0-9]+) `)

// jobOf finds the job that a command speaks of.
func jobOf(t *testing.T, said string) string {
	t.Helper()
	found := jobID.FindStringSubmatch(said)
	if found == nil {
		t.Fatalf("no job in %q", said)
	}
	return found[1]
}

// wantDone waits until a job is over, and fails unless it is done with nothing refused.
func (s *site) wantDone(t *testing.T, job string) string {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		shown := s.cofre(t, "job", "show", job)
		first, _, _ := strings.Cut(shown, "\n")
		switch {
		case strings.HasSuffix(first, ": done"):
			if !strings.Contains(shown, " 0 refused") {
				t.Errorf("job %s:\n%s", job, shown)
			}
			return shown
		case strings.HasSuffix(first, ": failed"), strings.HasSuffix(first, ": cancelled"), time.Now().After(deadline):
			t.Fatalf("job %s:\n%s", job, shown)
		}
	}
}

// TestAfterReencryptionALeaverOpensNothing although it keeps its identity, its old KEKs and its rights on the storage.
func TestAfterReencryptionALeaverOpensNothing(t *testing.T) {
	a := newSite(t, "")
	b := newSiteAs(t, otherUserOf(t), a.systemBucket)
	bucket := "leaves-" + randomHex(6)
	a.trusts(t, b, bucket)
	b.trusts(t, a, bucket)
	ra := a.start(t, "A")
	if _, err := ra.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	a.putPolicies(t, bucket, service(t, "rgw", "COFRE_TEST_RGW_UID"), service(t, "rgw", "COFRE_TEST_RGW_ALT_UID"))
	small, large, theirs := newPayload(70_000), newPayload(11*mib), newPayload(6*mib+5)
	ra.put(t, bucket, "small", small, map[string]string{"note": secretNote})
	ra.upload(t, bucket, "large", large, 5*mib, nil)
	a.cofre(t, "share", "add", "--bucket", bucket, "--site", b.card(t))
	rb := b.start(t, "B")
	rb.upload(t, bucket, "from B", theirs, 5*mib, nil)
	rb.wantRead(t, bucket, "small", small)
	before, seen := a.rawObjects(t, bucket), ra.listed(t, bucket)
	known := map[keys.KEKID]bool{} // to B, which may have kept them
	for _, o := range before {
		known[o.kek] = true
	}

	said := a.cofre(t, "share", "revoke", "--bucket", bucket, "--site", b.card(t), "--reencrypt")
	shown := a.wantDone(t, jobOf(t, said))
	if !strings.Contains(shown, " 3 rewritten") {
		t.Errorf("job:\n%s", shown)
	}
	for key, o := range a.rawObjects(t, bucket) {
		if known[o.kek] || o.kek == (keys.KEKID{}) {
			t.Errorf("%s is under KEK %s, which B had", key, o.kek)
		}
		if bytes.Equal(o.body, before[key].body) {
			t.Errorf("the stored bytes of %s are the old ones", key)
		}
	}
	for key, p := range map[string]payload{"small": small, "large": large, "from B": theirs} {
		ra.wantRead(t, bucket, key, p)
		rb.wantRefused(t, bucket, key, "AccessDenied")
	}
	if again := ra.listed(t, bucket); !maps.EqualFunc(again, seen, func(x, y object) bool { return x.ETag == y.ETag && x.Size == y.Size }) {
		t.Errorf("A lists %v, before %v", again, seen)
	}
	if head := ra.head(t, bucket, "small"); head.Metadata["note"] != secretNote {
		t.Errorf("metadata %v", head.Metadata)
	}
}

// metric reads a number from a replica's metrics; 0 where it is not there.
func (r *replica) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp, err := http.Get(r.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// TestAJobOutlivesTheProcessThatRunsIt: it is killed behind the first checkpoint, and another replica goes on from there.
func TestAJobOutlivesTheProcessThatRunsIt(t *testing.T) {
	s := newSite(t, "")
	first := s.start(t, "first")
	bucket := first.bucket(t, "outlives")
	const objects, size = 1250, 4096
	body := newPayload(size)
	var writers errgroup.Group
	writers.SetLimit(16)
	client := first.client()
	for i := range objects {
		writers.Go(func() error {
			_, err := client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket, Key: key(i), Body: bytes.NewReader(body.bytes())})
			return err
		})
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	old := s.rawKEK(t, bucket, *key(0))
	s.cofre(t, "key", "rotate", "--bucket", bucket)
	job := jobOf(t, s.cofre(t, "reencrypt", "--bucket", bucket, "--kek", old.String(), "--rate", "300KiB"))
	const rewritten = `cofre_job_objects{count="rewritten",kind="reencrypt"}`
	for deadline := time.Now().Add(2 * time.Minute); first.metric(t, rewritten) < 1020; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %v objects were rewritten", first.metric(t, rewritten))
		}
	}
	first.kill(t)
	if shown := s.cofre(t, "job", "show", job); strings.Contains(shown, ": done") {
		t.Fatalf("the job was over before the process was killed:\n%s", shown)
	}

	second := s.start(t, "second")
	shown := s.wantDone(t, job)
	if !strings.Contains(shown, fmt.Sprintf("%d looked at", objects)) {
		t.Errorf("job:\n%s", shown)
	}
	log, err := os.ReadFile(second.log)
	if err != nil || !strings.Contains(string(log), `"looked_at":1000`) {
		t.Errorf("the second process did not begin at the checkpoint: %v", err)
	}
	for i := 0; i < objects; i += 50 {
		if kek := s.rawKEK(t, bucket, *key(i)); kek == old {
			t.Errorf("%s is under the old KEK", *key(i))
		}
		second.wantRead(t, bucket, *key(i), body)
	}
	if out := s.cofre(t, "reencrypt", "--bucket", bucket, "--kek", old.String(), "--list"); !strings.Contains(out, ": 0 to rewrite") {
		t.Errorf("what is left: %s", out)
	}
}

func key(i int) *string {
	name := fmt.Sprintf("object %05d", i)
	return &name
}

// rawKEK reads from the storage under which KEK an object lies.
func (s *site) rawKEK(t *testing.T, bucket, key string) keys.KEKID {
	t.Helper()
	out, err := s.rgw.client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	env, err := seal.ParseEnvelope(out.Metadata["cofre-envelope"])
	if err != nil {
		t.Fatal(errors.Join(fmt.Errorf("%s", key), err))
	}
	return env.KEKID
}
