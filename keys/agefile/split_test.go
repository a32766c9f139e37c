package agefile_test

import (
	"bytes"
	"errors"
	"testing"

	"cofre/keys/agefile"
)

func TestFileOfASplitPassphraseSaysSoUnopened(t *testing.T) {
	split := agefile.Split{Threshold: 2, Shares: 3}
	id := newIdentity(t)
	sealed, err := agefile.Config{WorkFactor: 4, Split: split}.Seal("correct horse", id)
	if err != nil {
		t.Fatal(err)
	}
	if got := agefile.SplitOf(sealed); got != split {
		t.Fatalf("the file says %v", got)
	}
	got, err := agefile.Open(sealed, "correct horse")
	if err != nil || got.Card() != id.Card() {
		t.Fatalf("it does not open: %v", err)
	}
	if _, err := agefile.Open(sealed, "wrong horse"); !errors.Is(err, agefile.ErrWrongPassphrase) {
		t.Fatalf("a wrong passphrase gives %v", err)
	}
	plain, err := quick.Seal("correct horse", id)
	if err != nil || agefile.SplitOf(plain) != (agefile.Split{}) {
		t.Fatalf("a file with a passphrase says %v (%v)", agefile.SplitOf(plain), err)
	}
}

func TestFileWhoseWordsAboutSharesWereAlteredDoesNotOpen(t *testing.T) {
	sealed, err := agefile.Config{WorkFactor: 4, Split: agefile.Split{Threshold: 2, Shares: 3}}.Seal("correct horse", newIdentity(t))
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Replace(sealed, []byte(" 4 2 3\n"), []byte(" 4 2 9\n"), 1)
	if got := agefile.SplitOf(altered); got.Shares != 9 {
		t.Fatalf("the header was not altered: %v", got)
	}
	if id, err := agefile.Open(altered, "correct horse"); err == nil {
		t.Fatalf("it opened as %s", id.ID())
	}
}
