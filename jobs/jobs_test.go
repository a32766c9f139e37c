package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cofre/jobs"
	"cofre/metadata"
	"cofre/metadata/sqlite"
)

func openStore(t *testing.T) metadata.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "meta.db"), sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func enqueue(t *testing.T, store metadata.Store, p jobs.Parameters) metadata.Job {
	t.Helper()
	job, added, err := jobs.Enqueue(t.Context(), store, jobs.Reencrypt, "b", p)
	if err != nil || !added {
		t.Fatalf("%v, %v", added, err)
	}
	return job
}

func TestABucketHasOneJobOfAKind(t *testing.T) {
	store := openStore(t)
	job := enqueue(t, store, jobs.Parameters{All: true})
	again, added, err := jobs.Enqueue(t.Context(), store, jobs.Reencrypt, "b", jobs.Parameters{All: true})
	if err != nil || added || again.ID != job.ID {
		t.Errorf("the same again: %v, %v, %v", again.ID, added, err)
	}
	other, _, err := jobs.Enqueue(t.Context(), store, jobs.Reencrypt, "b", jobs.Parameters{})
	if !errors.Is(err, jobs.ErrOther) || other.ID != job.ID {
		t.Errorf("for another purpose: %v, %v", other.ID, err)
	}
	if _, added, err := jobs.Enqueue(t.Context(), store, jobs.Migrate, "b", jobs.Parameters{All: true}); err != nil || !added {
		t.Errorf("of another kind: %v, %v", added, err)
	}
}

