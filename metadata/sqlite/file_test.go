package sqlite_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cofre/metadata"
	"cofre/metadata/sqlite"
)

// childEnv makes the test binary a process that writes to the file it names until it is killed.
const childEnv = "COFRE_SQLITE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		fmt.Println(child(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child says "added ENVELOPE" after each record that was added.
func child(path string) error {
	store, err := sqlite.Open(context.Background(), path, sqlite.Config{})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		rec := newRecord(store, fmt.Sprint("k", i%10))
		rec.Parts = make([]metadata.Part, 50)
		for n := range rec.Parts {
			rec.Parts[n].Number = n + 1
		}
		if err := store.Add(context.Background(), rec, metadata.Committed); err != nil {
			return err
		}
		fmt.Println("added", hex.EncodeToString(rec.Envelope[:]), rec.Key)
	}
}

func newRecord(store metadata.Store, key string) metadata.Record {
	rec := metadata.Record{
		Bucket: "b", Key: key, VersionID: metadata.NullVersion, BackendETag: rand.Text(), Size: 1, Began: store.Now()}
	rand.Read(rec.Envelope[:])
	return rec
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEverythingAddedSurvivesKill9(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	type addition struct {
		key string
		env metadata.Envelope
	}
	var added []addition
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			fields := strings.Fields(lines.Text())
			if len(fields) != 3 || fields[0] != "added" {
				t.Errorf("round %d: the child says %q", round, lines.Text())
				break
			}
			a := addition{key: fields[2]}
			_, err := hex.Decode(a.env[:], []byte(fields[1]))
			must(t, err)
			added = append(added, a)
			if n == 40 {
				must(t, cmd.Process.Kill()) // what it writes until it dies is read to the end
			}
		}
		_ = cmd.Wait() // killed
	}
	store := open(t, path)
	defer store.Close()
	if len(added) < 3*40 {
		t.Fatalf("the children added %d records", len(added))
	}
	for _, a := range added {
		rec, err := store.ByEnvelope(t.Context(), "b", a.key, a.env)
		if err != nil || len(rec.Parts) != 50 {
			t.Errorf("record of %s: %d parts, %v", a.key, len(rec.Parts), err)
		}
	}
	for i := range 10 { // each record replaced the one before it, across the deaths too
		newest := 0
		for _, a := range added {
			rec, err := store.ByEnvelope(t.Context(), "b", a.key, a.env)
			if err == nil && a.key == fmt.Sprint("k", i) && rec.Tombstoned.IsZero() {
				newest++
			}
		}
		if newest > 1 {
			t.Errorf("k%d has %d live rows that one writer wrote one after the other", i, newest)
		}
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	store := open(t, path)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	out, _ := cmd.Output()
	if !strings.Contains(string(out), sqlite.ErrInUse.Error()) || !strings.Contains(string(out), path) {
		t.Errorf("a second process says %q, want that %s is in use", out, path)
	}
	if _, err := sqlite.Open(t.Context(), path, sqlite.Config{}); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("second store of one process: %v, want ErrInUse", err)
	}
	must(t, store.Close())
	must(t, open(t, path).Close())
}

func TestOpenNeedsTheFolder(t *testing.T) {
	_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "absent", "m.db"), sqlite.Config{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want os.ErrNotExist", err)
	}
}

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	must(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600))
	if store, err := sqlite.Open(t.Context(), path, sqlite.Config{}); err == nil {
		store.Close()
		t.Error("opened a file that is no database")
	}
	must(t, os.Remove(path))
	must(t, open(t, path).Close()) // a failed open holds no lock
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	store := open(t, filepath.Join(dir, "m.db"))
	defer store.Close()
	must(t, store.Add(t.Context(), newRecord(store, "k"), metadata.Committed))
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) < 3 {
		t.Fatalf("%d files, want the database, its log and the lock", len(files))
	}
	for _, f := range files {
		info, err := f.Info()
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f.Name(), info.Mode())
		}
	}
}

// wall is a wall clock that a test sets.
type wall struct {
	mu  sync.Mutex
	now time.Time
}

