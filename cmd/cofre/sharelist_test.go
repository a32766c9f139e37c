package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"cofre/keys"
)

// shareRig is a site's trust list that named another site once, and what there is of the bucket's KEKs.
type shareRig struct {
	self, other, third *keys.Identity
	list               *keys.TrustList
	left               time.Time
}

func newShareRig(t *testing.T) shareRig {
	t.Helper()
	r := shareRig{self: newIdentity(t), other: newIdentity(t), third: newIdentity(t), left: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	r.list = keys.NewTrustList(r.self, r.left.Add(-48*time.Hour))
	for _, id := range []*keys.Identity{r.other, r.third} {
		if err := r.list.Trust(id.Card(), "b", keys.Member, r.left.Add(-24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.list.Distrust(r.other.ID(), "b", r.left); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r shareRig) kek(n byte, maker *keys.Identity, state keys.KEKState, sinceLeft time.Duration) keys.Holding {
	return keys.Holding{
		StoredKEK: keys.StoredKEK{Bucket: "b", ID: keys.KEKID{n}, Creator: maker.ID(), State: state, Created: r.left.Add(sinceLeft)},
		Holders:   []keys.SiteID{r.self.ID(), r.other.ID()},
	}
}

func (r shareRig) print(t *testing.T, held ...keys.Holding) string {
	t.Helper()
	var out bytes.Buffer
	if err := printShares(app{stdout: &out}, r.list, "b", held); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestShareListSaysWhoHasNotRevoked(t *testing.T) {
	r := newShareRig(t)
	revoke := "run `cofre share revoke --bucket b --site " + r.other.ID().String()
	one, two := keys.KEKID{1}.String(), keys.KEKID{2}.String()

	got := r.print(t, r.kek(1, r.self, keys.Active, -time.Hour), r.kek(2, r.third, keys.ReadOnly, -time.Hour))
	if strings.Count(got, revoke) != 1 || !strings.Contains(got, "2 KEKs: "+one+", "+two) || strings.Contains(got, "has not revoked") {
		t.Errorf("after a distrust alone:\n%s", got)
	}
	got = r.print(t, r.kek(1, r.third, keys.ReadOnly, time.Hour), r.kek(2, r.third, keys.ReadOnly, time.Hour))
	if strings.Contains(got, revoke) || strings.Count(got, "has not revoked, of 2 KEKs: "+one+", "+two) != 1 {
		t.Errorf("the third site goes on granting:\n%s", got)
	}
	if got = r.print(t); strings.Contains(got, "not trusted here") {
		t.Errorf("with no grant left:\n%s", got)
	}
}

func TestShareListCountsNothingForDepositors(t *testing.T) {
	r := newShareRig(t)
	if err := r.list.Trust(r.self.Card(), "b", keys.Deposit, r.left); err != nil {
		t.Fatal(err)
	}
	got := r.print(t)
	if !strings.HasPrefix(got, "This site deposits in bucket b ") || strings.Contains(got, "0 of 0") {
		t.Errorf("at a site that deposits:\n%s", got)
	}
}
