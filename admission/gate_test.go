package admission_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"cofre/admission"
	"cofre/internal/longtest"
)

const mib = 1 << 20

// within fails where a gate has given out more than it has, to a class or in all, or says to hold what nobody holds.
func within(t testing.TB, g *admission.Gate, memory, requests int64) {
	t.Helper()
	lm, bm, lr, br, waiting := g.Held()
	if min(lm, bm, lr, br) < 0 || waiting < 0 {
		t.Fatalf("held below nothing: %d+%d bytes, %d+%d requests, %d waiting", lm, bm, lr, br, waiting)
	}
	if lm+bm > memory || lr+br > requests || bm > memory-memory/8 || br > requests-requests/8 {
		t.Fatalf("held %d+%d bytes of %d, %d+%d requests of %d", lm, bm, memory, lr, br, requests)
	}
}

// empty fails unless nothing is held and nobody is remembered.
func empty(t testing.TB, g *admission.Gate) {
	t.Helper()
	lm, bm, lr, br, waiting := g.Held()
	if lm+bm+lr+br != 0 || waiting != 0 || g.Parties() != 0 {
		t.Fatalf("left behind: %d+%d bytes, %d+%d requests, %d waiting, %d parties", lm, bm, lr, br, waiting, g.Parties())
	}
}

func wantRefused(t testing.TB, err error, reason admission.Reason) {
	t.Helper()
	var refused *admission.Refused
	if !errors.As(err, &refused) || refused.Reason != reason || refused.After <= 0 {
		t.Fatalf("error %v, want a refusal for %s", err, reason)
	}
}

// TestAGateNeverGivesOutMoreThanItHas lets crowds of any shape at gates of any size, on a clock of their own, and looks at each
// step: nothing is given out twice, everybody has an answer in time, and in the end all is given back.
func TestAGateNeverGivesOutMoreThanItHas(t *testing.T) {
	demands := 0
	for range longtest.Rounds(t, 1) {
		rapid.Check(t, func(rt *rapid.T) {
			type move struct {
				after, holds, patience time.Duration
				demand                 admission.Demand
			}
			milliseconds := func(label string, most int) time.Duration {
				return time.Duration(rapid.IntRange(0, most).Draw(rt, label)) * time.Millisecond
			}
			memory, requests := rapid.Int64Range(1, 1000).Draw(rt, "memory"), rapid.Int64Range(1, 24).Draw(rt, "requests")
			moves := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) move {
				return move{
					after: milliseconds("after", 5), holds: milliseconds("holds", 300), patience: milliseconds("patience", 200),
					demand: admission.Demand{
						Party: admission.Party(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "party")),
						Class: admission.Class(rapid.IntRange(0, 1).Draw(rt, "class")), Memory: rapid.Int64Range(0, 1200).Draw(rt, "memory"),
					},
				}
			}), 1, 80).Draw(rt, "moves")
			demands += len(moves)
			synctest.Test(t, func(t *testing.T) {
				g := admission.NewGate(admission.GateConfig{Memory: memory, Requests: int(requests), Wait: 100 * time.Millisecond})
				var crowd sync.WaitGroup
				for _, m := range moves {
					time.Sleep(m.after)
					crowd.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), m.patience)
						defer cancel()
						began := time.Now()
						leave, err := g.Enter(ctx, m.demand)
						if waited := time.Since(began); waited > 100*time.Millisecond || waited > m.patience {
							t.Errorf("an answer after %v", waited)
						}
						within(t, g, memory, requests)
						if err == nil {
							time.Sleep(m.holds)
							leave()
							leave() // again is nothing
							within(t, g, memory, requests)
						}
					})
				}
				crowd.Wait()
				empty(t, g)
			})
		})
	}
	longtest.Figure(t, "demands on gates, none given out twice", demands)
}

// TestANewcomerGetsInWhileAnotherHoldsForHours has one party with a thousand connections take all it can get and keep it.
func TestANewcomerGetsInWhileAnotherHoldsForHours(t *testing.T) {
	for _, c := range []struct {
		name             string
		memory, requests int64
		each             int64
	}{
		{"memory is scarce", 64 * mib, 10_000, mib},
		{"requests are scarce", 1 << 40, 64, mib},
		{"of large demands", 64 * mib, 64, 8 * mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := admission.NewGate(admission.GateConfig{Memory: c.memory, Requests: int(c.requests), Wait: time.Second})
				ctx, end := context.WithCancel(t.Context())
				var crowd sync.WaitGroup
				var served atomic.Int64
				for range 1000 {
					crowd.Go(func() {
						for ctx.Err() == nil { // refused, and there again in a moment
							if leave, err := g.Enter(ctx, admission.Demand{Party: "greedy", Class: admission.Bulk, Memory: c.each}); err == nil {
								served.Add(1)
								<-ctx.Done()
								leave()
							}
							time.Sleep(250 * time.Millisecond)
						}
					})
				}
				time.Sleep(1*time.Second + 501*time.Millisecond)
				for i := range 3 { // and the next one too
					for _, class := range []admission.Class{admission.Light, admission.Bulk} {
						leave, err := g.Enter(ctx, admission.Demand{Party: admission.Party(fmt.Sprint("small", i)), Class: class, Memory: mib})
						if err != nil {
							t.Fatalf("newcomer %d, class %d: %v; the greedy one has %d", i, class, err, served.Load())
						}
						defer leave()
					}
				}
				if served.Load() == 0 {
					t.Error("the greedy one got nothing")
				}
				end()
				crowd.Wait()
			})
		})
	}
}

