package proxy_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"go.uber.org/zap"

	"cofre/access"
	"cofre/metadata"
	"cofre/proxy"
)

// rounds of the racing tests; the end-to-end suite runs a thousand through the binary.
const rounds = 60

func TestRacingWritersLeaveAReadableObject(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a := newSite(t, st, siteConfig{})
		replica := newSite(t, st, siteConfig{identity: a.identity, store: a.store})
		b := a.bucket(t, "race")
		for round := range rounds {
			bodies := [2][]byte{randomBytes(70_000), randomBytes(70_001)}
			var wg sync.WaitGroup
			for i, s := range []*site{a, replica} {
				wg.Add(1)
				go func() {
					defer wg.Done()
					if _, err := s.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &b, Key: str("k"), Body: bytes.NewReader(bodies[i])}); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				}()
			}
			// A reader in the middle sees the old or a new object, whole.
			wg.Add(1)
			go func() {
				defer wg.Done()
				if round > 0 {
					readWhole(t, a, b, "k")
				}
			}()
			wg.Wait()
			for _, s := range []*site{a, replica} {
				got := readWhole(t, s, b, "k")
				if !bytes.Equal(got, bodies[0]) && !bytes.Equal(got, bodies[1]) {
					t.Fatalf("round %d: neither writer's object", round)
				}
			}
			list, err := a.client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &b})
			if err != nil || len(list.Contents) != 1 {
				t.Fatalf("round %d: %v %v", round, list, err)
			}
			if n := *list.Contents[0].Size; n != 70_000 && n != 70_001 {
				t.Fatalf("round %d: listing shows %d bytes", round, n)
			}
		}
	})
}

// readWhole reads an object and checks that its ETag is that of its bytes.
func readWhole(t *testing.T, s *site, bucket, key string) []byte {
	t.Helper()
	out, err := s.client.GetObject(context.Background(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Errorf("get: %v", err)
		return nil
	}
	defer out.Body.Close()
	got, err := io.ReadAll(out.Body)
	if err != nil {
		t.Errorf("read: %v", err)
		return nil
	}
	if sum := md5.Sum(got); *out.ETag != `"`+hex.EncodeToString(sum[:])+`"` {
		t.Errorf("ETag %s does not belong to these %d bytes", *out.ETag, len(got))
	}
	return got
}

func TestOneOfManyConditionalWritersWins(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a := newSite(t, st, siteConfig{})
		replica := newSite(t, st, siteConfig{identity: a.identity, store: a.store})
		b := a.bucket(t, "cas")
		for round := range 15 {
			key := fmt.Sprint("k", round)
			if won := contend(t, []*site{a, replica}, 6, &s3.PutObjectInput{Bucket: &b, Key: &key, IfNoneMatch: str("*")}); won != 1 {
				t.Fatalf("round %d: %d writers made the object", round, won)
			}
			head, err := a.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b, Key: &key})
			if err != nil {
				t.Fatal(err)
			}
			if won := contend(t, []*site{a, replica}, 6, &s3.PutObjectInput{Bucket: &b, Key: &key, IfMatch: head.ETag}); won != 1 {
				t.Fatalf("round %d: %d writers replaced one object", round, won)
			}
		}
	})
}

// contend has n writers try the same conditional PUT with bodies of their own, and counts who won. A loser gets 412 or 409, or,
// where RGW broke down over the race, 503: to try again, and then be told.
func contend(t *testing.T, sites []*site, n int, in *s3.PutObjectInput) int {
	t.Helper()
	var (
		wg  sync.WaitGroup
		won atomic.Int32
	)
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			one := *in
			one.Body = bytes.NewReader(randomBytes(1000 + i))
			_, err := sites[i%len(sites)].client.PutObject(context.Background(), &one)
			var api smithy.APIError
			switch {
			case err == nil:
				won.Add(1)
			case errors.As(err, &api) && (api.ErrorCode() == "PreconditionFailed" || api.ErrorCode() == "ConditionalRequestConflict"):
			case errors.As(err, &api) && api.ErrorCode() == "SlowDown":
				t.Logf("told to try again: %v", sites[i%len(sites)].logs.FilterField(zap.String("code", "SlowDown")).All())
			default:
				t.Errorf("loser got %v", err)
			}
		}()
	}
	wg.Wait()
	return int(won.Load())
}

func TestAnAnswerLostAfterTheCommitIsSuccess(t *testing.T) {
	var lose atomic.Bool
	s := newSite(t, diskStorage(t), siteConfig{wrap: func(b proxy.Backend) proxy.Backend {
		return losingBackend{b, &lose}
	}})
	b := s.bucket(t, "lost")
	s.put(t, b, "k", []byte("before"))
	lose.Store(true)
	s.put(t, b, "k", []byte("after"))
	lose.Store(false)
	if got := s.get(t, b, "k"); string(got) != "after" {
		t.Fatalf("%q", got)
	}
}

// losingBackend does what it is told and loses the answer to every PUT of an object: failed, but applied.
type losingBackend struct {
	proxy.Backend
	lose *atomic.Bool
}

func (l losingBackend) Do(ctx context.Context, as access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	resp, err := l.Backend.Do(ctx, as, rq)
	if err == nil && rq.Method == "PUT" && rq.Key != "" && l.lose.Load() {
		resp.Body.Close()
		return nil, proxy.ErrBackendUnavailable
	}
	return resp, err
}

func TestWritesAreRefusedBeforeAnyByteWhileTheStoreIsDown(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "down")
	s.put(t, b, "k", []byte("body"))
	down := newSite(t, st, siteConfig{identity: s.identity, store: downStore{s.store}})
	_, err := down.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("k"), Body: bytes.NewReader([]byte("new"))})
	wantCode(t, err, "ServiceUnavailable")
	_, err = down.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("k")})
	wantCode(t, err, "ServiceUnavailable")
	if calls := down.backend.take(); len(calls) != 0 {
		t.Fatalf("the backend was asked: %v", calls)
	}
}

// downStore is a store that is known to be down.
type downStore struct{ metadata.Store }

func (downStore) Healthy() bool { return false }

func TestALoserWhoseAnswerBrokeDownIsToldThatHeLost(t *testing.T) {
	st := diskStorage(t)
	other := newSite(t, st, siteConfig{})
	var b string
	// The storage breaks down on the conditional write, after another writer has taken the key.
	s := newSite(t, st, siteConfig{identity: other.identity, store: other.store, wrap: func(next proxy.Backend) proxy.Backend {
		return overtakenBackend{next, func() { other.put(t, b, "k", []byte("quicker")) }}
	}})
	b = other.bucket(t, "overtaken")
	_, err := s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("k"), Body: bytes.NewReader([]byte("slower")), IfNoneMatch: str("*")})
	wantCode(t, err, "PreconditionFailed")
	if got := other.get(t, b, "k"); string(got) != "quicker" {
		t.Fatalf("%q", got)
	}
}

// overtakenBackend fails every conditional PUT, once another writer has been let by.
type overtakenBackend struct {
	proxy.Backend
	overtake func()
}

func (o overtakenBackend) Do(ctx context.Context, as access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	if rq.Method == "PUT" && rq.Header.Get("If-None-Match") != "" {
		o.overtake()
		return nil, proxy.ErrBackendUnavailable
	}
	return o.Backend.Do(ctx, as, rq)
}
