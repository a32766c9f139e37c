package keys_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"cofre/keys"
	"cofre/keys/keystest"
)

// overtaken is a ring of a's that has the list from before a distrusted b, until it is told to read the newer one.
func overtaken(t *testing.T, a, b *keystest.Site, refresh func(context.Context) error) (*keys.Ring, *atomic.Pointer[keys.TrustList]) {
	t.Helper()
	var current atomic.Pointer[keys.TrustList]
	current.Store(a.Trust.Clone())
	distrust(t, a, b)
	ring := keys.NewRing(keys.RingConfig{
		Identity: a.Identity, Trust: current.Load, Store: a.Store, System: a.System,
		Refresh: func(ctx context.Context) error {
			if err := refresh(ctx); err != nil {
				return err
			}
			current.Store(a.Trust.Clone())
			return nil
		},
	})
	return ring, &current
}

func TestWritersDoNotWaitUntilAChangedTrustListIsNoticed(t *testing.T) {
	a, b, recovery := sharing(t)
	ring, _ := overtaken(t, a, b, func(context.Context) error { return nil })
	kek := mustActive(t, ring, "b")
	if slices.Contains(a.System.Names(""), keys.GrantName("b", kek.ID(), b.Identity.ID())) {
		t.Error("the site that has left was granted the KEK")
	}
	wantOpen(t, recovery.Ring(nil), kek, keys.ReadOnly)

	d, reader, _ := depositing(t)
	ring, _ = overtaken(t, d, reader, func(context.Context) error { return nil })
	kek = mustActive(t, ring, "b")
	if !kek.Deposit() || slices.Contains(d.System.Names(""), keys.GrantName("b", kek.ID(), reader.Identity.ID())) {
		t.Error("it is no deposit KEK, or the site that has left was granted it")
	}
}

func TestNoKEKIsMadeWhileTheNewerTrustListIsNotRead(t *testing.T) {
	a, b, _ := sharing(t)
	ring, current := overtaken(t, a, b, func(context.Context) error { return errors.New("no answer") })
	if _, err := ring.Active(t.Context(), "b"); !errors.Is(err, keys.ErrKEKUnavailable) {
		t.Fatal(err)
	}
	if names := a.System.Names(""); len(names) != 0 {
		t.Errorf("wrote %q", names)
	}
	current.Store(a.Trust)
	mustActive(t, ring, "b")
}
