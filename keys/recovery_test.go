package keys_test

import (
	"bytes"
	"errors"
	"testing"

	"cofre/keys"
	"cofre/keys/keystest"
)

func TestRecoveryIdentityStaysOneInItsFile(t *testing.T) {
	id, err := keys.GenerateRecoveryIdentity("R")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := id.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	back, err := keys.ParseIdentity(secret)
	if err != nil || !back.Recovery() || back.ID() != id.ID() {
		t.Fatalf("recovery %v: %v", back.Recovery(), err)
	}
	if _, err := keys.ParseIdentity(bytes.Replace(secret, []byte(`"recovery"`), []byte(`"member"`), 1)); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("another role: %v", err)
	}
	plain, err := keys.GenerateIdentity("A")
	if err != nil || plain.Recovery() {
		t.Error("a site's identity says that it is for recovery")
	}
}

func TestRecoveryIdentityNeitherSealsNorGrants(t *testing.T) {
	a, _, recovery := sharing(t)
	own := mustActive(t, a.Ring(nil), "b")
	id, err := keys.GenerateRecoveryIdentity("R")
	if err != nil {
		t.Fatal(err)
	}
	r := &keystest.Site{Identity: id, Trust: keys.NewTrustList(id, keystest.Epoch), Store: &keystest.FakeStore{}, System: a.System}
	r.Trusts(t, a, "*", keys.Member)
	r.Trusts(t, recovery, "*", keys.Member)
	a.Trusts(t, r, "*", keys.Recovery)
	if done, err := a.Ring(nil).GrantRecovery(t.Context(), "b"); err != nil || done.Granted != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	ring := r.Ring(nil)
	wantOpen(t, ring, own, keys.ReadOnly)
	if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("it seals: %v", err)
	}
	before := len(a.System.Names("buckets/"))
	if done, err := ring.GrantRecovery(t.Context(), "b"); err != nil || done.Granted+done.Missing != 0 {
		t.Errorf("it grants: %+v, %v", done, err)
	}
	if after := len(a.System.Names("buckets/")); after != before {
		t.Errorf("%d documents became %d", before, after)
	}
	if err := r.Trust.Distrust(id.ID(), "*", keystest.Epoch); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("its own line was withdrawn: %v", err)
	}
}

func TestGrantRecoveryGivesKEKsFromBeforeItWasTrusted(t *testing.T) {
	system := &keystest.FakeSystem{}
	a, b, r := keystest.NewSite(t, "A", system), keystest.NewSite(t, "B", system), keystest.NewSite(t, "R", system)
	a.Trusts(t, b, "b", keys.Member)
	b.Trusts(t, a, "b", keys.Member)
	r.Trusts(t, a, "*", keys.Member)
	r.Trusts(t, b, "*", keys.Member)
	ring := a.Ring(nil)
	old := mustActive(t, ring, "b")
	if _, _, err := ring.Rotate(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	now := mustActive(t, ring, "b")
	theirs := mustActive(t, b.Ring(nil), "b") // b knows nothing of r, and a has not met this KEK yet
	if done, err := ring.GrantRecovery(t.Context(), "b"); err != nil || done != (keys.RecoveryGrants{}) {
		t.Fatalf("without a recovery identity: %+v, %v", done, err)
	}
	a.Trusts(t, r, "*", keys.Recovery)
	wantRefused(t, r.Ring(nil), old, keys.ErrNotRecipient)
	if done, err := ring.GrantRecovery(t.Context(), "b"); err != nil || done != (keys.RecoveryGrants{Granted: 3}) {
		t.Fatalf("%+v, %v", done, err)
	}
	for _, kek := range []keys.KEK{old, now, theirs} {
		wantOpen(t, r.Ring(nil), kek, keys.ReadOnly)
	}
	if done, err := ring.GrantRecovery(t.Context(), "b"); err != nil || done != (keys.RecoveryGrants{}) {
		t.Errorf("again: %+v, %v", done, err)
	}
	system.Remove(keys.GrantName("b", now.ID(), r.Identity.ID())) // the storage hides one
	if done, err := ring.GrantRecovery(t.Context(), "b"); err != nil || done.Granted != 1 {
		t.Errorf("a grant that went missing: %+v, %v", done, err)
	}
	if len(system.Names(keys.GrantName("b", old.ID(), b.Identity.ID()))) != 1 {
		t.Error("b, a member, lost a grant")
	}
}

func TestGrantRecoverySaysWhatIsMissingStill(t *testing.T) {
	a, _, _ := sharing(t)
	r := keystest.NewSite(t, "R2", a.System)
	ring := a.Ring(nil)
	mustActive(t, ring, "b")
	if _, _, err := ring.Rotate(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	a.Trusts(t, r, "*", keys.Recovery)
	a.System.FailNext("Put", keystest.Before)
	done, err := ring.GrantRecovery(t.Context(), "b")
	if !errors.Is(err, keys.ErrKEKUnavailable) || done != (keys.RecoveryGrants{Granted: 1, Missing: 1}) {
		t.Fatalf("%+v, %v", done, err)
	}
	if done, err = ring.GrantRecovery(t.Context(), "b"); err != nil || done != (keys.RecoveryGrants{Granted: 1}) {
		t.Errorf("again: %+v, %v", done, err)
	}
	a.System.FailNext("List", keystest.Before)
	if _, err = ring.GrantRecovery(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Errorf("without a listing: %v", err)
	}
}
