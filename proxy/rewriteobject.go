package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"cofre/access"
	"cofre/internal/pause"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

const rewriteAttempts = 4

// rewritePause is doubled with each failure that may pass. A variable for tests.
var rewritePause = 500 * time.Millisecond

// errOvertaken says that the object is not, or no longer, the one that was read: somebody else wrote.
var errOvertaken = errors.New("proxy: object was written meanwhile")

// rewriteRefusal is why an object stays as it is.
type rewriteRefusal struct{ kind, reason string }

func (r *rewriteRefusal) Error() string { return r.kind + ": " + r.reason }

func refuse(kind, reason string) error { return &rewriteRefusal{kind, reason} }

// entry does one entry of the listing, as often as it takes to be sure of its outcome. Its error ends the walk.
func (w *rewriter) entry(ctx context.Context, e s3api.ListEntry) error {
	wait := rewritePause
	var err error
	for range rewriteAttempts {
		err = w.try(ctx, e)
		switch {
		case err == nil:
			w.count(func(r *RewriteReport) { r.Looked++ })
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case isOvertaken(err):
			w.count(func(r *RewriteReport) { r.Dropped++ })
		case mayPassBy(err):
			if err := pause.For(ctx, wait); err != nil {
				return err
			}
			wait *= 2
		default:
			return w.givenUp(ctx, e, err)
		}
	}
	if isOvertaken(err) {
		err = refuse("busy", "clients wrote it each time it was about to be rewritten")
	}
	return w.givenUp(ctx, e, err)
}

// givenUp tells of an object that is not rewritten; where it is the storage or the store that is away, the walk ends instead.
func (w *rewriter) givenUp(ctx context.Context, e s3api.ListEntry, err error) error {
	var refused *rewriteRefusal
	f := RewriteFinding{Key: e.Key, VersionID: shownVersion(e.VersionID)}
	switch {
	case isJoining(err):
		f.Kind, f.Reason = "unsettled", err.Error()
	case hasCode(err, s3api.ErrNoSuchBucket.Code):
		return err
	case hasStatus(err, http.StatusNotFound):
		w.count(func(r *RewriteReport) { r.Looked++ })
		return nil // deleted since it was listed
	case errors.As(err, &refused):
		f.Kind, f.Reason = refused.kind, refused.reason
	case mayPassBy(err) && w.away(ctx):
		return err
	case errors.Is(err, errNeedsCustomerKey):
		f.Kind, f.Reason = "customer_key", "sealed with a customer's own key (SSE-C), which only its client has"
	case errors.Is(err, keys.ErrNotRecipient):
		f.Kind, f.Reason = "not_recipient", "no grant of its KEK is for this site"
	case hasCode(err, s3api.ErrEntityTooLarge.Code, s3api.ErrMetadataTooLarge.Code):
		f.Kind, f.Reason = "too_large", "sealed, it is beyond the storage's limits: "+answerTo(err).Code
	case hasStatus(err, http.StatusForbidden):
		f.Kind, f.Reason = "forbidden", "the storage refuses: "+answerTo(err).Code
	default:
		w.h.note(w.targetOf(e), err)
		f.Kind, f.Reason = "unreadable", detail(err)
	}
	w.count(func(r *RewriteReport) { r.Looked++ })
	w.found(f)
	return nil
}

// shownVersion is a version id for people: none where the bucket has no versions.
func shownVersion(id string) string {
	if id == metadata.NullVersion {
		return ""
	}
	return id
}

func isOvertaken(err error) bool {
	return errors.Is(err, errOvertaken) || errors.Is(err, errChanged) || hasStatus(err, http.StatusPreconditionFailed)
}

// mayPassBy says whether an error tells of the moment rather than of the object.
func mayPassBy(err error) bool {
	if errors.Is(err, errIntegrity) {
		return false
	}
	status := answerTo(err).Status
	return isJoining(err) || status == http.StatusServiceUnavailable || errors.Is(err, metadata.ErrLockTimeout) || errors.Is(err, metadata.ErrLockLost) ||
		hasStatus(err, http.StatusConflict)
}

// away says whether the storage or the store does not answer at all.
func (w *rewriter) away(ctx context.Context) bool {
	if !w.h.store.Healthy() {
		return true
	}
	_, err := w.h.freshFacts(ctx, access.SiteUser, w.bucket)
	return err != nil
}