// TestPartiesGetEqualSharesOfWhatIsScarce has one party send a hundred at a time and another two, all served in the same time, and
// counts: the small one is served as often as it asks.
func TestPartiesGetEqualSharesOfWhatIsScarce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.NewGate(admission.GateConfig{Memory: 1 << 40, Requests: 8, Wait: time.Minute}) // seven of them for bulk
		ctx, end := context.WithCancel(t.Context())
		served := map[admission.Party]*atomic.Int64{"greedy": {}, "small": {}}
		var crowd sync.WaitGroup
		for party, connections := range map[admission.Party]int{"greedy": 100, "small": 2} {
			for range connections {
				crowd.Go(func() {
					for ctx.Err() == nil {
						leave, err := g.Enter(ctx, admission.Demand{Party: party, Class: admission.Bulk, Memory: 1})
						if err != nil { // the crowd is longer than the queue
							time.Sleep(7 * time.Millisecond)
							continue
						}
						time.Sleep(10 * time.Millisecond)
						served[party].Add(1)
						leave()
					}
				})
			}
		}
		time.Sleep(2*time.Second + time.Millisecond)
		end()
		crowd.Wait()
		// Two connections at 10 ms each are 400 in 2 s, if they never wait for long.
		if small, greedy := served["small"].Load(), served["greedy"].Load(); small < 380 || greedy < 700 {
			t.Errorf("the small one was served %d times, the greedy one %d times", small, greedy)
		}
		empty(t, g)
	})
}

func TestLightDemandsPassWhileTransfersFillTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.NewGate(admission.GateConfig{Memory: 800, Requests: 80, Wait: time.Second})
		var leaves []func()
		for i := 0; ; i++ {
			leave, err := g.Enter(t.Context(), admission.Demand{Party: admission.Party(fmt.Sprint(i)), Class: admission.Bulk, Memory: 100})
			if err != nil {
				wantRefused(t, err, admission.ReasonMemory)
				break
			}
			leaves = append(leaves, leave)
		}
		began := time.Now()
		for i := range 10 {
			leave, err := g.Enter(t.Context(), admission.Demand{Party: admission.Party(fmt.Sprint("light", i)), Memory: 10})
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		if time.Since(began) != 0 || len(leaves) != 17 {
			t.Errorf("%d inside, after %v", len(leaves), time.Since(began))
		}
		for _, leave := range leaves {
			leave()
		}
		empty(t, g)
	})
}

// TestACrowdCrowdsOutItself: where too many wait, the one with the most waiting loses its last.
func TestACrowdCrowdsOutItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.NewGate(admission.GateConfig{Memory: 100, Requests: 4, Wait: time.Hour})
		enter := func(party admission.Party) chan error {
			done := make(chan error, 1)
			go func() {
				leave, err := g.Enter(t.Context(), admission.Demand{Party: party, Class: admission.Bulk, Memory: 100})
				if err == nil {
					leave()
				}
				done <- err
			}()
			synctest.Wait()
			return done
		}
		leave, err := g.Enter(t.Context(), admission.Demand{Party: "first", Class: admission.Bulk, Memory: 100})
		if err != nil {
			t.Fatal(err)
		}
		var greedy []chan error
		for range 4 {
			greedy = append(greedy, enter("greedy"))
		}
		small := enter("small")
		wantRefused(t, <-greedy[3], admission.ReasonQueue)
		wantRefused(t, <-enter("greedy"), admission.ReasonQueue)
		leave()
		for _, done := range append(greedy[:3], small) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		empty(t, g)
	})
}

func TestALargeDemandIsNotOvertakenForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.NewGate(admission.GateConfig{Memory: 80, Requests: 1000, Wait: time.Minute})
		ctx, end := context.WithCancel(t.Context())
		var crowd sync.WaitGroup
		for range 20 {
			crowd.Go(func() {
				for ctx.Err() == nil {
					if leave, err := g.Enter(ctx, admission.Demand{Party: "many", Class: admission.Bulk, Memory: 10}); err == nil {
						time.Sleep(10 * time.Millisecond)
						leave()
					}
				}
			})
		}
		time.Sleep(95 * time.Millisecond)
		began := time.Now()
		leave, err := g.Enter(ctx, admission.Demand{Party: "large", Class: admission.Bulk, Memory: 10_000}) // all that bulk has
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > 10*time.Millisecond {
			t.Errorf("waited for %v, longer than what was inside took", waited)
		}
		leave()
		end()
		crowd.Wait()
	})
}

func TestWhoWaitsInVainIsToldSoAndWhoLeavesIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.NewGate(admission.GateConfig{Memory: 100, Requests: 1, Wait: time.Second})
		leave, err := g.Enter(t.Context(), admission.Demand{Party: "a"})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = g.Enter(t.Context(), admission.Demand{Party: "b"})
		wantRefused(t, err, admission.ReasonRequests)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited for %v", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err = g.Enter(ctx, admission.Demand{Party: "c"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a client that left got %v", err)
		}
		leave()
		empty(t, g)
	})
}

func TestTimesToComeBackAreSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 1000 {
		d := admission.Spread(2 * time.Second)
		if d < 2*time.Second || d >= 5*time.Second {
			t.Fatalf("%v", d)
		}
		seen[d.Round(time.Millisecond)] = true
	}
	if len(seen) < 300 {
		t.Errorf("%d different times of a thousand", len(seen))
	}
}

func TestAnAddressIsAPartyAndSoIsANetworkOfIPv6(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1", true}, // one network of 64 bits
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1", true},
	} {
		if got := admission.Source(netip.MustParseAddr(c.a)) == admission.Source(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%q and %q: the same %v, want %v", c.a, c.b, got, c.same)
		}
	}
	if admission.Source(netip.MustParseAddr("192.0.2.1")) == admission.Credential("192.0.2.1") {
		t.Error("an access key passes for an address")
	}
}
