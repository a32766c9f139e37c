package keystest

import (
	"testing"
	"time"

	"cofre/keys"
)

// Epoch is the time at which Site's trust list begins; whole seconds, as documents carry them.
var Epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Site is one site with a store of its own. Sites that are given one System share a backend.
type Site struct {
	Identity *keys.Identity
	Trust    *keys.TrustList // changed only while no Ring is at work
	Store    *FakeStore
	System   *FakeSystem
}

// NewSite makes a site that trusts itself alone.
func NewSite(t testing.TB, name string, system *FakeSystem) *Site {
	t.Helper()
	identity, err := keys.GenerateIdentity(name)
	if err != nil {
		t.Fatal(err)
	}
	return &Site{
		Identity: identity, Trust: keys.NewTrustList(identity, Epoch), Store: &FakeStore{}, System: system,
	}
}

// Trusts adds another site to the trust list.
func (s *Site) Trusts(t testing.TB, other *Site, bucket string, role keys.Role, prefixes ...string) {
	t.Helper()
	if err := s.Trust.Trust(other.Identity.Card(), bucket, role, Epoch, prefixes...); err != nil {
		t.Fatal(err)
	}
}

// Ring makes a new Ring over the site's store and system, as another replica would have. A nil clock is time.Now.
func (s *Site) Ring(clock func() time.Time) *keys.Ring {
	return keys.NewRing(keys.RingConfig{
		Identity: s.Identity, Trust: func() *keys.TrustList { return s.Trust }, Store: s.Store, System: s.System,
		Clock: clock,
	})
}
