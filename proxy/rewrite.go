package proxy

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cofre/access"
	"cofre/internal/pause"
	"cofre/keys"
	"cofre/s3api"
)

// RewriteConfig says what RewriteBucket rewrites, and how. Without Unsealed, All and KEKs that is what lies under closed KEKs.
type RewriteConfig struct {
	// Unsealed seals the objects that lie in clear, and touches no other.
	Unsealed bool
	// All rewrites whatever is not under the site's active KEK.
	All bool
	// KEKs rewrites what lies under these.
	KEKs []keys.KEKID
	// RemoveReplaced deletes the version that an object took the place of, once the new one was read back; not if it is locked.
	RemoveReplaced bool
	// ListOnly changes nothing: Found is told of what would be rewritten too.
	ListOnly bool
	// Parallel is how many objects are rewritten at a time; 0 for 4.
	Parallel int
	// Throttle is called with the number of plaintext bytes that were just read; nil to go on at once.
	Throttle func(ctx context.Context, n int) error

	// From, Report and Pending take up a walk where an earlier one stopped, as its last Checkpoint had them.
	From    RewriteMarker
	Report  RewriteReport
	Pending []PendingRewrite

	// Checkpoint is called when all before the marker is done with; its error ends the walk.
	Checkpoint func(ctx context.Context, at RewriteMarker, r RewriteReport) error
	// Note makes an intent durable before the backend commits it, and Forget drops it; see PendingRewrite. They may be called at
	// the same time for different keys.
	Note   func(ctx context.Context, p PendingRewrite) error
	Forget func(key []byte)
	// Progress is called after each object, and Found with each that is not rewritten and why; one call at a time.
	Progress func(RewriteReport)
	Found    func(RewriteFinding)
}

// RewriteMarker is a place in the walk through a bucket. A name is bytes: JSON's strings do not hold every key.
type RewriteMarker struct {
	Pass      int    `json:"pass,omitempty"`
	Key       []byte `json:"key,omitempty"`
	VersionID string `json:"version,omitempty"`
	// Waiting says that the pass is over, but for objects that the storage may still be joining.
	Waiting bool `json:"waiting,omitempty"`
}

// RewriteReport counts what RewriteBucket has met in this pass, and what it did in all of them.
type RewriteReport struct {
	Looked  int64 `json:"looked_at"`    // objects in all their versions, delete markers left out
	Already int64 `json:"already_done"` // that need nothing
	Refused int64 `json:"refused"`      // current objects that could not be rewritten
	Left    int64 `json:"left"`         // versions that are not current and stay as they are

	Rewritten int64 `json:"rewritten"`
	Bytes     int64 `json:"bytes"`   // of plaintext, rewritten
	Dropped   int64 `json:"dropped"` // attempts that a client's write overtook
	Removed   int64 `json:"removed"` // versions that were replaced
}

// RewriteFinding is an object, or a version of one, that stays as it is, and why.
type RewriteFinding struct {
	Key       string `json:"key"`
	VersionID string `json:"version,omitempty"`
	KEK       string `json:"kek,omitempty"`
	Kind      string `json:"kind"`
	Reason    string `json:"reason,omitempty"`
}

// Kinds of findings that are no refusals.
const (
	RewriteRewritable = "rewritable" // ListOnly: it would be rewritten
	RewriteNoncurrent = "noncurrent" // an older version
	RewriteReplaced   = "replaced"   // the version that was rewritten, which its bucket keeps
	RewriteLocked     = "locked"     // the same, under retention or a legal hold
)

// Refused says whether the finding is about a current object, which thereby stays under its old key or in clear.
func (f RewriteFinding) Refused() bool {
	switch f.Kind {
	case RewriteRewritable, RewriteNoncurrent, RewriteReplaced, RewriteLocked:
		return false
	}
	return true
}

const (
	defaultRewriteParallel = 4
	// rewritePasses bounds how often a bucket is walked. A second pass finds what was being written under an old key, or in
	// clear, while the first one went by.
	rewritePasses = 3
)

