package agefile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"cofre/keys"
	"cofre/keys/agefile"
)

var quick = agefile.Config{WorkFactor: 4}

func newIdentity(t *testing.T) *keys.Identity {
	t.Helper()
	id, err := keys.GenerateIdentity("site under test")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func secretOf(t *testing.T, id *keys.Identity) []byte {
	t.Helper()
	secret, err := id.MarshalSecret()
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestReadGivesTheIdentityThatWriteSealed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "identity.age")
	id := newIdentity(t)
	if err := quick.Write(path, "correct horse", id); err != nil {
		t.Fatal(err)
	}
	got, err := agefile.Read(path, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(secretOf(t, got), secretOf(t, id)) || got.Card() != id.Card() {
		t.Fatal("another identity came back")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode != 0o600 {
		t.Errorf("file has mode %v, want 0600", mode)
	}
	if found := names(t, dir); len(found) != 1 {
		t.Errorf("directory holds %q, want the identity file alone", found)
	}
}

func TestTheFileHoldsNoSeedInClear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.age")
	id := newIdentity(t)
	if err := quick.Write(path, "p", id); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(file, []byte("age-encryption.org/v1\n-> scrypt ")) {
		t.Errorf("file begins %.40q, not as an age file with a passphrase", file)
	}
	if secret := secretOf(t, id); bytes.Contains(file, secret[len(secret)-50:]) {
		t.Error("file holds a seed in clear")
	}
}

func TestWriteTakesTheDefaultWorkFactor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.age")
	if err := agefile.Write(path, "p", newIdentity(t)); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^age-encryption.org/v1\n-> scrypt \S+ 16\n`).Match(file) {
		t.Errorf("file begins %q, want a work factor of 16", file[:80])
	}
}

func TestWriteNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "identity.age")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := quick.Write(path, "p", newIdentity(t)); !errors.Is(err, agefile.ErrExists) {
		t.Fatalf("got %v, want ErrExists", err)
	}
	if content, _ := os.ReadFile(path); string(content) != "precious" {
		t.Fatal("the file was overwritten")
	}
	dangling := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), dangling); err != nil {
		t.Fatal(err)
	}
	if err := quick.Write(dangling, "p", newIdentity(t)); !errors.Is(err, agefile.ErrExists) {
		t.Fatalf("through a dangling link: got %v, want ErrExists", err)
	}
}

func TestOfRacingWritersOneWinsAndNoFileIsTorn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "identity.age")
	ids := make([]*keys.Identity, 8)
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for n := range ids {
		ids[n] = newIdentity(t)
		wg.Go(func() { errs[n] = quick.Write(path, "p", ids[n]) })
	}
	wg.Wait()
	winner := -1
	for n, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = n
		case err == nil:
			t.Errorf("writers %d and %d both won", winner, n)
		case !errors.Is(err, agefile.ErrExists):
			t.Errorf("writer %d: %v", n, err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	got, err := agefile.Read(path, "p")
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != ids[winner].ID() {
		t.Error("the file is not the winner's")
	}
	if found := names(t, dir); len(found) != 1 {
		t.Errorf("left behind: %q", found)
	}
}

func TestReadSaysNoMoreOfAWrongPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.age")
	if err := quick.Write(path, "correct horse", newIdentity(t)); err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "correct horsf", "correct horse ", "Correct horse"} {
		if _, err := agefile.Read(path, wrong); err != agefile.ErrWrongPassphrase { // bare on purpose
			t.Errorf("%q: got %v, want ErrWrongPassphrase and nothing around it", wrong, err)
		}
	}
}

func TestReadRefusesADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.age")
	if err := quick.Write(path, "p", newIdentity(t)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 1
	for name, content := range map[string][]byte{
		"empty": {}, "cut off": whole[:len(whole)-1], "flipped": flipped, "lengthened": append(bytes.Clone(whole), 0),
		"not age": []byte(`{"version":1}`), "too long": make([]byte, 1<<20),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := agefile.Read(path, "p"); err == nil || errors.Is(err, agefile.ErrWrongPassphrase) {
			t.Errorf("%s: got %v, want an error that does not blame the passphrase", name, err)
		}
	}
}

func TestWriteRefusesWhatItCannotSeal(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "identity.age")
	if err := quick.Write(path, "", newIdentity(t)); err == nil {
		t.Error("an empty passphrase was accepted")
	}
	if err := quick.Write(path, "p", &keys.Identity{}); !errors.Is(err, keys.ErrZeroKey) {
		t.Errorf("zero identity: got %v, want ErrZeroKey", err)
	}
	if err := (agefile.Config{WorkFactor: 23}).Write(path, "p", newIdentity(t)); err == nil {
		t.Error("a work factor that Read would refuse was accepted")
	}
	if err := quick.Write(filepath.Join(dir, "no", "such", "dir"), "p", newIdentity(t)); err == nil {
		t.Error("a missing directory was passed over")
	}
	if found := names(t, dir); len(found) != 0 {
		t.Errorf("left behind: %q", found)
	}
}

func TestTrustListIsReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "trust.json")
	if _, err := agefile.ReadTrustList(path); !errors.Is(err, keys.ErrNoTrustList) {
		t.Fatalf("no file: got %v, want ErrNoTrustList", err)
	}
	for _, doc := range []string{"one, and longer than the next", "two"} {
		if err := agefile.WriteTrustList(path, []byte(doc)); err != nil {
			t.Fatal(err)
		}
		got, err := agefile.ReadTrustList(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != doc {
			t.Fatalf("got %q, want %q", got, doc)
		}
	}
	if err := agefile.WriteTrustList(filepath.Join(path, "below a file"), []byte("x")); err == nil {
		t.Error("a path that cannot be was accepted")
	}
	if found := names(t, dir); len(found) != 1 {
		t.Errorf("left behind: %q", found)
	}
}
