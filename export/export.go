package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"cofre/internal/pause"
	"cofre/proxy"
	"cofre/s3api"
)

// Source reads a bucket as the site. proxy.Handler is the implementation.
type Source interface {
	// EachVersion walks all versions of the keys that begin with prefix, in order of key.
	EachVersion(ctx context.Context, bucket, prefix string, visit func([]s3api.ListEntry) error) error
	// StatObject and OpenObject read one object.
	StatObject(ctx context.Context, at proxy.ObjectAt) (proxy.Object, error)
	OpenObject(ctx context.Context, at proxy.ObjectAt) (*proxy.ObjectReader, error)
	// Tags gives its tags.
	Tags(ctx context.Context, at proxy.ObjectAt) ([]s3api.Tag, error)
}

// Destination is where objects are written to. Plan is called for one object after the other, in order of key; the rest for many
// at a time.
type Destination interface {
	// Plan says where the object of the key is going to be. What it gives is handed to the calls for that key.
	Plan(key string) (Place, error)
	// Has says whether the very same object is there already, from a run before this one.
	Has(ctx context.Context, at Place, o proxy.Object) (bool, error)
	// Put writes an object, and says where it is then. Where body ends in another error than io.EOF nothing of it may remain.
	Put(ctx context.Context, at Place, o proxy.Object, tags []s3api.Tag, body io.Reader) (Place, error)
	// Done is told of each object that is there, in order of key.
	Done(at Place, o proxy.Object, tags []s3api.Tag) error
	// Close ends the run; complete says that it went through the whole bucket.
	Close(complete bool) error
}

// Place is where a Destination keeps one object: a file's name, or a key.
type Place struct {
	Key  string // of the source
	Name string
	kept *line // what an earlier run said of it; nil for nothing
}

// Config says what is exported, and how. Pace, Failed and Progress are required.
type Config struct {
	Bucket, Prefix string
	Parallel       int
	// Pace waits until n more plaintext bytes may be read.
	Pace func(ctx context.Context, n int) error
	// Failed is told of each object that could not be exported; the run goes on.
	Failed func(key string, err error)
	// Progress is called often, one call at a time.
	Progress func(Report)
}

// Report counts what a run did.
type Report struct {
	Objects    int64 `json:"objects"`    // current ones that were listed
	Exported   int64 `json:"exported"`   // written by this run
	Kept       int64 `json:"kept"`       // there already
	Gone       int64 `json:"gone"`       // deleted since they were listed
	Unsealed   int64 `json:"unsealed"`   // of the exported: lay in clear on the storage
	Noncurrent int64 `json:"noncurrent"` // older versions, which are left out
	Failed     int64 `json:"failed"`
	Bytes      int64 `json:"bytes"` // plaintext written
}

// Run exports the current objects of a bucket. The error is for the whole: the listing, or a destination that takes nothing
// more. What failed of single objects is told and counted.
func Run(ctx context.Context, src Source, dst Destination, c Config) (Report, error) {
	r := &run{src: src, dst: dst, c: c}
	err := src.EachVersion(ctx, c.Bucket, c.Prefix, func(page []s3api.ListEntry) error { return r.page(ctx, page) })
	return r.snapshot(), errors.Join(err, dst.Close(err == nil))
}

// page exports the objects of one page, several at a time, and tells the destination of them in their order.
func (r *run) page(ctx context.Context, page []s3api.ListEntry) error {
	q := &queue{dst: r.dst}
	each, ctx := errgroup.WithContext(ctx)
	each.SetLimit(max(r.c.Parallel, 1))
	for _, e := range page {
		switch {
		case e.DeleteMarker:
			continue
		case !e.Latest:
			r.note(func(rep *Report) { rep.Noncurrent++ })
			continue
		case ctx.Err() != nil:
			continue
		}
		r.note(func(rep *Report) { rep.Objects++ })
		at, err := r.dst.Plan(e.Key)
		if err != nil {
			r.failed(e.Key, err)
			continue
		}
		slot := q.add()
		each.Go(func() error {
			done, err := r.patiently(ctx, e, at)
			if err != nil {
				if fatal(err) || ctx.Err() != nil {
					return err // which leaves the slot open: nothing behind it counts as done
				}
				r.failed(e.Key, err)
			}
			return q.finish(slot, done)
		})
	}
	return each.Wait()
}

// fatal says that no other object would fare better: the storage or the destination is away, or full.
func fatal(err error) bool {
	return errors.Is(err, proxy.ErrBackendUnavailable) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS)
}

// patience is how often an object is tried while the storage or the destination does not answer, or clients replace it.
const patience = 4

var errReplaced = errors.New("object was replaced each time it was read; run this again")

// patiently exports one object, again where that may help: a body cannot be sent twice, but read again.
func (r *run) patiently(ctx context.Context, e s3api.ListEntry, at Place) (*done, error) {
	for try := 1; ; try++ {
		d, err := r.object(ctx, e, at)
		if !errors.Is(err, proxy.ErrBackendUnavailable) && !errors.Is(err, errReplaced) || try == patience {
			return d, err
		}
		if pause.For(ctx, time.Duration(try)*time.Second) != nil {
			return nil, err
		}
	}
}

// object exports one object; nil where it is gone.
func (r *run) object(ctx context.Context, e s3api.ListEntry, at Place) (*done, error) {
	name := proxy.ObjectAt{Bucket: r.c.Bucket, Key: e.Key, VersionID: e.VersionID}
	o, err := r.src.StatObject(ctx, name)
	if proxy.Gone(err) {
		r.note(func(rep *Report) { rep.Gone++ })
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tags, err := r.src.Tags(ctx, name)
	if err != nil {
		return nil, err
	}
	has, err := r.dst.Has(ctx, at, o)
	if err != nil {
		return nil, err
	}
	if has {
		r.note(func(rep *Report) { rep.Kept++ })
		return &done{at, o, tags}, nil
	}
	body, err := r.src.OpenObject(ctx, name)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if body.VersionID != o.VersionID || body.ETag != o.ETag || body.Size != o.Size {
		return nil, errReplaced
	}
	from := &paced{ctx: ctx, r: r, src: body}
	at, err = r.dst.Put(ctx, at, body.Object, tags, from)
	if from.err != nil {
		return nil, fmt.Errorf("read object: %w", from.err) // and not what the destination makes of a body that ends early
	}
	if err != nil {
		return nil, err
	}
	r.note(func(rep *Report) {
		rep.Exported++
		if body.Unsealed {
			rep.Unsealed++
		}
	})
	return &done{at, body.Object, tags}, nil
}

func (r *run) failed(key string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Failed++
	r.c.Failed(key, err)
}

// paced reads at the pace that was asked for, and counts.
type paced struct {
	ctx context.Context
	r   *run
	src io.Reader
	err error // of src
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.src.Read(b)
	if n > 0 {
		p.r.note(func(rep *Report) { rep.Bytes += int64(n) })
		if wait := p.r.c.Pace(p.ctx, n); wait != nil {
			return n, fmt.Errorf("wait for pace: %w", wait)
		}
	}
	if err != nil && err != io.EOF {
		p.err = err
	}
	return n, err
}
