// Package longtest decides how far a test goes that could go on for ever, and collects the figures that it reaches. `make test` runs
// the short form of each, once without the race detector and a share of it with; `make test-long` goes on for LONG with each
// (COFRE_TEST_LONG, a duration). It is for tests only.
package longtest

import (
	"fmt"
	"iter"
	"os"
	"testing"
	"time"
)

const (
	// variableLong holds how long each test goes on that ranges over Rounds: a Go duration. Unset or empty: the short form.
	variableLong = "COFRE_TEST_LONG"
	// variableFigures names the file to which figures are added, a line each; unset: they are in the test's log alone.
	variableFigures = "COFRE_TEST_FIGURES"
)

// Long gives how long a test is to go on, and whether it is to at all: false is the short form.
func Long(t testing.TB) (time.Duration, bool) {
	t.Helper()
	value := os.Getenv(variableLong)
	if value == "" {
		return 0, false
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		t.Fatalf("%s is %q, want a duration like 10m", variableLong, value)
	}
	return d, true
}

// Share is how many of n the short form does: all of them, or a tenth under the race detector, and at least one.
func Share(n int) int {
	if Raced {
		return max(1, n/10)
	}
	return n
}

// Rounds numbers the rounds of a test from 0: Share(short) of them, or in the long form at least as many and on until the time is
// over. It ends early once the test has failed.
func Rounds(t testing.TB, short int) iter.Seq[int] {
	t.Helper()
	long, _ := Long(t)
	short = Share(short)
	return func(yield func(int) bool) {
		began := time.Now()
		for i := 0; i < short || time.Since(began) < long; i++ {
			if t.Failed() || !yield(i) {
				return
			}
		}
	}
}

// Figure tells a figure that docs/RELIABILITY.md states of a suite: how many of what it did. Figures of one name are added up.
func Figure(t testing.TB, name string, n int) {
	t.Helper()
	t.Logf("figure: %d %s", n, name)
	path := os.Getenv(variableFigures)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // named by who runs the tests
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// One write of one line: several test processes add to the file.
	if _, err := fmt.Fprintf(f, "%s\t%d\t%s\n", t.Name(), n, name); err != nil {
		t.Fatal(err)
	}
}
