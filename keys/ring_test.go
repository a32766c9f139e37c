package keys_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"cofre/keys"
	"cofre/keys/keystest"
)

// clock is set by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: keystest.Epoch} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func mustActive(t testing.TB, r *keys.Ring, bucket string) keys.KEK {
	t.Helper()
	kek, err := r.Active(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func wantOpen(t testing.TB, r *keys.Ring, want keys.KEK, state keys.KEKState) {
	t.Helper()
	got, gotState, err := r.Open(t.Context(), want.Bucket(), want.ID())
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) || gotState != state {
		t.Fatalf("opened %v as %s, want %v as %s", got, gotState, want, state)
	}
}

func wantRefused(t testing.TB, r *keys.Ring, kek keys.KEK, want error) {
	t.Helper()
	if _, _, err := r.Open(t.Context(), kek.Bucket(), kek.ID()); !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// sharing is two sites on one backend that trust each other for bucket "b", and a recovery identity of the first.
func sharing(t testing.TB) (a, b, recovery *keystest.Site) {
	system := &keystest.FakeSystem{}
	a, b = keystest.NewSite(t, "a", system), keystest.NewSite(t, "b", system)
	recovery = keystest.NewSite(t, "recovery", system)
	a.Trusts(t, b, "b", keys.Member)
	b.Trusts(t, a, "b", keys.Member)
	a.Trusts(t, recovery, "*", keys.Recovery)
	recovery.Trusts(t, a, "*", keys.Member)
	return a, b, recovery
}

func TestActiveMakesAKEKThatAllRecipientsOpen(t *testing.T) {
	a, b, recovery := sharing(t)
	kek := mustActive(t, a.Ring(nil), "b")
	if kek.Bucket() != "b" || kek.Creator() != a.Identity.ID() {
		t.Fatalf("KEK of bucket %q by %s", kek.Bucket(), kek.Creator())
	}
	want := []string{
		keys.GrantName("b", kek.ID(), a.Identity.ID()),
		keys.GrantName("b", kek.ID(), b.Identity.ID()),
		keys.GrantName("b", kek.ID(), recovery.Identity.ID()),
		keys.RecordName("b", kek.ID()),
	}
	slices.Sort(want)
	if got := a.System.Names(""); !slices.Equal(got, want) {
		t.Errorf("system bucket holds %q, want %q", got, want)
	}
	wantOpen(t, a.Ring(nil), kek, keys.Active)
	wantOpen(t, b.Ring(nil), kek, keys.ReadOnly)
	wantOpen(t, recovery.Ring(nil), kek, keys.ReadOnly)
}

func TestActiveIsDurableInBothPlacesBeforeItIsReturned(t *testing.T) {
	site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
	for _, step := range []func(){
		func() { site.System.FailNext("Put", keystest.Before) },
		func() { site.System.FailNext("Put", keystest.After) },
		func() { site.Store.FailNext("AddKEK", keystest.Before) },
		func() { site.Store.FailNext("ActiveKEK", keystest.Before) },
	} {
		step()
		if _, err := site.Ring(nil).Active(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
			t.Fatalf("got %v, want ErrKEKUnavailable", err)
		}
	}
	// The store took this one and the answer was lost: the next try finds it.
	site.Store.FailNext("AddKEK", keystest.After)
	ring := site.Ring(nil)
	if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Fatalf("got %v, want ErrKEKUnavailable", err)
	}
	held, err := site.Store.KEKs(t.Context(), "b")
	if err != nil || len(held) != 1 {
		t.Fatalf("store holds %d KEKs, %v", len(held), err)
	}
	if kek := mustActive(t, ring, "b"); kek.ID() != held[0].ID {
		t.Error("a second KEK was made")
	}
}

func TestActiveGivesOneKEKPerBucketAndSite(t *testing.T) {
	a, b, _ := sharing(t)
	ringA, ringB := a.Ring(nil), b.Ring(nil)
	of := mustActive(t, ringA, "b")
	if !mustActive(t, ringA, "b").Equal(of) || !mustActive(t, a.Ring(nil), "b").Equal(of) {
		t.Error("a site has two active KEKs")
	}
	if mustActive(t, ringA, "c").ID() == of.ID() {
		t.Error("two buckets share a KEK")
	}
	wantOpen(t, ringB, of, keys.ReadOnly)
	if mustActive(t, ringB, "b").ID() == of.ID() {
		t.Error("a site seals under another site's KEK")
	}
}

