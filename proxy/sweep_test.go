package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cofre/keys"
	"cofre/metadata"
	"cofre/proxy"
	"cofre/seal"
)

// sweepNow is a sweep for which everything is old enough, in a bucket that this site alone writes to.
func sweepNow() proxy.SweepConfig {
	return proxy.SweepConfig{
		UploadAge: time.Nanosecond, LayoutAge: time.Nanosecond, Settle: 20 * time.Millisecond,
		OtherWriters: func(string) bool { return false },
	}
}

// sweep sweeps a bucket, and gives what went and what was kept: the kind, and the key where there is one.
func (s *site) sweep(t *testing.T, bucket string, c proxy.SweepConfig) (went, kept []string) {
	t.Helper()
	c.Found = func(f proxy.Swept) {
		text := strings.TrimSpace(string(f.Kind) + " " + f.Key)
		if f.Kept == "" {
			went = append(went, text)
		} else {
			kept = append(kept, text)
		}
	}
	if _, err := s.handler.SweepBuckets(t.Context(), []string{bucket}, c); err != nil {
		t.Fatal(err)
	}
	slices.Sort(went)
	slices.Sort(kept)
	return went, kept
}

func wantSwept(t *testing.T, went, kept, wantWent, wantKept []string) {
	t.Helper()
	if !slices.Equal(went, wantWent) || !slices.Equal(kept, wantKept) {
		t.Errorf("swept %q and kept %q, want %q and %q", went, kept, wantWent, wantKept)
	}
}

// A row whose object is gone becomes a tombstone where others delete too. Elsewhere it is the trace of a loss, and stays until
// somebody says that he has looked into it.
func TestSweepBuriesRowsWithoutObject(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "sweep-alone")
		for _, key := range []string{"a", "gone 1", "gone 2", "z"} {
			s.put(t, b, key, []byte(key))
		}
		take := func(key string) {
			if _, err := st.raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: &key}); err != nil {
				t.Fatal(err)
			}
		}
		live := func(key string) bool {
			_, err := s.store.Latest(t.Context(), b, key, "")
			return err == nil
		}
		take("gone 1")
		went, kept := s.sweep(t, b, sweepNow())
		wantSwept(t, went, kept, nil, []string{"row-without-object gone 1"})
		if !live("gone 1") {
			t.Error("the trace of a loss was taken away")
		}
		word := sweepNow()
		word.LostRows = true
		went, kept = s.sweep(t, b, word)
		wantSwept(t, went, kept, []string{"row-without-object gone 1"}, nil)

		take("gone 2")
		shared := sweepNow()
		shared.OtherWriters = func(string) bool { return true }
		went, kept = s.sweep(t, b, shared)
		wantSwept(t, went, kept, []string{"row-without-object gone 2"}, nil)
		for key, want := range map[string]bool{"a": true, "gone 1": false, "gone 2": false, "z": true} {
			if live(key) != want {
				t.Errorf("row of %s live: %v", key, !want)
			}
		}
	})
}

// Only a lifecycle rule that deletes objects explains that one is gone.
func TestARuleThatAbortsUploadsExcusesNoLoss(t *testing.T) {
	st := rgwStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "sweep-lifecycle")
	s.put(t, b, "gone", []byte("body"))
	if _, err := st.raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("gone")}); err != nil {
		t.Fatal(err)
	}
	rule := types.LifecycleRule{ID: str("r"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: str("logs/")},
		AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(300)}}
	put := func() {
		t.Helper()
		_, err := st.raw.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: &b,
			LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{rule}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	put()
	went, kept := s.sweep(t, b, sweepNow())
	wantSwept(t, went, kept, nil, []string{"row-without-object gone"})
	rule.Expiration = &types.LifecycleExpiration{Days: aws.Int32(300)}
	put()
	went, kept = s.sweep(t, b, sweepNow())
	wantSwept(t, went, kept, []string{"row-without-object gone"}, nil)
}

