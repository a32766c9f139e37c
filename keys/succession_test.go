package keys_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"cofre/keys"
	"cofre/keys/keystest"
)

// heirOf makes the identity that takes the place of a site's, with a store of its own, and the succession to it.
func heirOf(t *testing.T, a *keystest.Site) (*keystest.Site, *keys.Succession) {
	t.Helper()
	heir := keystest.NewSite(t, "A again", a.System)
	heir.Trust = a.Trust.Succeed(heir.Identity, keystest.Epoch.Add(time.Hour))
	return heir, &keys.Succession{
		Old: a.Identity, Next: heir.Identity, Trust: heir.Trust, System: a.System,
		Clock: func() time.Time { return keystest.Epoch.Add(time.Hour) },
	}
}

// inherit moves the rows of a bucket as the command does.
func inherit(t *testing.T, a, heir *keystest.Site, s *keys.Succession, bucket string) {
	t.Helper()
	rows, err := a.Store.KEKs(t.Context(), bucket)
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows {
		if row.Grant, err = s.KEK(t.Context(), row.Record, row.Grant); err != nil {
			t.Fatal(err)
		}
		row.State = max(row.State, keys.ReadOnly)
		heir.Store.Plant(row)
	}
}

func TestSuccessorOpensEverythingWithoutTheOldIdentity(t *testing.T) {
	a, b, recovery := sharing(t)
	ring := a.Ring(nil)
	own := mustActive(t, ring, "b")
	theirs := mustActive(t, b.Ring(nil), "b")
	wantOpen(t, ring, theirs, keys.ReadOnly)
	heir, succession := heirOf(t, a)
	inherit(t, a, heir, succession, "b")

	next := heir.Ring(nil)
	wantOpen(t, next, own, keys.ReadOnly)
	wantOpen(t, next, theirs, keys.ReadOnly)
	lost := &keystest.Site{Identity: heir.Identity, Trust: heir.Trust, Store: &keystest.FakeStore{}, System: a.System}
	wantOpen(t, lost.Ring(nil), own, keys.ReadOnly) // from the system bucket alone
	wantOpen(t, lost.Ring(nil), theirs, keys.ReadOnly)

	now := mustActive(t, next, "b")
	if now.ID() == own.ID() || now.Creator() != heir.Identity.ID() {
		t.Errorf("it seals under %s of %s", now.ID(), now.Creator())
	}
	wantRefused(t, a.Ring(nil), now, keys.ErrUntrusted) // whom nothing is granted any more
	b.Trusts(t, heir, "b", keys.Member)
	recovery.Trusts(t, heir, "b", keys.Member)
	wantOpen(t, b.Ring(nil), now, keys.ReadOnly)
	wantOpen(t, recovery.Ring(nil), now, keys.ReadOnly)
	wantOpen(t, recovery.Ring(nil), own, keys.ReadOnly)
}

func TestSuccessorBelievesNothingNewOfTheOldIdentity(t *testing.T) {
	a, _, _ := sharing(t)
	mustActive(t, a.Ring(nil), "b")
	heir, succession := heirOf(t, a)
	inherit(t, a, heir, succession, "b")
	if err := a.Trust.Trust(heir.Identity.Card(), "b", keys.Member, keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	_, forged, err := a.Ring(nil).Rotate(t.Context(), "b") // by whoever has the old identity
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, heir.Ring(nil), forged, keys.ErrUntrusted)
}

func TestSuccessionGoesOnAfterEachFailure(t *testing.T) {
	for _, when := range []keystest.When{keystest.Before, keystest.After} {
		a, _, _ := sharing(t)
		own := mustActive(t, a.Ring(nil), "b")
		heir, succession := heirOf(t, a)
		row, err := a.Store.KEK(t.Context(), "b", own.ID())
		if err != nil {
			t.Fatal(err)
		}
		a.System.FailNext("Put", when)
		if _, err := succession.KEK(t.Context(), row.Record, row.Grant); !errors.Is(err, keys.ErrKEKUnavailable) {
			t.Fatal(err)
		}
		inherit(t, a, heir, succession, "b")
		again, err := heir.Store.KEK(t.Context(), "b", own.ID())
		if err != nil {
			t.Fatal(err)
		}
		grant, err := succession.KEK(t.Context(), again.Record, again.Grant)
		if err != nil || !bytes.Equal(grant, again.Grant) {
			t.Errorf("an exchanged grant was exchanged again: %v", err)
		}
		wantOpen(t, a.Ring(nil), own, keys.Active) // the old identity works on
	}
}

func TestSuccessionRefusesWhatTheOldIdentityDoesNotOpen(t *testing.T) {
	a, b, _ := sharing(t)
	theirs := mustActive(t, b.Ring(nil), "b")
	row, err := b.Store.KEK(t.Context(), "b", theirs.ID())
	if err != nil {
		t.Fatal(err)
	}
	_, succession := heirOf(t, a)
	before := len(a.System.Names(""))
	if _, err := succession.KEK(t.Context(), row.Record, row.Grant); !errors.Is(err, keys.ErrGrant) {
		t.Errorf("a grant to another site: %v", err)
	}
	if after := len(a.System.Names("")); after != before {
		t.Errorf("%d documents became %d", before, after)
	}
}

