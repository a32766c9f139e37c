package admission_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"cofre/admission"
	"cofre/internal/longtest"
)

func ratesOf(quota admission.Quota, shared admission.Shared) *admission.Rates {
	return admission.NewRates(admission.RatesConfig{Of: func(string) admission.Quota { return quota }, Shared: shared})
}

// TestNobodyGetsMoreRequestsThanItsRate asks at times of any shape: what is let in within any stretch of time is the burst and
// what that time earns, at most; and who keeps below the rate is never refused.
func TestNobodyGetsMoreRequestsThanItsRate(t *testing.T) {
	asked := 0
	for range longtest.Rounds(t, 1) {
		rapid.Check(t, func(rt *rapid.T) {
			perSecond, burst := rapid.IntRange(1, 200).Draw(rt, "rate"), rapid.IntRange(1, 50).Draw(rt, "burst")
			gaps := rapid.SliceOfN(rapid.IntRange(0, 30), 1, 200).Draw(rt, "milliseconds")
			asked += len(gaps)
			synctest.Test(t, func(t *testing.T) {
				r := ratesOf(admission.Quota{Requests: admission.Rate{PerSecond: float64(perSecond), Burst: float64(burst)}}, nil)
				var let []time.Duration
				began := time.Now()
				for _, gap := range gaps {
					time.Sleep(time.Duration(gap) * time.Millisecond)
					err := r.Account("key", netip.Addr{}).Request(t.Context())
					if err == nil {
						let = append(let, time.Since(began))
						continue
					}
					wantRefused(t, err, admission.ReasonRate)
					if len(let) < burst {
						t.Fatalf("refused after %d of a burst of %d", len(let), burst)
					}
				}
				for i := range let {
					for j := i; j < len(let); j++ {
						if most := float64(burst) + (let[j]-let[i]).Seconds()*float64(perSecond) + 1e-6; float64(j-i+1) > most {
							t.Fatalf("%d let in within %v, %v allowed", j-i+1, let[j]-let[i], most)
						}
					}
				}
			})
		})
	}
	longtest.Figure(t, "requests asked of rates", asked)
}

// TestARefusalSaysWhenToComeBack: who waits for as long as he was told is let in.
func TestARefusalSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := ratesOf(admission.Quota{Requests: admission.Rate{PerSecond: 2, Burst: 1}}, nil).Account("key", netip.Addr{})
		for range 20 {
			var refused *admission.Refused
			if err := account.Request(t.Context()); errors.As(err, &refused) {
				time.Sleep(refused.After)
				err = account.Request(t.Context())
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestStreamsOfOnePartyShareItsBytes has any number of streams move any pieces: together they take as long as the limit says, and
// no more than that; nothing is refused.
func TestStreamsOfOnePartyShareItsBytes(t *testing.T) {
	for _, streams := range []int{1, 7, 100} {
		t.Run(fmt.Sprint(streams), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const perSecond, each, piece = 4 << 20, 4 << 20, 16 << 10
				rate := admission.Rate{PerSecond: perSecond, Burst: perSecond}
				r := ratesOf(admission.Quota{Read: rate}, nil)
				began := time.Now()
				var all sync.WaitGroup
				for range streams {
					all.Go(func() {
						account := r.Account("key", netip.Addr{})
						for range each / piece {
							if err := account.Read(t.Context(), piece); err != nil {
								t.Error(err)
							}
							if err := account.Write(t.Context(), piece); err != nil { // has no limit
								t.Error(err)
							}
						}
					})
				}
				all.Wait()
				// The burst is there at the beginning.
				if took, want := time.Since(began), time.Duration(streams-1)*time.Second; took < want-time.Second/10 || took > want+time.Second {
					t.Errorf("%d streams took %v, want %v", streams, took, want)
				}
			})
		})
	}
}

func TestPartiesAndAddressesAreCountedApart(t *testing.T) {
	r := ratesOf(admission.Quota{Requests: admission.Rate{PerSecond: 0.001, Burst: 1}}, nil)
	for _, who := range [][2]string{{"a", "192.0.2.1"}, {"b", "192.0.2.1"}, {"", "192.0.2.1"}, {"", "192.0.2.2"}} {
		account := r.Account(who[0], netip.MustParseAddr(who[1]))
		if err := account.Request(t.Context()); err != nil {
			t.Errorf("%v: %v", who, err)
		}
		wantRefused(t, r.Account(who[0], netip.MustParseAddr("192.0.2.1")).Request(t.Context()), admission.ReasonRate)
	}
}

func TestAddressesFromEverywhereDoNotFillMemory(t *testing.T) {
	r := ratesOf(admission.Quota{Requests: admission.Rate{PerSecond: 1, Burst: 1}}, nil)
	for i := range 50_000 {
		r.Account("", netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if n := r.Accounts(); n > 10_000 {
		t.Errorf("%d accounts are kept", n)
	}
}

// shared is a Shared that fails when told to.
type shared struct {
	failing  bool
	replicas int
	asked    int
}

func (s *shared) Take(context.Context, string, float64, admission.Rate, bool) (time.Duration, int, error) {
	s.asked++
	if s.failing {
		return 0, 0, errors.New("away")
	}
	return 0, s.replicas, nil
}

// TestWithoutRedisEachReplicaAllowsItsShare: the quota divided by how many replicas there were, and all of it once Redis is back.
func TestWithoutRedisEachReplicaAllowsItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		redis := &shared{replicas: 4}
		account := ratesOf(admission.Quota{Requests: admission.Rate{PerSecond: 100, Burst: 100}}, redis).Account("key", netip.Addr{})
		let := func() (n int) {
			for range 10_000 {
				if account.Request(t.Context()) == nil {
					n++
				}
				time.Sleep(time.Millisecond)
			}
			return n
		}
		time.Sleep(time.Minute)
		if n := let(); n < 1000 || n > 1200 {
			t.Errorf("%d let in within 10 s while Redis answers, want 100 a second", n)
		}
		redis.failing = true
		if n := let(); n < 250 || n > 380 {
			t.Errorf("%d let in within 10 s without Redis, want a quarter of 100 a second", n)
		}
		redis.failing = false
		if n := let(); n < 900 || n > 1200 {
			t.Errorf("%d let in within 10 s once Redis is back", n)
		}
		if redis.asked > 4000 {
			t.Errorf("Redis was asked %d times for what the own count had refused", redis.asked)
		}
	})
}
