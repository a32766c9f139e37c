package backup_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cofre/backup"
	"cofre/keys"
)

// clock gives times a day apart.
type clock struct{ now time.Time }

func (c *clock) day() time.Time {
	c.now = c.now.Add(24 * time.Hour)
	return c.now
}

func (c *clock) read() time.Time { return c.now }

// names is what a place has.
func names(t *testing.T, in backup.Place) []string {
	t.Helper()
	files, err := in.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		all = append(all, f.Name)
	}
	return all
}

// daily makes so many backups, one a day, and gives their names.
func daily(t *testing.T, c *clock, site *keys.Identity, to backup.Place, r backup.Retention, days int) []string {
	t.Helper()
	var made []string
	for range days {
		c.day()
		a := authorOf(site)
		a.Now = c.read
		m, err := backup.Make(t.Context(), rowsOf{record("k")}, a, to, "", r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Kept != nil {
			t.Fatal(m.Kept)
		}
		made = append(made, m.File)
	}
	return made
}

// testRetention is what holds in every place.
func testRetention(t *testing.T, in backup.Place, put func(name string, f file)) {
	c := &clock{time.Now().Add(-90 * 24 * time.Hour)}
	site, other := newIdentity(t, "a"), newIdentity(t, "b")
	foreign := daily(t, c, other, in, backup.Retention{}, 2)
	mine := daily(t, c, site, in, backup.Retention{}, 4)
	put("notes.txt"+backup.Suffix, file("nobody's backup"))
	src, err := in.Open(t.Context(), mine[3])
	if err != nil {
		t.Fatal(err)
	}
	copied := strings.Replace(mine[3], "T", "T9", 1)
	put(copied, bytesOf(t, src))
	made := daily(t, c, site, in, backup.Retention{Keep: 3}, 1)
	want := slices.Concat(foreign, mine[2:], made, []string{"notes.txt" + backup.Suffix, copied})
	slices.Sort(want)
	if got := names(t, in); !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	for range 40 {
		c.day()
	}
	last := daily(t, c, site, in, backup.Retention{KeepFor: 30 * 24 * time.Hour}, 1)
	want = slices.Concat(foreign, last, []string{"notes.txt" + backup.Suffix, copied})
	slices.Sort(want)
	if got := names(t, in); !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	all, err := backup.List(t.Context(), in, backup.Only(site.Card()))
	if err != nil {
		t.Fatal(err)
	}
	good := 0
	for _, l := range all {
		if l.Err == nil {
			good++
		}
	}
	if good != 1 || all[len(all)-1].File.Name != last[0] {
		t.Errorf("%d backups of this site; the newest is %s", good, all[len(all)-1].File.Name)
	}
}

func bytesOf(t *testing.T, src backup.Source) file {
	t.Helper()
	r, err := src.Open(t.Context(), 0, src.Size())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRetentionEndsThisSitesOlderBackupsAndNoOtherFile(t *testing.T) {
	dir := t.TempDir()
	testRetention(t, backup.NewDir(dir), func(name string, f file) {
		if err := os.WriteFile(filepath.Join(dir, name), f, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTheNewestOfOneSecondIsTheLast: backups in quick succession are in the order in which they were made, and the older ones go.
func TestTheNewestOfOneSecondIsTheLast(t *testing.T) {
	site, in := newIdentity(t, "a"), backup.NewDir(t.TempDir())
	at := time.Date(2026, time.November, 29, 5, 2, 38, 230e6, time.UTC) // the last but one falls on a whole second
	var made []string
	for range 12 {
		at = at.Add(70 * time.Millisecond)
		a := authorOf(site)
		a.Now = func() time.Time { return at }
		m, err := backup.Make(t.Context(), rowsOf{record("k")}, a, in, "", backup.Retention{Keep: 3}, nil)
		if err != nil || m.Kept != nil {
			t.Fatal(err, m.Kept)
		}
		made = append(made, m.File)
	}
	if got, want := names(t, in), made[len(made)-3:]; !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
}

// spoiling is a place that loses a byte of whatever is written to it.
type spoiling struct {
	backup.Dir
	dir string
}

func (s spoiling) Open(ctx context.Context, name string) (backup.Source, error) {
	src, err := s.Dir.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return nil, err
	}
	raw[src.Size()/2] ^= 1
	return file(raw), nil
}

func TestNothingOlderGoesUnlessTheNewBackupReadsBack(t *testing.T) {
	dir := t.TempDir()
	c := &clock{time.Now()}
	site := newIdentity(t, "a")
	good := daily(t, c, site, backup.NewDir(dir), backup.Retention{}, 3)
	a := authorOf(site)
	a.Now = func() time.Time { return c.now.Add(time.Hour) }
	_, err := backup.Make(t.Context(), rowsOf{record("k")}, a, spoiling{backup.NewDir(dir), dir}, "", backup.Retention{Keep: 1}, nil)
	if !errors.Is(err, backup.ErrAltered) {
		t.Errorf("error %v", err)
	}
	if got := names(t, backup.NewDir(dir)); !slices.Equal(got, good) {
		t.Errorf("there are %q, want %q", got, good)
	}
}

func TestABackupThatFailsHalfwayLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	site := newIdentity(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backup.Make(ctx, rowsOf{record("k")}, authorOf(site), backup.NewDir(dir), "", backup.Retention{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestWhatAKilledProcessLeftIsTidiedWhenItIsOld(t *testing.T) {
	dir := t.TempDir()
	site := newIdentity(t, "a")
	in := backup.NewDir(dir)
	old, young := backup.NewManifest(site.ID(), time.Now()), backup.NewManifest(site.ID(), time.Now())
	foreign := backup.NewManifest(newIdentity(t, "b").ID(), time.Now())
	for _, m := range []backup.Manifest{old, young, foreign} { // as a kill -9 leaves them
		if _, err := in.Create(t.Context(), m.Name()); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-72 * time.Hour)
	for _, m := range []backup.Manifest{old, foreign} {
		if err := os.Chtimes(filepath.Join(dir, "."+m.Name()+".partial"), past, past); err != nil {
			t.Fatal(err)
		}
	}
	made, err := backup.Make(t.Context(), rowsOf{}, authorOf(site), in, "", backup.Retention{}, nil)
	if err != nil || made.Kept != nil {
		t.Fatal(err, made.Kept)
	}
	if got := names(t, in); !slices.Equal(got, []string{made.File}) {
		t.Errorf("listed %q", got)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*.partial"))
	if err != nil || len(left) != 2 || slices.Contains(left, filepath.Join(dir, "."+old.Name()+".partial")) {
		t.Errorf("left %q, %v", left, err)
	}
}

func TestAFileThatIsThereIsNeverOverwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mine")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Make(t.Context(), rowsOf{}, authorOf(newIdentity(t, "a")), backup.NewDir(dir), "mine", backup.Retention{}, nil); err == nil {
		t.Error("overwrote a file")
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "precious" {
		t.Errorf("%q, %v", raw, err)
	}
}