// RewriteBucket writes current objects of a bucket anew under their own names, each with a new data key under the site's active KEK, while
// clients read and write. A client that writes meanwhile wins. Size, ETag, checksums, parts, attributes, tags, ACL and protection
// stay; Last-Modified, the version id and, on Ceph RGW, the owner change. It acts as the site's own backend user.
//
// An error ends the walk, which may be taken up again: nothing that is done is done twice. Where the storage may still be joining the
// parts of an object, the walk ends with an error that passes (see Passes) and the object is found as "unsettled": taken up again an
// hour later, it goes on.
func (h *Handler) RewriteBucket(ctx context.Context, bucket string, c RewriteConfig) (RewriteReport, error) {
	w, err := h.newRewriter(ctx, bucket, c)
	if err != nil {
		return c.Report, err
	}
	if err := w.takeUp(ctx); err != nil {
		return w.reported(), err
	}
	for {
		again, err := w.pass(ctx)
		if err == nil && !again {
			err = w.openUploads(ctx)
		}
		if err != nil || !again {
			return w.reported(), err
		}
		if err := w.nextPass(ctx); err != nil {
			return w.reported(), err
		}
	}
}

// takeUp goes on where an earlier walk stopped.
func (w *rewriter) takeUp(ctx context.Context) error {
	if err := w.settlePending(ctx); err != nil || !w.at.Waiting {
		return err
	}
	// All but these had its turn. What they have become is for another pass to see.
	if _, err := w.settleRest(ctx); err != nil {
		return err
	}
	return w.nextPass(ctx)
}

// pass walks through what is left of the bucket, and says whether it has to be done once more.
func (w *rewriter) pass(ctx context.Context) (again bool, err error) {
	before := w.reported()
	if err := w.walk(ctx); err != nil {
		return false, err
	}
	if err := w.look(ctx); err != nil || w.cfg.ListOnly {
		return false, err
	}
	settled, err := w.settleRest(ctx)
	if isJoining(err) {
		waits := w.at
		waits.Waiting = true
		return false, errors.Join(err, w.checkpoint(ctx, waits))
	}
	if err != nil {
		return false, err
	}
	after := w.reported()
	did := settled || after.Rewritten+after.Dropped > before.Rewritten+before.Dropped
	return did && w.at.Pass+1 < rewritePasses || w.began.Before(w.sealedUntil), nil
}

// rewriter is one RewriteBucket on its way.
type rewriter struct {
	h      *Handler
	bucket string
	cfg    RewriteConfig
	site   owner // whom the backend takes this site for

	// Owned by the walk; objects read them while it waits.
	at         RewriteMarker
	active     keys.KEKID
	closed     map[keys.KEKID]bool // of the KEKs that the store knows
	versioning string              // Enabled, Suspended or, where there never was any, empty
	// sealedUntil is how long other replicas may go on sealing under a KEK that this walk leaves behind. A pass that began
	// earlier, at began, has not seen all of that.
	began, sealedUntil time.Time

	mu      sync.Mutex // guards what follows, and the calls of Progress and Found
	report  RewriteReport
	pending map[string]PendingRewrite
}

func (h *Handler) rewriterOf(bucket string, c RewriteConfig) *rewriter {
	w := &rewriter{h: h, bucket: bucket, cfg: c, at: c.From, report: c.Report, pending: map[string]PendingRewrite{}}
	for _, p := range c.Pending {
		w.pending[string(p.Key)] = p
	}
	return w
}

func (h *Handler) newRewriter(ctx context.Context, bucket string, c RewriteConfig) (*rewriter, error) {
	if c.Parallel <= 0 {
		c.Parallel = defaultRewriteParallel
	}
	w := h.rewriterOf(bucket, c)
	w.site = h.userOwner(ctx, access.SiteUser)
	if err := w.look(ctx); err != nil || c.ListOnly {
		return w, err
	}
	return w, h.guard(ctx, bucket)
}

