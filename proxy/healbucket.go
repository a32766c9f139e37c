package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"cofre/access"
	"cofre/keys"
	"cofre/metadata"
	"cofre/s3api"
	"cofre/seal"
)

// HealReport counts what HealBucket has met.
type HealReport struct {
	Versions int64 // objects in all their versions, delete markers left out
	Known    int64 // of which the store had a record
	Healed   int64 // of which a record was made
	Unsealed int64 // that carry no envelope
	// CustomerKey counts objects under a key of the client's own (SSE-C): their records are made when he reads them.
	CustomerKey int64
	Failed      int64
}

// HealConfig is how HealBucket goes about it.
type HealConfig struct {
	// Parallel is how many objects are looked up at a time; 0 for Limits.HealParallel.
	Parallel int
	// Page is how many versions and delete markers are listed at a time; 0 for the backend's own number, which is 1,000.
	Page int
	// From begins the walk behind a mark that Mark was given by an earlier one, whose report Report goes on from.
	From   HealMark
	Report HealReport
	// Progress is called after every page.
	Progress func(HealReport)
	// Mark is called after every page but the last, and an error of it ends the walk: everything up to the mark is done with and in
	// the store, unless it was told to Failed.
	Mark func(HealReport, HealMark) error
	// Healed is told of each object whose record was made and of the KEK it is under, one at a time.
	Healed func(kek keys.KEKID)
	// Failed is told of each object whose record could not be made, one at a time.
	Failed func(key, versionID string, err error)
}

// HealMark is a place in the walk of HealBucket: behind all versions of this key. The zero value is the beginning. A page may end in the
// middle of a key, and the version that it ended with may be gone when the walk goes on; so up to a page is looked at again.
type HealMark struct{ Key string }

// markOf gives the mark behind the last key that a page has all of; before where it has all of none.
func markOf(page *s3api.Listing, before HealMark) HealMark {
	for i := len(page.Entries) - 1; i > 0; i-- {
		if page.Entries[i].Key != page.Entries[i-1].Key {
			return HealMark{page.Entries[i-1].Key}
		}
	}
	return before
}

// HealBucket makes the records of all objects of a bucket, in every version, that the store does not know: what another site
// wrote, or all of it after the store was lost. It may be ended at any moment and begun anew: what was done is then known, and with
// Mark and From it is not even listed again. An object that cannot be healed is reported and passed over.
func (h *Handler) HealBucket(ctx context.Context, bucket string, c HealConfig) (HealReport, error) {
	if c.Parallel == 0 {
		c.Parallel = h.cfg.Limits.HealParallel
	}
	report, mark := c.Report, c.From
	walk := versionWalk{bucket: bucket, from: c.From.Key, page: c.Page}
	err := h.walkVersions(ctx, walk, func(page *s3api.Listing) error {
		missed, err := h.unknown(ctx, bucket, page, &report)
		if err != nil {
			return err
		}
		if err := h.healVersions(ctx, missed, c, &report); err != nil {
			return err
		}
		if c.Progress != nil {
			c.Progress(report)
		}
		if c.Mark == nil || !page.Truncated {
			return nil
		}
		mark = markOf(page, mark)
		return c.Mark(report, mark)
	})
	return report, err
}

// eachVersionPage walks all versions of a bucket as the site, a page at a time.
func (h *Handler) eachVersionPage(ctx context.Context, bucket string, visit func(*s3api.Listing) error) error {
	return h.eachVersionPageUnder(ctx, bucket, "", visit)
}

// eachVersionPageUnder walks the versions of the keys that begin with prefix.
func (h *Handler) eachVersionPageUnder(ctx context.Context, bucket, prefix string, visit func(*s3api.Listing) error) error {
	return h.walkVersions(ctx, versionWalk{bucket: bucket, prefix: prefix}, visit)
}

// versionWalk says which versions of a bucket are walked.
type versionWalk struct {
	bucket string
	prefix string // of keys; empty for all
	from   string // the key behind which the walk begins
	page   int    // entries at a time; 0 for the backend's own number
}

