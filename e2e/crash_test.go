package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/internal/longtest"
)

// writer is a client with a key of its own, which it writes and deletes in every way, one after the other.
type writer struct {
	c    *crash
	key  string
	now  payload // what was acknowledged last; of size 0 where the key was deleted, or never written
	next payload // what is being asked for, and may have come about
}

// works goes on until a request is not answered: then its outcome is open.
func (w *writer) works(ctx context.Context) (acknowledged int) {
	client := w.c.victim.impatient()
	for ctx.Err() == nil {
		act := []func(context.Context, *s3.Client) error{w.put, w.put, w.upload, w.copy, w.remove}[rand.IntN(5)]
		w.next = newPayload(1 + rand.Int64N(300_000))
		if act(ctx, client) != nil {
			return acknowledged
		}
		w.now = w.next
		acknowledged++
	}
	return acknowledged
}

func (w *writer) put(ctx context.Context, client *s3.Client) error {
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &w.c.bucket, Key: &w.key, Body: bytes.NewReader(w.next.bytes())})
	return err
}

func (w *writer) upload(ctx context.Context, client *s3.Client) error {
	u := begun{c: w.c, key: w.key, next: w.next}
	id, err := u.create(ctx, client)
	if err != nil {
		return err
	}
	u.id = id
	if err := u.part(ctx, client); err != nil {
		return err
	}
	return u.complete(ctx, client)
}

func (w *writer) copy(ctx context.Context, client *s3.Client) error {
	source := "source of " + w.key
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &w.c.bucket, Key: &source, Body: bytes.NewReader(w.next.bytes())})
	if err != nil {
		return err
	}
	_, err = client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &w.c.bucket, Key: &w.key, CopySource: aws.String(w.c.bucket + "/" + escapePath(source))})
	return err
}

func (w *writer) remove(ctx context.Context, client *s3.Client) error {
	w.next = payload{}
	_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &w.c.bucket, Key: &w.key})
	return err
}

// holds fails unless the key shows what was acknowledged last or what was asked for behind that. The replica's answer is what counts
// from then on.
func (w *writer) holds(t *testing.T, r *replica) {
	t.Helper()
	etag := r.shows(t, w.c.bucket, w.key, w.now, w.next)
	is := func(p payload) bool {
		return p.size == 0 && etag == "" || p.size > 0 && (etag == p.etag() || etag == p.multipartETag(5*mib))
	}
	switch {
	case is(w.next):
		w.now = w.next
	case !is(w.now):
		t.Errorf("%s shows %q under %s: neither what was acknowledged last nor what was asked for then", r.name, etag, w.key)
	}
}

// A process that is killed at any moment, under any load, loses nothing that it has acknowledged and leaves nothing half done, for itself
// and for another replica.
func TestKilledAtAnyMomentUnderMixedLoad(t *testing.T) {
	c := newCrash(t)
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = &writer{c: c, key: fmt.Sprint("writer ", i)}
	}
	acknowledged := 0
	for range longtest.Rounds(t, 8) {
		var all sync.WaitGroup
		counts := make([]int, len(writers))
		for i, w := range writers {
			all.Go(func() { counts[i] = w.works(t.Context()) })
		}
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Second))))
		c.victim.kill(t)
		all.Wait()
		c.storage.quiet()
		c.kills++
		for i, w := range writers {
			acknowledged += counts[i]
			w.holds(t, c.beside)
		}
		c.victim.restart(t)
		for _, w := range writers {
			w.holds(t, c.victim)
		}
	}
	longtest.Figure(t, "writes acknowledged before a kill", acknowledged)
	c.sound(t)
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
