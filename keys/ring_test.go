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

func TestAStoreThatLostItsRowsDoesNotTakeAnOpenKEKAway(t *testing.T) {
	site, now := keystest.NewSite(t, "a", &keystest.FakeSystem{}), newClock()
	system := site.System
	ring := site.Ring(now.Now)
	kek := mustActive(t, ring, "b")
	wantOpen(t, ring, kek, keys.Active)
	// A new store behind the same site: it is rebuilt as read-only, and a new active KEK is made.
	rebuilt := &keystest.Site{Identity: site.Identity, Trust: site.Trust, Store: &keystest.FakeStore{}, System: system}
	fresh := rebuilt.Ring(now.Now)
	wantOpen(t, fresh, kek, keys.ReadOnly)
	if mustActive(t, fresh, "b").ID() == kek.ID() {
		t.Error("what lies on the backend was chosen to seal")
	}
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

func TestOpenTellsMissingDocumentsApart(t *testing.T) {
	a, b, _ := sharing(t)
	kek := mustActive(t, a.Ring(nil), "b")
	record := keys.RecordName("b", kek.ID())
	grant := keys.GrantName("b", kek.ID(), b.Identity.ID())
	recordDoc, err := a.System.Get(t.Context(), record)
	if err != nil {
		t.Fatal(err)
	}
	ring := b.Ring(nil)

	a.System.Remove(grant)
	wantRefused(t, ring, kek, keys.ErrNotRecipient)
	a.System.Remove(record)
	wantRefused(t, ring, kek, keys.ErrKEKUnavailable)
	a.System.Plant(record, recordDoc)
	a.System.SetDown(true)
	wantRefused(t, ring, kek, keys.ErrKEKUnavailable)
	a.System.SetDown(false)

	// Nothing of it was remembered: once the grant is there, it opens.
	if err := a.Ring(nil).Grant(t.Context(), "b", b.Identity.ID()); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, ring, kek, keys.ReadOnly)
}

func TestOpenFailsClosedWhenAnEndorsementCannotBeRead(t *testing.T) {
	a, b, _ := sharing(t)
	kek := mustActive(t, a.Ring(nil), "b")
	c := keystest.NewSite(t, "c", a.System)
	c.Trusts(t, b, "b", keys.Member)
	a.System.FailNext("Get", keystest.After) // the record's
	wantRefused(t, c.Ring(nil), kek, keys.ErrKEKUnavailable)
	wantRefused(t, c.Ring(nil), kek, keys.ErrUntrusted)
}

