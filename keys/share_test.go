package keys_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"cofre/keys"
	"cofre/keys/keystest"
)

func TestRotateSealsUnderANewKEKAndOpensTheOld(t *testing.T) {
	a, b, _ := sharing(t)
	ring := a.Ring(nil)
	first := mustActive(t, ring, "b")
	old, second, err := ring.Rotate(t.Context(), "b")
	if err != nil || old != first.ID() || second.ID() == first.ID() {
		t.Fatalf("rotated from %s to %v: %v", old, second, err)
	}
	if got := mustActive(t, ring, "b"); !got.Equal(second) {
		t.Fatal("still sealing under the old KEK")
	}
	wantOpen(t, ring, first, keys.ReadOnly)
	wantOpen(t, b.Ring(nil), first, keys.ReadOnly)
	wantOpen(t, b.Ring(nil), second, keys.ReadOnly)
}

func TestRotateOfABucketWithoutKEKMakesItsFirst(t *testing.T) {
	a, _, _ := sharing(t)
	old, now, err := a.Ring(nil).Rotate(t.Context(), "b")
	if err != nil || old != (keys.KEKID{}) || now.IsZero() {
		t.Fatalf("%s, %v, %v", old, now, err)
	}
}

// leave ends b's part in bucket "b" as the command does: distrust, then revoke.
func leave(t *testing.T, a, b *keystest.Site) keys.Revocation {
	t.Helper()
	now := time.Now()
	if err := a.Trust.Distrust(b.Identity.ID(), "b", now); err != nil {
		t.Fatal(err)
	}
	later := newClock()
	later.Advance(now.Add(time.Minute).Sub(keystest.Epoch))
	done, err := a.Ring(later.Now).Revoke(t.Context(), "b", b.Identity.ID())
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestRevokeClosesWhatTheLeaverCouldOpen(t *testing.T) {
	a, b, recovery := sharing(t)
	ring := a.Ring(nil)
	own := mustActive(t, ring, "b")
	theirs := mustActive(t, b.Ring(nil), "b")
	wantOpen(t, ring, theirs, keys.ReadOnly) // a has read something of b's

	done := leave(t, a, b)
	closed := []keys.KEKID{own.ID(), theirs.ID()}
	for _, id := range closed {
		if !slices.Contains(done.Closed, id) {
			t.Errorf("KEK %s was not closed", id)
		}
	}
	if done.Removed != 2 || !slices.Equal(done.Endorsed, []keys.KEKID{theirs.ID()}) {
		t.Errorf("%+v", done)
	}
	ring = a.Ring(nil)
	wantOpen(t, ring, own, keys.Closed)
	wantOpen(t, ring, theirs, keys.Closed)
	now := mustActive(t, ring, "b")
	if now.ID() != done.Active || slices.Contains(closed, now.ID()) {
		t.Errorf("active is %s", now.ID())
	}
	// Nothing of the new KEK is for b, who therefore opens nothing of it; the recovery identity opens it.
	wantRefused(t, b.Ring(nil), now, keys.ErrNotRecipient)
	wantOpen(t, recovery.Ring(nil), now, keys.ReadOnly)

	again, err := a.Ring(nil).Revoke(t.Context(), "b", b.Identity.ID())
	if err != nil || len(again.Closed) != 0 || again.Removed != 0 || len(again.Endorsed) != 0 || again.Active != now.ID() {
		t.Errorf("revoking again did something: %+v, %v", again, err)
	}
}

// TestClosedKEKsComeBackClosedAfterTheStoreIsLost: what the leaver made, whose own grants are not believed any more, and what it
// could open. What was made since it left is not.
func TestClosedKEKsComeBackClosedAfterTheStoreIsLost(t *testing.T) {
	a, b, recovery := sharing(t)
	own := mustActive(t, a.Ring(nil), "b")
	theirs := mustActive(t, b.Ring(nil), "b")
	wantOpen(t, a.Ring(nil), theirs, keys.ReadOnly)
	leave(t, a, b)
	now := mustActive(t, a.Ring(nil), "b")
	a.Store = &keystest.FakeStore{}
	wantOpen(t, a.Ring(nil), theirs, keys.Closed)
	wantOpen(t, a.Ring(nil), own, keys.Closed)
	wantOpen(t, a.Ring(nil), now, keys.ReadOnly)
	wantOpen(t, recovery.Ring(nil), theirs, keys.ReadOnly) // it never trusted b: a's word is what it believes
}

// TestNoKEKIsMadeByATrustListThatIsOvertaken: a replica that has not read yet that a site has left would grant to it.
func TestNoKEKIsMadeByATrustListThatIsOvertaken(t *testing.T) {
	a, b, _ := sharing(t)
	stale := a.Trust.Clone()
	distrust(t, a, b)
	ring := keys.NewRing(keys.RingConfig{Identity: a.Identity, Trust: func() *keys.TrustList { return stale }, Store: a.Store, System: a.System})
	if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Fatal(err)
	}
	if names := a.System.Names(""); len(names) != 0 {
		t.Errorf("it has written %v", names)
	}
	mustActive(t, a.Ring(nil), "b")
}

