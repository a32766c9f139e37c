package keys_test

import (
	"errors"
	"slices"
	"testing"

	"cofre/keys"
)

// checked gives what CheckKEKs finds of bucket "b", as fault and recipient.
func checked(t *testing.T, r *keys.Ring) []string {
	t.Helper()
	found, err := r.CheckKEKs(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, f := range found {
		said = append(said, string(f.Fault)+" "+f.Recipient.Name)
	}
	return said
}

func TestCheckKEKsNamesEachDocumentThatIsNotThereOrNotGood(t *testing.T) {
	a, b, recovery := sharing(t)
	ring := a.Ring(nil)
	kek := mustActive(t, ring, "b")
	if said := checked(t, ring); len(said) != 0 {
		t.Fatalf("of a sound KEK: %q", said)
	}
	record, grant := keys.RecordName("b", kek.ID()), func(to keys.SiteID) string { return keys.GrantName("b", kek.ID(), to) }
	read := func(name string) []byte {
		doc, err := a.System.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	good := map[string][]byte{}
	for _, name := range []string{record, grant(a.Identity.ID()), grant(b.Identity.ID()), grant(recovery.Identity.ID())} {
		good[name] = read(name)
	}
	for _, c := range []struct {
		name, document string
		doc            []byte // nil removes it
		want           string
	}{
		{"record removed", record, nil, "kek-record-missing "},
		{"record of another document", record, good[grant(b.Identity.ID())], "kek-record-differs "},
		{"recovery has none", grant(recovery.Identity.ID()), nil, "grant-missing recovery"},
		{"a member has none", grant(b.Identity.ID()), nil, "grant-missing b"},
		{"own one of another site", grant(a.Identity.ID()), good[grant(b.Identity.ID())], "grant-untrusted a"},
		{"no document", grant(b.Identity.ID()), []byte("{}"), "grant-untrusted b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			put := func(doc []byte) { // the storage may do what no site does: write a record anew
				err := a.System.Delete(t.Context(), c.document)
				if err == nil && doc != nil {
					err = a.System.Put(t.Context(), c.document, doc)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			put(c.doc)
			if said := checked(t, ring); !slices.Equal(said, []string{c.want}) {
				t.Errorf("%q, want %q", said, c.want)
			}
			put(good[c.document])
		})
	}
	if !a.Trust.HasOtherWriters("b") || a.Trust.HasOtherWriters("elsewhere") {
		t.Error("b writes to bucket b, and nobody else anywhere but a")
	}
}

func TestOnlyTheOperatorsWordOpensAClosedKEKAsReadOnly(t *testing.T) {
	a, _, _ := sharing(t)
	kek, other := mustActive(t, a.Ring(nil), "b"), mustActive(t, a.Ring(nil), "other")
	for _, bucket := range []string{"b", "other"} {
		if err := a.Store.CloseKEKs(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
	}
	wantOpen(t, a.Ring(nil), kek, keys.Closed)
	told := keys.NewRing(keys.RingConfig{
		Identity: a.Identity, Trust: func() *keys.TrustList { return a.Trust }, Store: a.Store, System: a.System,
		AcceptClosed: func(id keys.KEKID) bool { return id == kek.ID() },
	})
	wantOpen(t, told, kek, keys.ReadOnly)
	wantOpen(t, told, other, keys.Closed)
	stored, err := a.Store.KEK(t.Context(), "b", kek.ID())
	if err != nil || stored.State != keys.Closed {
		t.Errorf("the store has it as %v, %v", stored.State, err)
	}
	if _, err := a.Store.ActiveKEK(t.Context(), "b", a.Identity.ID()); !errors.Is(err, keys.ErrKEKNotFound) {
		t.Errorf("it is active: %v", err)
	}
}
