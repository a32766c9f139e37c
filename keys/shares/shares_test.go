package shares

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cofre/keys"
)

func mustSplit(t testing.TB, threshold, n int) (string, []Share) {
	t.Helper()
	var site keys.SiteID
	rand.Read(site[:])
	passphrase, all, err := Split(site, threshold, n)
	if err != nil || len(all) != n || len(passphrase) != 64 {
		t.Fatalf("%d shares, passphrase of %d: %v", len(all), len(passphrase), err)
	}
	return passphrase, all
}

// subsets gives all subsets of size k.
func subsets(all []Share, k int) [][]Share {
	if k == 0 {
		return [][]Share{nil}
	}
	var out [][]Share
	for i := range all {
		for _, rest := range subsets(all[i+1:], k-1) {
			out = append(out, append([]Share{all[i]}, rest...))
		}
	}
	return out
}

func TestEveryThresholdOfSharesOpensAndNoFewerDo(t *testing.T) {
	for _, of := range [][2]int{{2, 2}, {2, 3}, {3, 5}, {5, 5}, {4, 7}} {
		threshold, n := of[0], of[1]
		want, all := mustSplit(t, threshold, n)
		for k := 1; k <= n; k++ {
			for _, some := range subsets(all, k) {
				got, err := Combine(some)
				switch {
				case k < threshold && (!errors.Is(err, ErrTooFew) || got != ""):
					t.Fatalf("%d of %d: %d shares gave %v", threshold, n, k, err)
				case k >= threshold && (err != nil || got != want):
					t.Fatalf("%d of %d: %v do not open: %v", threshold, n, some, err)
				}
			}
		}
	}
}

func TestShareOfTheFirstPrintingIsRead(t *testing.T) {
	_, all := mustSplit(t, 2, 2)
	printed := strings.Replace(all[0].Text(), "cofre-share-v1", "cofre-share-1", 1)
	if got, err := Parse([]byte(printed)); err != nil || got.Text() != all[0].Text() {
		t.Fatal(err)
	}
}

func TestLargestSplitOpens(t *testing.T) {
	want, all := mustSplit(t, MaxShares, MaxShares)
	if got, err := Combine(all); err != nil || got != want {
		t.Fatal(err)
	}
}

// TestFewerSharesTellNothing takes the check of their number away: what the arithmetic gives for one share too few is never
// the secret, and whichever the secret is, the shares are spread evenly. With 255 degrees of freedom chi-squared is above 480
// once in 10^15 times.
func TestFewerSharesTellNothing(t *testing.T) {
	const rounds = 1 << 13
	secret := field.NewScalar().SetUint64(7) // as far from random as can be
	first := Share{threshold: 3}
	whole, err := first.passphrase(secret)
	if err != nil {
		t.Fatal(err)
	}
	var counts [256]float64
	for range rounds {
		all, err := divide(first, secret, 3)
		if err != nil {
			t.Fatal(err)
		}
		counts[all[1].value[0]]++
		few := all[:2]
		for i := range few {
			few[i].threshold = 2
		}
		if got, err := Combine(few); err != nil || got == whole {
			t.Fatalf("two of three shares gave the passphrase, or %v", err)
		}
		value, err := parseScalar(all[1].value)
		if err != nil || value.IsEqual(secret) {
			t.Fatalf("a share is the secret, or %v", err)
		}
	}
	chi, expected := 0.0, float64(rounds)/256
	for _, c := range counts {
		chi += (c - expected) * (c - expected) / expected
	}
	if chi > 480 || chi < 100 {
		t.Errorf("chi-squared of the shares' first byte is %.0f", chi)
	}
}

