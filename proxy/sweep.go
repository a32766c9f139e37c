package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/internal/pause"
	"cofre/metadata"
	"cofre/s3api"
)

const (
	// completedKept is how long a completed upload is remembered, so that completing it again gives the same answer: SDKs
	// resend a Complete whose answer was lost.
	completedKept = 24 * time.Hour
	sweepFirst    = time.Minute // after the start: a rolling restart need not sweep once for each process
	sweepEvery    = time.Hour
	sweepBatch    = 1000
	// sweepLock is the job lock that the one replica has which sweeps. Jobs have random ids, so it is no job's.
	sweepLock = "sweep"
	// sweepWait is how long a replica waits for it: another one sweeps, and this one is not needed.
	sweepWait = time.Second
)

// SweepKind is a stable word for what the sweeper takes away, those of verify's findings where there is one.
type SweepKind string

// What is swept.
const (
	SweptUpload    SweepKind = "upload-without-row"  // an upload of the storage that no client can go on with: aborted
	SweptUploadRow SweepKind = "upload-unknown"      // the row of an upload that the storage does not have any more: removed
	SweptJoined    SweepKind = "upload-joined"       // an upload whose object is there, and whose Complete nobody asked for again: recorded
	SweptRow       SweepKind = "row-without-object"  // the row of an object that is gone: a tombstone from now on
	SweptReplaced  SweepKind = "row-replaced"        // the row of an object that was replaced by one whose own row was healed: likewise
	SweptLayout    SweepKind = "layout-of-no-object" // removed
	SweptTombstone SweepKind = "tombstone"           // older than they are kept: removed
	SweptCompleted SweepKind = "completed-upload"    // completed a day ago: forgotten
	SweptForm      SweepKind = "staged-form"         // a file of a form, laid aside by a process that died: removed
	SweptProbe     SweepKind = "probe"               // a document by which a process tried the storage out before it died: removed
)

// SweepKinds is all of them, in order.
func SweepKinds() []SweepKind {
	kinds := []SweepKind{SweptUpload, SweptUploadRow, SweptJoined, SweptRow, SweptReplaced, SweptLayout, SweptTombstone, SweptCompleted, SweptForm, SweptProbe}
	slices.Sort(kinds)
	return kinds
}

// SweepConfig says what the sweeper may take away, and how fast. OtherWriters is required.
type SweepConfig struct {
	// UploadAge is how old an upload is that one side alone knows before it goes; 0 leaves them all.
	UploadAge time.Duration
	// ForeignUploads aborts those too that another than this site may have begun. Only an operator can know that they are nobody's.
	ForeignUploads bool
	// TombstoneAge is how old tombstones get; 0 keeps them for ever.
	TombstoneAge time.Duration
	// LostRows takes rows without object away also where nothing but this site deletes: there they are the trace of a loss,
	// which an operator has looked into.
	LostRows bool
	// WalkEvery is how often a whole bucket is walked, for rows and layouts; 0 walks now.
	WalkEvery time.Duration
	// WalkPages bounds how many pages of 1,000 are walked in one call; the next goes on. 0 is no bound.
	WalkPages int
	// Gentle rests after each page for as long as the page took: half of the time belongs to clients.
	Gentle bool
	// List takes nothing away, and tells what would go.
	List bool
	// Users are the users of the storage that this site acts as.
	Users []access.BackendUser
	// OtherWriters says whether other sites write to the bucket, whose uploads and deletes this one has not been told of.
	OtherWriters func(bucket string) bool
	// Settle is how long what looks like an orphan is left alone before it is looked at again; 0 for 2 s.
	Settle time.Duration
	// LayoutAge is how old a layout is that no object needs before it goes; 0 for 30 days (docs/FORMAT.md section 6).
	LayoutAge time.Duration
	// Waits is told, once, that another process is sweeping, which SweepBuckets then waits for; nil: it gives ErrSweeping.
	Waits func()
	// Found is told of each thing, one at a time; nil: nobody is.
	Found func(Swept)
}

// Swept is one thing that was taken away, or stays although it looks like an orphan.
type Swept struct {
	Kind      SweepKind
	Bucket    string
	Key       string // raw bytes; empty where none is meant
	VersionID string
	// Name is the upload's id, or the name in the system bucket.
	Name string
	// Count is of how many things this tells, where they have no names worth telling; 1 for most.
	Count int
	// Kept says why it stays; empty where it went.
	Kept string
}

func (c SweepConfig) withDefaults() SweepConfig {
	if c.Settle == 0 {
		c.Settle = 2 * time.Second
	}
	if c.LayoutAge == 0 {
		c.LayoutAge = 30 * 24 * time.Hour
	}
	if len(c.Users) == 0 {
		c.Users = []access.BackendUser{access.SiteUser}
	}
	return c
}

// sweeper is one run.
type sweeper struct {
	h   *Handler
	cfg SweepConfig

	mu    sync.Mutex // guards swept, and the calls of cfg.Found
	swept map[SweepKind]int
	own   map[string]bool // ids of the storage's users that this site acts as; nil until asked for
}

func (h *Handler) newSweeper(cfg SweepConfig) *sweeper {
	return &sweeper{h: h, cfg: cfg.withDefaults(), swept: map[SweepKind]int{}}
}