// distrust withdraws a's trust in b for bucket "b", in the store too, as another process of a's does.
func distrust(t *testing.T, a, b *keystest.Site) {
	t.Helper()
	if err := a.Trust.Distrust(b.Identity.ID(), "b", time.Now()); err != nil {
		t.Fatal(err)
	}
	doc, err := a.Trust.Sign(a.Identity)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Store.SetTrustList(t.Context(), a.Trust.Number(), doc); err != nil {
		t.Fatal(err)
	}
}

// gatedStore takes a KEK only when it is let.
type gatedStore struct {
	*keystest.FakeStore
	reached, released chan struct{}
}

func (g gatedStore) AddKEK(ctx context.Context, k keys.StoredKEK) (keys.StoredKEK, error) {
	close(g.reached)
	<-g.released
	return g.FakeStore.AddKEK(ctx, k)
}

// TestAKEKThatWasGrantedBeforeASiteLeftIsNotActiveAfterIt: a replica had asked which list holds, and stores its KEK when the site has left.
func TestAKEKThatWasGrantedBeforeASiteLeftIsNotActiveAfterIt(t *testing.T) {
	a, b, _ := sharing(t)
	stale := a.Trust.Clone()
	gate := gatedStore{a.Store, make(chan struct{}), make(chan struct{})}
	replica := keys.NewRing(keys.RingConfig{Identity: a.Identity, Trust: func() *keys.TrustList { return stale }, Store: gate, System: a.System})
	failed := make(chan error, 1)
	go func() {
		_, err := replica.Active(context.Background(), "b")
		failed <- err
	}()
	<-gate.reached
	distrust(t, a, b)
	close(gate.released)
	if err := <-failed; !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Error(err)
	}
	if kek, err := a.Store.ActiveKEK(t.Context(), "b", a.Identity.ID()); !errors.Is(err, keys.ErrKEKNotFound) {
		t.Errorf("KEK %s is active, %v", kek.ID, err)
	}
}

// TestRevokeEndsWithAKEKThatTheLeaverHasNoGrantOf although a replica's came first.
func TestRevokeEndsWithAKEKThatTheLeaverHasNoGrantOf(t *testing.T) {
	a, b, _ := sharing(t)
	stale := a.Trust.Clone()
	now := time.Now()
	if err := a.Trust.Distrust(b.Identity.ID(), "b", now); err != nil {
		t.Fatal(err)
	}
	later := newClock()
	later.Advance(now.Add(time.Minute).Sub(keystest.Epoch))
	// The store does not know of the new list, so that the replica's KEK passes its own look at it.
	replica := keys.NewRing(keys.RingConfig{Identity: a.Identity, Trust: func() *keys.TrustList { return stale }, Store: a.Store, System: a.System, Clock: later.Now})
	theirs := mustActive(t, replica, "b")
	done, err := a.Ring(later.Now).Revoke(t.Context(), "b", b.Identity.ID())
	if err != nil {
		t.Fatal(err)
	}
	if done.Active == theirs.ID() || !slices.Contains(done.Closed, theirs.ID()) || len(a.System.Names(keys.GrantName("b", done.Active, b.Identity.ID()))) != 0 {
		t.Errorf("%+v, a replica had made %s", done, theirs.ID())
	}
}

// TestAKEKOfASlowMemberIsTakenOverAsClosedWhileALeaverHasAGrant: that member has not revoked the leaver yet.
func TestAKEKOfASlowMemberIsTakenOverAsClosedWhileALeaverHasAGrant(t *testing.T) {
	a, b, _ := sharing(t)
	c := keystest.NewSite(t, "c", a.System)
	for _, s := range []*keystest.Site{a, b} {
		s.Trusts(t, c, "b", keys.Member)
		c.Trusts(t, s, "b", keys.Member)
	}
	leave(t, a, b)
	later := newClock()
	later.Advance(time.Now().Add(time.Hour).Sub(keystest.Epoch))
	slow := mustActive(t, c.Ring(later.Now), "b")
	wantOpen(t, a.Ring(later.Now), slow, keys.Closed)
}

