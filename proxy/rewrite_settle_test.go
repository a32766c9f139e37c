package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"cofre/access"
	"cofre/proxy"
	"cofre/s3api"
)

// failingBackend answers the requests that match with an error of the storage's.
type failingBackend struct {
	proxy.Backend
	match func(*proxy.BackendRequest) bool
}

func (f *failingBackend) Do(ctx context.Context, as access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	if f.match != nil && f.match(rq) {
		return nil, s3api.ErrAccessDenied
	}
	return f.Backend.Do(ctx, as, rq)
}

// TestARewriteThatEndsBetweenTheCommitAndTheTagsIsSettled by whoever takes the walk up.
func TestARewriteThatEndsBetweenTheCommitAndTheTagsIsSettled(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		old := newSite(t, st, siteConfig{})
		b := old.bucket(t, "settled")
		old.uploadTwo(t, b, "k", pattern(5<<20), pattern(9), "")
		old.send(t, sub2("PUT", b, "k", "tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>")).want(t, 200, "")
		view := old.visible(t, b, "k")
		fail := &failingBackend{match: func(rq *proxy.BackendRequest) bool { return rq.Method == http.MethodPut && rq.Query.Has("tagging") }}
		s := old.closed(t, b, siteConfig{wrap: func(next proxy.Backend) proxy.Backend { fail.Backend = next; return fail }})
		var noted []proxy.PendingRewrite
		note := func(_ context.Context, p proxy.PendingRewrite) error { noted = append(noted, p); return nil }
		if _, kinds := s.rewrite(t, b, proxy.RewriteConfig{Note: note}); !slices.Equal(kinds, []string{"k aftercare"}) || len(noted) != 1 {
			t.Fatalf("%v, %d notes", kinds, len(noted))
		}
		for _, from := range []string{"", "z"} {
			c := proxy.RewriteConfig{Pending: noted, From: proxy.RewriteMarker{Key: []byte(from)}}
			if _, kinds := s.rewrite(t, b, c); !slices.Equal(kinds, []string{"k aftercare"}) {
				t.Errorf("taken up from %q while the tags are still refused: %v", from, kinds)
			}
		}
		fail.match = nil
		forgotten := 0
		report, kinds := s.rewrite(t, b, proxy.RewriteConfig{Pending: noted, Forget: func([]byte) { forgotten++ }})
		if report.Rewritten != 0 || len(kinds) > 0 || forgotten != 1 {
			t.Errorf("%+v, %v, %d forgotten", report, kinds, forgotten)
		}
		if diff := cmp.Diff(view, s.visible(t, b, "k")); diff != "" {
			t.Error(diff)
		}
	})
}

// TestARewriteThatDidNotCommitLeavesNothing: its upload is aborted by whoever takes the walk up.
func TestARewriteThatDidNotCommitLeavesNothing(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		old := newSite(t, st, siteConfig{})
		b := old.bucket(t, "undone")
		old.uploadTwo(t, b, "k", pattern(5<<20), pattern(9), "")
		s := old.closed(t, b, siteConfig{})
		died := errors.New("the process ends here")
		var noted []proxy.PendingRewrite
		_, err := s.handler.RewriteBucket(t.Context(), b, proxy.RewriteConfig{
			Note:     func(_ context.Context, p proxy.PendingRewrite) error { noted = append(noted, p); return died },
			Throttle: func(context.Context, int) error { return nil },
		})
		if err != nil || len(noted) == 0 { // the object is refused, the walk goes on
			t.Fatalf("%v, %d notes", err, len(noted))
		}
		if report, kinds := s.rewrite(t, b, proxy.RewriteConfig{Pending: longAgo(noted[:1])}); report.Rewritten != 1 || len(kinds) > 0 {
			t.Errorf("%+v, %v", report, kinds)
		}
		ups, err := st.raw.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &b})
		if err != nil || len(ups.Uploads) != 0 {
			t.Errorf("%d uploads are left, %v", len(ups.Uploads), err)
		}
	})
}

// TestAWalkIsTakenUpAtItsCheckpoint.
func TestAWalkIsTakenUpAtItsCheckpoint(t *testing.T) {
	t.Parallel()
	st := diskStorage(t)
	old := newSite(t, st, siteConfig{})
	b := old.bucket(t, "checkpoint")
	for i := range 1003 {
		old.put(t, b, fmt.Sprintf("k%04d", i), []byte("x"))
	}
	s := old.closed(t, b, siteConfig{})
	stop := errors.New("stop")
	var at proxy.RewriteMarker
	first, err := s.handler.RewriteBucket(t.Context(), b, proxy.RewriteConfig{Checkpoint: func(_ context.Context, m proxy.RewriteMarker, _ proxy.RewriteReport) error {
		at = m
		return stop
	}})
	if !errors.Is(err, stop) || first.Rewritten != 1000 || string(at.Key) != "k0999" {
		t.Fatalf("%+v at %+v, %v", first, at, err)
	}
	second, kinds := s.rewrite(t, b, proxy.RewriteConfig{From: at, Report: first})
	if second.Rewritten != 1003 || second.Looked != 1003 || len(kinds) > 0 {
		t.Errorf("%+v, %v", second, kinds)
	}
}
