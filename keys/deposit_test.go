package keys_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cofre/keys"
	"cofre/keys/keystest"
)

// depositing is site d, which deposits in bucket "b" under "in/" for member a and a's recovery identity, and reads nothing.
func depositing(t testing.TB) (d, a, recovery *keystest.Site) {
	system := &keystest.FakeSystem{}
	d, a, recovery = keystest.NewSite(t, "d", system), keystest.NewSite(t, "a", system), keystest.NewSite(t, "recovery", system)
	d.Trusts(t, d, "b", keys.Deposit, "in/")
	d.Trusts(t, a, "b", keys.Member)
	d.Trusts(t, recovery, "*", keys.Recovery)
	for _, reader := range []*keystest.Site{a, recovery} {
		reader.Trusts(t, d, "b", keys.Deposit, "in/")
	}
	return d, a, recovery
}

// wantZeroed fails unless whoever seals under the KEK panics.
func wantZeroed(t testing.TB, kek keys.KEK) {
	t.Helper()
	defer func() {
		t.Helper()
		if said := recover(); said != "keys: use of a zeroed KEK" {
			t.Errorf("use of a zeroed KEK: %v", said)
		}
	}()
	t.Errorf("the key is still there: %d bytes", len(kek.Bytes()))
}

func TestADepositKEKOpensForItsReadersAndNotForItsMaker(t *testing.T) {
	d, a, recovery := depositing(t)
	ring := d.Ring(nil)
	kek := mustActive(t, ring, "b")
	if !kek.Deposit() || kek.Creator() != d.Identity.ID() {
		t.Fatalf("%v of site %s", kek, kek.Creator())
	}
	want := []string{
		keys.GrantName("b", kek.ID(), a.Identity.ID()), keys.GrantName("b", kek.ID(), recovery.Identity.ID()), keys.RecordName("b", kek.ID()),
	}
	slices.Sort(want)
	if got := d.System.Names("buckets/b/"); !slices.Equal(got, want) {
		t.Errorf("system bucket holds %q, want %q", got, want)
	}
	wantOpen(t, a.Ring(nil), kek, keys.ReadOnly)
	wantOpen(t, recovery.Ring(nil), kek, keys.ReadOnly)
	wantRefused(t, ring, kek, keys.ErrNotRecipient)
	wantRefused(t, d.Ring(nil), kek, keys.ErrNotRecipient)

	reader := a.Ring(nil)
	theirs, _, err := reader.Open(t.Context(), "b", kek.ID())
	if err != nil || theirs.Deposit() {
		t.Fatalf("at a reader it is %v, %v", theirs, err)
	}
	if reader.CheckObject(theirs, "in/x") != nil || !errors.Is(reader.CheckObject(theirs, "out/x"), keys.ErrUntrusted) || reader.CheckCopy(theirs) == nil {
		t.Error("a reader takes more from a deposit site than its list allows")
	}
	if mustActive(t, ring, "c").Deposit() {
		t.Error("it deposits in a bucket of which its list says nothing")
	}
}

