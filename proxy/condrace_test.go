package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/access"
	"cofre/proxy"
)

// conditionalAct does something to a key if the object there has this ETag, and says nothing of how it went.
type conditionalAct func(s *site, bucket, key, etag string)

var conditionalActs = map[string]conditionalAct{
	"put": func(s *site, bucket, key, etag string) {
		_, _ = s.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader([]byte("conditional")), IfMatch: &etag})
	},
	"copy": func(s *site, bucket, key, etag string) {
		_, _ = s.client.CopyObject(context.Background(), &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: str(bucket + "/source"), IfMatch: &etag})
	},
	"delete": func(s *site, bucket, key, etag string) {
		_, _ = s.client.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, IfMatch: &etag})
	},
	"delete objects": func(s *site, bucket, key, etag string) {
		_, _ = s.client.DeleteObjects(context.Background(), &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key, ETag: &etag}}}})
	},
	"complete": func(s *site, bucket, key, etag string) {
		ctx := context.Background()
		up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return
		}
		part, err := s.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: num(int32(1)), Body: bytes.NewReader([]byte("conditional"))})
		if err != nil {
			return
		}
		_, _ = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &bucket, Key: &key, UploadId: up.UploadId, IfMatch: &etag,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: num(int32(1)), ETag: part.ETag}}},
		})
	},
}

// TestAConditionNeverUndoesAnAcknowledgedWrite has one client act on the condition that an object is still the first one,
// through one replica, while another writes a second object without any condition through another replica. In whatever order
// the two are taken, the second object is what stands there in the end: acts that come before it are overwritten, and after it the
// condition no longer holds.
func TestAConditionNeverUndoesAnAcknowledgedWrite(t *testing.T) {
	t.Parallel()
	for name, versioned := range map[string]bool{"never versioned": false, "versioned": true} {
		t.Run(name, func(t *testing.T) {
			st := rgwStorage(t)
			a := newSite(t, st, siteConfig{})
			replica := newSite(t, st, siteConfig{identity: a.identity, store: a.store})
			b := a.bucket(t, "undo")
			if versioned {
				a.version(t, b)
			}
			a.put(t, b, "source", []byte("conditional"))
			// The first condition of its kind makes all writers of the bucket take the lock; before it there is nothing to race.
			a.put(t, b, "first", []byte("x"))
			conditionalActs["delete"](a, b, "first", "*")
			for act, do := range conditionalActs {
				for round := range 12 {
					key := fmt.Sprintf("%s %d", act, round)
					etag := *a.put(t, b, key, []byte("first")).ETag
					var wg sync.WaitGroup
					wg.Add(2)
					go func() { defer wg.Done(); do(a, b, key, etag) }()
					go func() {
						defer wg.Done()
						in := &s3.PutObjectInput{Bucket: &b, Key: &key, Body: bytes.NewReader([]byte("second"))}
						if _, err := replica.client.PutObject(context.Background(), in); err != nil {
							t.Errorf("%s: %v", key, err)
						}
					}()
					wg.Wait()
					if got := readWhole(t, a, b, key); string(got) != "second" {
						t.Errorf("%s: an acknowledged write was undone: %q", key, got)
					}
				}
			}
		})
	}
}

// TestOneOfManyConditionalActsWins has several clients act on the same condition through two replicas: one of them wins.
func TestOneOfManyConditionalActsWins(t *testing.T) {
	st := rgwStorage(t)
	a := newSite(t, st, siteConfig{})
	replica := newSite(t, st, siteConfig{identity: a.identity, store: a.store})
	b := a.bucket(t, "actwins")
	a.version(t, b)
	for round := range 8 {
		key := fmt.Sprint("k", round)
		etag := *a.put(t, b, key, []byte("first")).ETag
		var wg sync.WaitGroup
		won := make([]bool, 6)
		for i := range won {
			wg.Add(1)
			go func() {
				defer wg.Done()
				s := []*site{a, replica}[i%2]
				var err error
				if i < 3 {
					_, err = s.client.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &b, Key: &key, IfMatch: &etag})
				} else {
					_, err = s.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &b, Key: &key, Body: bytes.NewReader(randomBytes(1000 + i)), IfMatch: &etag})
				}
				won[i] = err == nil
			}()
		}
		wg.Wait()
		count := 0
		for _, w := range won {
			if w {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%s: %d of the six acts on one condition succeeded: %v", key, count, won)
		}
	}
}

