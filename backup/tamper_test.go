package backup_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"cofre/backup"
	"cofre/internal/longtest"
	"cofre/keys"
	"cofre/keys/agefile"
	"cofre/metadata"
	"cofre/metadata/storetest"
)

// refused makes sure that a file is refused by Check and, by whoever trusts what Check said of another, when it is loaded: the store stays
// as it was.
func refused(t *testing.T, f file, site *keys.Identity, good backup.Manifest) {
	t.Helper()
	if _, _, err := backup.Check(t.Context(), f, backup.Only(site.Card()), site); err == nil {
		t.Fatal("Check takes it")
	}
	if err := loadNothing(t.Context(), f, site, good); err == nil {
		t.Fatal("what the file gives at the second reading is taken")
	}
}

// loadNothing reads all rows as Load does, and keeps none.
func loadNothing(ctx context.Context, f file, site *keys.Identity, m backup.Manifest) error {
	if int64(len(f)) < m.Size {
		return io.ErrUnexpectedEOF
	}
	r, err := backup.OpenRows(ctx, f, m, site)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func manifestOf(t *testing.T, f file, site *keys.Identity) backup.Manifest {
	t.Helper()
	m, err := backup.ReadManifest(t.Context(), f, backup.Only(site.Card()))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryFlippedByteIsRefused(t *testing.T) {
	site, recovery := newIdentity(t, "a"), newIdentity(t, "r")
	good := write(t, rowsOf{record("k")}, authorOf(site, recovery.Card()))
	m := manifestOf(t, good, site)
	if err := loadNothing(t.Context(), good, site, m); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for round := range longtest.Rounds(t, 1) {
		for at := range good {
			if longtest.Raced && (at+round)%10 != 0 {
				continue
			}
			bad := slices.Clone(good)
			bad[at] ^= []byte{0x01, 0x80, 0x20, 0xff}[(at+round)%4]
			if _, _, err := backup.Check(t.Context(), bad, backup.Only(site.Card()), site); err == nil {
				t.Fatalf("byte %d of %d changed, and Check takes it", at, len(good))
			}
			if int64(at) < m.Size && (at+round)%7 == 0 { // each opens a file key, which takes its time
				if err := loadNothing(t.Context(), bad, site, m); err == nil {
					t.Fatalf("byte %d of %d changed, and the second reading takes it", at, len(good))
				}
			}
			tried++
		}
	}
	longtest.Figure(t, "altered backups tried", tried)
}

func TestEveryCutAndExtensionIsRefused(t *testing.T) {
	site := newIdentity(t, "a")
	good := write(t, rowsOf{record("k")}, authorOf(site))
	tried := 0
	for n := range good {
		if _, _, err := backup.Check(t.Context(), good[:n], backup.Only(site.Card()), site); err == nil {
			t.Fatalf("the first %d of %d bytes are taken for a backup", n, len(good))
		}
		tried++
	}
	m := manifestOf(t, good, site)
	tail := good[m.Size:]
	for _, more := range []file{{0}, {'\n'}, good, tail, []byte("cofrebak")} {
		for name, bad := range map[string]file{
			"behind": slices.Concat(good, more), "before": slices.Concat(more, good), "between": slices.Concat(good[:m.Size], more, tail),
		} {
			if _, _, err := backup.Check(t.Context(), bad, backup.Only(site.Card()), site); err == nil {
				t.Errorf("%d bytes %s the file, and Check takes it", len(more), name)
			}
			tried++
		}
	}
	longtest.Figure(t, "altered backups tried", tried)
}

// What a thief of the signature could not do, whoever holds the bytes cannot do either: the layers below are tried with files that are
// signed as they stand.
func TestEveryLayerRefusesByItself(t *testing.T) {
	site, stranger := newIdentity(t, "a"), newIdentity(t, "s")
	var rows rowsOf
	for i := range 3000 {
		rows = append(rows, record(fmt.Sprint("key", i)))
	}
	good := write(t, rows, authorOf(site))
	m := manifestOf(t, good, site)
	body := good[:m.Size]
	header := len(backup.Magic) + bytes.Index(body[len(backup.Magic):], []byte("\n---")) // the age header's last line follows
	payload := header + 1 + bytes.IndexByte(body[header+1:], '\n') + 1 + 16
	const chunk = 64<<10 + 16
	if len(body)-payload < 3*chunk {
		t.Fatalf("payload of %d bytes is too short for this test", len(body)-payload)
	}
	swapped := slices.Concat(body[:payload], body[payload+chunk:payload+2*chunk], body[payload:payload+chunk], body[payload+2*chunk:])
	begin := fmt.Sprintf(`{"begin":{"id":%q,"site":%q,"created":%q}}`+"\n", base64.StdEncoding.EncodeToString(m.ID[:]), m.Site, m.Created.Format(time.RFC3339Nano))
	audit := `{"audit":{"id":1,"at":"2026-11-28T12:00:00Z","action":"a"}}` + "\n"
	end := `{"end":{"rows":{"audit":1}}}` + "\n"
	sealed := func(plain string) []byte { return backup.Seal(t, backup.Magic, plain, site.Card()) }
	if _, _, err := check(t, backup.Sign(t, sealed(begin+audit+end), 1, site, m), site); err != nil {
		t.Fatalf("what the cases below alter is no backup itself: %v", err)
	}
	for name, c := range map[string]struct {
		body []byte
		rows int64
	}{
		"chunks exchanged":           {swapped, 3000},
		"last chunk missing":         {body[:payload+2*chunk], 3000},
		"older version":              {backup.Seal(t, "cofre backup 0\n", begin+audit+end, site.Card()), 1},
		"newer version":              {backup.Seal(t, "cofre backup 2\n", begin+audit+end, site.Card()), 1},
		"sealed to others":           {backup.Seal(t, backup.Magic, begin+audit+end, stranger.Card()), 1},
		"row missing":                {sealed(begin + end), 1},
		"row twice":                  {sealed(begin + audit + audit + end), 1},
		"rows not as signed":         {sealed(begin + audit + end), 2},
		"kinds not as counted":       {sealed(begin + audit + `{"end":{"rows":{"record":1}}}` + "\n"), 1},
		"end missing":                {sealed(begin + audit), 1},
		"end cut":                    {sealed(begin + audit + strings.TrimSuffix(end, "\n")), 1},
		"row behind the end":         {sealed(begin + audit + end + audit), 1},
		"beginning missing":          {sealed(audit + end), 1},
		"beginning twice":            {sealed(begin + begin + audit + end), 1},
		"beginning of another":       {sealed(strings.Replace(begin, m.Site.String()[:8], "00000000", 1) + audit + end), 1},
		"kind that nobody knows":     {sealed(begin + `{"planet":{"id":1}}` + "\n" + end), 1},
		"field that nobody knows":    {sealed(begin + strings.Replace(audit, `"id"`, `"moon":1,"id"`, 1) + end), 1},
		"two rows in a line":         {sealed(begin + strings.TrimSuffix(audit, "\n") + audit + end), 1},
		"no row in a line":           {sealed(begin + "{}\n" + end), 1},
		"no JSON":                    {sealed(begin + "row\n" + end), 1},
		"record without an envelope": {sealed(begin + `{"record":{"bucket":"YQ==","key":"YQ==","version":"","envelope":"AAAA","size":1,"began":"2026-11-28T12:00:00Z","committed":"2026-11-28T12:00:00Z"}}` + "\n" + `{"end":{"rows":{"record":1}}}` + "\n"), 1},
		"KEK in no state":            {sealed(begin + strings.Replace(`{"kek":{"id":"I","bucket":"YQ==","creator":"C","record":"","grant":"","state":4,"created":"2026-11-28T12:00:00Z"}}`, `"I"`, `"`+strings.Repeat("0", 32)+`"`, 1) + "\n" + end), 1},
	} {
		if _, _, err := check(t, backup.Sign(t, c.body, c.rows, site, m), site); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func check(t *testing.T, f file, site *keys.Identity) (backup.Manifest, map[metadata.RowKind]int64, error) {
	t.Helper()
	return backup.Check(t.Context(), f, backup.Only(site.Card()), site)
}

func TestOnlyATrustedSitesBackupIsTaken(t *testing.T) {
	site, other := newIdentity(t, "a"), newIdentity(t, "b")
	good := write(t, rowsOf{record("k")}, authorOf(site))
	m := manifestOf(t, good, site)
	// Another site seals to this one, and says what it likes of who it is.
	forged := write(t, rowsOf{record("k")}, backup.Author{Site: other, Recipients: []keys.Card{site.Card()}, Now: time.Now})
	refusedAs(t, forged, site, backup.ErrUntrusted)
	pretended := m
	refusedAs(t, backup.Sign(t, good[:m.Size], m.Rows, other, pretended), site, backup.ErrUntrusted)
	// The true end of one backup behind the body of another.
	second := write(t, rowsOf{record("other")}, authorOf(site))
	n := manifestOf(t, second, site)
	refused(t, slices.Concat(second[:n.Size], good[m.Size:]), site, m)
	// One that is sealed to others alone.
	foreign := write(t, rowsOf{record("k")}, backup.Author{Site: site, Recipients: []keys.Card{other.Card()}, Now: time.Now})
	refusedAs(t, foreign, site, agefile.ErrNotRecipient)
	refusedAs(t, nil, site, backup.ErrNotBackup)
	refusedAs(t, []byte(strings.Repeat("x", 5000)), site, backup.ErrNotBackup)
}

func refusedAs(t *testing.T, f file, site *keys.Identity, want error) {
	t.Helper()
	if _, _, err := check(t, f, site); !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

// changing is a keeper who gives other bytes at the last reading than at those before.
type changing struct {
	first, then file
	opened      int
	after       int
}

func (c *changing) Size() int64 { return c.first.Size() }

func (c *changing) Open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if c.opened++; c.opened > c.after {
		return c.then.Open(ctx, off, n)
	}
	return c.first.Open(ctx, off, n)
}

func TestABackupThatIsExchangedWhileItIsReadChangesNothing(t *testing.T) {
	site := newIdentity(t, "a")
	rows, others := rowsOf{record("k1"), record("k2")}, rowsOf{record("z1"), record("z2")}
	first := write(t, rows, authorOf(site))
	then := write(t, others, authorOf(site))
	for len(then) == len(first) { // else it is simply another backup where it is exchanged before the first reading
		then = write(t, others, authorOf(site)) // of another length, by what age adds at random
	}
	if d := len(first) - len(then); d > 0 {
		then = append(then, make(file, d)...)
	}
	store := openSQLite(t)
	there := record("there")
	if err := store.Load(t.Context(), false, storetest.Rows([]metadata.Row{there})); err != nil {
		t.Fatal(err)
	}
	for after := range 4 { // readings: the end, the digest, the rows, and the rows again
		src := &changing{first: first, then: then, after: after}
		m, _, err := backup.Check(t.Context(), src, backup.Only(site.Card()), site)
		if err == nil {
			_, err = backup.Restore(t.Context(), store, src, m, backup.Owner{Identity: site, Now: time.Now}, true)
		}
		if err == nil {
			t.Errorf("exchanged after %d readings, and taken", after)
		}
		sameRows(t, storetest.Dump(t.Context(), t, store), []metadata.Row{there})
	}
	src := &changing{first: first, then: then, after: 4}
	m, _, err := backup.Check(t.Context(), src, backup.Only(site.Card()), site)
	if err == nil {
		_, err = backup.Restore(t.Context(), store, src, m, backup.Owner{Identity: site, Now: time.Now}, true)
	}
	if err != nil || src.opened != 4 {
		t.Errorf("%d readings: %v", src.opened, err)
	}
}

func TestABackupTellsNothingOfWhatItHolds(t *testing.T) {
	site := newIdentity(t, "a")
	const needle = "needle-in-the-store"
	rec := record(needle + "/key")
	rec.Record.Bucket, rec.Record.ETag, rec.Record.ContentType = needle+"-bucket", needle+"-etag", needle+"-type"
	rows := rowsOf{
		rec,
		{Credential: &metadata.Credential{AccessKeyID: needle, SealedSecret: []byte(needle), Description: needle}},
		{Upload: &metadata.Upload{ID: needle, Key: needle, State: metadata.UploadOpen}},
		{Job: &metadata.Job{ID: needle, Message: needle, State: metadata.JobDone}},
		{Audit: &metadata.AuditEvent{ID: 1, Actor: needle, Action: needle, Detail: needle}},
	}
	f := write(t, rows, authorOf(site))
	for shift := range 3 { // base64 has three faces of a string
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", shift) + needle))
		if bytes.Contains(f, []byte(text[4:len(text)-4])) {
			t.Error("the file shows a name in base64")
		}
	}
	if bytes.Contains(f, []byte("needle")) || bytes.Contains(f, []byte("audit")) {
		t.Error("the file shows a name")
	}
	sameRows(t, read(t, f, site, site), rows)
}