// TestNothingThatADepositSiteKeepsOpensItsKEK looks through its store and through all that lies on the backend, with its identity.
func TestNothingThatADepositSiteKeepsOpensItsKEK(t *testing.T) {
	d, _, _ := depositing(t)
	kek := mustActive(t, d.Ring(nil), "b")
	if held, err := d.Store.KEKs(t.Context(), "b"); err != nil || len(held) != 0 {
		t.Errorf("the store holds %d KEKs, %v", len(held), err)
	}
	raw := kek.Bytes()
	var record keys.Record
	var grants []keys.Grant
	for _, name := range d.System.Names("") {
		doc, err := d.System.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(doc, raw) {
			t.Errorf("%s holds the KEK", name)
		}
		if strings.HasSuffix(name, "/record.json") {
			record, err = keys.ParseRecord(doc)
		} else {
			var g keys.Grant
			g, err = keys.ParseGrant(doc)
			grants = append(grants, g)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(grants) != 2 {
		t.Fatalf("%d grants", len(grants))
	}
	for _, g := range grants {
		if _, err := d.Identity.OpenGrant(g, record); !errors.Is(err, keys.ErrGrant) {
			t.Errorf("the grant to %s: %v", g.Recipient, err)
		}
		g.Recipient = d.Identity.ID()
		if _, err := d.Identity.OpenGrant(g, record); !errors.Is(err, keys.ErrGrant) {
			t.Errorf("the grant to %s under its own name: %v", g.Recipient, err)
		}
	}
}

func TestADepositKEKIsZeroedAfterADayAndGivenOutNoMoreBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a, _ := depositing(t)
		ring := d.Ring(nil)
		first := mustActive(t, ring, "b")
		time.Sleep(keys.DepositUse - time.Second)
		if !mustActive(t, ring, "b").Equal(first) {
			t.Fatal("changed before its time")
		}
		time.Sleep(time.Second)
		second := mustActive(t, ring, "b")
		if second.ID() == first.ID() {
			t.Fatal("given out too long")
		}
		clear(first.Bytes()) // whoever was given it last has not used it yet, and still may
		time.Sleep(keys.DepositGrace)
		synctest.Wait()
		wantZeroed(t, first)
		if first.Equal(first) {
			t.Error("a zeroed KEK equals something")
		}
		wantOpen(t, a.Ring(nil), second, keys.ReadOnly)
		wantRefused(t, ring, first, keys.ErrNotRecipient)

		time.Sleep(keys.DepositLifetime)
		synctest.Wait()
		wantZeroed(t, second) // though nobody wrote since
	})
}

func TestAClockThatIsSetBackMakesANewDepositKEK(t *testing.T) {
	d, _, _ := depositing(t)
	now := newClock()
	ring := d.Ring(now.Now)
	first := mustActive(t, ring, "b")
	now.Advance(-time.Minute)
	if mustActive(t, ring, "b").ID() == first.ID() {
		t.Error("how old it is cannot be known, and it was given out")
	}
}

func TestForgottenDepositKEKsAreZeroed(t *testing.T) {
	for name, drop := range map[string]func(*testing.T, *keys.Ring){
		"Forget": func(_ *testing.T, r *keys.Ring) { r.Forget("b") },
		"Close": func(t *testing.T, r *keys.Ring) {
			if err := r.Close(t.Context(), "b"); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, _, _ := depositing(t)
				ring := d.Ring(nil)
				first := mustActive(t, ring, "b")
				drop(t, ring)
				if mustActive(t, ring, "b").ID() == first.ID() {
					t.Error("given out again")
				}
				time.Sleep(keys.DepositGrace)
				synctest.Wait()
				wantZeroed(t, first)

				// One that is being made when it is forgotten is given to those who wait for it, and no more.
				ring.Forget("b")
				release := d.System.Hold("Put")
				made := make(chan keys.KEK)
				go func() { made <- mustActive(t, ring, "b") }()
				synctest.Wait()
				drop(t, ring)
				release()
				late := <-made
				if mustActive(t, ring, "b").ID() == late.ID() {
					t.Error("given out though it was forgotten while it was made")
				}
				time.Sleep(keys.DepositGrace)
				synctest.Wait()
				wantZeroed(t, late)
			})
		})
	}
}

