package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"cofre/jobs"
	"cofre/metadata"
)

// noting is work that notes something and then ends with err.
func noting(err error) jobs.Work {
	return func(ctx context.Context, _ metadata.Job, t *jobs.Tracker) error {
		return errors.Join(t.Note(ctx, "k", json.RawMessage(`"legal hold"`)), err)
	}
}

func pending(t *testing.T, job metadata.Job) int {
	t.Helper()
	p, err := jobs.ProgressOf(job)
	if err != nil {
		t.Fatal(err)
	}
	return len(p.Pending)
}

func stored(t *testing.T, store metadata.Store, id string) metadata.Job {
	t.Helper()
	job, err := store.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// settling forgets all notes, unless err stands in its way.
func settling(calls *int, err error) jobs.Work {
	return func(ctx context.Context, _ metadata.Job, t *jobs.Tracker) error {
		*calls++
		if ctx.Err() != nil || err != nil {
			return errors.Join(ctx.Err(), err)
		}
		for name := range t.Progress().Pending {
			t.Forget(name)
		}
		return t.Checkpoint(ctx, nil, jobs.Counts{}) // a save that meets the cancellation
	}
}

func TestAJobThatWaitsWithNotesIsSettledBeforeItsCancellation(t *testing.T) {
	store := openStore(t)
	job := enqueue(t, store, jobs.Parameters{})
	if _, err := jobs.NewRunner(jobs.Config{Store: store, Work: noting(jobs.ErrAway)}).Run(t.Context(), job.ID, nil); !errors.Is(err, jobs.ErrAway) {
		t.Fatal(err)
	}
	if err := store.CancelJob(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, store, job.ID); got.State != metadata.JobWaiting || !got.Cancelled {
		t.Fatalf("cancelled: %+v", got)
	}
	calls := 0
	never := func(context.Context, metadata.Job, *jobs.Tracker) error {
		t.Error("a cancelled job works on")
		return nil
	}
	away := jobs.NewRunner(jobs.Config{Store: store, Work: never, Settle: settling(&calls, jobs.ErrAway)})
	if _, err := away.Run(t.Context(), job.ID, nil); !errors.Is(err, jobs.ErrAway) {
		t.Fatal(err)
	}
	if got := stored(t, store, job.ID); got.State != metadata.JobWaiting || pending(t, got) != 1 {
		t.Errorf("while the storage is away: %+v", got)
	}
	done, err := jobs.NewRunner(jobs.Config{Store: store, Work: never, Settle: settling(&calls, nil)}).Run(t.Context(), job.ID, nil)
	if err != nil || done.State != metadata.JobCancelled || pending(t, done) != 0 || calls != 2 {
		t.Errorf("%+v, %v, settled %d times", done, err, calls)
	}
}

func TestARunningJobSettlesItsNotesWhenItIsCancelled(t *testing.T) {
	store := openStore(t)
	job := enqueue(t, store, jobs.Parameters{})
	calls := 0
	r := jobs.NewRunner(jobs.Config{Store: store, Settle: settling(&calls, nil), Work: func(ctx context.Context, job metadata.Job, t *jobs.Tracker) error {
		err := noting(nil)(ctx, job, t)
		return errors.Join(err, store.CancelJob(ctx, job.ID), t.Checkpoint(ctx, nil, jobs.Counts{}))
	}})
	done, err := r.Run(t.Context(), job.ID, nil)
	if err != nil || done.State != metadata.JobCancelled || pending(t, done) != 0 || calls != 1 {
		t.Errorf("%+v, %v, settled %d times", done, err, calls)
	}
}

func TestAProcessThatStopsLeavesACancelledJobToAnother(t *testing.T) {
	store := openStore(t)
	job := enqueue(t, store, jobs.Parameters{})
	ctx, stop := context.WithCancel(t.Context())
	calls := 0
	r := jobs.NewRunner(jobs.Config{Store: store, Settle: settling(&calls, nil), Work: func(_ context.Context, job metadata.Job, t *jobs.Tracker) error {
		err := noting(nil)(ctx, job, t)
		err = errors.Join(err, store.CancelJob(ctx, job.ID))
		stop()
		return errors.Join(err, t.Checkpoint(context.WithoutCancel(ctx), nil, jobs.Counts{}))
	}})
	if _, err := r.Run(ctx, job.ID, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := stored(t, store, job.ID); got.State != metadata.JobWaiting || !got.Cancelled || pending(t, got) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestNotesOutliveTheirJob however it ended, and also where the next one never ran.
func TestNotesOutliveTheirJob(t *testing.T) {
	store := openStore(t)
	failed := enqueue(t, store, jobs.Parameters{})
	done, err := jobs.NewRunner(jobs.Config{Store: store, Work: noting(errors.New("no such bucket"))}).Run(t.Context(), failed.ID, nil)
	if err != nil || done.State != metadata.JobFailed {
		t.Fatalf("%+v, %v", done, err)
	}
	if other, _, err := jobs.Enqueue(t.Context(), store, jobs.Migrate, "b", jobs.Parameters{}); err != nil || pending(t, stored(t, store, other.ID)) != 0 {
		t.Errorf("a job of another kind: %+v, %v", other, err)
	}
	second := stored(t, store, enqueue(t, store, jobs.Parameters{}).ID)
	if pending(t, second) != 1 {
		t.Fatalf("the next job has %s", second.Progress)
	}
	if err := store.CancelJob(t.Context(), second.ID); err != nil {
		t.Fatal(err)
	}
	refused := 0
	r := jobs.NewRunner(jobs.Config{Store: store, Work: noting(nil), Settle: settling(&refused, errors.New("tags are refused"))})
	if done, err := r.Run(t.Context(), second.ID, nil); err != nil || done.State != metadata.JobCancelled || refused != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if third := stored(t, store, enqueue(t, store, jobs.Parameters{}).ID); pending(t, third) != 1 {
		t.Errorf("the one after that has %s", third.Progress)
	}
}
