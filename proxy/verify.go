package proxy

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cofre/internal/pause"
	"cofre/keys"
)

// VerifyConfig is how Verify goes about it. Only KEKs and Found are required.
type VerifyConfig struct {
	// Parallel is how many things are looked at at a time; 0 for Limits.HealParallel.
	Parallel int
	// Read is asked of each object whether all its chunks are to be read and opened; nil reads of none. Headers of answers,
	// footers of single-part objects and the last footer of others are looked at in any case.
	Read func() bool
	// Pace waits until n more bytes may be read; nil never does.
	Pace func(ctx context.Context, n int) error
	// KEKs checks the documents of the bucket's KEKs: keys.Ring.CheckKEKs.
	KEKs func(ctx context.Context, bucket string) ([]keys.KEKFinding, error)
	// OtherWriters says that other sites write to the bucket too: what they delete leaves rows behind here.
	OtherWriters bool
	// Settle is how long a thing that looks wrong is left alone before it is looked at again; 0 for 2 s. Between what a writer does
	// on the backend and what he writes to the store lies less than that.
	Settle time.Duration
	// LayoutAge is how old a layout must be to be reported as nobody's; 0 for a day. It is there before its object is.
	LayoutAge time.Duration
	// Found is told of each finding, one at a time.
	Found func(Finding)
	// Progress is called often, one call at a time.
	Progress func(VerifyReport)
}

// VerifyReport counts what Verify has looked at and found.
type VerifyReport struct {
	KEKs        int                   `json:"keks_at_fault"`
	Objects     int64                 `json:"objects"`      // in all their versions, delete markers left out
	CustomerKey int64                 `json:"customer_key"` // of which only the customer can open
	Read        int64                 `json:"read"`         // of which all chunks were opened
	Bytes       int64                 `json:"bytes_read"`
	Rows        int64                 `json:"rows"`
	Uploads     int64                 `json:"uploads"` // rows of the store, and uploads of the backend without one
	Layouts     int64                 `json:"layouts"`
	Changing    int64                 `json:"changing"` // things that were another each time they were looked at
	Faults      int64                 `json:"faults"`
	Infos       int64                 `json:"infos"`
	Kinds       map[FindingKind]int64 `json:"kinds"`
}

// lookAgain is how often a thing that looks wrong in another way each time is looked at, before it counts as changing.
const lookAgain = 4

// look looks at one thing and says what is wrong with it, nil for nothing.
type look func(ctx context.Context) *Finding

// suspect is a thing that looked wrong.
type suspect struct {
	look    look
	finding *Finding
	stands  bool // it looked so before
}

// verification is one run of Verify.
type verification struct {
	h      *Handler
	bucket string
	cfg    VerifyConfig
	begun  time.Time
	// expires says that the bucket has lifecycle rules, by which the backend removes objects without a word.
	expires bool
	layouts *idFilter // object ids that have, or are going to have, a layout

	// held are findings that wait for others whose keys come before theirs: no more than one page of the listing and one of the
	// rows can make.
	held []Finding

	mu     sync.Mutex // guards report, and the calls of cfg.Found and cfg.Progress
	report VerifyReport
}

// Verify compares what the backend, the store and the system bucket hold of a bucket, and changes nothing in them but what any
// read does: a KEK that was not needed before is taken over. Listing and rows are walked together, so memory is bounded
// whatever their number. It may run beside writers: what looks wrong is looked at again before it is told, and what has been
// written, replaced or deleted meanwhile is no finding.
//
// The error is for the whole; a thing that could not be looked at is a finding.
func (h *Handler) Verify(ctx context.Context, bucket string, c VerifyConfig) (VerifyReport, error) {
	if c.Parallel == 0 {
		c.Parallel = h.cfg.Limits.HealParallel
	}
	if c.Settle == 0 {
		c.Settle = 2 * time.Second
	}
	if c.LayoutAge == 0 {
		c.LayoutAge = 24 * time.Hour
	}
	if c.Pace == nil {
		c.Pace = func(context.Context, int) error { return nil }
	}
	if c.Read == nil {
		c.Read = func() bool { return false }
	}
	v := &verification{h: h, bucket: bucket, cfg: c, begun: h.cfg.Clock(), layouts: newIDFilter()}
	v.report.Kinds = map[FindingKind]int64{}
	for _, step := range []func(context.Context) error{v.lifecycle, v.keks, v.objectsAndRows, v.uploads, v.orphans} {
		err := step(ctx)
		v.release(everything)
		if err != nil {
			return v.snapshot(), err
		}
	}
	return v.snapshot(), nil
}

// snapshot is a copy of the report.
func (v *verification) snapshot() VerifyReport {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.copyReport()
}

func (v *verification) copyReport() VerifyReport {
	r := v.report
	r.Kinds = maps.Clone(r.Kinds)
	return r
}

// note changes the report, and tells how far the run is.
func (v *verification) note(change func(*VerifyReport)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.report)
	if v.cfg.Progress != nil {
		v.cfg.Progress(v.copyReport())
	}
}

// tell reports a finding that has stood.
func (v *verification) tell(f Finding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Kinds[f.Kind]++
	if f.Info {
		v.report.Infos++
	} else {
		v.report.Faults++
	}
	v.cfg.Found(f)
}

// release tells of the findings held whose keys come now, in order of key.
func (v *verification) release(now func(key string) bool) {
	slices.SortStableFunc(v.held, func(a, b Finding) int { return cmp.Compare(a.Key, b.Key) })
	n := 0
	for n < len(v.held) && now(v.held[n].Key) {
		v.tell(v.held[n])
		n++
	}
	v.held = slices.Delete(v.held, 0, n)
}

func everything(string) bool { return true }

// examine takes some looks. What looks wrong is let settle and looked at anew: only what then looks wrong in the very same way
// is a finding, held until release, and what looks another way each time is somebody's work in progress.
func (v *verification) examine(ctx context.Context, looks []look) error {
	suspects := make([]suspect, len(looks))
	for i, l := range looks {
		suspects[i].look = l
	}
	suspects = v.round(ctx, suspects)
	for range lookAgain {
		if len(suspects) == 0 || !v.settle(ctx) {
			return ctx.Err()
		}
		suspects = v.round(ctx, suspects)
	}
	v.note(func(r *VerifyReport) { r.Changing += int64(len(suspects)) })
	return ctx.Err()
}

// round looks at all suspects once. It holds what looks as it did before, and gives those that look wrong anew.
func (v *verification) round(ctx context.Context, suspects []suspect) []suspect {
	var each errgroup.Group
	each.SetLimit(v.cfg.Parallel)
	for i := range suspects {
		if ctx.Err() != nil {
			break
		}
		each.Go(func() error {
			s := &suspects[i]
			before := s.finding
			s.finding = s.look(ctx)
			s.stands = ctx.Err() == nil && s.finding.same(before)
			return nil
		})
	}
	_ = each.Wait() // looks give findings, no errors
	left := suspects[:0]
	for _, s := range suspects {
		switch {
		case s.stands:
			v.held = append(v.held, *s.finding)
		case s.finding != nil:
			left = append(left, s)
		}
	}
	return left
}

// settle waits; false when the run has ended meanwhile.
func (v *verification) settle(ctx context.Context) bool {
	return pause.For(ctx, v.cfg.Settle) == nil
}