// TestADepositKEKFollowsTheTrustList: who has left must not read what is written from now on, who came shall.
func TestADepositKEKFollowsTheTrustList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a, _ := depositing(t)
		b := keystest.NewSite(t, "b", d.System)
		b.Trusts(t, d, "b", keys.Deposit)
		ring := d.Ring(nil)
		change := func(edit func(*keys.TrustList) error) {
			list := d.Trust.Clone()
			if err := edit(list); err != nil {
				t.Fatal(err)
			}
			d.Trust = list
		}
		first := mustActive(t, ring, "b")
		change(func(l *keys.TrustList) error { return l.Trust(b.Identity.Card(), "other", keys.Member, time.Now()) })
		if !mustActive(t, ring, "b").Equal(first) {
			t.Error("changed with a line about another bucket")
		}
		change(func(l *keys.TrustList) error { return l.Trust(b.Identity.Card(), "b", keys.Member, time.Now()) })
		second := mustActive(t, ring, "b")
		wantOpen(t, b.Ring(nil), second, keys.ReadOnly)
		change(func(l *keys.TrustList) error { return l.Distrust(a.Identity.ID(), "b", time.Now()) })
		third := mustActive(t, ring, "b")
		wantRefused(t, a.Ring(nil), third, keys.ErrNotRecipient)
		wantOpen(t, b.Ring(nil), third, keys.ReadOnly)
		time.Sleep(keys.DepositGrace)
		synctest.Wait()
		wantZeroed(t, second)

		// And a site that deposits no more seals as a member, under a KEK that it can open.
		change(func(l *keys.TrustList) error { return l.Distrust(d.Identity.ID(), "b", time.Now()) })
		member := mustActive(t, ring, "b")
		if member.Deposit() {
			t.Error("still deposits")
		}
		wantOpen(t, ring, member, keys.Active)
		wantRefused(t, ring, third, keys.ErrNotRecipient)
	})
}

func TestADepositSiteRefusesToSealForNobody(t *testing.T) {
	d := keystest.NewSite(t, "d", &keystest.FakeSystem{})
	d.Trusts(t, d, "b", keys.Deposit)
	ring := d.Ring(nil)
	if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrMayNotWrite) || !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("got %v", err)
	}
	if names := d.System.Names(""); len(names) != 0 {
		t.Errorf("written: %q", names)
	}
	recovery := keystest.NewSite(t, "recovery", d.System)
	d.Trusts(t, recovery, "*", keys.Recovery)
	recovery.Trusts(t, d, "b", keys.Deposit)
	wantOpen(t, recovery.Ring(nil), mustActive(t, ring, "b"), keys.ReadOnly)
}

func TestADepositKEKIsDurableForItsReadersBeforeItSeals(t *testing.T) {
	for n := range 3 { // two grants and the record
		for _, when := range []keystest.When{keystest.Before, keystest.After} {
			d, a, _ := depositing(t)
			ring := d.Ring(nil)
			for range n {
				d.System.FailNext("Put", keystest.Never)
			}
			d.System.FailNext("Put", when)
			if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
				t.Errorf("document %d: got %v", n, err)
			}
			wantOpen(t, a.Ring(nil), mustActive(t, ring, "b"), keys.ReadOnly)
		}
	}
}

// TestADepositSiteSealsOnWithoutItsStore, and makes no KEK meanwhile: the list in the store may have become another.
func TestADepositSiteSealsOnWithoutItsStore(t *testing.T) {
	d, _, _ := depositing(t)
	ring := d.Ring(nil)
	kek := mustActive(t, ring, "b")
	d.Store.SetDown(true)
	if got := mustActive(t, ring, "b"); !got.Equal(kek) {
		t.Error("another KEK")
	}
	if _, err := d.Ring(nil).Active(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Error(err)
	}
}

// TestNoDepositKEKIsMadeByATrustListThatIsOvertaken: it would be granted to somebody who has left.
func TestNoDepositKEKIsMadeByATrustListThatIsOvertaken(t *testing.T) {
	d, _, _ := depositing(t)
	leaver := keystest.NewSite(t, "leaver", d.System)
	d.Trusts(t, leaver, "b", keys.Member)
	stale := d.Trust.Clone()
	distrust(t, d, leaver)
	ring := keys.NewRing(keys.RingConfig{Identity: d.Identity, Trust: func() *keys.TrustList { return stale }, Store: d.Store, System: d.System})
	if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Error(err)
	}
	if names := d.System.Names(""); len(names) != 0 {
		t.Errorf("it has written %v", names)
	}
}