// TestTheFirstConditionWaitsUntilAllWritersKnow: a replica that looked just before must not write without the lock.
func TestTheFirstConditionWaitsUntilAllWritersKnow(t *testing.T) {
	st := diskStorage(t)
	a := newSite(t, st, siteConfig{})
	b := a.bucket(t, "guard")
	replica := newSite(t, st, siteConfig{identity: a.identity, store: a.store})
	etag := *replica.put(t, b, "k", []byte("x")).ETag // now the replica remembers that nobody locks here
	conditionalActs["delete"](a, b, "k", etag)
	age, err := a.store.GuardBucket(t.Context(), b)
	if err != nil || age < proxy.GuardSettled {
		t.Fatalf("the delete went on %v after the guard was set, %v", age, err)
	}
}

// TestAConditionWaitsWhateverAWriterHasSeen: that a writer without a condition has met the guard says nothing of the other replicas.
func TestAConditionWaitsWhateverAWriterHasSeen(t *testing.T) {
	a := newSite(t, diskStorage(t), siteConfig{})
	b := a.bucket(t, "guard")
	if _, err := a.store.GuardBucket(t.Context(), b); err != nil { // by a condition that another replica was sent just now
		t.Fatal(err)
	}
	etag := *a.put(t, b, "k", []byte("x")).ETag
	conditionalActs["delete"](a, b, "k", etag)
	age, err := a.store.GuardBucket(t.Context(), b)
	if err != nil || age < proxy.GuardSettled {
		t.Fatalf("the delete went on %v after the guard was set, %v", age, err)
	}
}

// TestTheBackendsOwnConditionKeepsAWriterInBetween: in a bucket that was never versioned, and where no writer takes a lock, only the
// condition that the backend itself is sent stands between a conditional PUT and a write that came after it was judged.
func TestTheBackendsOwnConditionKeepsAWriterInBetween(t *testing.T) {
	st := rgwStorage(t)
	other := newSite(t, st, siteConfig{})
	var b string
	s := newSite(t, st, siteConfig{identity: other.identity, store: other.store, wrap: func(next proxy.Backend) proxy.Backend {
		return betweenBackend{next, func() { other.put(t, b, "k", []byte("in between")) }}
	}})
	b = other.bucket(t, "between")
	etag := *other.put(t, b, "k", []byte("first")).ETag
	_, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("k"), Body: bytes.NewReader([]byte("conditional")), IfMatch: &etag})
	wantCode(t, err, "PreconditionFailed")
	if got := other.get(t, b, "k"); string(got) != "in between" {
		t.Errorf("an acknowledged write was undone: %q", got)
	}
	if guarded, err := other.store.BucketGuarded(t.Context(), b); err != nil || guarded {
		t.Errorf("the bucket is guarded (%v, %v): then this has tried nothing", guarded, err)
	}
}

// betweenBackend lets another writer by when a PUT's conditions have been judged for good: the footer is there, and has not gone out.
type betweenBackend struct {
	proxy.Backend
	between func()
}

func (o betweenBackend) Do(ctx context.Context, as access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	if rq.Method == "PUT" && rq.Key == "k" {
		rq.Body = &heldBackBody{Reader: rq.Body, left: rq.Length, release: o.between}
	}
	return o.Backend.Do(ctx, as, rq)
}

// heldBackBody has its last byte at hand, and does something before it gives that out.
type heldBackBody struct {
	io.Reader
	left    int64
	release func()
}

func (b *heldBackBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.left -= int64(n); n > 0 && b.left == 0 {
		b.release()
	}
	return n, err
}
