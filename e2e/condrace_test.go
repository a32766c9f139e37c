package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// condRounds of each kind of bucket; proxy has more kinds of acts, in one process.
const condRounds = 50

// TestConditionsHoldAcrossReplicas has clients of two replicas contend for a counter by compare-and-swap, beside writers and deleters
// that set no condition and whose acknowledged writes must stand. Nothing joins the two processes but PostgreSQL and the storage.
func TestConditionsHoldAcrossReplicas(t *testing.T) {
	s := newSite(t, "")
	replicas := []*replica{s.start(t, "one"), s.start(t, "two")}
	for _, versioned := range []bool{false, true} {
		bucket := replicas[0].bucket(t, "cas")
		if versioned {
			if _, err := replicas[0].client().PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
				Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
			}); err != nil {
				t.Fatal(err)
			}
		}
		for round := range condRounds {
			key := fmt.Sprint("counter ", round)
			// Of four who make the object, one does.
			if won := contend(replicas, 4, func(r *replica, i int) error {
				_, err := r.client().PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(fmt.Sprint("made by ", i)), IfNoneMatch: aws.String("*")})
				return err
			}); won != 1 {
				t.Fatalf("versioned %v, round %d: %d clients made the object", versioned, round, won)
			}
			etag := replicas[round%2].head(t, bucket, key).ETag
			// Of four who replace it, one does.
			if won := contend(replicas, 4, func(r *replica, i int) error {
				_, err := r.client().PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(fmt.Sprint("replaced by ", i)), IfMatch: &etag})
				return err
			}); won != 1 {
				t.Fatalf("versioned %v, round %d: %d clients replaced the object", versioned, round, won)
			}
			// A condition on what was there once never undoes an acknowledged write.
			replicas[0].put(t, bucket, key, newPayload(100), nil)
			etag = replicas[1].head(t, bucket, key).ETag
			last := newPayload(200)
			var both sync.WaitGroup
			both.Go(func() {
				_, _ = replicas[0].client().DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, IfMatch: &etag})
			})
			both.Go(func() { replicas[1].put(t, bucket, key, last, nil) })
			both.Wait()
			if got, err := read(t.Context(), replicas[round%2], bucket, key); err != nil || got != last.etag() {
				t.Fatalf("versioned %v, round %d: an acknowledged write was undone: %s, %v", versioned, round, got, err)
			}
		}
	}
}

// contend has clients act at the same time, each through the next replica, and counts who succeeded.
func contend(replicas []*replica, clients int, act func(r *replica, i int) error) int {
	var all sync.WaitGroup
	var won atomic.Int32
	for i := range clients {
		all.Go(func() {
			if act(replicas[i%len(replicas)], i) == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	return int(won.Load())
}