// walk goes through the bucket, all versions, from where it stands.
func (w *rewriter) walk(ctx context.Context) error {
	for {
		page, err := w.h.versionPage(ctx, access.SiteUser, w.bucket, w.at.query())
		if err != nil {
			return err
		}
		if err := w.page(ctx, page); err != nil {
			return err
		}
		if !page.Truncated {
			return nil
		}
		next := RewriteMarker{Pass: w.at.Pass, Key: []byte(page.NextKeyMarker), VersionID: page.NextVersionIDMarker}
		if string(next.Key) == string(w.at.Key) && next.VersionID == w.at.VersionID {
			return errChanged // a backend that does not move on would keep this going for ever
		}
		if err := w.checkpoint(ctx, next); err != nil {
			return err
		}
		if err := w.look(ctx); err != nil {
			return err
		}
	}
}

// query asks for the page behind the marker.
func (m RewriteMarker) query() (q s3api.Query) {
	q.Set("versions", "")
	q.Set("encoding-type", "url")
	if len(m.Key) > 0 {
		q.Set("key-marker", string(m.Key))
	}
	if m.VersionID != "" {
		q.Set("version-id-marker", m.VersionID)
	}
	return q
}

// page takes care of the entries of one page, several at a time, and returns when all are done with.
func (w *rewriter) page(ctx context.Context, page *s3api.Listing) error {
	each, ctx := errgroup.WithContext(ctx)
	each.SetLimit(w.cfg.Parallel)
	for _, e := range page.Entries {
		if e.DeleteMarker {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		each.Go(func() error { return w.entry(ctx, e) })
	}
	return each.Wait()
}

func (w *rewriter) checkpoint(ctx context.Context, at RewriteMarker) error {
	w.at = at
	if w.cfg.Checkpoint == nil {
		return nil
	}
	return w.cfg.Checkpoint(ctx, at, w.reported())
}

// nextPass begins anew: what was found then counts, not what was found before. It may well be the last one, so it begins when no
// replica seals any more under what is to be left behind.
func (w *rewriter) nextPass(ctx context.Context) error {
	if err := pause.For(ctx, time.Until(w.sealedUntil)); err != nil {
		return err
	}
	w.began = time.Now()
	w.count(func(r *RewriteReport) { r.Looked, r.Already, r.Refused, r.Left = 0, 0, 0, 0 })
	return w.checkpoint(ctx, RewriteMarker{Pass: w.at.Pass + 1})
}

func (w *rewriter) reported() RewriteReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.report
}

func (w *rewriter) count(add func(*RewriteReport)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	add(&w.report)
	if w.cfg.Progress != nil {
		w.cfg.Progress(w.report)
	}
}

// found tells of an object that stays as it is, and counts it.
func (w *rewriter) found(f RewriteFinding) {
	w.count(func(r *RewriteReport) {
		switch {
		case f.Refused():
			r.Refused++
		case f.Kind != RewriteRewritable:
			r.Left++
		}
		if w.cfg.Found != nil {
			w.cfg.Found(f)
		}
	})
}

// openUploads tells of uploads that were begun under a key which is to seal nothing more: they may still complete.
func (w *rewriter) openUploads(ctx context.Context) error {
	if w.cfg.Unsealed {
		return nil
	}
	const page = 1000
	for key, id := "", ""; ; {
		ups, err := w.h.store.Uploads(ctx, w.bucket, "", key, id, page)
		if err != nil {
			return err
		}
		for _, up := range ups {
			key, id = up.Key, up.ID
			kek := kekOf(up.Envelope)
			if chosen, err := w.chosen(ctx, kek); err != nil || !chosen {
				continue // what cannot be opened cannot complete here
			}
			w.found(RewriteFinding{Key: up.Key, KEK: kek.String(), Kind: "open_upload", Reason: "upload " + strconv.Quote(up.ID) + " is open: complete or abort it, and run this again"})
		}
		if len(ups) < page {
			return nil
		}
	}
}

// Passes says whether an error of RewriteBucket may be gone by itself: the storage or the store does not answer.
func Passes(err error) bool { return mayPassBy(err) || errors.Is(err, errChanged) }

// ObjectCount says how many objects a bucket has, as far as its storage tells: Ceph RGW does on HEAD; 0 for unknown.
func (h *Handler) ObjectCount(ctx context.Context, bucket string) int64 {
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodHead, Bucket: bucket})
	if err != nil {
		return 0
	}
	resp.Body.Close()
	n, err := strconv.ParseInt(resp.Header.Get("X-Rgw-Object-Count"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
