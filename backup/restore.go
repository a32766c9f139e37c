package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cofre/keys"
	"cofre/metadata"
)

// Loader is a store that a backup is loaded into: metadata.Store.
type Loader interface {
	Load(ctx context.Context, replace bool, next func() (metadata.Row, error)) error
}

// Owner is whose the restored store is going to be, who opens the backup too: the site that made it, or a recovery identity.
type Owner struct {
	Identity *keys.Identity
	// TrustList is the site's list beside its identity, as signed; nil where there is none. Where it is newer than the backup's, the
	// restored store gets this one.
	TrustList []byte
	Now       func() time.Time
}

// Restored says what Restore has done.
type Restored struct {
	Counts map[metadata.RowKind]int64 // rows that were loaded
	// Left counts rows that only the site's own identity opens, and that a recovery identity leaves out: KEKs (it has grants of its own
	// in the system bucket), credentials, uploads, jobs, the trust list.
	Left map[metadata.RowKind]int64
	// TrustNumber is the number of the trust list that the store has now, 0 for none; TrustFromFile says that it is the one beside the
	// identity, since the backup's is older.
	TrustNumber   uint64
	TrustFromFile bool
	// Closed counts KEKs that the backup had open and that are closed now: a site that has left since could have opened them.
	Closed int64
}

// Restore loads a backup that Check found good into a store, all of it or nothing. The store must be empty, unless replace says that what
// it has goes: else metadata.ErrNotEmpty.
//
// KEKs come back read-only at most, so that the site seals under new ones (docs/FORMAT.md section 7 rule 3); closed ones stay closed. Rows
// that are not sealed to anybody come back as they were, tombstones among them.
func Restore(ctx context.Context, store Loader, src Source, m Manifest, o Owner, replace bool) (Restored, error) {
	rows, err := OpenRows(ctx, src, m, o.Identity)
	if err != nil {
		return Restored{}, err
	}
	defer rows.Close()
	r, err := newRestoration(m, o)
	if err != nil {
		return Restored{}, err
	}
	err = store.Load(ctx, replace, func() (metadata.Row, error) {
		for {
			if err := ctx.Err(); err != nil {
				return metadata.Row{}, err
			}
			row, err := rows.Next()
			if err != nil {
				return metadata.Row{}, err
			}
			if row, err = r.take(row); err != nil || row.Kind() != "" {
				return row, err
			}
		}
	})
	if err != nil {
		return Restored{}, fmt.Errorf("restore backup: %w", err)
	}
	return r.done, nil
}

// restoration makes rows of the new store of those of the backup, one by one.
type restoration struct {
	owner Owner
	own   bool            // the owner is the site that made the backup
	trust *keys.TrustList // what KEKs are judged by
	done  Restored
}

func newRestoration(m Manifest, o Owner) (*restoration, error) {
	r := &restoration{
		owner: o, own: o.Identity.ID() == m.Site,
		done: Restored{Counts: map[metadata.RowKind]int64{}, Left: map[metadata.RowKind]int64{}},
	}
	list, _, err := keys.NewestTrustList(o.Identity.Card(), o.TrustList)
	switch {
	case errors.Is(err, keys.ErrNoTrustList):
		list = keys.NewTrustList(o.Identity, o.Now())
	case err != nil:
		return nil, fmt.Errorf("read trust list beside the identity: %w", err)
	}
	r.trust = list
	return r, nil
}

// take gives a row as the new store gets it; an empty one where it gets none.
func (r *restoration) take(row metadata.Row) (metadata.Row, error) {
	kind := row.Kind()
	if !r.own && kind != metadata.RecordRow && kind != metadata.GuardRow && kind != metadata.AuditRow {
		r.done.Left[kind]++
		return metadata.Row{}, nil
	}
	var err error
	switch {
	case row.TrustList != nil:
		row.TrustList, err = r.trustList(row.TrustList)
	case row.KEK != nil:
		row.KEK, err = r.kek(row.KEK)
	}
	if err != nil {
		return metadata.Row{}, err
	}
	r.done.Counts[kind]++
	return row, nil
}

// trustList is the newer one of two, both signed by the site: a backup must not bring back a site whose trust was withdrawn since.
func (r *restoration) trustList(held *metadata.StoredTrustList) (*metadata.StoredTrustList, error) {
	list, doc, err := keys.NewestTrustList(r.owner.Identity.Card(), held.DSSE, r.owner.TrustList)
	if err != nil {
		return nil, fmt.Errorf("trust list: %w", err)
	}
	r.trust = list
	r.done.TrustNumber, r.done.TrustFromFile = list.Number(), list.Number() > held.Number
	return &metadata.StoredTrustList{Number: list.Number(), DSSE: doc}, nil
}

func (r *restoration) kek(k *metadata.CountedKEK) (*metadata.CountedKEK, error) {
	state, err := r.trust.RestoredState(k.StoredKEK)
	if err != nil {
		return nil, err
	}
	if state == keys.Closed && k.State != keys.Closed {
		r.done.Closed++
	}
	restored := *k
	restored.State = state
	return &restored, nil
}
