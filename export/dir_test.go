package export_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"cofre/export"
	"cofre/proxy"
	"cofre/s3api"
)

func object(key, body string) proxy.Object {
	return proxy.Object{
		Bucket: "b", Key: key, VersionID: "null", Size: int64(len(body)), ETag: "etag of " + body,
		LastModified: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Meta: map[string]string{"note": "caf\xe9"},
	}
}

func open(t *testing.T, dir, prefix string) *export.Directory {
	t.Helper()
	d, err := export.OpenDirectory(dir, "b", prefix)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// run writes objects as Run does, in order of key, and says how many were there already.
func run(t *testing.T, d *export.Directory, bodies ...[2]string) (kept int) {
	t.Helper()
	for _, b := range bodies {
		o := object(b[0], b[1])
		at, err := d.Plan(o.Key)
		if err != nil {
			t.Fatal(err)
		}
		has, err := d.Has(t.Context(), at, o)
		if err != nil {
			t.Fatal(err)
		}
		if has {
			kept++
		} else if at, err = d.Put(t.Context(), at, o, nil, strings.NewReader(b[1])); err != nil {
			t.Fatal(err)
		}
		if err := d.Done(at, o, []s3api.Tag{{Key: "k", Value: "v"}}); err != nil {
			t.Fatal(err)
		}
	}
	return kept
}

func wantFile(t *testing.T, dir, name, want string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "objects", name))
	if err != nil || string(got) != want {
		t.Errorf("%s: %q, %v; want %q", name, got, err, want)
	}
}

func TestARunGoesOnWhereTheOnesBeforeEnded(t *testing.T) {
	dir := t.TempDir()
	all := [][2]string{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}}
	first := open(t, dir, "")
	run(t, first, all[:2]...)
	// The process is killed here: what it has open is closed, and nothing is put in order.
	killed(t, dir, first)
	second := open(t, dir, "")
	if kept := run(t, second, all[0]); kept != 1 {
		t.Errorf("the second run kept %d", kept)
	}
	killed(t, dir, second)
	third := open(t, dir, "")
	if kept := run(t, third, all...); kept != 2 {
		t.Errorf("the third run kept %d", kept)
	}
	if err := third.Close(true); err != nil {
		t.Fatal(err)
	}
	last := open(t, dir, "")
	if kept := run(t, last, [2]string{"a", "1"}, [2]string{"b", "changed"}, all[2], all[3]); kept != 3 {
		t.Errorf("the last run kept %d", kept)
	}
	if err := last.Close(true); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, "b", "changed")
	wantManifest(t, dir, "a", "b", "c", "d")
}

// killed leaves the directory as a process does that was killed, with half a line of a manifest.
func killed(t *testing.T, dir string, d *export.Directory) {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	previous, previousErr := os.ReadFile(filepath.Join(dir, "manifest.previous.jsonl"))
	if err := d.Close(false); err != nil { // gives the lock back, as the end of a process does
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("manifest.jsonl", append(manifest, `{"key":"b","vers`...))
	if previousErr == nil {
		write("manifest.previous.jsonl", previous)
	}
	write("partial/left", []byte("half"))
}

func wantManifest(t *testing.T, dir string, keys ...string) {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(dir, "manifest.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(doc), "\n"), "\n")
	if len(lines) != len(keys) {
		t.Fatalf("manifest has %q", lines)
	}
	for i, key := range keys {
		if !strings.HasPrefix(lines[i], `{"key":"`+key+`",`) || !strings.Contains(lines[i], `"metadata":{"note":{"base64":"Y2Fm6Q=="}}`) {
			t.Errorf("line %d is %s", i, lines[i])
		}
	}
	for _, name := range []string{"manifest.previous.jsonl", "manifest.merged.jsonl", "partial/left"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was left", name)
		}
	}
}

func TestARunOverAPrefixKeepsWhatTheManifestSaysOfOthers(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, "")
	run(t, d, [2]string{"a", "1"}, [2]string{"p/1", "2"}, [2]string{"p/2", "3"}, [2]string{"z", "4"})
	if err := d.Close(true); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir, "p/")
	run(t, d, [2]string{"p/2", "3"}) // p/1 is gone
	if err := d.Close(true); err != nil {
		t.Fatal(err)
	}
	wantManifest(t, dir, "a", "p/2", "z")
}

func TestAFileAppearsOnlyWhenItsBodyHasVerified(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, "")
	o := object("a", "hello")
	broken := errors.New("chunk does not open")
	for name, body := range map[string]io.Reader{
		"error":     io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(broken)),
		"too short": strings.NewReader("hell"),
		"too long":  strings.NewReader("hello!"),
	} {
		at, err := d.Plan(o.Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Put(context.Background(), at, o, nil, body); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	for _, sub := range []string{"objects", "partial"} {
		left, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil || len(left) != 0 {
			t.Errorf("%s holds %v, %v", sub, left, err)
		}
	}
	if err := d.Close(true); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsWrittenThroughALinkThatLeadsOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	d := open(t, dir, "")
	if err := os.Symlink(outside, filepath.Join(dir, "objects", "x")); err != nil {
		t.Fatal(err)
	}
	o := object("x/secret", "hello")
	at, err := d.Plan(o.Key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Put(t.Context(), at, o, nil, strings.NewReader("hello"))
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Errorf("outside holds %v, %v", left, err)
	}
	if err := d.Close(true); err != nil {
		t.Fatal(err)
	}
}

func TestWhatEarlierRunsLeftMakesNoWayForANewKeysFile(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, "")
	run(t, d, [2]string{"a/b", "1"}, [2]string{"c", "2"})
	if err := d.Close(true); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir, "")
	run(t, d, [2]string{"a", "3"}, [2]string{"a/b", "1"}, [2]string{"c/d", "4"}) // "c" was deleted
	if err := d.Close(true); err != nil {
		t.Fatal(err)
	}
	wantFile(t, dir, "a%f", "3")
	wantFile(t, dir, "a/b", "1")
	wantFile(t, dir, "c%d/d", "4")
	for file, key := range map[string]string{"a%f": "a", "a/b": "a/b", "c%d/d": "c/d"} {
		if got, err := export.KeyOf(file); err != nil || got != key {
			t.Errorf("%s is of key %q, %v", file, got, err)
		}
	}
}

func TestADirectoryIsOfOneBucketAndOneRun(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir, "")
	if _, err := export.OpenDirectory(dir, "b", ""); err == nil || !strings.Contains(err.Error(), "another export writes there") {
		t.Errorf("second export: %v", err)
	}
	if err := d.Close(true); err != nil {
		t.Fatal(err)
	}
	if _, err := export.OpenDirectory(dir, "other", ""); err == nil || !strings.Contains(err.Error(), "an export of bucket b") {
		t.Errorf("other bucket: %v", err)
	}
}
