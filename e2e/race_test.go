package e2e_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const raceRounds = 1000

// Two writers, each through its own replica, put different bodies under one key at the same time, while a third client reads
// through both. Whatever wins, every answer is one whole body under its own ETag, and both replicas come to agree.
func TestRacingWritersAlwaysLeaveAReadableObject(t *testing.T) {
	s := newSite(t, "")
	replicas := []*replica{s.start(t, "one"), s.start(t, "two")}
	bucket, key := replicas[0].bucket(t, "race"), "contested"
	replicas[0].put(t, bucket, key, newPayload(10), nil)

	reading, stop := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reads := 0
	reader.Go(func() {
		for ; reading.Err() == nil; reads++ {
			if _, err := read(reading, replicas[reads%2], bucket, key); err != nil && reading.Err() == nil {
				t.Errorf("read %d during the race: %v", reads, err)
				return
			}
		}
	})
	for round := range raceRounds {
		var writers sync.WaitGroup
		bodies := make([]payload, len(replicas))
		for i, r := range replicas {
			bodies[i] = newPayload(1 + rand.Int64N(100_000))
			writers.Go(func() {
				_, err := r.client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(bodies[i].bytes())})
				if err != nil {
					t.Errorf("round %d: PUT through %s: %v", round, r.name, err)
				}
			})
		}
		writers.Wait()
		var etags []string
		for _, r := range replicas {
			etag, err := read(t.Context(), r, bucket, key)
			if err != nil {
				t.Fatalf("round %d: GET through %s: %v", round, r.name, err)
			}
			etags = append(etags, etag, r.head(t, bucket, key).ETag)
		}
		if round%20 == 0 {
			etags = append(etags, replicas[0].listed(t, bucket)[key].ETag, replicas[1].listed(t, bucket)[key].ETag)
		}
		for _, etag := range etags {
			if etag != etags[0] || (etag != bodies[0].etag() && etag != bodies[1].etag()) {
				t.Fatalf("round %d: ETags seen %v; written were %s and %s", round, etags, bodies[0].etag(), bodies[1].etag())
			}
		}
		if t.Failed() {
			break
		}
	}
	stop()
	reader.Wait()
	t.Logf("%d rounds, %d reads while they went on", raceRounds, reads)
}

// read reads an object whole and gives its ETag, which must be the MD5 of what came.
func read(ctx context.Context, r *replica, bucket, key string) (string, error) {
	return readWith(ctx, r.client(), bucket, key)
}

// readWith is read by a client that is there already.
func readWith(ctx context.Context, client *s3.Client, bucket, key string) (string, error) {
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	h := md5.New()
	n, err := io.Copy(h, out.Body)
	if err != nil {
		return "", fmt.Errorf("after %d of %d bytes: %w", n, aws.ToInt64(out.ContentLength), err)
	}
	etag := strings.Trim(aws.ToString(out.ETag), `"`)
	if sum := hex.EncodeToString(h.Sum(nil)); sum != etag {
		return "", fmt.Errorf("%d bytes with MD5 %s came under ETag %s", n, sum, etag)
	}
	return etag, nil
}