func (h *Handler) walkVersions(ctx context.Context, w versionWalk, visit func(*s3api.Listing) error) error {
	var q s3api.Query
	q.Set("versions", "")
	q.Set("encoding-type", "url")
	if w.prefix != "" {
		q.Set("prefix", w.prefix)
	}
	if w.from != "" {
		q.Set("key-marker", w.from)
	}
	if w.page > 0 {
		q.Set("max-keys", strconv.Itoa(w.page))
	}
	var walk progress
	for {
		page, err := h.versionPage(ctx, access.SiteUser, w.bucket, q)
		if err != nil {
			return err
		}
		if err := visit(page); err != nil {
			return err
		}
		if !page.Truncated {
			return nil
		}
		if !walk.advances(page.NextKeyMarker, page.NextVersionIDMarker) {
			return errChanged
		}
		q.Set("key-marker", page.NextKeyMarker)
		q.Set("version-id-marker", page.NextVersionIDMarker)
	}
}

// unknown gives the entries of a page of which the store has no record.
func (h *Handler) unknown(ctx context.Context, bucket string, page *s3api.Listing, report *HealReport) ([]target, error) {
	entries, targets := make([]metadata.Entry, 0, len(page.Entries)), make([]target, 0, len(page.Entries))
	for _, e := range page.Entries {
		if !e.DeleteMarker {
			entries = append(entries, metadata.Entry{Key: e.Key, BackendETag: e.ETag})
			targets = append(targets, target{Bucket: bucket, Key: e.Key, VersionID: e.VersionID})
		}
	}
	report.Versions += int64(len(entries))
	if len(entries) == 0 {
		return nil, nil
	}
	records, err := h.store.Page(ctx, bucket, entries)
	if err != nil {
		return nil, err
	}
	missed := targets[:0]
	for i, rec := range records {
		// A copy onto itself has the ETag of what it replaced: such versions are told apart by their id alone.
		if rec != nil && (rec.VersionID == targets[i].VersionID || targets[i].VersionID == "") {
			report.Known++
			continue
		}
		missed = append(missed, targets[i])
	}
	return missed, nil
}

// healVersions makes the records of objects that the store does not know.
func (h *Handler) healVersions(ctx context.Context, missed []target, c HealConfig, report *HealReport) error {
	var each errgroup.Group
	each.SetLimit(c.Parallel)
	var mu sync.Mutex // guards report, and the calls of c.Healed and c.Failed
	for _, t := range missed {
		if ctx.Err() != nil {
			break
		}
		each.Go(func() error {
			kek, err := h.healVersion(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				report.Healed++
				if c.Healed != nil {
					c.Healed(kek)
				}
			case isUnsealed(err):
				report.Unsealed++
			case errors.Is(err, errNeedsCustomerKey):
				report.CustomerKey++
			case hasStatus(err, http.StatusNotFound): // deleted since it was listed
			default:
				report.Failed++
				h.note(t, err)
				if c.Failed != nil {
					c.Failed(t.Key, t.VersionID, err)
				}
			}
			return nil
		})
	}
	_ = each.Wait() // what failed is told of each object
	return ctx.Err()
}

// healVersion makes the record of one object and makes sure that the store has it: a reader can do without, but after a bulk heal KEKs
// are closed, and what has no record then is refused for good. It gives the KEK that the object is under.
func (h *Handler) healVersion(ctx context.Context, t target) (keys.KEKID, error) {
	rec, err := h.discover(ctx, reading{as: access.SiteUser}, t, "bulk")
	if err != nil {
		return keys.KEKID{}, err
	}
	if _, err := h.store.ByEnvelope(ctx, t.Bucket, t.Key, rec.Envelope); errors.Is(err, metadata.ErrNotFound) {
		return keys.KEKID{}, metadata.ErrUnavailable // the row could not be written
	} else if err != nil {
		return keys.KEKID{}, err
	}
	env, err := seal.ParseEnvelopeBytes(rec.Envelope[:])
	return env.KEKID, err
}

// Buckets gives the names of the buckets that the site's backend user owns, and of those that have KEKs in the system bucket
// although another user owns them; in order, each once.
func (h *Handler) Buckets(ctx context.Context) ([]string, error) {
	resp, err := h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	list, err := s3api.ScanListBuckets(resp.Body)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range list.Buckets {
		if !h.hidden(b.Name) {
			names = append(names, b.Name)
		}
	}
	shared, err := h.system().folders(ctx, "buckets/")
	if err != nil {
		return nil, err
	}
	for _, name := range shared {
		// The KEKs of a bucket stay when it is deleted.
		if _, err := h.freshFacts(ctx, access.SiteUser, name); err == nil {
			names = append(names, name)
		} else if !hasStatus(err, http.StatusNotFound) {
			return nil, err
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