func TestSucceedTakesOverWhatIsSaidOfOthers(t *testing.T) {
	a, b, recovery := sharing(t)
	if err := a.Trust.Distrust(b.Identity.ID(), "b", keystest.Epoch.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := a.Trust.Trust(a.Identity.Card(), "inbox", keys.Deposit, keystest.Epoch, "p/"); err != nil {
		t.Fatal(err)
	}
	heir, _ := heirOf(t, a)
	list := heir.Trust
	if list.Number() <= a.Trust.Number() || list.Site() != heir.Identity.ID() {
		t.Errorf("number %d after %d, of site %s", list.Number(), a.Trust.Number(), list.Site())
	}
	if _, named := list.Card(a.Identity.ID()); named {
		t.Error("the old identity is on the list")
	}
	if !list.Is("b", recovery.Identity.ID(), keys.Recovery) || !list.Is("b", heir.Identity.ID(), keys.Member) ||
		list.Is("inbox", heir.Identity.ID(), keys.Member) || !list.Is("inbox", heir.Identity.ID(), keys.Deposit) {
		t.Errorf("%+v", list.Entries())
	}
	card, known := list.Card(b.Identity.ID())
	if !known || len(list.Roles("b", card.ID)) != 0 {
		t.Error("what was withdrawn is not known any more, or holds again")
	}
	doc, err := list.Sign(heir.Identity)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := keys.ParseTrustList(doc, heir.Identity.Card(), 0); err != nil || len(back.Entries()) != len(list.Entries()) {
		t.Errorf("read back: %v", err)
	}
	if next := list.Renumber(); next.Number() != list.Number()+1 || len(next.Entries()) != len(list.Entries()) {
		t.Errorf("number %d", next.Number())
	}
}

func TestSuccessionMovesUploadDEKs(t *testing.T) {
	a, b, _ := sharing(t)
	heir, succession := heirOf(t, a)
	envelope, dek := []byte("envelope"), keys.NewDEK()
	sealed := a.Ring(nil).SealDEK(dek, envelope)
	moved, err := succession.UploadDEK(sealed, envelope)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := heir.Ring(nil).OpenDEK(moved, envelope); err != nil || !back.Equal(dek) {
		t.Errorf("the next identity does not open it: %v", err)
	}
	if again, err := succession.UploadDEK(moved, envelope); err != nil || !bytes.Equal(again, moved) {
		t.Errorf("again: %v", err)
	}
	for name, bad := range map[string][]byte{"of another site": b.Ring(nil).SealDEK(dek, envelope), "short": sealed[:5], "none": nil} {
		if _, err := succession.UploadDEK(bad, envelope); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestInspectTrustListTellsWhoseItIs(t *testing.T) {
	a, _, recovery := sharing(t)
	doc, err := a.Trust.Sign(a.Identity)
	if err != nil {
		t.Fatal(err)
	}
	list, err := keys.InspectTrustList(doc)
	if err != nil || list.Site() != a.Identity.ID() {
		t.Fatalf("%v", err)
	}
	if cards := list.RecoveryIdentities(); len(cards) != 1 || cards[0].ID != recovery.Identity.ID() {
		t.Errorf("%d recovery identities", len(cards))
	}
	if _, err := keys.InspectTrustList(bytes.Replace(doc, []byte(`"sig":"`), []byte(`"sig":"A`), 1)); err == nil {
		t.Error("took a list with another signature")
	}
	if _, err := keys.InspectTrustList(nil); err == nil {
		t.Error("took nothing")
	}
}

func TestRetireClosesWhatTheOldIdentityKnew(t *testing.T) {
	a, b, _ := sharing(t)
	ring := a.Ring(nil)
	own, theirs := mustActive(t, ring, "b"), mustActive(t, b.Ring(nil), "b")
	wantOpen(t, ring, theirs, keys.ReadOnly)
	heir, succession := heirOf(t, a)
	took := time.Now().Add(time.Minute)
	heir.Trust = a.Trust.Succeed(heir.Identity, took)
	inherit(t, a, heir, succession, "b")
	clock := newClock()
	clock.Advance(took.Add(time.Minute).Sub(keystest.Epoch))
	now := mustActive(t, heir.Ring(clock.Now), "b")
	for _, id := range []keys.KEKID{own.ID(), theirs.ID()} {
		a.System.Remove(keys.GrantName("b", id, a.Identity.ID())) // the storage hides what the old identity had
	}

	if err := heir.Trust.Retire(b.Identity.Card(), clock.Now()); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("retired a site of its own: %v", err)
	}
	if err := heir.Trust.Retire(heir.Identity.Card(), clock.Now()); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("retired itself: %v", err)
	}
	number := heir.Trust.Number()
	for range 2 {
		if err := heir.Trust.Retire(a.Identity.Card(), clock.Now()); err != nil || heir.Trust.Number() != number+1 || !heir.Trust.Retired(a.Identity.ID()) {
			t.Fatalf("number %d, %v", heir.Trust.Number(), err)
		}
	}
	done, err := heir.Ring(clock.Now).Revoke(t.Context(), "b", a.Identity.ID())
	if err != nil || len(done.Closed) != 2 || done.Active != now.ID() {
		t.Fatalf("%+v, %v", done, err)
	}
	next := heir.Ring(clock.Now)
	wantOpen(t, next, own, keys.Closed)
	wantOpen(t, next, theirs, keys.Closed)
	wantOpen(t, next, now, keys.Active)
	lost := &keystest.Site{Identity: heir.Identity, Trust: heir.Trust, Store: &keystest.FakeStore{}, System: a.System}
	wantOpen(t, lost.Ring(clock.Now), own, keys.Closed)
}
