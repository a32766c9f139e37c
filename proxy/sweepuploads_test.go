package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cofre/metadata"
	"cofre/proxy"
)

// An upload that has no row can be gone on with by no client. It goes once it is old, where nobody else could have begun it.
func TestSweepAbortsUploadsWithoutRow(t *testing.T) {
	st := rgwStorage(t)
	s := newSite(t, st, siteConfig{policy: func(bucket string) proxy.BucketPolicy {
		return proxy.BucketPolicy{PassUnsealed: strings.HasPrefix(bucket, "sweep-plain")}
	}})
	b, plain := s.bucket(t, "sweep-uploads"), s.bucket(t, "sweep-plain")
	for _, bucket := range []string{b, plain} {
		if _, err := st.raw.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: str("orphan")}); err != nil {
			t.Fatal(err)
		}
	}
	id, parts := s.upload(t, b, "a client's", []byte("body"))

	young := sweepNow()
	young.UploadAge = time.Hour
	went, kept := s.sweep(t, b, young)
	wantSwept(t, went, kept, nil, nil)

	job := metadata.Job{ID: "rewrites", Kind: "reencrypt", Bucket: b}
	if err := s.store.AddJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	went, kept = s.sweep(t, b, sweepNow()) // a job's uploads have no rows
	wantSwept(t, went, kept, nil, nil)
	if err := s.store.CancelJob(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}

	shared := sweepNow()
	shared.OtherWriters = func(string) bool { return true }
	went, kept = s.sweep(t, b, shared)
	wantSwept(t, went, kept, nil, []string{"upload-without-row orphan"})
	went, kept = s.sweep(t, plain, sweepNow())
	wantSwept(t, went, kept, nil, []string{"upload-without-row orphan"})

	list := sweepNow()
	list.List = true
	for _, c := range []proxy.SweepConfig{list, sweepNow()} {
		went, kept = s.sweep(t, b, c)
		wantSwept(t, went, kept, []string{"upload-without-row orphan"}, nil)
	}
	went, kept = s.sweep(t, b, sweepNow())
	wantSwept(t, went, kept, nil, nil)

	word := sweepNow()
	word.ForeignUploads = true
	went, kept = s.sweep(t, plain, word)
	wantSwept(t, went, kept, []string{"upload-without-row orphan"}, nil)
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "a client's", id, parts)); err != nil {
		t.Errorf("the client's own upload: %v", err)
	}
	if n := s.counted(t, "cofre_swept_total"); n != 2 {
		t.Errorf("%v counted, want 2", n)
	}
}

// Where the storage says who has begun an upload, that decides, shared bucket or not.
func TestSweepAbortsNoUploadOfAnotherUser(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "sweep-users")
	for _, key := range []string{"mine", "theirs"} {
		if _, err := s.raw.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &b, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		said := ""
		switch {
		case err != nil:
		case rq.Bucket == "":
			said = "<ListAllMyBucketsResult><Owner><ID>site a</ID></Owner><Buckets></Buckets></ListAllMyBucketsResult>"
		case rq.Method == http.MethodGet && rq.Query.Has("uploadId"):
			said = "<ListPartsResult><Owner><ID>" + map[string]string{"mine": "site a", "theirs": "site b"}[rq.Key] + "</ID></Owner><IsTruncated>false</IsTruncated></ListPartsResult>"
		}
		if said != "" {
			resp.Body.Close()
			resp.Body = io.NopCloser(strings.NewReader(said))
		}
		return resp, err
	}
	c := sweepNow()
	c.OtherWriters = func(string) bool { return true }
	for _, kept := range [][]string{{"upload-without-row theirs"}, nil} {
		went, left := s.sweep(t, b, c)
		if kept != nil {
			wantSwept(t, went, left, []string{"upload-without-row mine"}, kept)
		} else {
			wantSwept(t, went, left, []string{"upload-without-row theirs"}, nil)
		}
		c.ForeignUploads = true
	}
}

