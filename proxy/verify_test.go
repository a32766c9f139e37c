package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"cofre/keys"
	"cofre/proxy"
)

// verify runs Verify over a bucket, reading every chunk.
func (s *site) verify(t *testing.T, bucket string, cfg proxy.VerifyConfig) ([]proxy.Finding, proxy.VerifyReport) {
	t.Helper()
	var findings []proxy.Finding
	cfg.Found = func(f proxy.Finding) { findings = append(findings, f) }
	cfg.KEKs = s.ring.CheckKEKs
	if cfg.Read == nil {
		cfg.Read = func() bool { return true }
	}
	if cfg.Settle == 0 {
		cfg.Settle = 50 * time.Millisecond
	}
	report, err := s.handler.Verify(t.Context(), bucket, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return findings, report
}

// wantFindings fails unless exactly these were found, each as "kind key".
func wantFindings(t *testing.T, got []proxy.Finding, want ...string) {
	t.Helper()
	var said []string
	for _, f := range got {
		said = append(said, strings.TrimSpace(string(f.Kind)+" "+f.Key))
		if !strings.HasSuffix(f.Detail, ".") {
			t.Errorf("%s: %q is no sentence", f.Kind, f.Detail)
		}
	}
	slices.Sort(said)
	slices.Sort(want)
	if !slices.Equal(said, want) {
		t.Errorf("found %q, want %q", said, want)
		for _, f := range got {
			t.Logf("%s %q version %s: %s", f.Kind, f.Key, f.VersionID, f.Detail)
		}
	}
}

func TestVerifyFindsNothingInASoundBucket(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{keysOverHTTP: true})
		b := s.bucket(t, "sound")
		bodies, _ := s.writeEveryWay(t, b)
		mine := newCustomer()
		must(s.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: str("locked"), Body: bytes.NewReader(pattern(100)),
			SSECustomerAlgorithm: aes256, SSECustomerKey: mine.key, SSECustomerKeyMD5: mine.sum}))
		s.version(t, b)
		for i := range 3 {
			s.put(t, b, "versions", pattern(70_000+i))
		}
		if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("put")}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: str("open")}); err != nil {
			t.Fatal(err)
		}
		findings, report := s.verify(t, b, proxy.VerifyConfig{LayoutAge: time.Nanosecond})
		wantFindings(t, findings)
		objects := int64(len(bodies) + 1 + 3)
		for name, policy := range map[string]proxy.BucketPolicy{"opaque": {ETag: proxy.ETagOpaque}, "clear": {ClearAttributes: true}, "pass": {PassUnsealed: true}} {
			s := newSite(t, st, siteConfig{policy: func(string) proxy.BucketPolicy { return policy }})
			b := s.bucket(t, "sound-"+name)
			s.writeEveryWay(t, b)
			s.putRaw(t, b, "bare", pattern(10), nil).want(t, 200, "")
			findings, _ := s.verify(t, b, proxy.VerifyConfig{})
			wantFindings(t, findings)
		}
		if report.Objects != objects || report.Read != objects-1 || report.CustomerKey != 1 || report.Rows != objects || report.Uploads != 1 || report.Layouts != 2 {
			t.Errorf("%+v", report)
		}
	})
}

func TestVerifyTellsWhoseAKEKIsNot(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a, b := newSite(t, st, siteConfig{}), newSite(t, st, siteConfig{})
		bucket := a.bucket(t, "whose")
		a.put(t, bucket, "k", pattern(10))
		findings, _ := b.verify(t, bucket, proxy.VerifyConfig{})
		wantFindings(t, findings, "kek-not-recipient k")

		// A member whose KEK was closed has written since: nobody believes it without a row.
		if err := a.store.CloseKEKs(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
		fresh := newSite(t, st, siteConfig{identity: a.identity})
		for _, k := range must(a.store.KEKs(t.Context(), bucket)) {
			must(fresh.store.AddKEK(t.Context(), k))
		}
		findings, _ = fresh.verify(t, bucket, proxy.VerifyConfig{})
		wantFindings(t, findings, "closed-kek k")
		findings, _ = newSite(t, st, siteConfig{identity: a.identity, store: a.store}).verify(t, bucket, proxy.VerifyConfig{})
		wantFindings(t, findings) // the row is from before
	})
}

func TestVerifyHoldsOtherSitesToTheTrustList(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		a, b := newSite(t, st, siteConfig{}), newSite(t, st, siteConfig{})
		bucket := a.bucket(t, "held")
		if err := a.trust.Trust(b.identity.Card(), bucket, keys.Member, time.Now()); err != nil {
			t.Fatal(err)
		}
		a.put(t, bucket, "in/x", pattern(10))
		a.put(t, bucket, "out/x", pattern(10))
		findings, _ := b.verify(t, bucket, proxy.VerifyConfig{})
		wantFindings(t, findings, "kek-untrusted in/x", "kek-untrusted out/x") // granted by a stranger

		if err := b.trust.Trust(a.identity.Card(), bucket, keys.Deposit, time.Now(), "in/"); err != nil {
			t.Fatal(err)
		}
		findings, report := b.verify(t, bucket, proxy.VerifyConfig{})
		wantFindings(t, findings, "object-without-row in/x", "deposit out/x")
		if report.Faults != 1 || report.Infos != 1 {
			t.Errorf("%+v", report)
		}
	})
}

func TestVerifyOfASharedBucketTakesADeletionByAnotherSiteForNoFault(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "shared")
	s.put(t, b, "k", pattern(10))
	s.rawDelete(t, b, "k")
	findings, report := s.verify(t, b, proxy.VerifyConfig{OtherWriters: true})
	wantFindings(t, findings, "row-without-object k")
	if report.Faults != 0 || report.Infos != 1 {
		t.Errorf("%+v", report)
	}
}

