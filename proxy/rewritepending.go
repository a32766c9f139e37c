package proxy

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"cofre/access"
	"cofre/metadata"
	"cofre/s3api"
)

// PendingRewrite is what remains to be done of a rewrite once the backend has committed it, kept where it outlives this process: the
// tags and the protection of an upload, which the backend takes only afterwards, and the version to remove. It is noted before the
// commit, so a note whose envelope the key does not carry is about a rewrite that did not happen.
type PendingRewrite struct {
	Key      []byte    `json:"key"`
	Envelope []byte    `json:"envelope"` // of the new object
	UploadID string    `json:"upload,omitempty"`
	Care     aftercare `json:"care,omitzero"`
	Replaced string    `json:"replaced,omitempty"` // version id of the object that was read; empty without versioning
	Began    time.Time `json:"began"`
}

// note keeps a rewrite's remaining work, where there is any.
func (w *rewriter) note(ctx context.Context, p PendingRewrite) error {
	if p.UploadID == "" && !(w.cfg.RemoveReplaced && p.Replaced != "") {
		return nil
	}
	w.mu.Lock()
	w.pending[string(p.Key)] = p
	w.mu.Unlock()
	if w.cfg.Note == nil {
		return nil
	}
	return w.cfg.Note(ctx, p)
}

func (w *rewriter) forget(p PendingRewrite) {
	w.mu.Lock()
	_, noted := w.pending[string(p.Key)]
	delete(w.pending, string(p.Key))
	w.mu.Unlock()
	if noted && w.cfg.Forget != nil {
		w.cfg.Forget(p.Key)
	}
}

func (w *rewriter) pendingOf(key string) (PendingRewrite, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, ok := w.pending[key]
	return p, ok
}

// settlePending ends what an earlier process had begun. What cannot be ended is told of, here or where the walk comes by.
func (w *rewriter) settlePending(ctx context.Context) error {
	for _, p := range w.cfg.Pending {
		err := w.settle(ctx, p)
		switch {
		case err == nil || bytes.Compare(p.Key, w.at.Key) > 0 && !mayPassBy(err):
			continue
		case ctx.Err() != nil || mayPassBy(err):
			return err
		}
		if err := w.givenUp(ctx, s3api.ListEntry{Key: string(p.Key), Latest: true}, err); err != nil {
			return err
		}
	}
	return nil
}

// settle finds out whether a rewrite took place, and does what remains of it, or takes it back.
func (w *rewriter) settle(ctx context.Context, p PendingRewrite) error {
	rq := w.h.siteRequest(ctx, "Rewrite")
	t := target{Bucket: w.bucket, Key: string(p.Key)}
	now, err := w.h.headOf(ctx, rq, t)
	if err != nil && !hasStatus(err, http.StatusNotFound) {
		return err
	}
	if err != nil || !carriesBytes(now, p.Envelope) {
		// It did not take place, or a client has replaced it since.
		if p.UploadID != "" {
			if err := w.h.abort(ctx, rq, t, p.UploadID); err != nil && !hasStatus(err, http.StatusNotFound) {
				return err
			}
		}
		w.forget(p)
		return nil
	}
	if err := w.careFor(ctx, rq, p, now); err != nil {
		return err
	}
	return w.settled(ctx, rq, p, versionOf(now))
}

// careFor gives a new object in parts the tags and the protection of the old one.
func (w *rewriter) careFor(ctx context.Context, rq *request, p PendingRewrite, made http.Header) error {
	err := w.h.careFor(ctx, rq, target{Bucket: w.bucket, Key: string(p.Key), VersionID: made.Get("x-amz-version-id")}, p.Care)
	if err != nil && !mayPassBy(err) {
		return refuse("aftercare", "it was rewritten, but its tags or its protection could not be set again: "+detail(err))
	}
	return err
}

// settled makes the record that may not have been written, buries what was replaced, and removes its version.
func (w *rewriter) settled(ctx context.Context, rq *request, p PendingRewrite, version string) error {
	t := target{Bucket: w.bucket, Key: string(p.Key)}
	if _, err := w.h.discover(ctx, rq.reading(), t, "rewrite"); err != nil {
		return err
	}
	if version == metadata.NullVersion {
		err := w.h.store.Tombstone(ctx, metadata.Deletion{Bucket: w.bucket, Key: t.Key, VersionID: version, Began: p.Began})
		if err != nil {
			return err
		}
	}
	return w.replaced(ctx, rq, p, version)
}

// replaced takes care of the version that a rewrite took the place of: it stays, or goes once the new one was read back.
func (w *rewriter) replaced(ctx context.Context, rq *request, p PendingRewrite, made string) error {
	defer w.forget(p)
	if p.Replaced == "" || p.Replaced == made {
		return nil
	}
	old := target{Bucket: w.bucket, Key: string(p.Key), VersionID: p.Replaced}
	f := RewriteFinding{Key: old.Key, VersionID: old.VersionID, Kind: RewriteReplaced, Reason: "the version that was rewritten stays in a versioned bucket"}
	header, err := w.h.headOf(ctx, rq, old)
	switch {
	case hasStatus(err, http.StatusNotFound):
		return nil
	case err == nil && w.locked(header):
		f.Kind, f.Reason = RewriteLocked, "the version that was rewritten is locked, and stays"
	case err == nil && w.cfg.RemoveReplaced:
		if err = w.readBack(ctx, target{Bucket: w.bucket, Key: old.Key, VersionID: made}); err == nil {
			_, err = w.h.deleteOne(ctx, rq, old, s3api.DeleteConditions{Size: -1})
		}
		if err == nil {
			w.count(func(r *RewriteReport) { r.Removed++ })
			return nil
		}
		f.Reason = "the version that was rewritten could not be removed: " + detail(err)
	}
	w.found(f)
	return nil
}

func (w *rewriter) locked(header http.Header) bool {
	retained := header.Get(s3api.ObjectLockHeaders[0]) != "" && after(header.Get(s3api.ObjectLockHeaders[1]), w.h.cfg.Clock())
	return retained || header.Get(s3api.ObjectLockHeaders[2]) == "ON"
}

// readBack reads an object whole, to the last tag.
func (w *rewriter) readBack(ctx context.Context, t target) error {
	o, err := w.h.open(ctx, reading{as: access.SiteUser}, t, func(rec *metadata.Record) ask { return ask{whole: true, n: rec.Size} })
	if err != nil {
		return err
	}
	defer o.response.Body.Close()
	dec := w.h.decrypter(ctx, o)
	defer dec.Close()
	var body io.Reader = dec
	if w.cfg.Throttle != nil {
		body = &throttledReader{ctx: ctx, src: dec, throttle: w.cfg.Throttle}
	}
	_, err = io.Copy(io.Discard, body)
	return err
}

func carriesBytes(header http.Header, raw []byte) bool {
	got, _, err := envelopeOf(header)
	return err == nil && bytes.Equal(got[:], raw)
}
