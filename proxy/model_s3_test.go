package proxy_test

import (
	"cmp"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"cofre/internal/longtest"
)

// TestEverySequenceOfRequestsIsAnsweredAsS3Would plays random sequences of requests by several clients through several replicas, and
// wants each answered as the model of S3 says; then all that can be seen must be as the model has it.
func TestEverySequenceOfRequestsIsAnsweredAsS3Would(t *testing.T) {
	t.Parallel()
	for round := range longtest.Rounds(t, 10) {
		playRandom(t, round, drawing{}, func(t *testing.T) *modelWorld { return diskWorld(t, sqliteStores(t)) })
	}
}

// TestAFaultLeavesTheOldOrTheNewState plays such sequences with faults on the way to the storage and to the store. An operation whose
// answer was lost has happened or has not: which of the two, every later answer has to agree on.
func TestAFaultLeavesTheOldOrTheNewState(t *testing.T) {
	t.Parallel()
	for round := range longtest.Rounds(t, 10) {
		playRandom(t, round, drawing{faults: true}, func(t *testing.T) *modelWorld { return diskWorld(t, sqliteStores(t)) })
	}
}

// TestSequencesOverPostgreSQLAndRedis plays the same with the store of production.
func TestSequencesOverPostgreSQLAndRedis(t *testing.T) {
	t.Parallel()
	for round := range longtest.Rounds(t, 1) {
		playRandom(t, round, drawing{faults: true, sequences: 40}, func(t *testing.T) *modelWorld { return diskWorld(t, postgresStores(t)) })
	}
}

// TestSequencesOverCephRGW plays the same against the real Ceph RGW, with the store of production.
func TestSequencesOverCephRGW(t *testing.T) {
	t.Parallel()
	for round := range longtest.Rounds(t, 1) {
		playRandom(t, round, drawing{rgw: true, faults: true, sequences: 20}, func(t *testing.T) *modelWorld { return rgwWorld(t, postgresStores(t)) })
	}
}

// playRandom plays sequences in a world of their own: as many as rapid does (-rapid.checks, 100), or those that the drawing says.
func playRandom(t *testing.T, round int, d drawing, open func(t *testing.T) *modelWorld) {
	t.Helper()
	t.Run("round", func(t *testing.T) {
		w := open(t)
		n, most, failed := 0, math.MaxInt, false
		if d.sequences > 0 || longtest.Raced {
			most = longtest.Share(cmp.Or(d.sequences, 100))
		}
		rapid.Check(t, func(rt *rapid.T) {
			for range round { // with one seed for all rounds (TestMain), each has sequences of its own all the same
				rapid.Bool().Draw(rt, "round")
			}
			script := d.script().Draw(rt, "script")
			if n++; n > most && !failed { // once one has failed it is made shorter
				return
			}
			if err := w.play(script); err != nil {
				failed = true
				rt.Fatal(err)
			}
		})
		w.done()
	})
}

// done looks once more at what the storage got, and tells what was done.
func (w *modelWorld) done() {
	if err := w.noPlaintext(); err != nil {
		w.t.Error(err)
	}
	longtest.Figure(w.t, "sequences", w.rounds)
	longtest.Figure(w.t, "operations", w.operations)
	longtest.Figure(w.t, "faults that struck", int(w.link.total.Load()+w.store.total.Load()))
	longtest.Figure(w.t, "restarts", w.restarts)
	longtest.Figure(w.t, "stores lost", w.losses)
}

// TestFailuresThatWereFoundStayMended plays the scripts of failures that random sequences came upon.
func TestFailuresThatWereFoundStayMended(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/model/*.script")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	worlds := map[string]func(*testing.T) *modelWorld{
		"disk": func(t *testing.T) *modelWorld { return diskWorld(t, sqliteStores(t)) },
		"rgw":  func(t *testing.T) *modelWorld { return rgwWorld(t, sqliteStores(t)) },
	}
	for name, open := range worlds {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			for _, path := range scripts {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				steps, err := parseScript(string(text))
				if err == nil {
					err = w.play(steps)
				}
				if err != nil {
					t.Errorf("%s: %v", filepath.Base(path), err)
				}
			}
		})
	}
}