// TestVerifyWalksRowsBesideAListingOfSeveralPages has more versions of one key than a page holds: their rows are matched across the
// page's end, without a look at each, and a row whose object is gone is found wherever it stands.
func TestVerifyWalksRowsBesideAListingOfSeveralPages(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "pages")
	s.version(t, b)
	var writers errgroup.Group
	writers.SetLimit(8)
	for i := range 1_100 {
		key := "many versions"
		if i%100 == 0 {
			key = fmt.Sprintf("%c %d", 'a'+rune(i/100*2), i) // before and behind it
		}
		writers.Go(func() error {
			_, err := s.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &b, Key: &key, Body: bytes.NewReader(nil)})
			return err
		})
	}
	if err := writers.Wait(); err != nil {
		t.Fatal(err)
	}
	none := func() bool { return false }
	s.backend.take()
	findings, report := s.verify(t, b, proxy.VerifyConfig{Read: none})
	wantFindings(t, findings)
	if report.Objects != 1_100 || report.Rows != 1_100 {
		t.Errorf("%+v", report)
	}
	if looks := slices.DeleteFunc(s.backend.take(), func(call string) bool { return !strings.HasPrefix(call, "HEAD object") }); len(looks) > 0 {
		t.Errorf("%d rows were looked at one by one: %s", len(looks), looks[0])
	}
	for _, key := range []string{"a 0", "many versions", "u 1000"} {
		v := must(s.raw.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &b, Prefix: &key})).Versions[0]
		must(s.raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: v.Key, VersionId: v.VersionId}))
	}
	findings, _ = s.verify(t, b, proxy.VerifyConfig{Read: none})
	wantFindings(t, findings, "row-without-object a 0", "row-without-object many versions", "row-without-object u 1000")
}

// TestVerifyRaisesNoAlarmWhileClientsWrite has writers, copiers, deleters and uploaders at work on a few keys, with and without
// versions, while the bucket is verified again and again.
func TestVerifyRaisesNoAlarmWhileClientsWrite(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		for _, versioned := range []bool{false, true} {
			t.Run(fmt.Sprint("versioned ", versioned), func(t *testing.T) {
				s := newSite(t, st, siteConfig{})
				b := s.bucket(t, fmt.Sprint("busy-", versioned))
				if versioned {
					s.version(t, b)
				}
				for i := range 20 {
					s.put(t, b, fmt.Sprint("still ", i), pattern(100))
				}
				ctx, stop := context.WithCancel(t.Context())
				var clients errgroup.Group
				var once sync.Once
				started := make(chan struct{})
				// A delete that meets a write of its key may leave the row of an object that it has removed: that is told, and rightly.
				var deletes [6]sync.RWMutex
				for c := range 4 {
					clients.Go(func() error {
						for i := 0; ctx.Err() == nil; i++ {
							n := (i + c) % len(deletes)
							s.disturb(b, fmt.Sprint("key ", n), i+c, &deletes[n])
							if i > 5 {
								once.Do(func() { close(started) })
							}
						}
						return nil
					})
				}
				<-started
				for range 3 {
					findings, report := s.verify(t, b, proxy.VerifyConfig{Settle: 300 * time.Millisecond})
					if report.Faults > 0 {
						t.Errorf("%+v of %+v", findings, report)
					}
					if report.Objects < 20 {
						t.Errorf("%+v", report)
					}
				}
				stop()
				_ = clients.Wait()
				findings, _ := s.verify(t, b, proxy.VerifyConfig{})
				// A copy that met another writer of its key has no row until somebody reads it.
				wantFindings(t, slices.DeleteFunc(findings, func(f proxy.Finding) bool { return f.Kind == proxy.FoundObjectAlone }))
			})
		}
	})
}

// disturb is one act of a client; that it may meet another client's act is what it is for.
// deletes keeps deletes of the key apart from writes.
func (s *site) disturb(bucket, key string, act int, deletes *sync.RWMutex) {
	ctx := context.Background()
	if act%4 == 3 {
		deletes.Lock()
		defer deletes.Unlock()
	} else {
		deletes.RLock()
		defer deletes.RUnlock()
	}
	switch act % 4 {
	case 0, 1:
		_, _ = s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(pattern(70_000 + act))})
	case 2:
		_, _ = s.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: aws.String(bucket + "/still 1")})
	default:
		_, _ = s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key}}}})
	}
}

func TestVerifyTellsFindingsInOrderOfKey(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "ordered")
	var want []string
	for i := range 12 {
		key := fmt.Sprintf("%c", 'a'+rune(i))
		switch i % 3 {
		case 0: // a row, which is looked at behind the whole page
			s.put(t, b, key, pattern(10))
			s.rawDelete(t, b, key)
		case 1:
			s.rawPut(t, b, key, pattern(10), nil)
		case 2:
			s.put(t, b, key, pattern(10))
			continue
		}
		want = append(want, key)
	}
	var got []string
	findings, _ := s.verify(t, b, proxy.VerifyConfig{})
	for _, f := range findings {
		got = append(got, f.Key)
	}
	if !slices.Equal(got, want) {
		t.Errorf("told in the order %q", got)
	}
}

func TestVerifySaysNothingTwice(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "once")
	s.put(t, b, "victim", pattern(200_000))
	flipVictim(100_000)(t, s, b)
	findings, _ := s.verify(t, b, proxy.VerifyConfig{})
	if len(findings) != 1 || findings[0].Detail != "A chunk does not open: chunk 1." {
		t.Errorf("%+v", findings)
	}
}