// try looks at an entry and rewrites it if it is to be.
func (w *rewriter) try(ctx context.Context, e s3api.ListEntry) error {
	if p, ok := w.pendingOf(e.Key); ok {
		if err := w.settle(ctx, p); err != nil {
			return err
		}
	}
	kek, chosen, err := w.inspect(ctx, e)
	if err != nil {
		return err
	}
	f := RewriteFinding{Key: e.Key, VersionID: shownVersion(e.VersionID), KEK: kek}
	switch {
	case !chosen:
		w.count(func(r *RewriteReport) { r.Already++ })
		return nil
	case !e.Latest:
		f.Kind, f.Reason = RewriteNoncurrent, "an older version: it stays as it is until it is deleted"
		w.found(f)
		return nil
	case !w.cfg.ListOnly:
		return w.rewrite(ctx, e)
	}
	if err := w.couldRewrite(ctx, e); err != nil {
		return err
	}
	f.Kind = RewriteRewritable
	w.found(f)
	return nil
}

// inspect says under which KEK an entry lies, none for an object in clear, and whether it is to be rewritten: by its record where that
// is of the body that was listed, else by asking the backend.
func (w *rewriter) inspect(ctx context.Context, e s3api.ListEntry) (kek string, chosen bool, err error) {
	t := w.targetOf(e)
	rec, err := w.h.store.Latest(ctx, w.bucket, e.Key, t.VersionID)
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return "", false, err
	}
	env := rec.Envelope
	if err != nil || rec.BackendETag != e.ETag {
		found, err := w.h.probe(ctx, access.SiteUser, t)
		if isUnsealed(err) {
			return "", w.cfg.Unsealed, nil
		}
		if err != nil {
			return "", false, err
		}
		env = found.raw
	}
	id := kekOf(env)
	if w.cfg.Unsealed {
		return id.String(), false, nil
	}
	chosen, err = w.chosen(ctx, id)
	return id.String(), chosen, err
}

// targetOf names an entry: the current object by its key alone, since it is the key whose current object is rewritten.
func (w *rewriter) targetOf(e s3api.ListEntry) target {
	t := target{Bucket: w.bucket, Key: e.Key}
	if !e.Latest {
		t.VersionID = e.VersionID
	}
	return t
}

// kekOf reads which KEK an envelope names. What is no envelope gives the zero id, which no KEK has.
func kekOf(raw metadata.Envelope) keys.KEKID {
	env, err := seal.ParseEnvelopeBytes(raw[:])
	if err != nil {
		return keys.KEKID{}
	}
	return env.KEKID
}

// siteRequest stands for work that no client asked for.
func (h *Handler) siteRequest(ctx context.Context, operation string) *request {
	return &request{
		Request: (&http.Request{Header: http.Header{}}).WithContext(ctx),
		who:     access.Identity{User: access.SiteUser},
		event:   &event{ID: newRequestID(), Operation: operation, Start: h.cfg.Clock()},
		began:   h.store.Now(),
	}
}

// couldRewrite looks for what would keep an object from being rewritten, without reading it.
func (w *rewriter) couldRewrite(ctx context.Context, e s3api.ListEntry) error {
	rq := w.h.siteRequest(ctx, "Rewrite")
	src, err := w.source(ctx, rq, e, true)
	if err != nil {
		return err
	}
	src.close()
	return nil
}

// rewrite writes the current object of a key anew.
func (w *rewriter) rewrite(ctx context.Context, e s3api.ListEntry) error {
	rq := w.h.siteRequest(ctx, "Rewrite")
	src, err := w.source(ctx, rq, e, false)
	if err != nil {
		return err
	}
	defer src.close()
	p := PendingRewrite{Key: []byte(e.Key), Began: rq.began}
	if w.versioning != "" {
		p.Replaced = versionOf(src.header)
	}
	var made http.Header
	if len(src.record.Parts) > 0 {
		made, err = w.putParts(ctx, rq, src, p)
	} else {
		made, err = w.putWhole(ctx, rq, src, p)
	}
	if err != nil {
		return err
	}
	w.count(func(r *RewriteReport) { r.Rewritten++; r.Bytes += src.record.Size })
	return w.replaced(ctx, rq, p, versionOf(made))
}