// TestALeaverThatComesBackToDepositIsStillOneThatLeft: what it could open stays closed, what it made as a member is no deposit.
func TestALeaverThatComesBackToDepositIsStillOneThatLeft(t *testing.T) {
	a, b, _ := sharing(t)
	own := mustActive(t, a.Ring(nil), "b")
	later := newClock()
	later.Advance(time.Now().Add(-time.Minute).Sub(keystest.Epoch)) // while it was a member
	theirs := mustActive(t, b.Ring(later.Now), "b")
	wantOpen(t, a.Ring(nil), theirs, keys.ReadOnly)
	leave(t, a, b)
	a.Trusts(t, b, "b", keys.Deposit, "in/")
	opened, _, err := a.Ring(nil).Open(t.Context(), "b", theirs.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Ring(nil).CheckObject(opened, "anywhere"); err != nil {
		t.Errorf("what it wrote as a member: %v", err)
	}
	a.Store = &keystest.FakeStore{}
	wantOpen(t, a.Ring(nil), own, keys.Closed)
	wantOpen(t, a.Ring(nil), theirs, keys.Closed)
}

func TestRevokeClosesKEKsWhoseGrantsTheStorageHides(t *testing.T) {
	a, b, _ := sharing(t)
	own := mustActive(t, a.Ring(nil), "b")
	a.System.Remove(keys.GrantName("b", own.ID(), b.Identity.ID()))
	if done := leave(t, a, b); !slices.Contains(done.Closed, own.ID()) {
		t.Fatal("a KEK that was made while b was trusted stays open")
	}
}

func TestRevokeIsRefusedWhileTheListNamesTheSite(t *testing.T) {
	a, b, _ := sharing(t)
	own := mustActive(t, a.Ring(nil), "b")
	if _, err := a.Ring(nil).Revoke(t.Context(), "b", b.Identity.ID()); !errors.Is(err, keys.ErrUntrusted) {
		t.Fatal(err)
	}
	wantOpen(t, a.Ring(nil), own, keys.Active)
}

// TestRevokeGoesOnAfterEachFailure stops it at each of its calls in turn: done again, it comes to the same end.
func TestRevokeGoesOnAfterEachFailure(t *testing.T) {
	for _, call := range []string{"List", "Put", "Delete"} {
		a, b, _ := sharing(t)
		own := mustActive(t, a.Ring(nil), "b")
		theirs := mustActive(t, b.Ring(nil), "b")
		wantOpen(t, a.Ring(nil), theirs, keys.ReadOnly)
		if err := a.Trust.Distrust(b.Identity.ID(), "b", keystest.Epoch.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		a.System.FailNext(call, keystest.Before)
		if _, err := a.Ring(nil).Revoke(t.Context(), "b", b.Identity.ID()); !errors.Is(err, keys.ErrKEKUnavailable) {
			t.Fatalf("%s: %v", call, err)
		}
		if _, err := a.Ring(nil).Revoke(t.Context(), "b", b.Identity.ID()); err != nil {
			t.Fatalf("%s: %v", call, err)
		}
		wantOpen(t, a.Ring(nil), own, keys.Closed)
		wantOpen(t, a.Ring(nil), theirs, keys.Closed)
		for _, id := range []keys.KEKID{own.ID(), theirs.ID()} {
			if len(a.System.Names(keys.GrantName("b", id, b.Identity.ID()))) != 0 {
				t.Errorf("%s: a grant to b is left", call)
			}
		}
	}
}

func TestHoldingsShowWhoHoldsWhat(t *testing.T) {
	a, b, recovery := sharing(t)
	own := mustActive(t, a.Ring(nil), "b")
	theirs := mustActive(t, b.Ring(nil), "b") // a has not met it yet
	a.System.Plant("buckets/b/keks/nothing/grants/of.json", []byte("x"))
	held, err := a.Ring(nil).Holdings(t.Context(), "b")
	if err != nil || len(held) != 2 {
		t.Fatalf("%d holdings, %v", len(held), err)
	}
	if held[0].ID != own.ID() || held[0].State != keys.Active || len(held[0].Holders) != 3 || !slices.Contains(held[0].Holders, recovery.Identity.ID()) {
		t.Errorf("own: %+v", held[0])
	}
	if held[1].ID != theirs.ID() || held[1].State != 0 || held[1].Creator != b.Identity.ID() || len(held[1].Holders) != 2 {
		t.Errorf("theirs: %+v", held[1])
	}
}
