package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/internal/longtest"
)

// Redis is killed, is away for a while, and comes back empty, again and again under load. No request fails, and nobody reads anything
// but what was last acknowledged.
func TestRedisKilledUnderLoadFailsNoRequest(t *testing.T) {
	cache := ownRedis(t)
	c := startCluster(t, newSite(t, ""), 2)
	bucket := c.replicas[0].bucket(t, "redis")
	clients := c.visitors(4, c.balancer.endpoint(), bucket, false, c.traffic)
	stop := visit(t, clients)
	kills := 0
	for range longtest.Rounds(t, 3) {
		time.Sleep(500 * time.Millisecond)
		cache.end(t, syscall.SIGKILL)
		time.Sleep(700 * time.Millisecond)
		cache.start(t)
		kills++
	}
	time.Sleep(500 * time.Millisecond)
	stop()
	if n := c.traffic.refused.Load(); n > 0 {
		t.Errorf("%d requests were refused for want of a cache", n)
	}
	c.settle(t, clients)
	longtest.Figure(t, "times Redis was killed", kills)
	longtest.Figure(t, "requests", int(c.traffic.requests.Load()))
}

// PostgreSQL is stopped under writers. While it is away every write is refused with 503, and what was written is still read, by its
// bytes, at both replicas; when it is back both write again without a restart. Each key holds what was last acknowledged, or what was
// tried after that.
func TestPostgresRestartedUnderLoadRecovers(t *testing.T) {
	database := ownPostgres(t)
	c := startCluster(t, newSite(t, ""), 2)
	bucket := c.replicas[0].bucket(t, "database")
	stays := newPayload(150_000)
	c.replicas[0].put(t, bucket, "stays", stays, nil)
	outages := 0
	for round := range longtest.Rounds(t, 2) {
		stop, writers := c.writeOn(bucket, round)
		time.Sleep(300 * time.Millisecond)
		// A crash and an orderly end take turns: one breaks connections, the other one says goodbye on them.
		database.end(t, []syscall.Signal{syscall.SIGQUIT, syscall.SIGINT}[round%2])
		for _, r := range c.replicas {
			r.waitWrite(t, bucket, http.StatusServiceUnavailable)
			if _, err := read(t.Context(), r, bucket, "stays"); err != nil {
				t.Errorf("GET at %s without a database: %v", r.name, err)
			}
		}
		database.start(t)
		for _, r := range c.replicas {
			r.waitWrite(t, bucket, http.StatusOK)
		}
		stop()
		for _, w := range writers {
			w.check(t, c.replicas[0], bucket)
			w.check(t, c.replicas[1], bucket)
		}
		outages++
	}
	c.replicas[1].wantObject(t, bucket, "stays", stays, stays.etag())
	longtest.Figure(t, "database outages under load", outages)
}

// waitWrite waits until a small PUT, sent once, is answered with this status, and no other one than 200 and 503 on the way.
func (r *replica) waitWrite(t *testing.T, bucket string, want int) {
	t.Helper()
	client := sdkClient(r.endpoint, r.access, r.secret)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("probe of " + r.name), Body: strings.NewReader("probe")},
			func(o *s3.Options) { o.RetryMaxAttempts = 1 })
		got := statusOf(err)
		if got == want {
			return
		}
		if got != http.StatusOK && got != http.StatusServiceUnavailable {
			t.Errorf("PUT at %s: %v", r.name, err)
			return
		}
	}
	t.Errorf("PUT at %s is not answered by %d after a minute", r.name, want)
}

// persistent writes one key over and over, and remembers what it may hold.
type persistent struct {
	key      string
	possible map[string]bool // ETags: the last acknowledged, and those tried since
	acked    int
}

// writeOn has writers go on through the balancer until stop is called. Refusals are no fault.
func (c *cluster) writeOn(bucket string, round int) (stop func(), all []*persistent) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range 4 {
		w := &persistent{key: fmt.Sprintf("round %d, writer %d", round, i), possible: map[string]bool{}}
		all = append(all, w)
		client := sdkClient(c.balancer.endpoint(), c.access, c.secret)
		running.Go(func() {
			for ctx.Err() == nil {
				p := newPayload(20_000)
				w.possible[p.etag()] = true
				_, err := client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket, Key: &w.key, Body: bytes.NewReader(p.bytes())})
				if err == nil {
					w.possible = map[string]bool{p.etag(): true}
					w.acked++
				}
			}
		})
	}
	return func() { cancel(); running.Wait() }, all
}

// check fails unless the key holds something that it may.
func (w *persistent) check(t *testing.T, r *replica, bucket string) {
	t.Helper()
	if w.acked == 0 {
		t.Errorf("%s: no write was acknowledged", w.key)
		return
	}
	etag, err := read(t.Context(), r, bucket, w.key)
	if err != nil || !w.possible[etag] {
		t.Errorf("%s at %s: ETag %s is neither the last acknowledged nor tried since: %v", w.key, r.name, etag, err)
		return
	}
	if o := r.listed(t, bucket)[w.key]; o.ETag != etag {
		t.Errorf("%s at %s: read with ETag %s, listed as %+v", w.key, r.name, etag, o)
	}
}

// statusOf is the status of an answer, as the SDK tells it: 200 for no error, 0 for no answer.
func statusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}