// A writer who dies between the storage and his row leaves the row of what he replaced. The sweep buries it, so that the storage cannot
// bring the old object back.
func TestSweepBuriesWhatADeadWriterReplaced(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "sweep-replaced")
	s.put(t, b, "k", []byte("old"))
	s.put(t, b, "rewritten by nobody", []byte("same"))
	old, oldBody := st.rawObject(t, b, "k")
	dead := newSite(t, st, siteConfig{identity: s.identity, store: rowless{s.store}})
	dead.put(t, b, "k", []byte("new"))
	if got := s.get(t, b, "k"); string(got) != "new" { // and its row is healed
		t.Fatalf("read %q", got)
	}
	went, kept := s.sweep(t, b, sweepNow())
	wantSwept(t, went, kept, []string{"row-replaced k"}, nil)
	if got := s.get(t, b, "k"); string(got) != "new" {
		t.Errorf("after the sweep %q is read", got)
	}
	went, kept = s.sweep(t, b, sweepNow())
	wantSwept(t, went, kept, nil, nil)
	st.rawPut(t, b, "k", oldBody, old.Metadata)
	_, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("k")})
	wantCode(t, err, "InternalError")
}

// rowless is the store of a process that dies before it has written a row.
type rowless struct{ metadata.Store }

func (rowless) Add(context.Context, metadata.Record, metadata.Origin) error {
	return metadata.ErrUnavailable
}

// Layouts go that no object, upload or young tombstone needs and that are this site's own to judge; those of objects that the store does
// not know are found by looking.
func TestSweepRemovesLayoutsOfNoObject(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "sweep-layouts")
		for _, key := range []string{"kept", "gone"} {
			id, parts := s.upload(t, b, key, []byte(key))
			if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, key, id, parts)); err != nil {
				t.Fatal(err)
			}
		}
		kept, gone := st.envelopeOf(t, b, "kept", ""), st.envelopeOf(t, b, "gone", "")
		if _, err := s.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: str("gone")}); err != nil {
			t.Fatal(err)
		}
		theirs := seal.LayoutName(b, must(keys.ParseKEKID(randomHex(16))), gone.ObjectID)
		st.rawPut(t, s.system, theirs, []byte("another site's"), nil)
		layouts := func() []string {
			out, err := st.raw.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &s.system, Prefix: str("buckets/" + b + "/layouts/")})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, o := range out.Contents {
				names = append(names, *o.Key)
			}
			return names
		}
		if n := len(layouts()); n != 3 {
			t.Fatalf("%d layouts", n)
		}
		old := sweepNow()
		old.LayoutAge = 0 // 30 days
		went, _ := s.sweep(t, b, old)
		wantSwept(t, went, nil, nil, nil)

		// A store that knows nothing but the KEKs: the layouts of all objects look unneeded, until the objects are looked at.
		fresh := newSite(t, st, siteConfig{identity: s.identity})
		all, err := s.store.KEKs(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range all {
			if _, err := fresh.store.AddKEK(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(1100 * time.Millisecond) // the storage tells ages in seconds
		went, _ = fresh.sweep(t, b, sweepNow())
		wantSwept(t, went, nil, []string{"layout-of-no-object"}, nil)
		want := []string{seal.LayoutName(b, kept.KEKID, kept.ObjectID), theirs}
		slices.Sort(want)
		if got := layouts(); !slices.Equal(got, want) {
			t.Errorf("left are %q, want %q", got, want)
		}
		if got := s.get(t, b, "kept"); string(got) != "kept" {
			t.Errorf("read %q", got)
		}
	})
}

