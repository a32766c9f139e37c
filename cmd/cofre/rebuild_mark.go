package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"cofre/keys"
	"cofre/metadata"
	"cofre/proxy"
)

// rebuildNote and a bucket's name are the name of the note on how far its rebuild is. It lies in the store that is being filled, so it
// never speaks of another one, and a backup does not bring it back.
const rebuildNote = "rebuild "

// markEvery spaces the notes: what is done since the last one is done again by whoever goes on.
const markEvery = time.Second

// rebuildMark is how far the rebuild of a bucket is, with what was counted up to there.
type rebuildMark struct {
	Key      []byte           `json:"key"` // everything up to it is done with
	Report   proxy.HealReport `json:"report"`
	Accepted int64            `json:"accepted,omitempty"`
	Closed   []keys.KEKID     `json:"closed,omitempty"`

	began, kept time.Time
	total       int64 // objects of the bucket, as far as its storage tells
}

// resume gives the mark of a run that was stopped; the beginning where there was none.
func (s *site) resume(ctx context.Context, a app, bucket string, plan rebuildPlan) (rebuildMark, error) {
	var m rebuildMark
	if plan.afresh {
		return m, nil
	}
	note, err := s.store.Note(ctx, rebuildNote+bucket)
	if errors.Is(err, metadata.ErrNotFound) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(note.Text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read how far the rebuild of bucket %s is: %w; --afresh begins anew", bucket, err)
	}
	fmt.Fprintf(a.stderr, "cofre: bucket %s: goes on where a run stopped at %s, behind %q: %s\n",
		bucket, note.At.Format(time.RFC3339), m.Key, describeHeal(m.Report))
	return m, nil
}

// keep notes how far it is.
func (m *rebuildMark) keep(ctx context.Context, s *site, bucket string, at rebuildMark) error {
	if time.Since(m.kept) < markEvery {
		return nil
	}
	text, err := json.Marshal(at)
	if err == nil {
		err = s.store.SetNote(ctx, rebuildNote+bucket, text)
	}
	if err != nil {
		return fmt.Errorf("note how far the rebuild is: %w", err)
	}
	m.kept = time.Now()
	return nil
}

// estimate gives what prints how far a rebuild is, how fast, and how long it is going to take if the rest is like what was.
func (m *rebuildMark) estimate(a app, bucket string) func(proxy.HealReport) {
	progress := reporter{out: a.stderr, last: m.began}
	before := m.Report.Versions
	return func(r proxy.HealReport) {
		rate := float64(r.Versions-before) / max(time.Since(m.began).Seconds(), 0.001)
		left := ""
		if m.total > r.Versions && rate > 0 {
			seconds := float64(m.total-r.Versions) / rate
			left = fmt.Sprintf(" of about %d; %v left", m.total, time.Duration(seconds*float64(time.Second)).Round(time.Second))
		}
		progress.print("cofre: bucket %s: %s, %.0f a second%s", bucket, describeHeal(r), rate, left)
	}
}

// reachedEnd says whether a walk came to its end, although objects on the way may have failed.
func reachedEnd(r proxy.HealReport, err error) bool {
	return err == nil || errors.Is(err, errNotHealed) && r.Failed > 0
}

// closeGap takes note that nothing is missing any more of what was written since the backup that the store came from, if it came from one
// and all buckets were gone through. It says whether the store came from one.
func (s *site) closeGap(ctx context.Context, a app, all bool) (restored bool, err error) {
	note, err := s.store.Note(ctx, restoredNote)
	if errors.Is(err, metadata.ErrNotFound) {
		return false, nil
	}
	if err != nil || !all {
		return err == nil, err
	}
	var from restoredFrom
	if err := json.Unmarshal(note.Text, &from); err != nil {
		return true, fmt.Errorf("read note of the restore: %w", err)
	}
	if err := s.store.DropNote(ctx, restoredNote); err != nil {
		return true, err
	}
	fmt.Fprintf(a.stderr, "cofre: the store has all that is on the storage: the gap since the backup of %s is closed\n", from.Created.Format(time.RFC3339))
	return true, nil
}

// tellRestored puts into the log that the store came from a backup and has not everything yet.
func (s *site) tellRestored(ctx context.Context, log *zap.Logger) {
	note, err := s.store.Note(ctx, restoredNote)
	if err != nil {
		return // there is none, or the store's own health is told elsewhere
	}
	var from restoredFrom
	if err := json.Unmarshal(note.Text, &from); err == nil {
		log.Warn("store came from a backup: cofre rebuild finds what was written since", zap.Time("backup", from.Created), zap.String("file", from.File))
	}
}