// tell counts a thing that went, or would go, and tells of it; also of one that stays.
func (s *sweeper) tell(f Swept) {
	if f.Count == 0 {
		f.Count = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Kept == "" {
		s.swept[f.Kind] += f.Count
		if !s.cfg.List {
			s.h.metrics.swept.WithLabelValues(string(f.Kind)).Add(float64(f.Count))
		}
	}
	if s.cfg.Found != nil {
		s.cfg.Found(f)
	}
}

// Sweep takes away what nobody owns, every hour and in one replica at a time, until ctx ends. It walks buckets gently, and goes on where
// it, or another replica, was the last time.
func (h *Handler) Sweep(ctx context.Context, cfg SweepConfig) {
	for wait := sweepFirst; pause.For(ctx, wait) == nil; wait = sweepEvery {
		if err := h.sweepRound(ctx, cfg); err != nil && ctx.Err() == nil {
			h.log.Warn("not everything was swept; tried again within the hour", zap.Error(err))
		}
	}
}

// sweepRound sweeps everything once, unless another replica is at it.
func (h *Handler) sweepRound(ctx context.Context, cfg SweepConfig) error {
	lock, err := h.lockSweep(ctx)
	if errors.Is(err, metadata.ErrLockTimeout) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Unlock()
	s := h.newSweeper(cfg)
	failed := s.storeAndSystem(ctx)
	buckets, err := h.Buckets(ctx)
	failed = errors.Join(failed, err)
	for _, bucket := range buckets {
		if err := lock.Held(ctx); err != nil {
			return errors.Join(failed, err) // another replica begins
		}
		failed = errors.Join(failed, s.bucket(ctx, bucket))
	}
	for kind, n := range s.swept {
		h.log.Info("swept", zap.String("kind", string(kind)), zap.Int("count", n))
	}
	return failed
}

func (h *Handler) lockSweep(ctx context.Context) (metadata.Lock, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepWait)
	defer cancel()
	return h.store.LockJob(ctx, sweepLock)
}

// ErrSweeping says that another process is sweeping.
var ErrSweeping = errors.New("another process is sweeping")

// SweepBuckets sweeps these buckets, and what belongs to none, as an operator asks for it. It gives how many things of each kind went, or
// with List would go. Where another process is at it, it waits or gives ErrSweeping, as the configuration says.
func (h *Handler) SweepBuckets(ctx context.Context, buckets []string, cfg SweepConfig) (map[SweepKind]int, error) {
	s := h.newSweeper(cfg)
	if !cfg.List {
		lock, err := h.lockSweep(ctx)
		for told := false; errors.Is(err, metadata.ErrLockTimeout) && ctx.Err() == nil; lock, err = h.lockSweep(ctx) {
			if cfg.Waits == nil {
				return nil, ErrSweeping
			}
			if !told {
				told = true
				cfg.Waits()
			}
		}
		if err != nil {
			return nil, err
		}
		defer lock.Unlock()
	}
	failed := s.storeAndSystem(ctx)
	for _, bucket := range buckets {
		failed = errors.Join(failed, s.bucket(ctx, bucket))
	}
	return s.swept, failed
}

// storeAndSystem sweeps what belongs to no bucket of clients.
func (s *sweeper) storeAndSystem(ctx context.Context) error {
	now := s.h.cfg.Clock()
	failed := errors.Join(
		s.scratch(ctx, SweptForm, stagedPrefix, now.Add(-stagedKept)),
		s.scratch(ctx, SweptProbe, probePrefix, now.Add(-stagedKept)),
	)
	if s.cfg.List {
		return failed // rows of the store are counted as they go
	}
	failed = errors.Join(failed, s.batches(ctx, SweptCompleted, func() (int, error) {
		return s.h.store.SweepUploads(ctx, s.h.store.Now().Add(-completedKept), sweepBatch)
	}))
	if s.cfg.TombstoneAge > 0 {
		failed = errors.Join(failed, s.batches(ctx, SweptTombstone, func() (int, error) {
			return s.h.store.SweepTombstones(ctx, s.h.store.Now().Add(-s.cfg.TombstoneAge), sweepBatch)
		}))
	}
	return failed
}

// batches takes batch after batch of rows away, until one is not full.
func (s *sweeper) batches(ctx context.Context, kind SweepKind, take func() (int, error)) error {
	for n := sweepBatch; n == sweepBatch; {
		begun := time.Now()
		var err error
		if n, err = take(); err != nil {
			return err
		}
		if n > 0 {
			s.tell(Swept{Kind: kind, Count: n})
		}
		if err := s.rest(ctx, begun); err != nil {
			return err
		}
	}
	return nil
}

// rest waits for as long as what was begun then has taken, where the run is to be gentle.
func (s *sweeper) rest(ctx context.Context, begun time.Time) error {
	if !s.cfg.Gentle {
		return ctx.Err()
	}
	return pause.For(ctx, time.Since(begun))
}

// bucket sweeps one bucket. One that may not be looked at by this site's user, as where it deposits, is left alone.
func (s *sweeper) bucket(ctx context.Context, bucket string) error {
	busy, err := s.busy(ctx, bucket)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, string, bool) error{s.uploadRows, s.backendUploads, s.walk} {
		err := step(ctx, bucket, busy)
		switch {
		case err == nil:
		case hasStatus(err, http.StatusForbidden), hasCode(err, s3api.ErrNoSuchBucket.Code):
			return nil
		default:
			return err
		}
	}
	return nil
}

// busy says whether a job works on the bucket: its uploads have no rows, and their layouts no objects yet.
func (s *sweeper) busy(ctx context.Context, bucket string) (bool, error) {
	open, err := s.h.store.OpenJobs(ctx)
	return slices.ContainsFunc(open, func(j metadata.Job) bool { return j.Bucket == bucket }), err
}