// A walk that is stopped goes on where it was, in another process too, and only then begins anew when it is due.
func TestSweepGoesOnWhereItWas(t *testing.T) {
	var pages atomic.Int64
	st := diskStorage(t)
	wrap := func(b proxy.Backend) proxy.Backend {
		return &meddler{Backend: b, before: func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
			if rq.Query.Has("versions") {
				pages.Add(1)
				rq.Query.Set("max-keys", "2")
			}
			return nil, nil, false
		}}
	}
	s := newSite(t, st, siteConfig{wrap: wrap})
	b := s.bucket(t, "sweep-resumes")
	var all []string
	for i := range 7 {
		key := fmt.Sprint("k", i)
		s.put(t, b, key, []byte(key))
		if i%3 == 0 {
			all = append(all, "row-without-object "+key)
			if _, err := st.raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &b, Key: &key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := sweepNow()
	c.OtherWriters, c.WalkEvery, c.WalkPages = func(string) bool { return true }, time.Hour, 1
	var went []string
	for range 2 { // of four objects two are on a page
		pages.Store(0)
		replica := newSite(t, st, siteConfig{identity: s.identity, store: s.store, wrap: wrap})
		some, _ := replica.sweep(t, b, c)
		went = append(went, some...)
		if pages.Load() != 1 {
			t.Errorf("%d pages in one call", pages.Load())
		}
	}
	slices.Sort(went)
	wantSwept(t, went, nil, all, nil)
	pages.Store(0)
	s.sweep(t, b, c)
	if pages.Load() != 0 {
		t.Error("it began again before it was due")
	}
}

// Who sweeps holds a lock that all replicas know.
func TestOneReplicaSweepsAtATime(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "sweep-lock")
	lock, err := s.store.LockJob(t.Context(), "sweep")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.handler.SweepBuckets(t.Context(), []string{b}, sweepNow()); !errors.Is(err, proxy.ErrSweeping) {
		t.Errorf("swept beside another: %v", err)
	}
	patient := sweepNow()
	waits := 0
	patient.Waits = func() {
		waits++
		go func() { time.Sleep(1500 * time.Millisecond); lock.Unlock() }() // longer than one try takes
	}
	if _, err := s.handler.SweepBuckets(t.Context(), []string{b}, patient); err != nil || waits != 1 {
		t.Errorf("%v; told %d times to wait", err, waits)
	}
	if _, err := s.handler.SweepBuckets(t.Context(), []string{b}, sweepNow()); err != nil {
		t.Error(err)
	}
}

// Tombstones go where they are not kept for ever, and with them what they are for.
func TestSweptTombstonesAreForgotten(t *testing.T) {
	st := diskStorage(t)
	s := newSite(t, st, siteConfig{})
	b := s.bucket(t, "sweep-tombstones")
	for _, key := range []string{"kept", "given up"} {
		s.put(t, b, key, []byte("old"))
	}
	old := map[string]*s3.GetObjectOutput{}
	bodies := map[string][]byte{}
	for _, key := range []string{"kept", "given up"} {
		old[key], bodies[key] = st.rawObject(t, b, key)
		if key == "kept" {
			s.put(t, b, key, []byte("new"))
		}
	}
	forEver := sweepNow()
	went, _ := s.sweep(t, b, forEver)
	wantSwept(t, went, nil, nil, nil)
	st.rawPut(t, b, "kept", bodies["kept"], old["kept"].Metadata)
	_, err := s.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b, Key: str("kept")})
	wantCode(t, err, "InternalError")

	s.put(t, b, "given up", []byte("new"))
	briefly := sweepNow()
	briefly.TombstoneAge = time.Nanosecond
	time.Sleep(20 * time.Millisecond)
	went, _ = s.sweep(t, b, briefly)
	if !slices.Contains(went, "tombstone") {
		t.Errorf("swept %q", went)
	}
	if _, err := s.store.ByEnvelope(t.Context(), b, "given up", metadata.Envelope(st.envelopeOf(t, b, "given up", "").Bytes())); err != nil {
		t.Errorf("the live row: %v", err)
	}
	st.rawPut(t, b, "given up", bodies["given up"], old["given up"].Metadata)
	if got := s.get(t, b, "given up"); string(got) != "old" {
		t.Errorf("what is given up reads %q", got)
	}
}

// Completed uploads are forgotten after a day; open ones are not.
func TestSweepForgetsOnlyWhatWasCompletedLongAgo(t *testing.T) {
	s := newSite(t, diskStorage(t), siteConfig{})
	b := s.bucket(t, "sweep-completed")
	id, parts := s.upload(t, b, "k", []byte("body"))
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "k", id, parts)); err != nil {
		t.Fatal(err)
	}
	open, _ := s.upload(t, b, "k", []byte("body"))
	went, _ := s.sweep(t, b, sweepNow())
	wantSwept(t, went, nil, nil, nil)
	if n, err := s.store.SweepUploads(t.Context(), time.Now().Add(time.Minute), 10); err != nil || n != 1 {
		t.Errorf("%d forgotten, %v", n, err)
	}
	if _, err := s.store.Upload(t.Context(), b, "k", open); err != nil {
		t.Errorf("the open upload: %v", err)
	}
}

// Every kind has a line in the runbook.
func TestTheRunbookKnowsWhatIsSwept(t *testing.T) {
	text, err := os.ReadFile("../docs/RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range proxy.SweepKinds() {
		if !strings.Contains(string(text), "`"+string(kind)+"`") {
			t.Errorf("docs/RUNBOOK.md does not say what %s is", kind)
		}
	}
}