func TestRacingRingsEndWithOneActiveKEK(t *testing.T) {
	for range 20 {
		site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
		const replicas, callers = 4, 8
		var got [replicas * callers]keys.KEK
		var wg sync.WaitGroup
		for n := range replicas {
			ring := site.Ring(nil)
			for m := range callers {
				wg.Go(func() {
					kek, err := ring.Active(t.Context(), "b")
					if err != nil {
						t.Error(err)
					}
					got[n*callers+m] = kek
				})
			}
		}
		wg.Wait()
		for _, kek := range got {
			if !kek.Equal(got[0]) {
				t.Fatalf("callers got %v and %v", got[0], kek)
			}
		}
		if held, _ := site.Store.KEKs(t.Context(), "b"); len(held) != 1 {
			t.Fatalf("store holds %d KEKs", len(held))
		}
	}
}

func TestOneFlightServesAllCallers(t *testing.T) {
	site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
	ring := site.Ring(nil)
	release := site.Store.Hold("ActiveKEK")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := ring.Active(t.Context(), "b"); err != nil {
				t.Error(err)
			}
		})
	}
	release()
	wg.Wait()
	if n := site.Store.Calls("AddKEK"); n != 1 {
		t.Errorf("%d KEKs were made", n)
	}
}

func TestACancelledCallerDoesNotPoisonOthers(t *testing.T) {
	site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
	ring := site.Ring(nil)
	release := site.Store.Hold("AddKEK")
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := ring.Active(ctx, "b"); first <- err }()
	for site.Store.Calls("AddKEK") == 0 { // the first caller's flight is under way
		time.Sleep(time.Millisecond)
	}
	go func() { _, err := ring.Active(t.Context(), "b"); second <- err }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled caller: got %v", err)
	}
	release()
	if err := <-second; err != nil {
		t.Errorf("other caller: %v", err)
	}
	if n := site.Store.Calls("AddKEK"); n != 1 {
		t.Errorf("%d KEKs were made", n)
	}
	if _, err := ring.Active(ctx, "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("caller cancelled before: got %v", err)
	}
}

func TestStateChangesAreSeenWithinStateTTL(t *testing.T) {
	site, now := keystest.NewSite(t, "a", &keystest.FakeSystem{}), newClock()
	ring := site.Ring(now.Now)
	kek := mustActive(t, ring, "b")
	wantOpen(t, ring, kek, keys.Active)
	if err := site.Store.SetKEKState(t.Context(), "b", kek.ID(), keys.Closed); err != nil {
		t.Fatal(err)
	}
	asked := site.Store.Calls("KEK")
	now.Advance(keys.StateTTL/2 - 1)
	wantOpen(t, ring, kek, keys.Active) // from memory
	if n := site.Store.Calls("KEK"); n != asked {
		t.Errorf("store was asked %d times for what is in memory", n-asked)
	}
	now.Advance(keys.StateTTL/2 + 1)
	wantOpen(t, ring, kek, keys.Closed)
	if next := mustActive(t, ring, "b"); next.ID() == kek.ID() {
		t.Error("a closed KEK is still active")
	}
}

func TestStateIsReadAheadOfItsTime(t *testing.T) {
	site, now := keystest.NewSite(t, "a", &keystest.FakeSystem{}), newClock()
	ring := site.Ring(now.Now)
	kek := mustActive(t, ring, "b")
	wantOpen(t, ring, kek, keys.Active)
	now.Advance(keys.StateTTL / 2)
	asked := site.Store.Calls("KEK")
	release := site.Store.Hold("KEK")
	defer release()
	wantOpen(t, ring, kek, keys.Active) // does not wait for the held store
	for site.Store.Calls("KEK") == asked {
		time.Sleep(time.Millisecond)
	}
}

