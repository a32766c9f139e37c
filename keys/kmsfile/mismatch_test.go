package kmsfile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Whoever may encrypt with the KMS key can make a file of his own for any site id. It must hold that site.
func TestAFileThatHoldsAnotherSiteThanItSaysIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, keySize))), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey("file://" + path)
	if err != nil {
		t.Fatal(err)
	}
	held, said := generate(t), generate(t).ID()
	secret, err := held.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	dataKey := bytes.Repeat([]byte{9}, keySize)
	f := File{Key: key, Site: said}
	if f.doc.Key, err = key.wrap(t.Context(), said, dataKey); err != nil {
		t.Fatal(err)
	}
	if f.doc.Sealed, err = sealGCM(dataKey, identityLabel, said, secret); err != nil {
		t.Fatal(err)
	}
	if id, err := f.Open(t.Context()); !errors.Is(err, ErrAltered) {
		t.Errorf("got %v, %v, want ErrAltered", id, err)
	}
	f.Site = held.ID()
	if _, err := f.Open(t.Context()); !errors.Is(err, ErrWrongKey) {
		t.Errorf("under the site that it holds: got %v, want ErrWrongKey", err)
	}
}
