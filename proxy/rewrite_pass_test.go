package proxy_test

import (
	"sync"
	"testing"

	"cofre/keys"
	"cofre/proxy"
)

// TestTheLastPassSeesWhatReplicasSealedUnderAKEKThatWasJustClosed, also where nothing else has to be done.
func TestTheLastPassSeesWhatReplicasSealedUnderAKEKThatWasJustClosed(t *testing.T) {
	t.Parallel()
	st := diskStorage(t)
	replica := newSite(t, st, siteConfig{})
	b := replica.bucket(t, "last-pass")
	replica.put(t, b, "warm", nil)
	replica.send(t, request{method: "DELETE", bucket: b, key: "warm"}).want(t, 204, "")
	m := &meddler{}
	s := replica.closed(t, b, siteConfig{wrap: func(next proxy.Backend) proxy.Backend { m.Backend = next; return m }})
	if err := s.handler.GuardBucket(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	var sealed keys.KEKID
	m.after = func(rq *proxy.BackendRequest, resp *proxy.BackendResponse, err error) (*proxy.BackendResponse, error) {
		if rq.Query.Has("versions") { // the first pass has seen the bucket
			once.Do(func() {
				replica.put(t, b, "late", []byte("x"))
				sealed = st.envelopeOf(t, b, "late", "").KEKID
			})
		}
		return resp, err
	}
	report, kinds := s.rewrite(t, b, proxy.RewriteConfig{})
	if report.Rewritten != 1 || len(kinds) > 0 {
		t.Errorf("%+v, %v", report, kinds)
	}
	if now := st.envelopeOf(t, b, "late", "").KEKID; now == sealed {
		t.Errorf("the object is still under KEK %s", now)
	}
}
