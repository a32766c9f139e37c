package backup_test

import (
	"bytes"
	"testing"
	"time"

	"cofre/backup"
)

// FuzzReadManifest feeds the only parser that meets bytes which nobody signed: it takes nothing but what the site wrote.
func FuzzReadManifest(f *testing.F) {
	site := newIdentity(f, "a")
	author := authorOf(site)
	author.Now = func() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }
	good := write(f, rowsOf{record("k")}, author)
	f.Add([]byte(good))
	f.Add([]byte(good[len(good)-900:]))
	f.Add([]byte("cofre backup 1\n\x00\x00\x00\x00cofrebak"))
	f.Add([]byte("cofre backup 1\n{}\x00\x00\x00\x02cofrebak"))
	f.Add([]byte("cofre backup 1\n\xff\xff\xff\xffcofrebak"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := backup.ReadManifest(t.Context(), file(raw), backup.Only(site.Card()))
		if err == nil && !bytes.Equal(raw[m.Size:], good[len(good)-(len(raw)-int(m.Size)):]) {
			t.Errorf("took an end that the site did not write: %x", raw[m.Size:])
		}
	})
}