func TestOpenKEKsKeepWorkingWhileTheStoreIsDown(t *testing.T) {
	site, now := keystest.NewSite(t, "a", &keystest.FakeSystem{}), newClock()
	ring := site.Ring(now.Now)
	kek := mustActive(t, ring, "b")
	other := mustActive(t, site.Ring(now.Now), "c")
	wantOpen(t, ring, kek, keys.Active)
	site.Store.SetDown(true)
	for range 5 {
		now.Advance(time.Hour)
		wantOpen(t, ring, kek, keys.Active)
		if !mustActive(t, ring, "b").Equal(kek) {
			t.Fatal("another KEK")
		}
		wantRefused(t, ring, other, keys.ErrKEKUnavailable) // never opened here
	}
	site.Store.SetDown(false)
	if err := site.Store.CloseKEKs(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	now.Advance(keys.StateTTL)
	wantOpen(t, ring, kek, keys.Closed)
}

func TestCloseClosesAllAndForgets(t *testing.T) {
	a, b, _ := sharing(t)
	ring := a.Ring(nil)
	own, others := mustActive(t, ring, "b"), mustActive(t, b.Ring(nil), "b")
	kept := mustActive(t, ring, "c")
	wantOpen(t, ring, others, keys.ReadOnly)
	if err := ring.Close(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, ring, own, keys.Closed)
	wantOpen(t, ring, others, keys.Closed)
	wantOpen(t, ring, kept, keys.Active)
	if mustActive(t, ring, "b").ID() == own.ID() {
		t.Error("a bucket made again got the old KEK")
	}
}

func TestCloseWhoseAnswerIsLostLeavesNothingOpen(t *testing.T) {
	site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
	ring := site.Ring(nil)
	kek := mustActive(t, ring, "b")
	site.Store.FailNext("CloseKEKs", keystest.After)
	if err := ring.Close(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Fatalf("got %v", err)
	}
	wantOpen(t, ring, kek, keys.Closed)
}

func TestAFlightThatBeganBeforeForgetIsNotRemembered(t *testing.T) {
	site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
	ring := site.Ring(nil)
	kek := mustActive(t, ring, "b")
	ring.Forget("b")
	asked := site.Store.Calls("ActiveKEK")
	release := site.Store.Hold("ActiveKEK")
	stale := make(chan error, 1)
	go func() { _, err := ring.Active(t.Context(), "b"); stale <- err }()
	for site.Store.Calls("ActiveKEK") == asked {
		time.Sleep(time.Millisecond)
	}
	ring.Forget("b")
	release()
	if err := <-stale; err != nil {
		t.Fatal(err)
	}
	if err := site.Store.CloseKEKs(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if mustActive(t, ring, "b").ID() == kek.ID() {
		t.Error("a forgotten KEK came back into memory")
	}
}

func TestActiveRefusesABucketThatTheTrustListDoesNotGive(t *testing.T) {
	site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
	site.Trust = nil
	if _, err := site.Ring(nil).Active(t.Context(), "b"); !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("without a trust list: got %v, want ErrUntrusted", err)
	}
	if names := site.System.Names(""); len(names) != 0 {
		t.Errorf("written: %q", names)
	}
}

func TestRingRefusesBucketNamesThatReachElsewhere(t *testing.T) {
	site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
	ring := site.Ring(nil)
	for _, bucket := range []string{"", ".", "..", "a/b", "a\x00", "a b", "ä", string(bytes.Repeat([]byte("x"), 256))} {
		if _, err := ring.Active(t.Context(), bucket); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("Active(%.20q): got %v, want ErrMalformed", bucket, err)
		}
		if _, _, err := ring.Open(t.Context(), bucket, keys.KEKID{1}); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("Open(%.20q): got %v, want ErrMalformed", bucket, err)
		}
		if _, err := ring.Import(t.Context(), bucket); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("Import(%.20q): got %v, want ErrMalformed", bucket, err)
		}
	}
}

func TestConcurrentUseOfOneRing(t *testing.T) {
	a, b, _ := sharing(t)
	now := newClock()
	ring := a.Ring(now.Now)
	foreign := mustActive(t, b.Ring(nil), "b")
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for m := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if (n+m)%7 == 0 {
					cancel()
				}
				if _, err := ring.Active(ctx, "b"); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				if _, _, err := ring.Open(ctx, "b", foreign.ID()); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				switch (n + m) % 10 {
				case 0:
					ring.Forget("b")
				case 1:
					now.Advance(3 * time.Second)
				case 2:
					if err := ring.Close(t.Context(), "b"); err != nil {
						t.Error(err)
					}
				}
				cancel()
			}
		})
	}
	wg.Wait()
	active := 0
	held, err := a.Store.KEKs(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range held {
		if k.State == keys.Active {
			active++
		}
	}
	if active > 1 {
		t.Errorf("%d active KEKs", active)
	}
}

