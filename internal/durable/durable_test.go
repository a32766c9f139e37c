package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"cofre/internal/durable"
)

func write(t *testing.T, path, contents string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s holds %q, want %q", filepath.Base(path), got, want)
	}
}

func expectAlone(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(names) {
		t.Errorf("directory holds %v, want %q", entries, names)
	}
}

func TestReplaceLeavesTheKeptFileAlone(t *testing.T) {
	dir := t.TempDir()
	path, second := filepath.Join(dir, "file"), filepath.Join(dir, "file.bak")
	write(t, path, "old")
	if err := durable.Keep(path, second); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "new")
	expect(t, second, "old")
	expectAlone(t, dir, "file", "file.bak")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
}

func TestKeepAndCreateNewTakeNoNameThatIsTaken(t *testing.T) {
	dir := t.TempDir()
	path, taken := filepath.Join(dir, "file"), filepath.Join(dir, "taken")
	write(t, path, "old")
	write(t, taken, "precious")
	if err := durable.Keep(path, taken); !errors.Is(err, durable.ErrExists) {
		t.Errorf("Keep: got %v, want ErrExists", err)
	}
	if err := durable.CreateNew(taken, []byte("new")); !errors.Is(err, durable.ErrExists) {
		t.Errorf("CreateNew: got %v, want ErrExists", err)
	}
	expect(t, taken, "precious")
	expectAlone(t, dir, "file", "taken")
}

func TestAFailedReplaceLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "directory")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(path, []byte("new")); err == nil {
		t.Error("a directory was replaced by a file")
	}
	expectAlone(t, dir, "directory")
}

func TestReplaceByRootKeepsTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "old")
	if err := os.Chown(path, 12345, 23456); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 12345 || owner.Gid != 23456 {
		t.Errorf("owner %d:%d, want 12345:23456", owner.Uid, owner.Gid)
	}
}

func TestReadRefusesALongFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "12345")
	if got, err := durable.Read(path, 5); err != nil || string(got) != "12345" {
		t.Errorf("five bytes of five: %q, %v", got, err)
	}
	if _, err := durable.Read(path, 4); err == nil {
		t.Error("five bytes of at most four were read")
	}
}
