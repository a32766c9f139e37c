package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
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
	// Noted is when it was noted, by the store's clock: the backend was asked to join the parts right afterwards, or never.
	Noted time.Time `json:"noted,omitzero"`
}

// joinSettled is the age of a note at which the storage has ended whatever it was asked to join, far beyond any limit on an answer.
// Ceph RGW 16 loses the object when an Abort meets a Complete that is still running, so until then nothing is aborted.
const joinSettled = time.Hour

// joiningError says that the storage may still be joining the parts of an upload, whose answer was lost.
type joiningError struct{ until time.Time }

func (e *joiningError) Error() string {
	return "the storage may still be joining its parts, and its answer was lost: it is looked at again after " + e.until.Format(time.RFC3339)
}

// isJoining says whether an error is about such an upload.
func isJoining(err error) bool {
	var e *joiningError
	return errors.As(err, &e)
}

// note keeps a rewrite's remaining work, where there is any.
func (w *rewriter) note(ctx context.Context, p PendingRewrite) error {
	if p.UploadID == "" && !(w.cfg.RemoveReplaced && p.Replaced != "") {
		return nil
	}
	p.Noted = w.h.store.Now()
	w.mu.Lock()
	w.pending[string(p.Key)] = p
	w.mu.Unlock()
	if w.cfg.Note == nil {
		return nil
	}
	err := w.cfg.Note(ctx, p)
	if err != nil {
		w.forget(p) // nothing is committed without its note
	}
	return err
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

// pendingAll gives the notes that are left, in no order.
func (w *rewriter) pendingAll() []PendingRewrite {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.pending))
}

// SettleRewrites ends the rewrites that c.Pending tells of, and begins none: what remains to be done of a walk that nobody goes on
// with. An error that passes (see Passes) says that some are still to be settled.
func (h *Handler) SettleRewrites(ctx context.Context, bucket string, c RewriteConfig) error {
	w := h.rewriterOf(bucket, c)
	var young error
	for _, p := range c.Pending {
		err := w.settle(ctx, p)
		switch {
		case err == nil:
			continue
		case isJoining(err):
			young = err
			continue
		case ctx.Err() != nil || mayPassBy(err):
			return err
		}
		if err := w.givenUp(ctx, s3api.ListEntry{Key: string(p.Key), Latest: true}, err); err != nil {
			return err
		}
	}
	return young
}

