package proxy

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"cofre/access"
	"cofre/internal/pause"
	"cofre/keys"
	"cofre/s3api"
)

// stateTTL is how long another replica acts on the state of a KEK without asking again. A variable for tests.
var stateTTL = keys.StateTTL

// look reads what may have changed since the last page: the states of the KEKs, the active one, and the bucket's versioning.
func (w *rewriter) look(ctx context.Context) error {
	var err error
	if w.versioning, err = w.versioningNow(ctx); err != nil {
		return err
	}
	stored, err := w.h.store.KEKs(ctx, w.bucket)
	if err != nil {
		return err
	}
	closed, active := w.closedCount(), w.active
	w.closed = make(map[keys.KEKID]bool, len(stored))
	for _, k := range stored {
		w.closed[k.ID] = k.State == keys.Closed
	}
	if !w.cfg.ListOnly || w.cfg.All {
		if err := w.lookActive(ctx); err != nil {
			return err
		}
	}
	if w.closedCount() != closed && !w.cfg.Unsealed || w.active != active && (w.cfg.All || len(w.cfg.KEKs) > 0) {
		w.sealedUntil = time.Now().Add(stateTTL)
	}
	return nil
}

// versioningNow also finds out whether there is such a bucket, before a KEK is made for it.
func (w *rewriter) versioningNow(ctx context.Context) (string, error) {
	var q s3api.Query
	q.Set("versioning", "")
	resp, err := w.h.backend.Do(ctx, access.SiteUser, &BackendRequest{Method: http.MethodGet, Bucket: w.bucket, Query: q})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return s3api.ScanVersioning(resp.Body)
}

// lookActive learns the active KEK, and waits until this process seals under the one that the store names: for a while after a
// rotation at another replica it goes on with the old one, which may be just what is to be left behind.
func (w *rewriter) lookActive(ctx context.Context) error {
	for deadline := time.Now().Add(2 * keys.StateTTL); ; {
		kek, err := w.h.ring.Active(ctx, w.bucket)
		if err != nil {
			return err
		}
		stored, err := w.h.store.ActiveKEK(ctx, w.bucket, w.h.cfg.Site)
		if err != nil && !errors.Is(err, keys.ErrKEKNotFound) {
			return err
		}
		if w.active = kek.ID(); err == nil && w.active == stored.ID {
			return nil
		}
		if time.Now().After(deadline) {
			return cmp.Or(err, keys.ErrKEKUnavailable)
		}
		if err := pause.For(ctx, rewritePause); err != nil {
			return err
		}
	}
}

// closedCount says how many KEKs are closed, as of the last look.
func (w *rewriter) closedCount() (n int) {
	for _, closed := range w.closed {
		if closed {
			n++
		}
	}
	return n
}

// chosen says whether what lies under a KEK is to be rewritten.
func (w *rewriter) chosen(ctx context.Context, id keys.KEKID) (bool, error) {
	switch {
	case len(w.cfg.KEKs) > 0:
		return slices.Contains(w.cfg.KEKs, id), nil
	case w.cfg.All:
		return id != w.active, nil
	}
	if closed, known := w.closed[id]; known {
		return closed, nil
	}
	_, state, err := w.h.ring.Open(ctx, w.bucket, id) // another site's, which this one has not met yet
	return state == keys.Closed, err
}