// counted is the sum of a counter over its labels.
func (s *site) counted(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// A part that ends after the Abort of its upload leaves nothing at the storage that could be listed, and no row here.
func TestAPartThatEndsAfterTheAbortLeavesNothing(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		m := &meddler{}
		s := newSite(t, st, siteConfig{wrap: func(b proxy.Backend) proxy.Backend { m.Backend = b; return m }})
		b := s.bucket(t, "late-part")
		id, _ := s.upload(t, b, "k", []byte("first part"))
		m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
			if rq.Method == http.MethodPut && rq.Query.Get("partNumber") == "2" {
				// The storage has it; before cofre goes on, the upload is aborted.
				if _, err := st.raw.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &b, Key: str("k"), UploadId: &id}); err != nil {
					t.Error(err)
				}
				if err := s.store.DeleteUpload(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
			return resp, err
		}
		_, err := s.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &b, Key: str("k"), UploadId: &id, PartNumber: aws.Int32(2), Body: strings.NewReader("late")})
		wantCode(t, err, "NoSuchUpload")
		went, kept := s.sweep(t, b, sweepNow())
		wantSwept(t, went, kept, nil, nil)
		out, err := st.raw.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &b})
		if err != nil || len(out.Uploads) != 0 {
			t.Errorf("the storage lists %d uploads, %v", len(out.Uploads), err)
		}
		if parts, _, err := s.store.UploadParts(t.Context(), id, 0, 10); err != nil || len(parts) != 0 {
			t.Errorf("the store has %d parts, %v", len(parts), err)
		}
	})
}

// A row whose upload the storage has not any more is forgotten; what both know stays, however old.
func TestSweepForgetsUploadsThatTheStorageHasNot(t *testing.T) {
	eachStorage(t, func(t *testing.T, st *storage) {
		s := newSite(t, st, siteConfig{})
		b := s.bucket(t, "sweep-rows")
		gone, _ := s.upload(t, b, "gone", []byte("body"))
		id, parts := s.upload(t, b, "open", []byte("body"))
		if _, err := st.raw.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &b, Key: str("gone"), UploadId: &gone}); err != nil {
			t.Fatal(err)
		}
		young := sweepNow()
		young.UploadAge = time.Hour
		went, kept := s.sweep(t, b, young)
		wantSwept(t, went, kept, nil, nil)
		went, kept = s.sweep(t, b, sweepNow())
		wantSwept(t, went, kept, []string{"upload-unknown gone"}, nil)
		_, err := s.client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &b, Key: str("gone"), UploadId: &gone})
		wantCode(t, err, "NoSuchUpload")
		if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "open", id, parts)); err != nil {
			t.Errorf("the open upload: %v", err)
		}
	})
}

// A Complete that took effect and that nobody asked for again is brought to its end: the row is there, and asking again gives the same
// answer. One that may still be running is left alone.
func TestSweepRecordsWhatWasJoined(t *testing.T) {
	s, m := meddled(t, siteConfig{})
	b := s.bucket(t, "sweep-joined")
	joined, parts := s.upload(t, b, "joined", []byte("body"))
	running, runningParts := s.upload(t, b, "running", []byte("body"))
	var lost atomic.Bool
	lost.Store(true)
	away := func(rq *proxy.BackendRequest) bool {
		return lost.Load() && (isComplete(rq) || rq.Method == http.MethodHead && rq.Key != "")
	}
	m.before = func(rq *proxy.BackendRequest) (*proxy.BackendResponse, error, bool) {
		return nil, proxy.ErrBackendUnavailable, away(rq) && rq.Key == "running" // never got there, as far as one can tell
	}
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		if away(rq) {
			return nil, proxy.ErrBackendUnavailable
		}
		return resp, err
	}
	for key, id := range map[string]string{"joined": joined, "running": running} {
		list := parts
		if key == "running" {
			list = runningParts
		}
		if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, key, id, list)); err == nil {
			t.Fatal("the answer was not lost")
		}
	}
	lost.Store(false)
	m.before, m.after = nil, nil
	if _, err := s.raw.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &b, Key: str("running"), UploadId: &running}); err != nil {
		t.Fatal(err)
	}
	went, kept := s.sweep(t, b, sweepNow())
	wantSwept(t, went, kept, []string{"upload-joined joined"}, []string{"upload-unknown running"})
	up, err := s.store.Upload(t.Context(), b, "joined", joined)
	if err != nil || up.State != metadata.UploadCompleted {
		t.Errorf("the upload is %v, %v", up.State, err)
	}
	if _, err := s.store.Latest(t.Context(), b, "joined", ""); err != nil {
		t.Errorf("the record: %v", err)
	}
	if _, err := s.client.CompleteMultipartUpload(t.Context(), completeInput(b, "joined", joined, parts)); err != nil {
		t.Errorf("completed once more: %v", err)
	}
}