func TestConcurrentDepositorsOfOneProcessShareOneKEK(t *testing.T) {
	d, _, _ := depositing(t)
	ring, replica := d.Ring(nil), d.Ring(nil)
	var wg sync.WaitGroup
	got := make([]keys.KEK, 50)
	for n := range got {
		wg.Go(func() {
			kek, err := ring.Active(t.Context(), "b")
			if err != nil {
				t.Error(err)
			}
			got[n] = kek
			_ = kek.Commit()
		})
	}
	wg.Wait()
	for _, kek := range got {
		if !kek.Equal(got[0]) {
			t.Fatalf("callers got %v and %v", got[0], kek)
		}
	}
	if n := len(d.System.Names(keys.RecordName("b", got[0].ID()))); n != 1 || len(d.System.Names("")) != 3 {
		t.Errorf("documents: %q", d.System.Names(""))
	}
	if mustActive(t, replica, "b").ID() == got[0].ID() {
		t.Error("two processes share a KEK that is in the memory of one")
	}
}

// TestZeroingWaitsForNobodyAndTearsNothing: a key is used whole or not at all, whenever it ends.
func TestZeroingWaitsForNobodyAndTearsNothing(t *testing.T) {
	d, _, _ := depositing(t)
	for range 20 {
		ring := d.Ring(nil)
		kek := mustActive(t, ring, "b")
		whole := kek.Bytes()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				defer func() { _ = recover() }() // zeroed
				for {
					if raw := kek.Bytes(); !bytes.Equal(raw, whole) {
						t.Error("a torn key was given out")
						return
					}
				}
			})
		}
		keys.Zero(kek)
		wg.Wait()
	}
}

func TestWritesOutsideTheOwnPrefixesAreRefused(t *testing.T) {
	d, _, _ := depositing(t)
	d.Trusts(t, d, "b", keys.Deposit, "more/")
	ring := d.Ring(nil)
	for key, want := range map[string]error{"in/x": nil, "more/": nil, "in": keys.ErrMayNotWrite, "x/in/": keys.ErrMayNotWrite, "": keys.ErrMayNotWrite} {
		if err := ring.CheckWrite("b", key); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", key, err, want)
		}
	}
	if err := ring.CheckWrite("c", "x"); err != nil {
		t.Errorf("where it is a member: %v", err)
	}
	d.Trusts(t, d, "b*", keys.Deposit) // everything
	if err := ring.CheckWrite("b", "x"); err != nil {
		t.Errorf("without prefixes: %v", err)
	}
}

func TestADepositSiteKeepsNoWayBackInCopies(t *testing.T) {
	d, _, _ := depositing(t)
	if err := d.Trust.Distrust(d.Identity.ID(), "b", keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	ring := d.Ring(nil)
	member := mustActive(t, ring, "b")
	d.Trusts(t, d, "b", keys.Deposit)
	wantOpen(t, ring, member, keys.Active) // what it was granted stays its own
	if _, _, err := ring.Rotate(t.Context(), "b"); !errors.Is(err, keys.ErrMayNotWrite) {
		t.Errorf("rotated what is in the memory of other processes: %v", err)
	}
	if ring.CheckCopy(member) == nil {
		t.Error("a copy may keep a key that the depositor can open")
	}
}

func TestOwnDepositLinesWinAndCanBeWithdrawn(t *testing.T) {
	site := keystest.NewSite(t, "a", &keystest.FakeSystem{})
	self := site.Identity.ID()
	list := site.Trust
	roles := func(want ...keys.Role) {
		t.Helper()
		if got := list.Roles("b", self); !slices.Equal(got, want) {
			t.Errorf("roles are %v, want %v", got, want)
		}
		if n := len(list.Members("b")); (n == 1) != slices.Contains(want, keys.Member) {
			t.Errorf("%d members of the bucket", n)
		}
	}
	roles(keys.Member)
	site.Trusts(t, site, "*", keys.Deposit, "in/")
	roles(keys.Deposit)
	site.Trusts(t, site, "b", keys.Member)
	roles(keys.Deposit)
	if err := list.Distrust(self, "*", keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	roles(keys.Member)
	if err := list.Distrust(self, "*", keystest.Epoch); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("withdrew the line with which the list began: %v", err)
	}
	if err := list.Distrust(self, "x", keystest.Epoch); !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("withdrew a line that is not there: %v", err)
	}
	roles(keys.Member)
}