// settlePending ends what an earlier process had begun. What cannot be ended is told of, here or where the walk comes by.
func (w *rewriter) settlePending(ctx context.Context) error {
	for _, p := range w.cfg.Pending {
		err := w.settle(ctx, p)
		switch {
		case err == nil || isJoining(err) || bytes.Compare(p.Key, w.at.Key) > 0 && !mayPassBy(err):
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

// settleRest comes back, at the end of a pass, to what could not be settled on the way. It says whether some of it was: those objects
// are to be looked at once more; the error is an joiningError where one is still too young.
func (w *rewriter) settleRest(ctx context.Context) (some bool, err error) {
	var young error
	for _, p := range w.pendingAll() {
		err := w.settle(ctx, p)
		switch {
		case err == nil:
			some = true
		case isJoining(err):
			young = err
		case ctx.Err() != nil || mayPassBy(err):
			return some, err
		}
		// What it is refused for was told when the walk came by.
	}
	return some, young
}

// settle finds out whether a rewrite took place, and does what remains of it, or takes it back.
func (w *rewriter) settle(ctx context.Context, p PendingRewrite) error {
	rq := w.h.siteRequest(ctx, "Rewrite")
	now, err := w.settleCommit(ctx, rq, p)
	if err != nil {
		return err
	}
	if now == nil {
		w.forget(p)
		return nil
	}
	return w.settled(ctx, rq, p, versionOf(now))
}

// settleCommit looks, under the key's lock, whether the key holds the new object, and gives that its tags and its protection. There
// is no header where the rewrite did not take place, or a client has replaced it since; its upload is gone then.
func (w *rewriter) settleCommit(ctx context.Context, rq *request, p PendingRewrite) (http.Header, error) {
	t := target{Bucket: w.bucket, Key: string(p.Key)}
	lock, err := w.h.lockKey(ctx, t.Bucket, t.Key)
	if err != nil {
		return nil, err
	}
	defer lock.Unlock()
	now, err := w.rewritten(ctx, rq, p)
	if err == nil && now == nil && p.UploadID != "" {
		if err := w.abortSettled(ctx, rq, p); err != nil {
			return nil, err
		}
		// An upload that is not there any more may have been joined since the look.
		now, err = w.rewritten(ctx, rq, p)
	}
	if err != nil || now == nil {
		return nil, err
	}
	return now, w.careFor(ctx, rq, p, now)
}

// rewritten gives the headers of the object that a note is about; none where the key does not hold it.
func (w *rewriter) rewritten(ctx context.Context, rq *request, p PendingRewrite) (http.Header, error) {
	now, err := w.h.headOf(ctx, rq, target{Bucket: w.bucket, Key: string(p.Key)})
	switch {
	case hasStatus(err, http.StatusNotFound):
		return nil, nil
	case err != nil || !carriesBytes(now, p.Envelope):
		return nil, err
	}
	return now, nil
}

// abortSettled aborts the upload of a note, once it cannot meet its own Complete any more.
func (w *rewriter) abortSettled(ctx context.Context, rq *request, p PendingRewrite) error {
	if until := p.Noted.Add(joinSettled); w.h.store.Now().Before(until) {
		return &joiningError{until}
	}
	err := w.h.abort(ctx, rq, target{Bucket: w.bucket, Key: string(p.Key)}, p.UploadID)
	if hasStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// careFor gives a new object in parts the tags and the protection of the old one.
func (w *rewriter) careFor(ctx context.Context, rq *request, p PendingRewrite, made http.Header) error {
	err := w.h.careFor(ctx, rq, target{Bucket: w.bucket, Key: string(p.Key), VersionID: made.Get("X-Amz-Version-Id")}, p.Care)
	if err != nil && !mayPassBy(err) {
		return refuse("aftercare", "it was rewritten, but its tags or its protection could not be set again: "+detail(err))
	}
	if err != nil || p.UploadID == "" || p.Replaced == "" || !w.cfg.RemoveReplaced {
		return err
	}
	// What is left is to read it back, which may take hours and be taken up again: its tags are clients' to change from now on.
	p.UploadID, p.Care = "", aftercare{}
	return w.note(context.WithoutCancel(ctx), p)
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

// replaced takes care of the version that a rewrite took the place of: it stays, or goes once the new one was read back. Where ctx
// ends before that, the note stays for whoever takes the walk up.
func (w *rewriter) replaced(ctx context.Context, rq *request, p PendingRewrite, made string) error {
	if p.Replaced != "" && p.Replaced != made {
		f, err := w.leaveReplaced(ctx, rq, p, made)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			f.Reason = "the version that was rewritten could not be removed: " + detail(err)
			w.found(f)
		case f.Kind != "":
			w.found(f)
		}
	}
	w.forget(p)
	return nil
}

// leaveReplaced gives what is to be told of a replaced version; no kind where it is gone.
func (w *rewriter) leaveReplaced(ctx context.Context, rq *request, p PendingRewrite, made string) (RewriteFinding, error) {
	old := target{Bucket: w.bucket, Key: string(p.Key), VersionID: p.Replaced}
	f := RewriteFinding{Key: old.Key, VersionID: old.VersionID, Kind: RewriteReplaced, Reason: "the version that was rewritten stays in a versioned bucket"}
	header, err := w.h.headOf(ctx, rq, old)
	switch {
	case hasStatus(err, http.StatusNotFound):
		return RewriteFinding{}, nil
	case err != nil:
		return f, err
	case w.locked(header):
		f.Kind, f.Reason = RewriteLocked, "the version that was rewritten is locked, and stays"
		return f, nil
	case !w.cfg.RemoveReplaced:
		return f, nil
	}
	if err := w.readBack(ctx, target{Bucket: w.bucket, Key: old.Key, VersionID: made}); err != nil {
		return f, err
	}
	if _, err := w.h.deleteOne(ctx, rq, old, s3api.DeleteConditions{Size: -1}); err != nil {
		return f, err
	}
	w.count(func(r *RewriteReport) { r.Removed++ })
	return RewriteFinding{}, nil
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
