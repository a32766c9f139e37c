package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/metadata/sqlite"
)

type trustRig struct {
	identity *keys.Identity
	path     string
	store    *sqlite.Store
}

func newTrustRig(t *testing.T) trustRig {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return trustRig{identity: newIdentity(t), path: filepath.Join(t.TempDir(), "site.age.trust.json"), store: store}
}

func newIdentity(t *testing.T) *keys.Identity {
	t.Helper()
	id, err := keys.GenerateIdentity("test")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (r trustRig) open(t *testing.T) *trustKeeper {
	t.Helper()
	k, err := openTrust(t.Context(), r.identity, r.path, r.store)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// trustMore adds one site to the list.
func trustMore(t *testing.T, k *trustKeeper) error {
	t.Helper()
	card := newIdentity(t).Card()
	return k.change(t.Context(), func(l *keys.TrustList) error { return l.Trust(card, "shared", keys.Member, time.Now()) })
}

func TestTrustListWithTheHigherNumberWinsWhereverItIs(t *testing.T) {
	r := newTrustRig(t)
	inStore := r.open(t)
	if err := trustMore(t, inStore); err != nil {
		t.Fatal(err)
	}
	if err := agefile.WriteTrustList(r.path, sign(t, keys.NewTrustList(r.identity, time.Now()), r.identity)); err != nil {
		t.Fatal(err)
	}
	if n := r.open(t).Current().Number(); n != 2 {
		t.Fatalf("list %d is in force; the store has number 2", n)
	}
	inFile := r.open(t)
	inFile.store = nil // a change without the store at hand
	for range 2 {
		if err := trustMore(t, inFile); err != nil {
			t.Fatal(err)
		}
	}
	k := r.open(t)
	if n := k.Current().Number(); n != 4 {
		t.Fatalf("list %d is in force; the file has number 4", n)
	}
	if err := k.toStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := r.store.TrustList(t.Context()); err != nil || n != 4 {
		t.Fatalf("the store has number %d (%v)", n, err)
	}
}

func sign(t *testing.T, l *keys.TrustList, id *keys.Identity) []byte {
	t.Helper()
	doc, err := l.Sign(id)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTrustListOfAnotherSiteIsRefused(t *testing.T) {
	r := newTrustRig(t)
	stranger := newIdentity(t)
	if err := r.store.SetTrustList(t.Context(), 9, sign(t, keys.NewTrustList(stranger, time.Now()), stranger)); err != nil {
		t.Fatal(err)
	}
	if _, err := openTrust(t.Context(), r.identity, r.path, r.store); !errors.Is(err, errOtherIdentity) {
		t.Fatalf("got %v", err)
	}
}

func TestOneOfTwoConcurrentTrustChangesIsToldToTryAgain(t *testing.T) {
	r := newTrustRig(t)
	a, b := r.open(t), r.open(t)
	if err := trustMore(t, a); err != nil {
		t.Fatal(err)
	}
	if err := trustMore(t, b); !errors.Is(err, keys.ErrKEKConflict) {
		t.Fatalf("got %v", err)
	}
	if n := b.Current().Number(); n != 1 {
		t.Fatalf("the change that failed is in force: %d", n)
	}
	if n := r.open(t).Current().Number(); n != 2 {
		t.Fatalf("list %d is in force", n)
	}
}

func TestReplicasThatStartTogetherEndWithOneTrustList(t *testing.T) {
	r := newTrustRig(t)
	a, b := r.open(t), r.open(t)
	for _, k := range []*trustKeeper{a, b} {
		if err := k.toStore(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if a.Current().Number() != 1 || b.Current().Number() != 1 {
		t.Fatalf("numbers %d and %d", a.Current().Number(), b.Current().Number())
	}
}

// rolledBack is a store that answers an old list, as one restored from a backup would.
type rolledBack struct {
	keys.Store
	number uint64
	doc    []byte
}

func (s rolledBack) TrustList(context.Context) (uint64, []byte, error) { return s.number, s.doc, nil }

func TestOlderTrustListOfTheStoreNeverReplacesANewerOne(t *testing.T) {
	r := newTrustRig(t)
	k := r.open(t)
	old := sign(t, k.Current(), r.identity)
	if err := trustMore(t, k); err != nil {
		t.Fatal(err)
	}
	k.store = rolledBack{Store: r.store, number: 1, doc: old}
	if _, err := k.fromStore(t.Context(), k.Current().Number()); !errors.Is(err, keys.ErrTrustListOld) {
		t.Fatalf("got %v", err)
	}
	again, err := openTrust(t.Context(), r.identity, r.path, k.store)
	if err != nil || again.Current().Number() != 2 {
		t.Fatalf("list %d is in force after a restart (%v)", again.Current().Number(), err)
	}
}
