package proxy_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cofre/backend"
	"cofre/internal/longtest"
	"cofre/metadata"
	"cofre/metadata/postgres/postgrestest"
	"cofre/metadata/rediscache"
	"cofre/metadata/storetest"
	"cofre/sigv4/sigv4test"
)

// oracle knows what each key may hold: the last write that was acknowledged, or one behind it that was not. Each key has one writer.
type oracle struct {
	may map[string][][]byte // by key; nil stands for no object
}

// wrote notes a write, or a delete where body is nil.
func (o *oracle) wrote(key string, body []byte, acknowledged bool) {
	if acknowledged {
		o.may[key] = [][]byte{body}
		return
	}
	if o.may[key] == nil {
		o.may[key] = [][]byte{nil}
	}
	o.may[key] = append(o.may[key], body)
}

func (o *oracle) allows(key string, got []byte) bool {
	if o.may[key] == nil {
		return got == nil
	}
	for _, body := range o.may[key] {
		if (body == nil) == (got == nil) && bytes.Equal(body, got) {
			return true
		}
	}
	return false
}

// TestNoAcknowledgedWriteIsLostWhateverFails breaks the ways to backend, store and cache at random, one after the other and together,
// while clients write, read, copy and delete. Every answer is a documented one; what a client was told of is there afterwards.
func TestNoAcknowledgedWriteIsLostWhateverFails(t *testing.T) {
	w := newWorld(t)
	st := *w.clean.storage
	toBackend, endpoint := linkTo(t, st.endpoint)
	st.endpoint = endpoint
	toStore, url := linkTo(t, w.database)
	toCache, redis := linkTo(t, storetest.Server(t, "redis", "COFRE_TEST_REDIS"))
	store, err := rediscache.New(openPostgres(t, url, hastyStore()), redis, rediscache.Config{Prefix: "cofre-test-" + randomHex(8) + ":"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s := newSite(t, &st, siteConfig{identity: w.clean.identity, store: metadata.Store(store), limits: hastyLimits(), client: func(c *backend.Config) {
		hasty(c)
		c.Retries = 2
	}})
	s.warm(t, w)
	const writers = 4
	oracles := make([]oracle, writers)
	for i := range oracles {
		oracles[i].may = map[string][][]byte{}
	}
	links, severe := []*link{toBackend, toStore, toCache}, faults()[4:]
	injected, writes := 0, atomic.Int64{}
	for round := range longtest.Rounds(t, 6) {
		rng := rand.New(rand.NewPCG(uint64(round), 5)) // a choice of faults, repeatable
		var over atomic.Bool
		var working sync.WaitGroup
		for i := range writers {
			rng := rand.New(rand.NewPCG(uint64(round), uint64(100+i))) // likewise
			working.Go(func() {
				for n := 0; !over.Load(); n++ {
					s.mixed(t, w, &oracles[i], fmt.Sprintf("mixed/%d-%d", i, rng.IntN(6)), fmt.Sprintf("%d %d %d ", round, i, n), rng, &writes)
				}
			})
		}
		for range 2 {
			var hit []*link
			for _, l := range links {
				if rng.IntN(2) == 0 {
					l.suffer(severe[rng.IntN(len(severe))])
					hit = append(hit, l)
					injected++
				}
			}
			time.Sleep(time.Duration(100+rng.IntN(600)) * time.Millisecond)
			for _, l := range hit {
				l.heal()
			}
			time.Sleep(time.Duration(rng.IntN(200)) * time.Millisecond)
		}
		over.Store(true)
		working.Wait()
		s.recovers(t, w)
		for i := range oracles {
			for key := range oracles[i].may {
				a := &attempt{bucket: w.plain, key: key}
				now, err := w.clean.state(t, a)
				if err != nil || !oracles[i].allows(key, now) {
					t.Errorf("round %d: %s holds %d bytes that begin %.30q, %v; that is none of the %d writes that may be there", round, key, len(now), now, err, len(oracles[i].may[key]))
				}
				oracles[i].may[key] = [][]byte{now}
			}
		}
	}
	eventually(t, "no request is in flight", func() bool { return s.gauge(t, "cofre_admission_requests") == 0 })
	eventually(t, "no lock or transaction is left in the store", func() bool { return postgrestest.Busy(t, w.database) == 0 })
	longtest.Figure(t, "random faults injected under load", injected)
	longtest.Figure(t, "writes made meanwhile, acknowledged ones lost: 0", int(writes.Load()))
}

// mixed makes one request of one writer, and holds its answer against what it knows.
func (s *site) mixed(t *testing.T, w *world, o *oracle, key, seed string, rng *rand.Rand, writes *atomic.Int64) {
	a := newAttempt(w.plain, key)
	a.body = []byte(strings.Repeat(seed, 1+rng.IntN(12_000)))
	rq, kind := request{bucket: a.bucket, key: key}, rng.IntN(5)
	switch kind {
	case 0, 1:
		rq.method, rq.payload = "PUT", sigv4test.Payload{Data: a.body}
	case 2:
		rq.method = "DELETE"
	case 3:
		rq.method, rq.header = "PUT", map[string]string{"X-Amz-Copy-Source": "/" + a.bucket + "/warm"}
		a.body = []byte("warm")
	default:
		rq.method = "GET"
	}
	a.got, a.err = s.tryWithin(t, rq, clientTransport, tooLong)
	if !a.ok() && !unavailable(operation{}, fault{}, a) && !brokenOff(a) && !(rq.method == "GET" && a.err == nil && a.got.status == http.StatusNotFound) {
		t.Errorf("%s %s: %d %s, cut %v, %v", rq.method, key, a.got.status, a.got.code, a.got.cut, a.err)
	}
	switch {
	case kind == 2:
		o.wrote(key, nil, a.ok())
	case kind < 4:
		o.wrote(key, a.body, a.ok())
	case a.ok() && !o.allows(key, a.got.body), a.err == nil && a.got.status == http.StatusNotFound && !o.allows(key, nil):
		t.Errorf("GET %s: %d bytes that begin %.30q, which nobody wrote last", key, len(a.got.body), a.got.body)
	}
	if kind < 4 {
		writes.Add(1)
	}
}