func TestAClockThatIsSetBackDoesNotFreezeTheState(t *testing.T) {
	site, now := keystest.NewSite(t, "a", &keystest.FakeSystem{}), newClock()
	ring := site.Ring(now.Now)
	kek := mustActive(t, ring, "b")
	wantOpen(t, ring, kek, keys.Active)
	if err := site.Store.CloseKEKs(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	now.Advance(-time.Hour)
	wantOpen(t, ring, kek, keys.Closed)
}

func TestNobodyWaitsForAStoreThatHasJustFailed(t *testing.T) {
	site, now := keystest.NewSite(t, "a", &keystest.FakeSystem{}), newClock()
	ring := site.Ring(now.Now)
	kek := mustActive(t, ring, "b")
	wantOpen(t, ring, kek, keys.Active)
	now.Advance(keys.StateTTL)
	site.Store.FailNext("KEK", keystest.Before)
	wantOpen(t, ring, kek, keys.Active)
	defer site.Store.Hold("KEK")() // from now on it does not even fail
	now.Advance(keys.StateTTL / 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, _, err := ring.Open(ctx, "b", kek.ID()); err != nil {
		t.Errorf("an open KEK waited for the store: %v", err)
	}
}

func TestActiveRefusesASiteThatIsNoMember(t *testing.T) {
	site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
	doc := site.Identity.Sign(keys.TrustListType,
		[]byte(`{"version":1,"site":"`+site.Identity.ID().String()+`","number":1,"entries":[]}`))
	list, err := keys.ParseTrustList(doc.Bytes(), site.Identity.Card(), 0)
	if err != nil {
		t.Fatal(err)
	}
	site.Trust = list
	if _, err := site.Ring(nil).Active(t.Context(), "b"); !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("got %v, want ErrUntrusted", err)
	}
	if names := site.System.Names(""); len(names) != 0 {
		t.Errorf("written: %q", names)
	}
}

// laxStore calls any KEK of the bucket the active one.
type laxStore struct{ *keystest.FakeStore }

func (s laxStore) ActiveKEK(ctx context.Context, bucket string, _ keys.SiteID) (keys.StoredKEK, error) {
	all, err := s.KEKs(ctx, bucket)
	if err != nil || len(all) == 0 {
		return keys.StoredKEK{}, keys.ErrKEKNotFound
	}
	return all[0], nil
}

func TestActiveRefusesAKEKThatIsNotActive(t *testing.T) {
	for _, state := range []keys.KEKState{keys.ReadOnly, keys.Closed} {
		site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
		kek := mustActive(t, site.Ring(nil), "b")
		if err := site.Store.SetKEKState(t.Context(), "b", kek.ID(), state); err != nil {
			t.Fatal(err)
		}
		ring := keys.NewRing(keys.RingConfig{
			Identity: site.Identity, Trust: func() *keys.TrustList { return site.Trust }, Store: laxStore{site.Store},
			System: site.System,
		})
		if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrUntrusted) {
			t.Errorf("%s KEK: got %v, want ErrUntrusted", state, err)
		}
	}
}

func TestActiveDropsAKEKThatAStoreNoLongerCallsActive(t *testing.T) {
	site, now := keystest.NewSite(t, "a", &keystest.FakeSystem{}), newClock()
	lax := laxStore{site.Store}
	ring := keys.NewRing(keys.RingConfig{
		Identity: site.Identity, Trust: func() *keys.TrustList { return site.Trust }, Store: lax, System: site.System,
		Clock: now.Now,
	})
	kek := mustActive(t, ring, "b")
	if err := site.Store.SetKEKState(t.Context(), "b", kek.ID(), keys.Closed); err != nil {
		t.Fatal(err)
	}
	now.Advance(keys.StateTTL)
	if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("got %v, want ErrUntrusted", err)
	}
}
