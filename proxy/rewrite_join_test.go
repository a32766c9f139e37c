package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"cofre/access"
	"cofre/proxy"
)

// lateBackend loses the first Complete on its way to the storage, which does it later: when late is called, or as an Abort comes.
type lateBackend struct {
	proxy.Backend
	lost    *proxy.BackendRequest
	as      access.BackendUser
	doc     []byte
	atAbort bool
	aborts  atomic.Int64
	lists   atomic.Int64
}

func (l *lateBackend) Do(ctx context.Context, as access.BackendUser, rq *proxy.BackendRequest) (*proxy.BackendResponse, error) {
	switch {
	case isComplete(rq) && l.lost == nil:
		doc, err := io.ReadAll(rq.Body)
		if err != nil {
			return nil, err
		}
		l.lost, l.as, l.doc = rq, as, doc
		return nil, proxy.ErrBackendUnavailable
	case rq.Method == http.MethodDelete && rq.Query.Has("uploadId"):
		l.aborts.Add(1)
		if l.atAbort {
			if err := l.late(ctx); err != nil {
				return nil, err
			}
		}
	case rq.Method == http.MethodGet && rq.Query.Has("versions"):
		l.lists.Add(1)
	}
	return l.Backend.Do(ctx, as, rq)
}

// late does what was lost.
func (l *lateBackend) late(ctx context.Context) error {
	again := *l.lost
	again.Body = bytes.NewReader(l.doc)
	resp, err := l.Backend.Do(ctx, l.as, &again)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// longAgo gives notes as they would be had they been made hours before.
func longAgo(notes []proxy.PendingRewrite) []proxy.PendingRewrite {
	old := slices.Clone(notes)
	for i := range old {
		old[i].Noted = old[i].Noted.Add(-2 * time.Hour)
	}
	return old
}

// interrupted is a walk over one object in parts, with a tag, whose Complete was lost.
type interrupted struct {
	*site
	bucket string
	late   *lateBackend
	view   map[string]any // of the object before
	noted  []proxy.PendingRewrite
	at     proxy.RewriteMarker
}

func interrupt(t *testing.T, st *storage) *interrupted {
	t.Helper()
	old := newSite(t, st, siteConfig{})
	b := old.bucket(t, "late")
	old.uploadTwo(t, b, "k", pattern(5<<20), pattern(9), "")
	old.send(t, sub2("PUT", b, "k", "tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>")).want(t, 200, "")
	i := &interrupted{bucket: b, late: &lateBackend{}, view: old.visible(t, b, "k")}
	i.site = old.closed(t, b, siteConfig{wrap: func(next proxy.Backend) proxy.Backend { i.late.Backend = next; return i.late }})
	var f findings
	report, err := i.handler.RewriteBucket(t.Context(), b, proxy.RewriteConfig{
		Found:      f.add,
		Note:       func(_ context.Context, p proxy.PendingRewrite) error { i.noted = append(i.noted, p); return nil },
		Forget:     func([]byte) { t.Error("the note was forgotten") },
		Checkpoint: func(_ context.Context, at proxy.RewriteMarker, _ proxy.RewriteReport) error { i.at = at; return nil },
	})
	if err == nil || !proxy.Passes(err) || !slices.Equal(f.kinds(), []string{"k unsettled"}) || report.Rewritten != 0 || len(i.noted) != 1 || !i.at.Waiting {
		t.Fatalf("%+v, %v, %v, %d notes, at %+v", report, f.kinds(), err, len(i.noted), i.at)
	}
	return i
}

func (i *interrupted) wantSame(t *testing.T) {
	t.Helper()
	if diff := cmp.Diff(i.view, i.visible(t, i.bucket, "k")); diff != "" {
		t.Error(diff)
	}
	ups, err := i.raw.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &i.bucket})
	if err != nil || len(ups.Uploads) != 0 {
		t.Errorf("%d uploads are left, %v", len(ups.Uploads), err)
	}
}

// TestAnUploadIsNotAbortedWhileItsCompleteMayRun: the walk ends and is taken up again, until the object is there.
func TestAnUploadIsNotAbortedWhileItsCompleteMayRun(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		i := interrupt(t, st)
		lists := i.late.lists.Load()
		again := proxy.RewriteConfig{Pending: i.noted, From: i.at}
		if _, err := i.handler.RewriteBucket(t.Context(), i.bucket, again); err == nil || !proxy.Passes(err) {
			t.Fatalf("taken up too early: %v", err)
		}
		if n := i.late.aborts.Load(); n != 0 || i.late.lists.Load() != lists {
			t.Errorf("%d aborts, %d listings of a bucket that waits", n, i.late.lists.Load()-lists)
		}
		if err := i.late.late(t.Context()); err != nil {
			t.Fatal(err)
		}
		forgotten := 0
		again.Forget = func([]byte) { forgotten++ }
		if report, kinds := i.rewrite(t, i.bucket, again); report.Rewritten != 0 || len(kinds) > 0 || forgotten != 1 || i.late.aborts.Load() != 0 {
			t.Errorf("%+v, %v, %d forgotten", report, kinds, forgotten)
		}
		i.wantSame(t)
	})
}