func TestCombineRefusesSharesOfDifferentSplits(t *testing.T) {
	_, a := mustSplit(t, 2, 3)
	_, b := mustSplit(t, 2, 3)
	again := a[1] // the same identity split anew
	again.split[0] ^= 1
	other := a[0]
	other.value = a[1].value
	for name, some := range map[string][]Share{
		"two identities": {a[0], b[1]}, "two splits": {a[0], again}, "one index, two values": {a[0], other, a[2]}, "no share": {a[0], {}},
	} {
		if got, err := Combine(some); !errors.Is(err, ErrMixed) || got != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Combine([]Share{a[0], a[0]}); !errors.Is(err, ErrTooFew) {
		t.Errorf("one share twice: %v", err)
	}
	if _, err := Combine(nil); !errors.Is(err, ErrTooFew) {
		t.Errorf("none: %v", err)
	}
}

func TestCombineWithOtherWordsOpensNothing(t *testing.T) {
	want, all := mustSplit(t, 3, 4)
	for i := range all {
		all[i].threshold = 2 // the storage of shares says that fewer are enough
	}
	if got, err := Combine(all[:2]); err != nil || got == want {
		t.Fatalf("got the passphrase, or %v", err)
	}
}

func TestSplitRefusesBadNumbers(t *testing.T) {
	for _, of := range [][2]int{{0, 3}, {1, 3}, {4, 3}, {-1, -1}, {2, 256}, {256, 256}, {2, 0}} {
		if _, _, err := Split(keys.SiteID{1}, of[0], of[1]); err == nil {
			t.Errorf("%v was taken", of)
		}
	}
}

func TestTextComesBackHoweverItIsTyped(t *testing.T) {
	want, all := mustSplit(t, 2, 255)
	for _, s := range []Share{all[0], all[1], all[254]} {
		text := s.Text()
		typed := strings.NewReplacer("0", "O", "1", "l", " ", "-").Replace(text[len(prefix):])
		for _, form := range []string{
			text, "# share of R\n" + text, strings.ToUpper(text), strings.ReplaceAll(text, "\n", " "), "\r\n" + strings.ReplaceAll(text, "\n", "\r\n"),
			prefix + typed, strings.Join(strings.Fields(text), ""),
		} {
			back, err := Parse([]byte(form))
			if err != nil || back.index != s.index || !back.sameSplit(s) || *back.value != *s.value || back.Text() != text {
				t.Fatalf("%q: %v", form[:len(prefix)], err)
			}
		}
	}
	one, err := Parse([]byte(all[7].Text()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Combine([]Share{one, all[200]}); err != nil || got != want {
		t.Error(err)
	}
}

func TestParseNoticesEveryWrongCharacter(t *testing.T) {
	_, all := mustSplit(t, 2, 2)
	text := all[0].Text()
	for at := len(prefix) + 1; at < len(text); at++ {
		for _, wrong := range []string{"x", "y", "", "xx", "u", "é", "#"} {
			if text[at] == ' ' || text[at] == '\n' || text[at:at+1] == wrong {
				continue
			}
			if _, err := Parse([]byte(text[:at] + wrong + text[at+1:])); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%q at %d: %v", wrong, at, err)
			}
		}
	}
	for _, no := range []string{"", "cofre-share-2" + text[len(prefix):], "correct horse battery", "# " + text} {
		if _, err := Parse([]byte(no)); err == nil {
			t.Errorf("%.20q was taken", no)
		}
	}
	if _, err := Parse(append([]byte(text), make([]byte, MaxText)...)); !errors.Is(err, ErrDamaged) {
		t.Errorf("too long: %v", err)
	}
}

func TestNoPrintedFormShowsTheValue(t *testing.T) {
	_, all := mustSplit(t, 2, 2)
	s := all[0]
	hidden := fmt.Sprintf("%x", s.value[:6])
	plain := fmt.Sprint(s.value[:6])
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		for _, what := range []any{s, &s, all, struct{ S Share }{s}} {
			if out := fmt.Sprintf(form, what); strings.Contains(out, hidden) || strings.Contains(out, plain[1:len(plain)-1]) {
				t.Errorf("%s shows %s", form, out)
			}
		}
	}
}

func TestShareKnowsItsIdentity(t *testing.T) {
	id, err := keys.GenerateIdentity("R")
	if err != nil {
		t.Fatal(err)
	}
	_, all, err := Split(id.ID(), 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !all[0].Of(id.ID()) || all[0].Of(keys.SiteID{}) || !strings.HasPrefix(id.Card().Fingerprint(), all[0].SitePrefix()) {
		t.Error(all[0])
	}
}

func FuzzParse(f *testing.F) {
	_, all := mustSplit(f, 2, 3)
	for _, s := range all {
		f.Add([]byte(s.Text()))
	}
	f.Add([]byte(prefix))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse([]byte(s.Text()))
		if err != nil || !bytes.Equal(again.value[:], s.value[:]) || again.index != s.index || !again.sameSplit(s) {
			t.Fatalf("%q comes back differently: %v", text, err)
		}
		if _, err := Combine([]Share{s}); !errors.Is(err, ErrTooFew) {
			t.Fatal(err)
		}
	})
}