func (w *wall) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *wall) set(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = now
}

// Time stands still, goes back, and the process restarts: what was committed before a request began still has the
// smaller time.
func TestTimeOnlyRises(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.db")
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock := &wall{now: noon}
	last := time.Time{}
	rises := func(what string, now time.Time) {
		t.Helper()
		if !now.After(last) {
			t.Errorf("%s: %v, not after %v", what, now, last)
		}
		last = now
	}
	for _, start := range []time.Time{noon, noon.Add(-time.Hour), noon.Add(-2 * time.Hour)} {
		clock.set(start)
		store, err := sqlite.Open(t.Context(), path, sqlite.Config{Clock: clock.Now})
		must(t, err)
		for _, step := range []time.Duration{0, 0, time.Minute, -time.Hour, 0} {
			clock.set(clock.Now().Add(step))
			rec := newRecord(store, "k")
			rises("began", rec.Began)
			must(t, store.Add(t.Context(), rec, metadata.Committed))
			got, err := store.Latest(t.Context(), "b", "k", "")
			must(t, err)
			if got.Envelope != rec.Envelope {
				t.Error("the newest row is not the last one added")
			}
			rises("committed", got.Committed)
		}
		must(t, store.Close())
	}
	if last.Sub(noon) > 10*time.Minute {
		t.Errorf("time ran off to %v", last)
	}
}

func TestFullDiskIsUnavailableUntilThereIsRoom(t *testing.T) {
	store := open(t, filepath.Join(t.TempDir(), "m.db"))
	defer store.Close()
	first := newRecord(store, "first")
	must(t, store.Add(t.Context(), first, metadata.Committed))
	must(t, store.LimitPages(4))
	var err error
	for i := 0; err == nil && i < 10_000; i++ {
		err = store.Add(t.Context(), newRecord(store, fmt.Sprint(i)), metadata.Committed)
	}
	if !errors.Is(err, metadata.ErrUnavailable) {
		t.Fatalf("add to a full disk: %v, want ErrUnavailable", err)
	}
	if store.Healthy() {
		t.Error("a store that cannot write is healthy")
	}
	if _, err := store.ByEnvelope(t.Context(), "b", "first", first.Envelope); err != nil {
		t.Errorf("read on a full disk: %v", err)
	}
	must(t, store.LimitPages(0))
	for range 6000 {
		if store.Healthy() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !store.Healthy() {
		t.Fatal("the store does not find out that there is room again")
	}
	must(t, store.Add(t.Context(), newRecord(store, "k"), metadata.Committed))
}

func TestLocksAreGivenInOrder(t *testing.T) {
	store := open(t, filepath.Join(t.TempDir(), "m.db"))
	defer store.Close()
	lock, err := store.LockKey(t.Context(), "b", "k")
	must(t, err)
	const n = 20
	var (
		waiters sync.WaitGroup
		got     []int // guarded by the lock
	)
	for i := range n {
		waiters.Go(func() {
			lock, err := store.LockKey(t.Context(), "b", "k")
			if err != nil {
				t.Errorf("lock key: %v", err)
				return
			}
			got = append(got, i)
			lock.Unlock()
		})
		for store.Waiting("b", "k") != i+1 {
			time.Sleep(time.Millisecond)
		}
	}
	lock.Unlock()
	waiters.Wait()
	for i := range got {
		if got[i] != i {
			t.Fatalf("order %v, want the order of asking", got)
		}
	}
	if store.Waiting("b", "k") != 0 {
		t.Error("somebody still waits")
	}
}

// No test can pull the plug; that the settings are in force which survive it can be seen.
func TestCommitsAreFlushedToDisk(t *testing.T) {
	store := open(t, filepath.Join(t.TempDir(), "m.db"))
	defer store.Close()
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2" /* FULL */, "foreign_keys": "1"} {
		got, err := store.Pragma(name)
		must(t, err)
		if got != want {
			t.Errorf("PRAGMA %s is %s, want %s", name, got, want)
		}
	}
}