// TestAnUploadThatWasNeverJoinedIsAbortedInTheEnd and its object rewritten by the same walk.
func TestAnUploadThatWasNeverJoinedIsAbortedInTheEnd(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		i := interrupt(t, st)
		report, kinds := i.rewrite(t, i.bucket, proxy.RewriteConfig{Pending: longAgo(i.noted), From: i.at})
		if report.Rewritten != 1 || len(kinds) > 0 || i.late.aborts.Load() != 1 {
			t.Errorf("%+v, %v, %d aborts", report, kinds, i.late.aborts.Load())
		}
		i.wantSame(t)
	})
}

// TestAnAbortThatComesTooLateIsLookedBehind: the object that was joined in between gets its tags.
func TestAnAbortThatComesTooLateIsLookedBehind(t *testing.T) {
	t.Parallel()
	i := interrupt(t, diskStorage(t))
	i.late.atAbort = true
	if report, kinds := i.rewrite(t, i.bucket, proxy.RewriteConfig{Pending: longAgo(i.noted), From: i.at}); report.Rewritten != 0 || len(kinds) > 0 {
		t.Errorf("%+v, %v", report, kinds)
	}
	i.wantSame(t)
}

// TestARewriteIsSettledUnderTheLockOfItsKey: whoever completes it at this moment has that.
func TestARewriteIsSettledUnderTheLockOfItsKey(t *testing.T) {
	t.Parallel()
	i := interrupt(t, diskStorage(t))
	s := newSite(t, i.storage, siteConfig{identity: i.identity, store: i.store, limits: proxy.Limits{LockWait: 50 * time.Millisecond}})
	lock, err := i.store.LockKey(t.Context(), i.bucket, "k")
	if err != nil {
		t.Fatal(err)
	}
	c := proxy.RewriteConfig{Pending: longAgo(i.noted), Forget: func([]byte) { t.Error("forgotten while another held the key") }}
	if err := s.handler.SettleRewrites(t.Context(), i.bucket, c); err == nil || !proxy.Passes(err) {
		t.Errorf("settled while another held the key: %v", err)
	}
	lock.Unlock()
	forgotten := 0
	c.Forget = func([]byte) { forgotten++ }
	if err := s.handler.SettleRewrites(t.Context(), i.bucket, c); err != nil || forgotten != 1 {
		t.Errorf("%v, %d forgotten", err, forgotten)
	}
	i.wantSame(t)
}

// TestAnEndedWalkLeavesItsReplacedVersionToTheNext: reading back may take hours, and ends with the walk; the tags that a client sets
// meanwhile are not set back.
func TestAnEndedWalkLeavesItsReplacedVersionToTheNext(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, st *storage) {
		old := newSite(t, st, siteConfig{})
		b := old.bucket(t, "readback")
		old.enableVersioning(t, b)
		old.uploadTwo(t, b, "k", pattern(5<<20), pattern(9), "")
		tag := func(value string) request {
			return sub2("PUT", b, "k", "tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>"+value+"</Value></Tag></TagSet></Tagging>")
		}
		old.send(t, tag("first")).want(t, 200, "")
		ctx, end := context.WithCancel(t.Context())
		m := &meddler{after: func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
			if rq.Method == http.MethodPut && rq.Query.Has("tagging") {
				end()
			}
			return resp, err
		}}
		s := old.closed(t, b, siteConfig{wrap: func(next proxy.Backend) proxy.Backend { m.Backend = next; return m }})
		var last proxy.PendingRewrite
		_, err := s.handler.RewriteBucket(ctx, b, proxy.RewriteConfig{
			RemoveReplaced: true,
			Note:           func(_ context.Context, p proxy.PendingRewrite) error { last = p; return nil },
			Forget:         func([]byte) { t.Error("the note was forgotten") },
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		old.send(t, tag("second")).want(t, 200, "")
		if err := s.handler.SettleRewrites(t.Context(), b, proxy.RewriteConfig{RemoveReplaced: true, Pending: []proxy.PendingRewrite{last}}); err != nil {
			t.Fatal(err)
		}
		list, err := s.client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &b})
		if err != nil || len(list.Versions) != 1 {
			t.Errorf("%d versions, %v", len(list.Versions), err)
		}
		if got := string(s.send(t, request{method: "GET", bucket: b, key: "k", query: "tagging="}).want(t, 200, "").body); !strings.Contains(got, "second") {
			t.Errorf("the client's tags are now %s", got)
		}
	})
}
