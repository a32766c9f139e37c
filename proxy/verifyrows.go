package proxy

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net/http"

	"cofre/access"
	"cofre/metadata"
	"cofre/s3api"
)

// rowsPage is how many rows are read, and how many things are looked at before what looks wrong settles.
const rowsPage = 1000

// objectsAndRows walks the listing of all versions and the store's live rows side by side. Both are in order of key, so the rows of
// a page's keys are at hand with it. The order only saves looks: whatever the backend lists, a row whose object is not on the
// page is looked at by itself before anything is said of it.
func (v *verification) objectsAndRows(ctx context.Context) error {
	rows := &rowWalk{v: v}
	listed := newListed()
	err := v.h.eachVersionPage(ctx, v.bucket, func(page *s3api.Listing) error {
		looks := make([]look, 0, len(page.Entries))
		for i := range page.Entries {
			e := &page.Entries[i]
			if e.DeleteMarker {
				continue
			}
			t := target{Bucket: v.bucket, Key: e.Key, VersionID: e.VersionID}
			if t.VersionID == "" {
				t.VersionID = metadata.NullVersion
			}
			looks = append(looks, v.object(t))
			listed.add(t)
		}
		v.note(func(r *VerifyReport) { r.Objects += int64(len(looks)) })
		if err := v.examine(ctx, looks); err != nil {
			return err
		}
		if !page.Truncated {
			return nil
		}
		// The versions of the page's last key may go on on the next one.
		err := rows.each(ctx, listed, func(key string) bool { return key < page.NextKeyMarker })
		listed.turn(page.NextKeyMarker)
		v.release(everything)
		return err
	})
	if err != nil {
		return err
	}
	return rows.each(ctx, listed, func(string) bool { return true })
}

// listed is what stood on the page at hand, and of the page before what has the same key as the rows that come next.
type listed struct {
	page  map[target]bool
	carry map[target]bool
}

func newListed() *listed { return &listed{page: map[target]bool{}, carry: map[target]bool{}} }

func (l *listed) add(t target)      { l.page[t] = true }
func (l *listed) has(t target) bool { return l.page[t] || l.carry[t] }

// turn begins a new page, whose rows may begin with this key.
func (l *listed) turn(key string) {
	clear(l.carry)
	for t := range l.page {
		if t.Key == key {
			l.carry[t] = true
		}
	}
	clear(l.page)
}

// rowWalk gives the live rows of the bucket, one after the other.
type rowWalk struct {
	v    *verification
	page []metadata.Record // rows that were read and not looked at yet
	last *metadata.Record  // the last of those read; nil before the first
	done bool
	// seen is the last row that was looked at, behind which another walk may go on; nil before the first.
	seen *metadata.Record
	// pair is told of two rows of one key and its null version that follow each other, the newer first; nil: nobody is.
	pair func(newer, older metadata.Record)
}

// each looks at the next rows, up to the first whose key within refuses.
func (w *rowWalk) each(ctx context.Context, listed *listed, within func(key string) bool) error {
	for {
		if len(w.page) == 0 && !w.done {
			if err := w.read(ctx); err != nil {
				return err
			}
		}
		n := 0
		var looks []look
		for n < len(w.page) && within(w.page[n].Key) {
			rec := &w.page[n]
			if t := (target{Bucket: rec.Bucket, Key: rec.Key, VersionID: rec.VersionID}); !listed.has(t) {
				looks = append(looks, w.v.row(t))
			}
			if w.pair != nil && w.seen != nil && w.seen.Key == rec.Key && w.seen.VersionID == rec.VersionID && rec.VersionID == metadata.NullVersion {
				w.pair(*w.seen, *rec)
			}
			seen := *rec
			w.seen = &seen
			n++
		}
		upTo := "" // objects behind these rows wait: rows that come next may stand before them
		if n > 0 {
			upTo = w.page[n-1].Key
		}
		w.page = w.page[n:]
		w.v.note(func(r *VerifyReport) { r.Rows += int64(n) })
		if err := w.v.examine(ctx, looks); err != nil {
			return err
		}
		w.v.release(func(key string) bool { return key <= upTo })
		if len(w.page) > 0 || w.done {
			return nil
		}
	}
}

func (w *rowWalk) read(ctx context.Context) error {
	page, err := w.v.h.store.Rows(ctx, w.v.bucket, w.last, rowsPage)
	if err != nil {
		return err
	}
	w.page, w.done = page, len(page) < rowsPage
	if len(page) > 0 {
		last := page[len(page)-1]
		w.last = &last
	}
	return nil
}

// row looks at a live row whose object the listing did not show. Where the object is there after all, it was written since, or
// stands on another page: then it is looked at as an object.
func (v *verification) row(t target) look {
	return func(ctx context.Context) *Finding {
		resp, err := v.h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodHead, Bucket: t.Bucket, Key: t.Key, Query: t.query()})
		if err == nil {
			resp.Body.Close()
			return nil
		}
		if !absent(err) {
			return v.finding(t, metadata.Envelope{}, err)
		}
		// Whoever deletes through cofre makes the tombstone right after the backend has answered.
		row, err := v.h.store.Latest(ctx, t.Bucket, t.Key, t.VersionID)
		if errors.Is(err, metadata.ErrNotFound) {
			return nil
		}
		if err != nil {
			return v.finding(t, metadata.Envelope{}, err)
		}
		f := &Finding{Kind: FoundRowAlone, Bucket: t.Bucket, Key: t.Key, VersionID: t.VersionID, state: hex.EncodeToString(row.Envelope[:])}
		switch {
		case v.cfg.OtherWriters:
			f.Info, f.Detail = true, "The store has a row, the storage no object: another site may have deleted it."
		case v.expires:
			f.Info, f.Detail = true, "The store has a row, the storage no object: a lifecycle rule of the bucket may have removed it."
		default:
			f.Detail = "The store has a row, the storage no object, and no delete through this site has noted it."
		}
		return f
	}
}

// lifecycle finds out whether the bucket has rules by which the backend removes objects or versions.
func (v *verification) lifecycle(ctx context.Context) error {
	var q s3api.Query
	q.Set("lifecycle", "")
	resp, err := v.h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: v.bucket, Query: q})
	switch {
	case err == nil:
		defer resp.Body.Close()
		text, err := readSmall(resp.Body, maxBucketDocument)
		// Expiration and NoncurrentVersionExpiration: a rule that aborts uploads, or moves objects, deletes none.
		v.expires = bytes.Contains(text, []byte("Expiration>"))
		return err
	case hasCode(err, s3api.ErrNoSuchBucket.Code):
		return err
	case hasStatus(err, http.StatusNotFound), hasStatus(err, http.StatusNotImplemented), hasStatus(err, http.StatusForbidden), hasStatus(err, http.StatusBadRequest):
		return nil // no rules, a backend without them, or a guest who may not know
	}
	return err
}
