package audit_test

import (
	"strings"
	"testing"
	"time"

	"cofre/audit"
	"cofre/keys"
	"cofre/metadata/sqlite"
)

func TestTrailSaysWhatChangedInTheTrustListAndWhatWasClosed(t *testing.T) {
	db, err := sqlite.Open(t.Context(), t.TempDir()+"/metadata.db", sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	m := &memory{}
	trail := audit.NewTrail(m, "serve", func(e audit.Event, err error) { t.Errorf("%v: %v", e, err) })
	store := trail.Store(db)
	own, other := newIdentity(t, "own"), newIdentity(t, "other")
	list := keys.NewTrustList(own, time.Now())
	save := func() {
		doc, err := list.Sign(own)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.SetTrustList(t.Context(), list.Number(), doc); err != nil {
			t.Fatal(err)
		}
	}
	save()
	if err := list.Trust(other.Card(), "b", keys.Deposit, time.Now(), "in/"); err != nil {
		t.Fatal(err)
	}
	save()
	if err := list.Distrust(other.ID(), "b", time.Now()); err != nil {
		t.Fatal(err)
	}
	save()
	if err := store.CloseKEKs(t.Context(), "new"); err != nil { // a bucket without KEKs: nothing was closed
		t.Fatal(err)
	}
	trail.Close()
	line := `"other" ` + other.ID().String()
	want := []string{
		`"own" ` + own.ID().String() + ` trusted for * as member`,
		line + ` trusted for b as deposit below ["in/"]`,
		line + ` withdrawn for b as deposit below ["in/"]`,
	}
	var got []string
	for _, e := range m.events {
		got = append(got, e.Detail)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the trail says %q, want %q", got, want)
	}
}

func newIdentity(t *testing.T, name string) *keys.Identity {
	t.Helper()
	id, err := keys.GenerateIdentity(name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
