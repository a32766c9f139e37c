package keys_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"cofre/keys"
	"cofre/keys/keystest"
)

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
	a.System.FailNext("Get", keystest.Never)  // the record's
	a.System.FailNext("Get", keystest.Before) // c's own endorsement, looked for first
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

func TestAStrangersKEKIsNoneOfOurs(t *testing.T) {
	a, _, _ := sharing(t)
	stranger := keystest.NewSite(t, "stranger", a.System)
	kek := mustActive(t, stranger.Ring(nil), "theirs")
	wantRefused(t, a.Ring(nil), kek, keys.ErrNotRecipient)
	// A grant that the stranger made for this site makes it a claim, and a claim is judged by trust.
	a.System.Plant(keys.GrantName("theirs", kek.ID(), a.Identity.ID()), []byte("{}"))
	wantRefused(t, a.Ring(nil), kek, keys.ErrUntrusted)
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

// Rows that somebody altered in the store: none opens, and none seals.
func TestAnAlteredStoreRowIsRefused(t *testing.T) {
	a, b, _ := sharing(t)
	taken := mustActive(t, b.Ring(nil), "b")
	wantOpen(t, a.Ring(nil), taken, keys.ReadOnly)
	row, err := a.Store.KEK(t.Context(), "b", taken.ID())
	if err != nil {
		t.Fatal(err)
	}
	other := mustActive(t, b.Ring(nil), "b2")
	for name, change := range map[string]func(k *keys.StoredKEK){
		"record of nonsense":         func(k *keys.StoredKEK) { k.Record = []byte("x") },
		"grant of nonsense":          func(k *keys.StoredKEK) { k.Grant = []byte("x") },
		"record with a flipped bit":  func(k *keys.StoredKEK) { k.Record = []byte(flip(string(k.Record))) },
		"grant with a flipped bit":   func(k *keys.StoredKEK) { k.Grant = []byte(flip(string(k.Grant))) },
		"another creator":            func(k *keys.StoredKEK) { k.Creator = a.Identity.ID() },
		"record of another bucket's": func(k *keys.StoredKEK) { k.Record = mustGet(t, a, keys.RecordName("b2", other.ID())) },
	} {
		changed := row
		change(&changed)
		site := &keystest.Site{Identity: a.Identity, Trust: a.Trust, Store: &keystest.FakeStore{}, System: a.System}
		site.Store.Plant(changed)
		if _, _, err := site.Ring(nil).Open(t.Context(), "b", taken.ID()); !errors.Is(err, keys.ErrUntrusted) {
			t.Errorf("%s: got %v, want ErrUntrusted", name, err)
		}
	}
	for _, state := range []keys.KEKState{0, 4} {
		changed := row
		changed.State = state
		site := &keystest.Site{Identity: a.Identity, Trust: a.Trust, Store: &keystest.FakeStore{}, System: a.System}
		site.Store.Plant(changed)
		if _, _, err := site.Ring(nil).Open(t.Context(), "b", taken.ID()); !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", state, err)
		}
	}
	row.State = keys.Active // another site's KEK is never active here
	a.Store.Plant(row)
	wantOpen(t, a.Ring(nil), taken, keys.ReadOnly)
}

func mustGet(t *testing.T, site *keystest.Site, name string) []byte {
	t.Helper()
	doc, err := site.System.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestACopyIsNotWrappedByAnotherSitesDepositKEK(t *testing.T) {
	a, b, _ := sharing(t)
	depositor := keystest.NewSite(t, "depositor", a.System)
	a.Trusts(t, depositor, "b", keys.Deposit)
	ring := a.Ring(nil)
	for _, site := range []*keystest.Site{a, b} {
		if err := ring.CheckCopy(keys.NewKEK("b", site.Identity.ID())); err != nil {
			t.Errorf("a member's KEK: %v", err)
		}
	}
	if err := ring.CheckCopy(keys.NewKEK("b", depositor.Identity.ID())); !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("got %v, want ErrUntrusted", err)
	}
	a.Trust = nil
	for _, check := range []error{
		ring.CheckCopy(keys.NewKEK("b", a.Identity.ID())), ring.CheckObject(keys.NewKEK("b", a.Identity.ID()), "k"),
	} {
		if !errors.Is(check, keys.ErrUntrusted) {
			t.Errorf("without a trust list: got %v, want ErrUntrusted", check)
		}
	}
}

func TestImportAndGrantSayWhenThereIsNoAnswer(t *testing.T) {
	a, b, _ := sharing(t)
	ring := a.Ring(nil)
	mustActive(t, ring, "b")
	a.System.FailNext("List", keystest.Before)
	if _, err := ring.Import(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Errorf("list fails: got %v", err)
	}
	a.Store.FailNext("KEKs", keystest.Before)
	if err := ring.Grant(t.Context(), "b", b.Identity.ID()); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Errorf("store fails: got %v", err)
	}
	a.System.FailNext("Put", keystest.Before)
	if err := ring.Grant(t.Context(), "b", b.Identity.ID()); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Errorf("system fails: got %v", err)
	}
	for _, method := range []string{"KEK", "Get"} {
		if method == "KEK" {
			a.Store.FailNext(method, keystest.Before)
		} else {
			a.System.FailNext(method, keystest.After)
		}
		found := importAll(t, ring, "b")
		for id, err := range found {
			if !errors.Is(err, keys.ErrKEKUnavailable) {
				t.Errorf("%s fails for %s: got %v", method, id, err)
			}
		}
		if len(found) != 1 {
			t.Errorf("import saw %d KEKs", len(found))
		}
	}
}

// Without the store's word nobody knows whether the KEK has been closed.
func TestNothingIsImportedWhileTheStoreDoesNotAnswer(t *testing.T) {
	a, b, _ := sharing(t)
	kek := mustActive(t, a.Ring(nil), "b")
	b.Store.FailNext("KEK", keystest.Before)
	wantRefused(t, b.Ring(nil), kek, keys.ErrKEKUnavailable)
	if held, _ := b.Store.KEKs(t.Context(), "b"); len(held) != 0 {
		t.Errorf("store holds %d KEKs", len(held))
	}
}

func TestAnImportWhoseStoreFailsIsNotUsed(t *testing.T) {
	for _, when := range []keystest.When{keystest.Before, keystest.After} {
		a, b, _ := sharing(t)
		kek := mustActive(t, a.Ring(nil), "b")
		b.Store.FailNext("AddKEK", when)
		ring := b.Ring(nil)
		wantRefused(t, ring, kek, keys.ErrKEKUnavailable)
		wantOpen(t, ring, kek, keys.ReadOnly)
	}
}
