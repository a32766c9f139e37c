package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"cofre/access"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// sweepState is how far the sweep of a bucket is, kept in the store after each page: whichever replica sweeps next goes on there.
type sweepState struct {
	// Walked is when the last walk came to its end.
	Walked time.Time `json:"walked,omitzero"`
	// Begun is when the walk began that is going on; zero for none.
	Begun time.Time `json:"begun,omitzero"`
	// KeyMarker and VersionMarker are where its listing goes on, and Row is the last row that it has looked at.
	KeyMarker     []byte      `json:"key_marker,omitempty"`
	VersionMarker string      `json:"version_marker,omitempty"`
	Row           *rowMark    `json:"row,omitempty"`
	Layouts       layoutMarks `json:"layouts,omitempty"`
}

// rowMark names a row in the order of metadata.Store.Rows.
type rowMark struct {
	Key       []byte    `json:"key"`
	VersionID []byte    `json:"version"`
	Committed time.Time `json:"committed"`
}

func rowMarkOf(rec *metadata.Record) *rowMark {
	if rec == nil {
		return nil
	}
	return &rowMark{[]byte(rec.Key), []byte(rec.VersionID), rec.Committed}
}

func (m *rowMark) record() *metadata.Record {
	if m == nil {
		return nil
	}
	return &metadata.Record{Key: string(m.Key), VersionID: string(m.VersionID), Committed: m.Committed}
}

// bucketWalk is one walk over the versions that the storage lists and the rows beside them.
type bucketWalk struct {
	s     *sweeper
	v     *verification // looks at rows as `cofre verify` does
	rows  *rowWalk
	state sweepState
	// takeRows says that rows without object are to go.
	takeRows bool
	pairs    []metadata.Record // the newer of two live rows of one key
	alone    []Finding
}

// walk goes over a bucket, for rows whose objects are gone and for layouts that no object needs, a part of it in each call.
func (s *sweeper) walk(ctx context.Context, bucket string, busy bool) error {
	w, err := s.newWalk(ctx, bucket)
	if err != nil {
		return err
	}
	if w.state.Begun.IsZero() {
		if s.cfg.WalkEvery > 0 && s.h.cfg.Clock().Sub(w.state.Walked) < s.cfg.WalkEvery {
			return nil
		}
		w.state = sweepState{Walked: w.state.Walked, Begun: s.h.cfg.Clock()}
		if err := w.findLayouts(ctx, busy); err != nil {
			return err
		}
	}
	if err := w.v.lifecycle(ctx); err != nil {
		return err
	}
	w.takeRows = w.v.cfg.OtherWriters || w.v.expires || s.cfg.LostRows
	w.rows.last, w.rows.seen = w.state.Row.record(), w.state.Row.record()
	ended, err := w.pages(ctx)
	if err != nil || !ended {
		return err
	}
	if err := w.takeLayouts(ctx, busy); err != nil {
		return err
	}
	w.state = sweepState{Walked: s.h.cfg.Clock()}
	return w.keep(ctx)
}

func (s *sweeper) newWalk(ctx context.Context, bucket string) (*bucketWalk, error) {
	w := &bucketWalk{s: s}
	w.v = &verification{h: s.h, bucket: bucket, begun: s.h.cfg.Clock(), cfg: VerifyConfig{
		Parallel: s.h.cfg.Limits.HealParallel, Settle: s.cfg.Settle, OtherWriters: s.cfg.OtherWriters(bucket),
		Found: func(f Finding) { w.alone = append(w.alone, f) },
	}}
	w.v.report.Kinds = map[FindingKind]int64{}
	w.rows = &rowWalk{v: w.v, pair: func(newer, _ metadata.Record) { w.pairs = append(w.pairs, newer) }}
	if s.cfg.List {
		return w, nil // from the beginning, and nothing is kept
	}
	raw, err := s.h.store.SweepState(ctx, bucket)
	if err == nil && len(raw) > 0 {
		err = json.Unmarshal(raw, &w.state)
	}
	return w, err
}

// keep stores how far the walk is.
func (w *bucketWalk) keep(ctx context.Context) error {
	if w.s.cfg.List {
		return nil
	}
	raw, err := json.Marshal(w.state)
	if err != nil {
		return err
	}
	return w.s.h.store.SetSweepState(ctx, w.v.bucket, raw)
}

