package keys_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"cofre/keys"
	"cofre/keys/keystest"
)

// prepared is a site's next identity, as the site's own list names it while the site goes on.
func prepared(t *testing.T, d *keystest.Site) *keystest.Site {
	t.Helper()
	heir := keystest.NewSite(t, "d again", d.System)
	for range 2 { // as often as the command is run
		if err := d.Trust.PrepareSuccessor(heir.Identity.Card(), keystest.Epoch); err != nil {
			t.Fatal(err)
		}
	}
	return heir
}

func TestThePreparedIdentityOfADepositSiteReadsNoDeposit(t *testing.T) {
	d, a, _ := depositing(t)
	d.Trusts(t, d, "drop*", keys.Deposit)
	heir := prepared(t, d)
	deposits := []keys.KEK{mustActive(t, d.Ring(nil), "b"), mustActive(t, d.Ring(nil), "b")} // of two processes
	for _, kek := range deposits {
		if slices.Contains(d.System.Names(""), keys.GrantName("b", kek.ID(), heir.Identity.ID())) {
			t.Error("the next identity was granted a deposit KEK")
		}
		wantOpen(t, a.Ring(nil), kek, keys.ReadOnly)
	}
	member := mustActive(t, d.Ring(nil), "c")
	if !slices.Contains(d.System.Names(""), keys.GrantName("c", member.ID(), heir.Identity.ID())) {
		t.Error("where the site is a member the next identity was granted nothing")
	}

	heir.Trust = d.Trust.Succeed(heir.Identity, keystest.Epoch)
	for _, kek := range deposits {
		wantRefused(t, heir.Ring(nil), kek, keys.ErrUntrusted) // whose maker is no site any more, and which it could not open
	}
	if next := mustActive(t, heir.Ring(nil), "b"); !next.Deposit() {
		t.Error("the next identity does not deposit")
	}
	own := 0
	for _, e := range heir.Trust.Entries() {
		if e.Card.ID == heir.Identity.ID() {
			own++
		}
	}
	if own != 3 {
		t.Errorf("%d lines of its own, want that by which it is a member and two by which it deposits", own)
	}
}

func TestNobodyDepositsForThePreparedIdentityAlone(t *testing.T) {
	d := keystest.NewSite(t, "d", &keystest.FakeSystem{})
	d.Trusts(t, d, "b*", keys.Deposit)
	prepared(t, d)
	if _, err := d.Ring(nil).Active(t.Context(), "b"); !errors.Is(err, keys.ErrMayNotWrite) {
		t.Errorf("got %v, want %v", err, keys.ErrMayNotWrite)
	}
}

func TestASiteThatCeasesToDepositGrantsToItsPreparedIdentity(t *testing.T) {
	d, _, _ := depositing(t)
	heir := prepared(t, d)
	if err := d.Trust.Distrust(d.Identity.ID(), "b", keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	kek := mustActive(t, d.Ring(nil), "b")
	if kek.Deposit() || !slices.Contains(d.System.Names(""), keys.GrantName("b", kek.ID(), heir.Identity.ID())) {
		t.Error("the next identity was granted nothing of a bucket in which the site is a member again")
	}
}

func TestNoDepositKEKIsMadeByAListThatDepositsNoMore(t *testing.T) {
	d, _, _ := depositing(t)
	prepared(t, d)
	asked, ceased := d.Trust, d.Trust.Clone()
	if err := ceased.Distrust(d.Identity.ID(), "b", keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	lists := []*keys.TrustList{asked, ceased} // it changes between the question and the making
	ring := keys.NewRing(keys.RingConfig{Identity: d.Identity, Store: d.Store, System: d.System, Trust: func() *keys.TrustList {
		list := lists[0]
		lists = lists[len(lists)-1:]
		return list
	}})
	if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Fatalf("got %v, want %v", err, keys.ErrKEKUnavailable)
	}
	if names := d.System.Names(""); len(names) != 0 {
		t.Errorf("wrote %q", names)
	}
	if mustActive(t, ring, "b").Deposit() {
		t.Error("it still deposits")
	}
}

func TestRetireClosesWhatOthersMadeUntilThen(t *testing.T) {
	a, b, _ := sharing(t)
	mustActive(t, a.Ring(nil), "b")
	heir, succession := heirOf(t, a)
	inherit(t, a, heir, succession, "b")
	clock := newClock()
	clock.Advance(2 * time.Hour)
	own := mustActive(t, heir.Ring(clock.Now), "b")
	b.Trusts(t, heir, "b", keys.Member) // and still the old identity
	theirs := mustActive(t, b.Ring(clock.Now), "b")
	wantOpen(t, a.Ring(clock.Now), theirs, keys.ReadOnly)              // whoever has the old identity
	wantOpen(t, heir.Ring(clock.Now), theirs, keys.ReadOnly)           // as it came
	a.System.Remove(keys.GrantName("b", theirs.ID(), a.Identity.ID())) // the storage hides it
	clock.Advance(time.Hour)
	if err := heir.Trust.Retire(a.Identity.Card(), clock.Now()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour)
	if _, err := heir.Ring(clock.Now).Revoke(t.Context(), "b", a.Identity.ID()); err != nil {
		t.Fatal(err)
	}
	lost := &keystest.Site{Identity: heir.Identity, Trust: heir.Trust, Store: &keystest.FakeStore{}, System: a.System}
	wantOpen(t, heir.Ring(clock.Now), theirs, keys.Closed)
	wantOpen(t, heir.Ring(clock.Now), own, keys.Active)
	wantOpen(t, lost.Ring(clock.Now), theirs, keys.Closed)
	wantOpen(t, lost.Ring(clock.Now), own, keys.ReadOnly)
}