func TestImportTakesAllAndReportsAReplacedRecord(t *testing.T) {
	a, b, _ := sharing(t)
	own := mustActive(t, a.Ring(nil), "b")
	taken := mustActive(t, b.Ring(nil), "b")
	stranger := keystest.NewSite(t, "stranger", a.System)
	planted := mustActive(t, stranger.Ring(nil), "b")

	ring := a.Ring(nil)
	found := importAll(t, ring, "b")
	if len(found) != 3 || found[own.ID()] != nil || found[taken.ID()] != nil ||
		!errors.Is(found[planted.ID()], keys.ErrUntrusted) {
		t.Fatalf("import found %v", found)
	}
	wantOpen(t, ring, taken, keys.ReadOnly)

	// The operator exchanges the record of a known KEK for another that is signed by the same site.
	second, err := keys.NewRecord(b.Identity, taken, keystest.Epoch.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	held, err := a.Store.KEK(t.Context(), "b", taken.ID())
	if err != nil {
		t.Fatal(err)
	}
	a.System.Plant(keys.RecordName("b", taken.ID()), second.Bytes())
	if found := importAll(t, ring, "b"); !errors.Is(found[taken.ID()], keys.ErrKEKConflict) || found[own.ID()] != nil {
		t.Fatalf("import found %v", found)
	}
	if now, _ := a.Store.KEK(t.Context(), "b", taken.ID()); !bytes.Equal(now.Record, held.Record) {
		t.Error("the accepted record was replaced")
	}
}

func importAll(t *testing.T, ring *keys.Ring, bucket string) map[keys.KEKID]error {
	t.Helper()
	all, err := ring.Import(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[keys.KEKID]error)
	for _, one := range all {
		found[one.ID] = one.Err
	}
	return found
}

func TestAConflictOverTheGrantAloneIsNone(t *testing.T) {
	a, b, _ := sharing(t)
	kek := mustActive(t, a.Ring(nil), "b")
	name := keys.GrantName("b", kek.ID(), b.Identity.ID())
	release := b.Store.Hold("AddKEK")
	done := make(chan error, 1)
	go func() { _, _, err := b.Ring(nil).Open(t.Context(), "b", kek.ID()); done <- err }()
	for b.Store.Calls("AddKEK") == 0 {
		time.Sleep(time.Millisecond)
	}
	// While that replica holds one grant, the record's row is added with another.
	again, err := keys.NewGrant(a.Identity, kek, b.Identity.Card(), keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	record, err := a.System.Get(t.Context(), keys.RecordName("b", kek.ID()))
	if err != nil {
		t.Fatal(err)
	}
	a.System.Plant(name, again.Bytes())
	b.Store.Plant(keys.StoredKEK{
		Bucket: "b", ID: kek.ID(), Creator: kek.Creator(), Record: record, Grant: again.Bytes(), State: keys.ReadOnly,
		Created: keystest.Epoch,
	})
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestAWithdrawnCreatorsKEKIsImportedClosed(t *testing.T) {
	a, b, _ := sharing(t)
	c := keystest.NewSite(t, "c", a.System)
	a.Trusts(t, c, "b", keys.Member)
	c.Trusts(t, a, "b", keys.Member)
	c.Trusts(t, b, "b", keys.Member)
	b.Trusts(t, c, "b", keys.Member)
	kek := mustActive(t, c.Ring(nil), "b")
	if err := a.Trust.Distrust(c.Identity.ID(), "b", keystest.Epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, a.Ring(nil), kek, keys.ErrUntrusted)

	// b stays a member, endorses the leaver's record and grants the KEK.
	doc, err := a.System.Get(t.Context(), keys.RecordName("b", kek.ID()))
	if err != nil {
		t.Fatal(err)
	}
	record, err := keys.ParseRecord(doc)
	if err != nil {
		t.Fatal(err)
	}
	a.System.Plant(keys.EndorsementName("b", kek.ID(), b.Identity.ID()), keys.NewEndorsement(b.Identity, record))
	wantRefused(t, a.Ring(nil), kek, keys.ErrUntrusted) // the grant is still the leaver's
	grant, err := keys.NewGrant(b.Identity, kek, a.Identity.Card(), keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	a.System.Plant(keys.GrantName("b", kek.ID(), a.Identity.ID()), grant.Bytes())
	wantOpen(t, a.Ring(nil), kek, keys.Closed)
}

func TestWhatWasAcceptedStaysAccepted(t *testing.T) {
	a, b, _ := sharing(t)
	kek := mustActive(t, b.Ring(nil), "b")
	wantOpen(t, a.Ring(nil), kek, keys.ReadOnly)
	if err := a.Trust.Distrust(b.Identity.ID(), "b", keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	for _, name := range a.System.Names("") {
		a.System.Remove(name)
	}
	wantOpen(t, a.Ring(nil), kek, keys.ReadOnly)
}

func TestActiveRefusesAStoreRowThatThisSiteDidNotSign(t *testing.T) {
	a, b, _ := sharing(t)
	foreign := mustActive(t, b.Ring(nil), "b")
	wantOpen(t, a.Ring(nil), foreign, keys.ReadOnly)
	row, err := a.Store.KEK(t.Context(), "b", foreign.ID())
	if err != nil {
		t.Fatal(err)
	}

	// Another site's KEK, called this site's own and active.
	row.State, row.Creator = keys.Active, a.Identity.ID()
	wantActiveRefused(t, a, row, keys.ErrUntrusted)

	// A KEK of this site's name whose record another signed, and one whose grant another made.
	kek := keys.NewKEK("b", a.Identity.ID())
	honest, err := keys.NewRecord(a.Identity, kek, keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	own, err := keys.NewGrant(a.Identity, kek, a.Identity.Card(), keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	byOther, err := keys.NewGrant(b.Identity, kek, a.Identity.Card(), keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	row = keys.StoredKEK{
		Bucket: "b", ID: kek.ID(), Creator: a.Identity.ID(), Record: keys.NewEndorsement(b.Identity, honest),
		Grant: own.Bytes(), State: keys.Active,
	}
	wantActiveRefused(t, a, row, keys.ErrSignature)
	row.Record, row.Grant = honest.Bytes(), byOther.Bytes()
	wantActiveRefused(t, a, row, keys.ErrSignature)
	row.Grant = own.Bytes()
	site := &keystest.Site{Identity: a.Identity, Trust: a.Trust, Store: &keystest.FakeStore{}, System: a.System}
	site.Store.Plant(row)
	if got := mustActive(t, site.Ring(nil), "b"); !got.Equal(kek) {
		t.Error("the honest row does not open")
	}
}

func wantActiveRefused(t *testing.T, a *keystest.Site, row keys.StoredKEK, want error) {
	t.Helper()
	site := &keystest.Site{Identity: a.Identity, Trust: a.Trust, Store: &keystest.FakeStore{}, System: a.System}
	site.Store.Plant(row)
	if _, err := site.Ring(nil).Active(t.Context(), "b"); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
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

func TestGrantIsForTrustedRecipientsAlone(t *testing.T) {
	a, _, _ := sharing(t)
	ring := a.Ring(nil)
	kek := mustActive(t, ring, "b")
	late := keystest.NewSite(t, "late recovery", a.System)
	late.Trusts(t, a, "*", keys.Member)
	if err := ring.Grant(t.Context(), "b", late.Identity.ID()); !errors.Is(err, keys.ErrUntrusted) {
		t.Fatalf("got %v, want ErrUntrusted", err)
	}
	a.Trusts(t, late, "*", keys.Recovery)
	if err := ring.Grant(t.Context(), "b", late.Identity.ID()); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, late.Ring(nil), kek, keys.ReadOnly)
	depositor := keystest.NewSite(t, "depositor", a.System)
	a.Trusts(t, depositor, "b", keys.Deposit)
	if err := ring.Grant(t.Context(), "b", depositor.Identity.ID()); !errors.Is(err, keys.ErrUntrusted) {
		t.Fatalf("deposit site: got %v, want ErrUntrusted", err)
	}
}

func TestADepositSitesKEKIsReadByMembersAndNotByItself(t *testing.T) {
	a, _, _ := sharing(t)
	depositor := keystest.NewSite(t, "depositor", a.System)
	a.Trusts(t, depositor, "b", keys.Deposit, "in/", "inbox-")
	kek := keys.NewKEK("b", depositor.Identity.ID())
	record, err := keys.NewRecord(depositor.Identity, kek, keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	grant, err := keys.NewGrant(depositor.Identity, kek, a.Identity.Card(), keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	a.System.Plant(keys.RecordName("b", kek.ID()), record.Bytes())
	a.System.Plant(keys.GrantName("b", kek.ID(), a.Identity.ID()), grant.Bytes())
	wantRefused(t, depositor.Ring(nil), kek, keys.ErrNotRecipient)

	ring := a.Ring(nil)
	wantOpen(t, ring, kek, keys.ReadOnly)
	if !a.Trust.Deposits(kek) {
		t.Error("the KEK does not count as a deposit site's")
	}
	for key, allowed := range map[string]bool{
		"in/x": true, "inbox-1": true, "in": false, "out/in/": false, "": false, "IN/x": false,
	} {
		if err := ring.CheckObject(kek, key); (err == nil) != allowed || err != nil && !errors.Is(err, keys.ErrUntrusted) {
			t.Errorf("object %q: %v", key, err)
		}
	}
	if err := ring.CheckObject(mustActive(t, ring, "b"), "out/x"); err != nil {
		t.Errorf("a member's object: %v", err)
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
