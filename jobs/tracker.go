package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"cofre/metadata"
)

var (
	errCancelled = errors.New("job was cancelled")
	// errLost says that another process may have the job: its lock or its lease is not this one's any more.
	errLost = errors.New("job was lost to another process")
)

// Tracker is the worker's way to say how far it is, and the runner's to keep it. It is safe for concurrent use.
type Tracker struct {
	store   Store
	lock    metadata.Lock
	limiter *rate.Limiter // nil for no limit
	metrics *metrics
	seen    func(Progress, int64)   // told of each save; nil for nobody
	end     context.CancelCauseFunc // ends the work

	saving sync.Mutex // one save at a time, and one user of lock

	mu   sync.Mutex // guards what follows
	job  metadata.Job
	p    Progress
	refs []Finding // found since the checkpoint
	read int64     // plaintext bytes, by this process
	// ending says that the job is known to be cancelled, and goes on with what has to be done before it is over.
	ending bool
}

// burst is how much may be read at once however slow the rate: a few chunks, so that a limit is kept evenly.
const burst = 1 << 20

func newTracker(store Store, lock metadata.Lock, job metadata.Job, p Progress, bytesPerSecond int64, m *metrics) *Tracker {
	t := &Tracker{store: store, lock: lock, job: job, p: p, metrics: m}
	t.p.Now = t.p.Base
	t.p.Now.Rewritten, t.p.Now.Bytes, t.p.Now.Dropped, t.p.Now.Removed = p.Now.Rewritten, p.Now.Bytes, p.Now.Dropped, p.Now.Removed
	if bytesPerSecond > 0 {
		t.limiter = rate.NewLimiter(rate.Limit(bytesPerSecond), burst)
	}
	return t
}

// Progress is where the job was taken up.
func (t *Tracker) Progress() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.snapshot()
}

// snapshot is what is kept: findings count once the checkpoint behind them is reached, since they are made again otherwise.
func (t *Tracker) snapshot() Progress {
	p := t.p
	p.Refused, p.Left, p.Pending = slices.Clone(p.Refused), slices.Clone(p.Left), maps.Clone(p.Pending)
	return p
}

// Total says how many objects the bucket has.
func (t *Tracker) Total(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Total = n
}

// Count says what was counted so far.
func (t *Tracker) Count(c Counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Now = c
	t.metrics.counted(t.job.Kind, t.p)
}

// Found keeps a finding, of a current object or of an older version.
func (t *Tracker) Found(f Finding, refused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if refused && len(t.p.Refused)+len(t.refs) < maxRefused {
		t.refs = append(t.refs, f)
	}
	if !refused && len(t.p.Left) < maxLeft && !slices.Contains(t.p.Left, f) {
		t.p.Left = append(t.p.Left, f)
	}
}

// Anew drops the findings: the worker begins to look from the start.
func (t *Tracker) Anew() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p.Refused, t.p.Left, t.refs = nil, nil, nil
}

// Checkpoint keeps a place from which another process can go on.
func (t *Tracker) Checkpoint(ctx context.Context, at json.RawMessage, c Counts) error {
	t.mu.Lock()
	t.p.At, t.p.Base, t.p.Now = at, c, c
	t.p.Refused, t.refs = append(t.p.Refused, t.refs...), nil
	t.mu.Unlock()
	return t.save(ctx)
}

// Note keeps something that must not be forgotten, and returns when it is durable.
func (t *Tracker) Note(ctx context.Context, name string, what json.RawMessage) error {
	t.mu.Lock()
	if t.p.Pending == nil {
		t.p.Pending = map[string]json.RawMessage{}
	}
	t.p.Pending[name] = what
	t.mu.Unlock()
	return t.save(ctx)
}

// Forget drops it with the next save.
func (t *Tracker) Forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.p.Pending, name)
}

// cancelling has the tracker go on although the job was cancelled.
func (t *Tracker) cancelling() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ending = true
}

// Throttle waits until n more bytes may have been read.
func (t *Tracker) Throttle(ctx context.Context, n int) error {
	t.mu.Lock()
	t.read += int64(n)
	t.mu.Unlock()
	t.metrics.bytes.WithLabelValues(t.job.Kind).Add(float64(n))
	if t.limiter == nil {
		return ctx.Err()
	}
	for ; n > 0; n -= burst {
		if err := t.limiter.WaitN(ctx, min(n, burst)); err != nil {
			return err
		}
	}
	return nil
}

// save writes the progress of a running job. Where it turns out that the job was cancelled, or is not this process's any more, the
// work ends.
func (t *Tracker) save(ctx context.Context) error {
	err := t.write(ctx, metadata.JobRunning, "")
	if errors.Is(err, errLost) || errors.Is(err, errCancelled) {
		t.end(err)
	}
	return err
}

func (t *Tracker) write(ctx context.Context, state metadata.JobState, message string) error {
	t.saving.Lock()
	defer t.saving.Unlock()
	if err := t.lock.Held(ctx); err != nil {
		return errors.Join(errLost, err)
	}
	t.mu.Lock()
	if state.Over() {
		t.p.Refused, t.refs = append(t.p.Refused, t.refs...), nil
	}
	p, read, job, ending := t.snapshot(), t.read, t.job, t.ending
	t.mu.Unlock()
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	job.Progress, job.State, job.Message = text, state, message
	cancelled, err := t.store.UpdateJob(ctx, job)
	switch {
	case errors.Is(err, metadata.ErrConflict):
		return errors.Join(errLost, err)
	case err != nil:
		return err
	case cancelled && state == metadata.JobRunning && !ending:
		return errCancelled
	}
	if t.seen != nil {
		t.seen(p, read)
	}
	return nil
}

// keep saves now and then until ctx ends. A save that fails because the store is away is made up for by the next.
func (t *Tracker) keep(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = t.save(ctx) // what it says of the job ends ctx
	}
}