// pages walks as many pages as one call may. ended says that the walk has come to its end.
func (w *bucketWalk) pages(ctx context.Context) (ended bool, err error) {
	listed := newListed()
	for n := 0; w.s.cfg.WalkPages == 0 || n < w.s.cfg.WalkPages; n++ {
		begun := time.Now()
		page, err := w.page(ctx)
		if err != nil {
			return false, err
		}
		for i := range page.Entries {
			if e := &page.Entries[i]; !e.DeleteMarker {
				listed.add(targetOf(w.v.bucket, e))
			}
		}
		if err := w.meetObjects(ctx, page); err != nil {
			return false, err
		}
		within := func(key string) bool { return !page.Truncated || key < page.NextKeyMarker }
		if err := w.meetRows(ctx, listed, within); err != nil || !page.Truncated {
			return err == nil, err
		}
		listed.turn(page.NextKeyMarker)
		if page.NextKeyMarker == string(w.state.KeyMarker) && page.NextVersionIDMarker == w.state.VersionMarker {
			return false, errChanged // a backend that does not move on would keep this going for ever
		}
		w.state.KeyMarker, w.state.VersionMarker, w.state.Row = []byte(page.NextKeyMarker), page.NextVersionIDMarker, rowMarkOf(w.rows.seen)
		if err := w.keep(ctx); err != nil {
			return false, err
		}
		if err := w.s.rest(ctx, begun); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (w *bucketWalk) page(ctx context.Context) (*s3api.Listing, error) {
	var q s3api.Query
	q.Set("versions", "")
	q.Set("encoding-type", "url")
	if len(w.state.KeyMarker) > 0 {
		q.Set("key-marker", string(w.state.KeyMarker))
		q.Set("version-id-marker", w.state.VersionMarker)
	}
	return w.s.h.versionPage(ctx, access.SiteUser, w.v.bucket, q)
}

func targetOf(bucket string, e *s3api.ListEntry) target {
	t := target{Bucket: bucket, Key: e.Key, VersionID: e.VersionID}
	if t.VersionID == "" {
		t.VersionID = metadata.NullVersion
	}
	return t
}

// meetRows looks at the next rows, and makes tombstones of those whose objects are gone.
func (w *bucketWalk) meetRows(ctx context.Context, listed *listed, within func(key string) bool) error {
	// Before the look: of a key that is written meanwhile, the new row stays.
	began := w.s.h.store.Now()
	w.alone, w.pairs = w.alone[:0], w.pairs[:0]
	err := w.rows.each(ctx, listed, within)
	w.v.release(everything)
	if err != nil {
		return err
	}
	var deletions []metadata.Deletion
	for _, f := range w.alone {
		if f.Kind != FoundRowAlone {
			continue // it could not be looked at
		}
		out := Swept{Kind: SweptRow, Bucket: f.Bucket, Key: f.Key, VersionID: f.VersionID}
		if !w.takeRows {
			out.Kept = "nobody but this site deletes here, so the storage may have lost its object: docs/RUNBOOK.md, Sweep"
		} else {
			deletions = append(deletions, metadata.Deletion{Bucket: f.Bucket, Key: f.Key, VersionID: f.VersionID, Began: began})
		}
		w.s.tell(out)
	}
	if !w.s.cfg.List && len(deletions) > 0 {
		if err := w.s.h.store.Tombstone(ctx, deletions...); err != nil {
			return err
		}
		for _, d := range deletions {
			w.s.h.records.forget(d.Bucket, d.Key, d.VersionID)
		}
	}
	return w.replaced(ctx)
}

// replaced makes tombstones of rows whose object was replaced by one that has a row of its own by now: its writer died before it wrote
// that, and a reader's healing made none. Until then the storage could have put the older object back unnoticed.
func (w *bucketWalk) replaced(ctx context.Context) error {
	done := ""
	for _, newest := range w.pairs {
		if newest.Key == done {
			continue // the newest of more than two was the first
		}
		done = newest.Key
		t := target{Bucket: w.v.bucket, Key: newest.Key, VersionID: metadata.NullVersion}
		rec, err := w.s.h.store.Latest(ctx, t.Bucket, t.Key, t.VersionID)
		if err != nil {
			return err
		}
		header, err := w.s.h.headOf(ctx, w.s.h.siteRequest(ctx, "Sweep"), target{Bucket: t.Bucket, Key: t.Key})
		switch {
		case absent(err):
			continue
		case err != nil:
			return err
		case versionOf(header) != metadata.NullVersion || !carries(header, rec.Envelope):
			continue // it is not known which of the rows is the current one's
		}
		if !w.s.cfg.List {
			rec.Began = rec.Committed // what was committed before it and is not there now was replaced
			if err := w.s.h.store.Add(ctx, rec, metadata.Committed); err != nil {
				return err
			}
			w.s.h.records.forget(t.Bucket, t.Key, t.VersionID)
		}
		w.s.tell(Swept{Kind: SweptReplaced, Bucket: t.Bucket, Key: t.Key, VersionID: t.VersionID})
	}
	return nil
}

// layoutMark is a layout of which the store knows no object.
type layoutMark struct {
	Name string        `json:"name"`
	ID   keys.ObjectID `json:"id"`
}

type layoutMarks []layoutMark

// maxLayouts is how many layouts one walk may take away: more wait for the next.
const maxLayouts = 10_000

// findLayouts lists old layouts under KEKs that this site made, of whose objects the store knows nothing: no row, no upload, no young
// tombstone. The walk then looks whether an object has one that the store does not know.
func (w *bucketWalk) findLayouts(ctx context.Context, busy bool) error {
	if busy {
		return nil
	}
	mine, err := w.ownKEKs(ctx)
	if err != nil || len(mine) == 0 {
		return err
	}
	prefix := "buckets/" + w.v.bucket + "/layouts/"
	var failed error
	err = w.s.h.system().eachPage(ctx, prefix, "", func(page *s3api.Listing) (last string) {
		var old layoutMarks
		for _, e := range page.Entries {
			last = e.Key
			if m, ok := w.oldLayout(e, prefix, mine); ok {
				old = append(old, m)
			}
		}
		unused, err := w.unused(ctx, old)
		w.state.Layouts = append(w.state.Layouts, unused...)
		if failed = err; failed != nil || len(w.state.Layouts) >= maxLayouts {
			return ""
		}
		return last
	})
	if hasCode(err, s3api.ErrNoSuchBucket.Code) {
		return nil
	}
	if err != nil {
		return systemError("list", err)
	}
	return failed
}

// ownKEKs gives the KEKs that this site itself has made: of others' it does not know who else needs their layouts.
func (w *bucketWalk) ownKEKs(ctx context.Context) (map[keys.KEKID]bool, error) {
	all, err := w.s.h.store.KEKs(ctx, w.v.bucket)
	mine := map[keys.KEKID]bool{}
	for _, k := range all {
		if k.Creator == w.s.h.cfg.Site {
			mine[k.ID] = true
		}
	}
	return mine, err
}

func (w *bucketWalk) oldLayout(e s3api.ListEntry, prefix string, mine map[keys.KEKID]bool) (layoutMark, bool) {
	kekName, idName, _ := strings.Cut(strings.TrimPrefix(e.Key, prefix), "/")
	kek, kekErr := keys.ParseKEKID(kekName)
	id, idErr := keys.ParseObjectID(idName)
	at, timeErr := time.Parse(time.RFC3339, e.LastModified)
	if errors.Join(kekErr, idErr, timeErr) != nil {
		return layoutMark{}, false
	}
	return layoutMark{e.Key, id}, mine[kek] && at.Before(w.s.h.cfg.Clock().Add(-w.s.cfg.LayoutAge))
}

// unused gives those layouts of which the store knows no object.
func (w *bucketWalk) unused(ctx context.Context, list layoutMarks) (layoutMarks, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ids := make([]keys.ObjectID, len(list))
	for i, m := range list {
		ids[i] = m.ID
	}
	used, err := w.s.h.store.LayoutsInUse(ctx, w.v.bucket, ids, w.s.h.store.Now().Add(-w.s.cfg.LayoutAge))
	if err != nil {
		return nil, err
	}
	var unused layoutMarks
	for i, m := range list {
		if !used[i] {
			unused = append(unused, m)
		}
	}
	return unused, nil
}

// meetObjects looks at objects of a page that the store does not know: one of them may need a layout. What cannot be looked at might need
// any of them, so then none goes.
func (w *bucketWalk) meetObjects(ctx context.Context, page *s3api.Listing) error {
	if len(w.state.Layouts) == 0 {
		return nil
	}
	var counted HealReport
	unknown, err := w.s.h.unknown(ctx, w.v.bucket, page, &counted)
	if err != nil {
		return err
	}
	for _, t := range unknown {
		header, err := w.s.h.headOf(ctx, w.s.h.siteRequest(ctx, "Sweep"), t)
		if absent(err) {
			continue
		}
		if err == nil {
			var env seal.Envelope
			if _, env, err = envelopeOf(header); err == nil {
				w.state.Layouts = slices.DeleteFunc(w.state.Layouts, func(m layoutMark) bool { return m.ID == env.ObjectID })
				continue
			}
			if isUnsealed(err) {
				continue
			}
		}
		w.s.h.log.Warn("no layout is swept: an object of the bucket cannot be looked at", zap.String("bucket", w.v.bucket), zap.Error(err))
		w.state.Layouts = nil
		return ctx.Err()
	}
	return nil
}

// takeLayouts removes what no object was met for and the store still knows nothing of.
func (w *bucketWalk) takeLayouts(ctx context.Context, busy bool) error {
	if busy {
		return nil
	}
	for chunk := range slices.Chunk(w.state.Layouts, sweepBatch) {
		unused, err := w.unused(ctx, chunk)
		if err != nil {
			return err
		}
		for _, m := range unused {
			if !w.s.cfg.List {
				if err := w.s.h.system().Delete(ctx, m.Name); err != nil {
					return err
				}
			}
			w.s.tell(Swept{Kind: SweptLayout, Bucket: w.v.bucket, Name: m.Name})
		}
	}
	return nil
}
