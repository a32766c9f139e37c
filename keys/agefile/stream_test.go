package agefile_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"cofre/keys"
	"cofre/keys/agefile"
)

func encrypt(t *testing.T, plain []byte, cards ...keys.Card) []byte {
	t.Helper()
	var sealed bytes.Buffer
	w, err := agefile.Encrypt(&sealed, cards...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}

func TestEveryRecipientOpensAndNobodyElse(t *testing.T) {
	a, b, stranger := newIdentity(t), newIdentity(t), newIdentity(t)
	plain := bytes.Repeat([]byte("0123456789"), 20_000)
	sealed := encrypt(t, plain, a.Card(), b.Card())
	for _, id := range []*keys.Identity{a, b} {
		r, err := agefile.Decrypt(bytes.NewReader(sealed), id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if _, err := agefile.Decrypt(bytes.NewReader(sealed), stranger); !errors.Is(err, agefile.ErrNotRecipient) {
		t.Errorf("stranger: %v", err)
	}
}

// age's own implementation of the recipient type is the second one here.
func TestAgeItselfOpensAndSealsTheSameFiles(t *testing.T) {
	id := newIdentity(t)
	card := id.Card()
	theirs, err := age.ParseHybridRecipient(plugin.EncodeRecipient("pq", card.HPKE[:]))
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, theirs)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "sealed by age")
	w.Close()
	r, err := agefile.Decrypt(&sealed, id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "sealed by age" {
		t.Fatalf("%q, %v", got, err)
	}

	other, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := plugin.ParseRecipient(other.Recipient().String())
	if err != nil || copy(card.HPKE[:], key) != len(card.HPKE) {
		t.Fatalf("%d bytes, %v", len(key), err)
	}
	// A card whose key is that of age's identity: its id binds the key.
	card.ID = keys.SiteID(sha256.Sum256(slices.Concat([]byte("cofre v1 site"), card.HPKE[:], card.Ed25519[:])))
	file := encrypt(t, []byte("sealed by cofre"), card)
	if r, err = age.Decrypt(bytes.NewReader(file), other); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "sealed by cofre" {
		t.Fatalf("%q, %v", got, err)
	}
}