// numbered is work of ten steps, which notes each and keeps a checkpoint after it.
func numbered(did *[]int, stop func(step int) error) jobs.Work {
	return func(ctx context.Context, _ metadata.Job, t *jobs.Tracker) error {
		at := 0
		p := t.Progress()
		if len(p.At) > 0 {
			if err := json.Unmarshal(p.At, &at); err != nil {
				return err
			}
		}
		counts := p.Now
		for step := at + 1; step <= 10; step++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := t.Note(ctx, "step", json.RawMessage(fmt.Sprint(step))); err != nil {
				return err
			}
			t.Found(jobs.Finding{Key: fmt.Sprint(step), Kind: "odd"}, step%2 == 1)
			*did = append(*did, step)
			if err := stop(step); err != nil {
				return err
			}
			counts.Looked++
			t.Count(counts)
			t.Forget("step")
			if err := t.Checkpoint(ctx, json.RawMessage(fmt.Sprint(step)), counts); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestAJobGoesOnWhereAnotherProcessStopped(t *testing.T) {
	store := openStore(t)
	job := enqueue(t, store, jobs.Parameters{})
	var did []int
	ctx, stop := context.WithCancel(t.Context())
	first := jobs.NewRunner(jobs.Config{Store: store, Work: numbered(&did, func(step int) error {
		if step == 4 {
			stop()
			return ctx.Err()
		}
		return nil
	})})
	if _, err := first.Run(ctx, job.ID, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	left, err := store.Job(t.Context(), job.ID)
	if err != nil || left.State != metadata.JobWaiting {
		t.Fatalf("%+v, %v", left, err)
	}
	if p, err := jobs.ProgressOf(left); err != nil || p.Base.Looked != 3 || string(p.Pending["step"]) != "4" || len(p.Refused) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	second := jobs.NewRunner(jobs.Config{Store: store, Work: numbered(&did, func(int) error { return nil })})
	done, err := second.Run(t.Context(), job.ID, nil)
	if err != nil || done.State != metadata.JobDone {
		t.Fatalf("%+v, %v", done, err)
	}
	if want := []int{1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(did, want) {
		t.Errorf("did %v, want %v", did, want)
	}
	p, err := jobs.ProgressOf(done)
	if err != nil || p.Now.Looked != 10 || len(p.Refused) != 5 || len(p.Pending) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestAJobIsRunByOneProcess(t *testing.T) {
	store := openStore(t)
	job := enqueue(t, store, jobs.Parameters{})
	lock, err := store.LockJob(t.Context(), job.ID)
	if err != nil {
		t.Fatal(err)
	}
	var did []int
	r := jobs.NewRunner(jobs.Config{Store: store, Work: numbered(&did, func(int) error { return nil })})
	if _, err := r.Run(t.Context(), job.ID, nil); !errors.Is(err, jobs.ErrElsewhere) || len(did) > 0 {
		t.Errorf("%v, did %v", err, did)
	}
	lock.Unlock()
	// Whoever took it since is the one who writes: the first is told, and ends.
	_, err = jobs.NewRunner(jobs.Config{Store: store, Work: numbered(&did, func(step int) error {
		if step == 3 {
			_, err := store.TakeJob(t.Context(), job.ID, "another process")
			return err
		}
		return nil
	})}).Run(t.Context(), job.ID, nil)
	if !errors.Is(err, jobs.ErrElsewhere) || !slices.Equal(did, []int{1, 2, 3}) {
		t.Errorf("%v, did %v", err, did)
	}
}

func TestHowAJobEnds(t *testing.T) {
	for name, c := range map[string]struct {
		stop    func(store metadata.Store, id string) error
		state   metadata.JobState
		message string
	}{
		"cancelled": {func(store metadata.Store, id string) error { return store.CancelJob(context.Background(), id) }, metadata.JobCancelled, ""},
		"failed":    {func(metadata.Store, string) error { return errors.New("no such bucket") }, metadata.JobFailed, "no such bucket"},
		"away":      {func(metadata.Store, string) error { return fmt.Errorf("%w: 503", jobs.ErrAway) }, metadata.JobWaiting, "storage or store does not answer: 503"},
	} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t)
			job := enqueue(t, store, jobs.Parameters{})
			var did []int
			r := jobs.NewRunner(jobs.Config{Store: store, Work: numbered(&did, func(step int) error {
				if step == 2 {
					return c.stop(store, job.ID)
				}
				return nil
			})})
			_, err := r.Run(t.Context(), job.ID, nil)
			if errors.Is(err, jobs.ErrAway) != (name == "away") {
				t.Errorf("error %v", err)
			}
			got, err := store.Job(t.Context(), job.ID)
			if err != nil || got.State != c.state || got.Message != c.message || len(did) != 2 {
				t.Errorf("%+v, did %v, %v", got, did, err)
			}
		})
	}
}

func TestServeRunsWhatWaitsAndEndsWithItsContext(t *testing.T) {
	store := openStore(t)
	job := enqueue(t, store, jobs.Parameters{})
	var did []int
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r := jobs.NewRunner(jobs.Config{Store: store, Look: time.Millisecond, Work: numbered(&did, func(step int) error {
		if step == 10 {
			stop()
		}
		return nil
	})})
	r.Serve(ctx)
	if got, err := store.Job(t.Context(), job.ID); err != nil || got.State == metadata.JobRunning || len(did) != 10 {
		t.Errorf("%+v, %v, did %v", got, err, did)
	}
}

func TestAThrottledJobReadsNoFasterThanItsRate(t *testing.T) {
	store := openStore(t)
	job := enqueue(t, store, jobs.Parameters{Rate: 1 << 20})
	r := jobs.NewRunner(jobs.Config{Store: store, Work: func(ctx context.Context, _ metadata.Job, t *jobs.Tracker) error {
		if err := t.Throttle(ctx, 1<<20); err != nil { // what may be read at once
			return err
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := t.Throttle(short, 10<<20); err == nil {
			return errors.New("10 MiB were read in a second at 1 MiB a second")
		}
		return nil
	}})
	if done, err := r.Run(t.Context(), job.ID, nil); err != nil || done.State != metadata.JobDone {
		t.Errorf("%+v, %v", done, err)
	}
}
