package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const killRounds = 30

// A process killed at any moment of a PUT leaves the old object or the new one, whole, and GET, HEAD and listing agree on
// which. Rounds take turns between one chunk, where the kill meets the steps around the commit, and many, where it meets the
// body.
func TestKillDuringPutLeavesOldOrNewObject(t *testing.T) {
	r := newSite(t, "").start(t, "cofre")
	bucket, key := r.bucket(t, "kill"), "victim"
	sizes := []int64{50_000, 16 * mib}
	took := map[int64]time.Duration{} // longest PUT of a size seen when nothing was killed
	current := newPayload(sizes[0])
	for _, size := range sizes {
		p := newPayload(size)
		begin := time.Now()
		r.put(t, bucket, key, p, nil)
		took[size] = time.Since(begin)
		current = p
	}
	var old, replaced int
	for round := range killRounds {
		next := newPayload(sizes[round%len(sizes)])
		delay := time.Duration(rand.Int64N(int64(took[next.size]) * 5 / 4))
		ended := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err := r.client().PutObject(ctx, &s3.PutObjectInput{
				Bucket: &bucket, Key: &key, Body: bytes.NewReader(next.bytes()),
			}, func(o *s3.Options) { o.RetryMaxAttempts = 1 })
			ended <- err
		}()
		time.Sleep(delay)
		r.kill(t)
		acknowledged := <-ended == nil
		r.restart(t)

		etag := r.head(t, bucket, key).ETag
		switch {
		case etag == next.etag():
			current = next
			replaced++
		case acknowledged:
			t.Fatalf("round %d: the PUT was acknowledged, but the object has ETag %s, not %s", round, etag, next.etag())
		default:
			old++
		}
		r.wantObject(t, bucket, key, current, current.etag())
		if t.Failed() {
			t.Fatalf("round %d: %d bytes, killed after %v, acknowledged %v", round, next.size, delay, acknowledged)
		}
	}
	t.Logf("of %d kills %d left the old object, %d the new one", killRounds, old, replaced)
	r.wantSealed(t, bucket, key, current.size, current.needles(0)...)
}

// Everything is on the backend and in the database: nothing is missed after an orderly end, nor after a kill.
func TestRestartKeepsEverything(t *testing.T) {
	r := newSite(t, "").start(t, "cofre")
	bucket := r.bucket(t, "restart")
	written := r.fill(t, bucket)
	want := r.view(t, bucket)
	for _, end := range []func(*testing.T){r.stop, r.kill} {
		end(t)
		r.restart(t)
		r.wantView(t, bucket, want)
		r.wantBodies(t, bucket, written)
	}
}

// The database may be lost: the backend alone still gives every object with its size, ETag and metadata, in GET, HEAD and
// listings.
func TestLostDatabaseLosesNoObject(t *testing.T) {
	s := newSite(t, "")
	r := s.start(t, "cofre")
	bucket := r.bucket(t, "lost")
	written := r.fill(t, bucket)
	want := r.view(t, bucket)
	for _, order := range []string{"listing first", "bodies first"} {
		t.Logf("%s", order)
		r.stop(t)
		s.dropDatabase()
		s.flushRedis()
		s.createDatabase()
		r.restart(t)
		if order == "bodies first" {
			r.wantBodies(t, bucket, written)
		}
		r.wantView(t, bucket, want)
		r.wantBodies(t, bucket, written)
	}
	// And goes on as before.
	p := newPayload(10_000)
	r.wantObject(t, bucket, "after", p, r.put(t, bucket, "after", p, nil))
}

// fill writes objects of every shape and gives their bodies by key.
func (r *replica) fill(t *testing.T, bucket string) map[string]payload {
	t.Helper()
	written := map[string]payload{}
	for i, size := range []int64{0, 1, 65_535, 65_536, 65_537, 1_000_000} {
		key := fmt.Sprintf("single/%d", i)
		written[key] = newPayload(size)
		r.put(t, bucket, key, written[key], map[string]string{"note": fmt.Sprintf("%s %d", secretNote, i)})
	}
	for i, size := range []int64{6 * mib, 17*mib + 5} {
		key := fmt.Sprintf("multipart/%d", i)
		written[key] = newPayload(size)
		r.upload(t, bucket, key, written[key], 5*mib, map[string]string{"note": fmt.Sprintf("%s, part %d", secretNote, i)})
	}
	return written
}

// view is all that HEAD and a listing say of a bucket.
func (r *replica) view(t *testing.T, bucket string) map[string]object {
	t.Helper()
	all := r.listed(t, bucket)
	for key, listed := range all {
		head := r.head(t, bucket, key)
		if head.ETag != listed.ETag || head.Size != listed.Size {
			t.Errorf("%s: listed as %+v, HEAD says %+v", key, listed, head)
		}
		all[key] = head
	}
	return all
}

func (r *replica) wantView(t *testing.T, bucket string, want map[string]object) {
	t.Helper()
	got := r.view(t, bucket)
	if len(got) != len(want) {
		t.Errorf("%d objects, want %d", len(got), len(want))
	}
	for key, w := range want {
		if g := got[key]; fmt.Sprint(g) != fmt.Sprint(w) {
			t.Errorf("%s is %+v, want %+v", key, g, w)
		}
	}
}

func (r *replica) wantBodies(t *testing.T, bucket string, written map[string]payload) {
	t.Helper()
	for key, p := range written {
		out, err := r.client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String(key)})
		if err != nil {
			t.Fatalf("GET %s: %v", key, err)
		}
		p.wantReader(t, key, out.Body)
		out.Body.Close()
	}
}
