package keys_test

import (
	"testing"
	"time"

	"cofre/keys"
)

func TestOnlyTheSiteAndRecoveryIdentitiesOfEveryBucketAreConfidants(t *testing.T) {
	at := time.Now()
	card := func(name string) keys.Card {
		id, err := keys.GenerateIdentity(name)
		if err != nil {
			t.Fatal(err)
		}
		return id.Card()
	}
	self, err := keys.GenerateIdentity("self")
	if err != nil {
		t.Fatal(err)
	}
	list := keys.NewTrustList(self, at)
	safe, narrow, gone := card("safe"), card("narrow"), card("gone")
	for _, line := range []struct {
		card   keys.Card
		bucket string
		role   keys.Role
	}{
		{safe, "*", keys.Recovery}, {safe, "b", keys.Recovery}, {narrow, "b*", keys.Recovery}, {gone, "*", keys.Recovery},
		{card("member"), "*", keys.Member}, {card("depositor"), "*", keys.Deposit},
	} {
		if err := list.Trust(line.card, line.bucket, line.role, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := list.Distrust(gone.ID, "*", at); err != nil {
		t.Fatal(err)
	}
	if err := list.Trust(self.Card(), "deposits", keys.Deposit, at); err != nil {
		t.Fatal(err)
	}
	got := list.Confidants()
	if len(got) != 2 || got[0].ID != self.ID() || got[1].ID != safe.ID {
		t.Errorf("%d confidants: %v", len(got), got)
	}
}

func TestAKEKOfAnotherNameThanItsRecordIsNotRestored(t *testing.T) {
	self, err := keys.GenerateIdentity("self")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	kek := keys.NewKEK("b", self.ID())
	record, err := keys.NewRecord(self, kek, at)
	if err != nil {
		t.Fatal(err)
	}
	list := keys.NewTrustList(self, at)
	good := keys.StoredKEK{Bucket: "b", ID: kek.ID(), Creator: self.ID(), Record: record.Bytes(), State: keys.Active, Created: record.Created}
	for state, want := range map[keys.KEKState]keys.KEKState{keys.Active: keys.ReadOnly, keys.ReadOnly: keys.ReadOnly, keys.Closed: keys.Closed} {
		k := good
		k.State = state
		if got, err := list.RestoredState(k); err != nil || got != want {
			t.Errorf("%v comes back %v, %v", state, got, err)
		}
	}
	for name, change := range map[string]func(*keys.StoredKEK){
		"bucket": func(k *keys.StoredKEK) { k.Bucket = "c" }, "id": func(k *keys.StoredKEK) { k.ID[0] ^= 1 },
		"creator": func(k *keys.StoredKEK) { k.Creator[0] ^= 1 }, "record": func(k *keys.StoredKEK) { k.Record = []byte("{}") },
	} {
		k := good
		change(&k)
		if _, err := list.RestoredState(k); err == nil {
			t.Errorf("took a KEK with another %s", name)
		}
	}
}
