package keys_test

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cofre/keys"
	"cofre/keys/keystest"
)

func mustSign(t testing.TB, list *keys.TrustList, id *keys.Identity) []byte {
	t.Helper()
	doc, err := list.Sign(id)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTrustListComesBackAsItWasSigned(t *testing.T) {
	a, b, recovery := sharing(t)
	a.Trusts(t, recovery, "drop", keys.Deposit, "in/", "ü/")
	if err := a.Trust.Distrust(b.Identity.ID(), "b", keystest.Epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	doc := mustSign(t, a.Trust, a.Identity)
	back, err := keys.ParseTrustList(doc, a.Identity.Card(), a.Trust.Number())
	if err != nil {
		t.Fatal(err)
	}
	if back.Number() != 5 || back.Site() != a.Identity.ID() { // 1, three lines more, one withdrawn
		t.Errorf("number %d of site %s", back.Number(), back.Site())
	}
	same := func(x, y keys.TrustEntry) bool {
		return x.Bucket == y.Bucket && x.Card == y.Card && x.Role == y.Role && slices.Equal(x.Prefixes, y.Prefixes) &&
			x.Added.Equal(y.Added) && x.Withdrawn.Equal(y.Withdrawn)
	}
	if !slices.EqualFunc(back.Entries(), a.Trust.Entries(), same) {
		t.Errorf("entries came back as %v", back.Entries())
	}
	if again := mustSign(t, back, a.Identity); !bytes.Equal(again, doc) {
		t.Error("signed again it differs")
	}
}

func TestEachChangeRaisesTheNumber(t *testing.T) {
	a, b, _ := sharing(t)
	number := a.Trust.Number()
	a.Trusts(t, b, "b", keys.Member) // says nothing new
	if a.Trust.Number() != number {
		t.Error("the number rose though nothing changed")
	}
	kept := a.Trust.Clone()
	if err := a.Trust.Distrust(b.Identity.ID(), "b", keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	if a.Trust.Number() != number+1 {
		t.Errorf("number is %d, want %d", a.Trust.Number(), number+1)
	}
	if !kept.Is("b", b.Identity.ID(), keys.Member) || kept.Number() != number {
		t.Error("the clone changed with its origin")
	}
}

func TestDistrustNamesAPatternThatIsThere(t *testing.T) {
	a, b, _ := sharing(t)
	a.Trusts(t, b, "*", keys.Member)
	if err := a.Trust.Distrust(b.Identity.ID(), "other", keystest.Epoch); !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("pattern that is not there: got %v", err)
	}
	if err := a.Trust.Distrust(a.Identity.ID(), "*", keystest.Epoch); !errors.Is(err, keys.ErrMalformed) {
		t.Errorf("itself: got %v", err)
	}
	for _, pattern := range []string{"b", "*"} {
		if !a.Trust.Is("b", b.Identity.ID(), keys.Member) {
			t.Error("trust ended before its last line")
		}
		if err := a.Trust.Distrust(b.Identity.ID(), pattern, keystest.Epoch); err != nil {
			t.Fatal(err)
		}
	}
	if roles := a.Trust.Roles("b", b.Identity.ID()); len(roles) != 0 {
		t.Errorf("roles after withdrawal: %v", roles)
	}
	if _, known := a.Trust.Card(b.Identity.ID()); !known {
		t.Error("a withdrawn site's card was forgotten")
	}
	a.Trusts(t, b, "b", keys.Member)
	if !a.Trust.Is("b", b.Identity.ID(), keys.Member) {
		t.Error("trust cannot be given again")
	}
}

func TestTrustRefusesWhatCannotBeALine(t *testing.T) {
	a, b, _ := sharing(t)
	card := b.Identity.Card()
	number := a.Trust.Number()
	forged := card
	forged.ID = a.Identity.ID()
	for name, err := range map[string]error{
		"role":         a.Trust.Trust(card, "b", "owner", keystest.Epoch),
		"card":         a.Trust.Trust(forged, "b", keys.Member, keystest.Epoch),
		"empty card":   a.Trust.Trust(keys.Card{}, "b", keys.Member, keystest.Epoch),
		"no bucket":    a.Trust.Trust(card, "", keys.Member, keystest.Epoch),
		"bad bucket":   a.Trust.Trust(card, "a/b", keys.Member, keystest.Epoch),
		"prefix":       a.Trust.Trust(card, "b", keys.Member, keystest.Epoch, "in/"),
		"empty prefix": a.Trust.Trust(card, "b", keys.Deposit, keystest.Epoch, ""),
	} {
		if !errors.Is(err, keys.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
	if a.Trust.Number() != number {
		t.Error("a refused line raised the number")
	}
	if _, err := a.Trust.Sign(b.Identity); !errors.Is(err, keys.ErrUntrusted) {
		t.Errorf("signed by another: got %v", err)
	}
}

func TestRecipientsAreMembersAndRecoveryOfThatBucketOnceEach(t *testing.T) {
	a, b, recovery := sharing(t)
	depositor := keystest.NewSite(t, "depositor", a.System)
	a.Trusts(t, depositor, "*", keys.Deposit)
	a.Trusts(t, b, "b*", keys.Member)
	a.Trusts(t, b, "*", keys.Recovery)
	ids := func(cards []keys.Card) (ids []keys.SiteID) {
		for _, c := range cards {
			ids = append(ids, c.ID)
		}
		return ids
	}
	self, other, offline := a.Identity.ID(), b.Identity.ID(), recovery.Identity.ID()
	for bucket, want := range map[string][]keys.SiteID{
		"b": {self, other, offline}, "c": {self, offline, other},
	} {
		if got := ids(a.Trust.Recipients(bucket)); !slices.Equal(got, want) {
			t.Errorf("recipients of %s are %v, want %v", bucket, got, want)
		}
	}
	for _, pattern := range []string{"b", "b*", "*"} {
		if err := a.Trust.Distrust(other, pattern, keystest.Epoch); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(a.Trust.Recipients("b")); !slices.Equal(got, []keys.SiteID{self, offline}) {
		t.Errorf("recipients of b after one has left are %v", got)
	}
	if got := ids(a.Trust.Members("c")); !slices.Equal(got, []keys.SiteID{self}) {
		t.Errorf("members of c are %v", got)
	}
}

func TestNewestTrustListWins(t *testing.T) {
	a, b, _ := sharing(t)
	own := a.Identity.Card()
	older := mustSign(t, a.Trust, a.Identity)
	twin := a.Trust.Clone()
	if err := a.Trust.Trust(b.Identity.Card(), "x", keys.Member, keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	newer := mustSign(t, a.Trust, a.Identity)
	if err := twin.Trust(b.Identity.Card(), "y", keys.Member, keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	rival := mustSign(t, twin, a.Identity)

	for _, docs := range [][][]byte{{older, newer}, {newer, older}, {newer, newer}, {nil, newer}, {newer, {}}} {
		list, doc, err := keys.NewestTrustList(own, docs...)
		if err != nil {
			t.Fatal(err)
		}
		if list.Number() != a.Trust.Number() || !bytes.Equal(doc, newer) {
			t.Errorf("chose number %d", list.Number())
		}
	}
	if _, _, err := keys.NewestTrustList(own, newer, rival); !errors.Is(err, keys.ErrKEKConflict) {
		t.Errorf("two of one number: got %v", err)
	}
	if _, _, err := keys.NewestTrustList(own, nil, nil); !errors.Is(err, keys.ErrNoTrustList) {
		t.Errorf("none: got %v", err)
	}
	if _, _, err := keys.NewestTrustList(b.Identity.Card(), newer); !errors.Is(err, keys.ErrSignature) {
		t.Errorf("another site's: got %v", err)
	}
}

func TestBucketPatternsMatchAsTheirRegularExpression(t *testing.T) {
	a, b, _ := sharing(t)
	card := b.Identity.Card()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*]{1,8}`).Draw(t, "pattern")
		bucket := rapid.StringMatching(`[ab]{1,10}`).Draw(t, "bucket")
		list := keys.NewTrustList(a.Identity, keystest.Epoch)
		if err := list.Trust(card, pattern, keys.Member, keystest.Epoch); err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile("^" + strings.ReplaceAll(pattern, "*", ".*") + "$").MatchString(bucket)
		if got := list.Is(bucket, card.ID, keys.Member); got != want {
			t.Fatalf("%q matches %q: %t, want %t", pattern, bucket, got, want)
		}
	})
}

func TestDemotedToDepositIsDeposit(t *testing.T) {
	a, b, _ := sharing(t)
	kek := keys.NewKEK("b", b.Identity.ID())
	if err := a.Trust.CheckObject(kek, "out"); err != nil {
		t.Fatalf("as a member: %v", err)
	}
	if err := a.Trust.Distrust(b.Identity.ID(), "b", keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	if err := a.Trust.CheckObject(kek, "out"); err != nil || a.Trust.Deposits(kek) {
		t.Fatalf("as one that has left: %v", err)
	}
	a.Trusts(t, b, "b", keys.Deposit, "in/")
	if err := a.Trust.CheckObject(kek, "out"); !errors.Is(err, keys.ErrUntrusted) {
		t.Fatalf("as a depositor: got %v", err)
	}
	if err := a.Trust.Distrust(b.Identity.ID(), "b", keystest.Epoch); err != nil {
		t.Fatal(err)
	}
	if err := a.Trust.CheckObject(keys.NewKEK("b", keys.SiteID{9}), "out"); err != nil {
		t.Errorf("a creator that no line names: %v", err)
	}
}

func TestACreatorCannotEndorseItself(t *testing.T) {
	a, b, _ := sharing(t)
	record, err := keys.NewRecord(b.Identity, keys.NewKEK("b", b.Identity.ID()), keystest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	for endorser, want := range map[*keystest.Site]error{a: nil, b: keys.ErrUntrusted} {
		e, err := keys.ParseEndorsement(keys.NewEndorsement(endorser.Identity, record))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Trust.AcceptEndorsement(record, endorser.Identity.ID(), e); !errors.Is(err, want) {
			t.Errorf("endorsed by %s: got %v, want %v", endorser.Identity, err, want)
		}
	}
}
