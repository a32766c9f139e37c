package rediscache_test

import (
	"crypto/rand"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cofre/admission"
	"cofre/metadata/rediscache"
	"cofre/metadata/storetest"
)

func openRates(t *testing.T, url, prefix string) *rediscache.Rates {
	t.Helper()
	r, err := rediscache.OpenRates(url, rediscache.Config{Prefix: prefix, Timeout: 5 * time.Second})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	return r
}

// TestReplicasShareOneRate has three replicas ask for the same party at once: together they get one burst, and what was earned.
func TestReplicasShareOneRate(t *testing.T) {
	url, prefix := storetest.Server(t, "redis", "COFRE_TEST_REDIS"), "cofre-test-"+rand.Text()+":"
	quota := admission.Quota{Requests: admission.Rate{PerSecond: 0.01, Burst: 60}}
	var let atomic.Int64
	var all sync.WaitGroup
	for range 3 {
		rates := admission.NewRates(admission.RatesConfig{Of: func(string) admission.Quota { return quota }, Shared: openRates(t, url, prefix)})
		all.Go(func() {
			for range 100 {
				if rates.Account("key", netip.Addr{}).Request(t.Context()) == nil {
					let.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := let.Load(); n < 60 || n > 61 {
		t.Errorf("%d of 300 requests were let in by three replicas, want the burst of 60", n)
	}
}

// TestWhatIsOwedIsCountedAndWhatIsRefusedIsNot tells the two ways of taking apart, and counts replicas.
func TestWhatIsOwedIsCountedAndWhatIsRefusedIsNot(t *testing.T) {
	url, prefix := storetest.Server(t, "redis", "COFRE_TEST_REDIS"), "cofre-test-"+rand.Text()+":"
	a, b := openRates(t, url, prefix), openRates(t, url, prefix)
	rate := admission.Rate{PerSecond: 0.001, Burst: 10} // nothing is earned while this runs
	take := func(r *rediscache.Rates, n float64, owe bool) (time.Duration, int) {
		t.Helper()
		wait, replicas, err := r.Take(t.Context(), "party", n, rate, owe)
		must(t, err)
		return wait.Round(100 * time.Second), replicas
	}
	if wait, replicas := take(a, 10, false); wait != 0 || replicas != 1 {
		t.Fatalf("the burst: wait %v, %d replicas", wait, replicas)
	}
	for range 3 {
		if wait, replicas := take(b, 1, false); wait != 1000*time.Second || replicas != 2 {
			t.Fatalf("refused: wait %v, %d replicas", wait, replicas)
		}
	}
	for i := range 3 {
		if wait, _ := take(b, 1, true); wait != time.Duration(i+1)*1000*time.Second {
			t.Fatalf("owed %d: wait %v", i+1, wait)
		}
	}
	if wait, _, err := a.Take(t.Context(), "other", 1, rate, false); err != nil || wait != 0 {
		t.Errorf("another party: wait %v, %v", wait, err)
	}
}

// TestADeadRedisIsLeftAlone: who asks gets an error at once, and the server is not tried for each request.
func TestADeadRedisIsLeftAlone(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	must(t, err)
	defer silent.Close()
	var connections atomic.Int64
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			defer conn.Close()
		}
	}()
	r, err := rediscache.OpenRates("redis://"+silent.Addr().String(), rediscache.Config{Timeout: 20 * time.Millisecond})
	must(t, err)
	defer r.Close()
	quota := admission.Quota{Requests: admission.Rate{PerSecond: 1000, Burst: 1000}, Write: admission.Rate{PerSecond: 1 << 30, Burst: 1 << 30}}
	rates := admission.NewRates(admission.RatesConfig{Of: func(string) admission.Quota { return quota }, Shared: r})
	let := 0
	for range 200 {
		account := rates.Account("key", netip.Addr{})
		must(t, account.Write(t.Context(), 1))
		if account.Request(t.Context()) == nil {
			let++
		}
	}
	if let != 200 {
		t.Errorf("%d of 200 requests within the rate were let in", let)
	}
	if n := connections.Load(); n > 10 {
		t.Errorf("a dead Redis was tried %d times by 400 questions", n)
	}
}
