package longtest_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cofre/internal/longtest"
)

func count(t *testing.T, short int, each time.Duration) (n int) {
	for i := range longtest.Rounds(t, short) {
		if i != n {
			t.Errorf("round %d is numbered %d", n, i)
		}
		n++
		time.Sleep(each)
	}
	return n
}

func TestRoundsAreAsManyAsAskedAndGoOnInTheLongForm(t *testing.T) {
	t.Setenv("COFRE_TEST_LONG", "")
	if n := count(t, 30, 0); n != longtest.Share(30) {
		t.Errorf("short: %d", n)
	}
	t.Setenv("COFRE_TEST_LONG", "30ms")
	if n := count(t, 1, time.Millisecond); n < 2 {
		t.Errorf("long: %d", n)
	}
	if n := count(t, 5, 10*time.Millisecond); n < longtest.Share(5) {
		t.Errorf("slow rounds: %d, fewer than the short form", n)
	}
}

func TestFiguresAreLinesOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "figures")
	t.Setenv("COFRE_TEST_FIGURES", path)
	longtest.Figure(t, "faults injected", 3)
	longtest.Figure(t, "sequences run", 4)
	got, err := os.ReadFile(path)
	if want := t.Name() + "\t3\tfaults injected\n" + t.Name() + "\t4\tsequences run\n"; err != nil || string(got) != want {
		t.Errorf("%q %v", got, err)
	}
}
