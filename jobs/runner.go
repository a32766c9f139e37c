package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"cofre/metadata"
)

// Work does a job from where its tracker says that it is. It stops when ctx ends. An error that matches ErrAway is one that passes:
// the job is taken up again later.
type Work func(ctx context.Context, job metadata.Job, t *Tracker) error

var (
	// ErrAway says that the storage or the store does not answer.
	ErrAway = errors.New("storage or store does not answer")
	// ErrElsewhere says that another process runs the job.
	ErrElsewhere = errors.New("another process runs the job")
)

// Config is what a Runner is made of. Store and Work are required.
type Config struct {
	Store Store
	Work  Work
	// Settle does what the notes of a job ask for that was cancelled, and forgets those that it has done. It is called instead of
	// Work, or after it; nil to leave them to the next job of that kind and bucket.
	Settle     Work
	Log        *zap.Logger
	Registerer prometheus.Registerer
	// Look is how often an idle runner looks for jobs, Save how often progress is kept, and Retry the pause of a job that waits for
	// the storage. Zero for 5 s, 5 s and 30 s.
	Look, Save, Retry time.Duration
}

// Runner runs jobs, one at a time.
type Runner struct {
	cfg     Config
	metrics *metrics
	resting map[string]time.Time // when a job may be tried again; owned by Serve
}

// NewRunner makes a Runner.
func NewRunner(c Config) *Runner {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&c.Look, 5 * time.Second}, {&c.Save, 5 * time.Second}, {&c.Retry, 30 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	return &Runner{cfg: c, metrics: newMetrics(c.Registerer), resting: map[string]time.Time{}}
}

// Serve runs the jobs that are not over and that no other process runs, until ctx ends. A job that runs then waits for whoever
// takes it up.
func (r *Runner) Serve(ctx context.Context) {
	for ctx.Err() == nil {
		if r.once(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.cfg.Look):
		}
	}
}

// once runs the first job that can be had, and says whether there was one.
func (r *Runner) once(ctx context.Context) bool {
	open, err := r.cfg.Store.OpenJobs(ctx)
	if err != nil {
		return false // the store's own health is told elsewhere
	}
	for _, job := range open {
		if time.Now().Before(r.resting[job.ID]) {
			continue
		}
		_, err := r.Run(ctx, job.ID, nil)
		switch {
		case errors.Is(err, ErrElsewhere), errors.Is(err, metadata.ErrConflict):
			continue
		case errors.Is(err, ErrAway):
			r.resting[job.ID] = time.Now().Add(r.cfg.Retry)
			continue
		case err != nil:
			r.resting[job.ID] = time.Now().Add(r.cfg.Retry)
			continue
		}
		delete(r.resting, job.ID)
		return true
	}
	return false
}

// lockWait is how long the lock of a job may take to be had: it is free, or held for long.
const lockWait = 500 * time.Millisecond

// Run runs one job to its end, and gives it as it ended. seen is told how far it is, with the bytes that this process has read; nil
// for nobody. ErrElsewhere where another process runs it; ErrAway where it waits for the storage.
func (r *Runner) Run(ctx context.Context, id string, seen func(p Progress, read int64)) (metadata.Job, error) {
	wait, cancel := context.WithTimeout(ctx, lockWait)
	lock, err := r.cfg.Store.LockJob(wait, id)
	cancel()
	if errors.Is(err, metadata.ErrLockTimeout) && ctx.Err() == nil {
		return metadata.Job{}, ErrElsewhere
	}
	if err != nil {
		return metadata.Job{}, fmt.Errorf("lock job %s: %w", id, err)
	}
	defer lock.Unlock()
	job, err := r.cfg.Store.TakeJob(ctx, id, rand.Text())
	if err != nil {
		return metadata.Job{}, fmt.Errorf("take job %s: %w", id, err)
	}
	if err := r.do(ctx, job, lock, seen); err != nil {
		return job, err
	}
	return r.cfg.Store.Job(context.WithoutCancel(ctx), id)
}

// do works on a job that is this process's.
func (r *Runner) do(ctx context.Context, job metadata.Job, lock metadata.Lock, seen func(Progress, int64)) error {
	log := r.cfg.Log.With(zap.String("job", job.ID), zap.String("kind", job.Kind), zap.String("bucket", job.Bucket))
	parameters, err := ParametersOf(job)
	if err != nil {
		return err
	}
	progress, err := ProgressOf(job)
	if err != nil {
		return err
	}
	t := newTracker(r.cfg.Store, lock, job, progress, parameters.Rate, r.metrics)
	log.Info("job runs", zap.Int64("looked_at", progress.Base.Looked))
	r.metrics.running.WithLabelValues(job.Kind).Inc()
	defer r.metrics.running.WithLabelValues(job.Kind).Dec()

	t.seen = seen
	err, cause := errCancelled, error(nil)
	if !job.Cancelled {
		err, cause = r.attempt(ctx, r.cfg.Work, job, t)
	}
	if errors.Is(err, errCancelled) || errors.Is(cause, errCancelled) {
		err, cause = r.settle(ctx, log, job, t)
	}
	return r.finish(ctx, log, t, err, cause)
}

// attempt works until it is done or t ends it, which is its cause.
func (r *Runner) attempt(ctx context.Context, do Work, job metadata.Job, t *Tracker) (err, cause error) {
	work, end := context.WithCancelCause(ctx)
	t.end = end
	saved := make(chan struct{})
	go func() {
		defer close(saved)
		t.keep(work, r.cfg.Save)
	}()
	err = do(work, job, t)
	cause = context.Cause(work)
	end(nil)
	<-saved
	return err, cause
}

// settle sees to the notes of a job that was cancelled, before it is over: nobody may ever begin another one. The job waits as long
// as the storage does not answer.
func (r *Runner) settle(ctx context.Context, log *zap.Logger, job metadata.Job, t *Tracker) (err, cause error) {
	if r.cfg.Settle == nil || len(t.Progress().Pending) == 0 {
		return errCancelled, nil
	}
	t.cancelling()
	err, cause = r.attempt(ctx, r.cfg.Settle, job, t)
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrAway), errors.Is(err, errLost), errors.Is(cause, errLost):
		return err, cause
	case err != nil:
		log.Warn("cancelled job leaves notes to the next of its kind and bucket", zap.Error(err))
	}
	return errCancelled, nil
}

// finish writes how a job ended, or that it waits.
func (r *Runner) finish(ctx context.Context, log *zap.Logger, t *Tracker, err, cause error) error {
	state, message := metadata.JobDone, ""
	switch {
	case errors.Is(err, errCancelled), errors.Is(cause, errCancelled):
		state, err = metadata.JobCancelled, nil
	case errors.Is(err, errLost), errors.Is(cause, errLost):
		log.Warn("job was taken over by another process", zap.Error(err))
		return ErrElsewhere
	case ctx.Err() != nil:
		state, err = metadata.JobWaiting, ctx.Err()
	case errors.Is(err, ErrAway):
		state, message = metadata.JobWaiting, err.Error()
	case err != nil:
		state, message, err = metadata.JobFailed, err.Error(), nil
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if werr := t.write(end, state, message); werr != nil {
		log.Warn("end of job was not kept: it is taken up again", zap.Error(werr))
		return errors.Join(werr, err)
	}
	log.Info("job ended", zap.Stringer("state", state), zap.String("message", message), zap.Int64("rewritten", t.Progress().Now.Rewritten),
		zap.Int64("refused", t.Progress().Now.Refused))
	return err
}
