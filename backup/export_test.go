package backup

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"testing"

	"cofre/keys"
	"cofre/keys/agefile"
)

// Sign ends a file with a manifest that is right in all but what the test has changed.
func Sign(t testing.TB, body []byte, rows int64, site *keys.Identity, m Manifest) []byte {
	t.Helper()
	m.Rows, m.Size, m.SHA256 = rows, int64(len(body)), sha256.Sum256(body)
	tail, err := m.tail(site)
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(body), tail...)
}

// Seal makes the body of a file of these lines.
func Seal(t testing.TB, head, plain string, to ...keys.Card) []byte {
	t.Helper()
	var body, packed bytes.Buffer
	body.WriteString(head)
	w := gzip.NewWriter(&packed)
	io.WriteString(w, plain)
	w.Close()
	sealed, err := agefile.Encrypt(&body, to...)
	if err != nil {
		t.Fatal(err)
	}
	sealed.Write(packed.Bytes())
	if err := sealed.Close(); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}

// Magic begins every file.
const Magic = magic
