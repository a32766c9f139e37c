package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"cofre/keys"
	"cofre/metadata/internal/row"
)

const (
	// Nothing is added where the id is taken, or another KEK of that bucket and creator is active: keks_active.
	insertKEK = `
INSERT INTO keks (id, bucket, creator, record, "grant", state, created) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING`

	kekColumns = `SELECT id, bucket, creator, record, "grant", state, created FROM keks `

	kekByID      = kekColumns + `WHERE id = $1`
	activeKEK    = kekColumns + `WHERE bucket = $1 AND creator = $2 AND state = 1`
	keksOfBucket = kekColumns + `WHERE bucket = $1 ORDER BY created, id`

	// The next bucket is found by the index of the one before, however many KEKs each has.
	kekBuckets = `
WITH RECURSIVE names AS (
    (SELECT bucket FROM keks WHERE bucket > $1 ORDER BY bucket LIMIT 1)
    UNION ALL
    SELECT (SELECT k.bucket FROM keks k WHERE k.bucket > names.bucket ORDER BY k.bucket LIMIT 1) FROM names WHERE names.bucket IS NOT NULL
)
SELECT bucket FROM names WHERE bucket IS NOT NULL LIMIT $2`

	setKEKState = `UPDATE keks SET state = $3 WHERE bucket = $1 AND id = $2 AND state <= $3`
	countKEK    = `UPDATE keks SET sealed = sealed + $3 WHERE bucket = $1 AND id = $2 RETURNING sealed`
	closeKEKs   = `UPDATE keks SET state = 3 WHERE bucket = $1`

	trustList    = `SELECT number, dsse FROM trust_list`
	setTrustList = `
INSERT INTO trust_list (number, dsse) VALUES ($1, $2)
ON CONFLICT (one) DO UPDATE SET number = excluded.number, dsse = excluded.dsse WHERE trust_list.number < excluded.number`
)

// KEK implements keys.Store.
func (s *Store) KEK(ctx context.Context, bucket string, id keys.KEKID) (k keys.StoredKEK, err error) {
	err = s.run(ctx, "find KEK", again, func(ctx context.Context, q querier) (err error) {
		k, err = findKEK(ctx, q, kekByID, id[:])
		if err == nil && k.Bucket != bucket {
			k, err = keys.StoredKEK{}, keys.ErrKEKNotFound
		}
		return err
	})
	return k, err
}

// ActiveKEK implements keys.Store.
func (s *Store) ActiveKEK(ctx context.Context, bucket string, creator keys.SiteID) (k keys.StoredKEK, err error) {
	err = s.run(ctx, "find active KEK", again, func(ctx context.Context, q querier) (err error) {
		k, err = findKEK(ctx, q, activeKEK, raw(bucket), creator[:])
		return err
	})
	return k, err
}

// KEKs implements keys.Store.
func (s *Store) KEKs(ctx context.Context, bucket string) (found []keys.StoredKEK, err error) {
	err = s.run(ctx, "list KEKs", again, func(ctx context.Context, q querier) error {
		rows, err := q.Query(ctx, keksOfBucket, raw(bucket))
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (keys.StoredKEK, error) { return scanKEK(r) })
		return err
	})
	return found, err
}

// KEKBuckets implements keys.Store.
func (s *Store) KEKBuckets(ctx context.Context, after string, limit int) (found []string, err error) {
	err = s.run(ctx, "list buckets with KEKs", again, func(ctx context.Context, q querier) error {
		rows, err := q.Query(ctx, kekBuckets, raw(after), limit)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (string, error) {
			var name []byte
			err := r.Scan(&name)
			return string(name), err
		})
		return err
	})
	return found, err
}

// AddKEK implements keys.Store.
func (s *Store) AddKEK(ctx context.Context, k keys.StoredKEK) (stored keys.StoredKEK, err error) {
	if !k.State.Valid() {
		return keys.StoredKEK{}, fmt.Errorf("add KEK: invalid state %v", k.State)
	}
	err = s.run(ctx, "add KEK", again, func(ctx context.Context, q querier) (err error) {
		stored, err = addKEK(ctx, q, k)
		return err
	})
	return stored, err
}

func addKEK(ctx context.Context, q querier, k keys.StoredKEK) (keys.StoredKEK, error) {
	for {
		tag, err := q.Exec(ctx, insertKEK, k.ID[:], raw(k.Bucket), k.Creator[:], present(k.Record), present(k.Grant),
			int16(k.State), k.Created)
		if err != nil {
			return keys.StoredKEK{}, err
		}
		if tag.RowsAffected() == 1 {
			return findKEK(ctx, q, kekByID, k.ID[:])
		}
		there, err := findKEK(ctx, q, kekByID, k.ID[:])
		switch {
		case err == nil && !row.SameKEK(there, k):
			return keys.StoredKEK{}, keys.ErrKEKConflict
		case errors.Is(err, keys.ErrKEKNotFound):
			there, err = findKEK(ctx, q, activeKEK, raw(k.Bucket), k.Creator[:])
		}
		if !errors.Is(err, keys.ErrKEKNotFound) {
			return there, err
		}
		// What was in the way left its state between the two statements; states only go down, so this ends.
	}
}

// SetKEKState implements keys.Store.
func (s *Store) SetKEKState(ctx context.Context, bucket string, id keys.KEKID, state keys.KEKState) error {
	if !state.Valid() {
		return fmt.Errorf("set KEK state: invalid state %v", state)
	}
	return s.run(ctx, "set KEK state", again, func(ctx context.Context, q querier) error {
		tag, err := q.Exec(ctx, setKEKState, raw(bucket), id[:], int16(state))
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		k, err := findKEK(ctx, q, kekByID, id[:])
		switch {
		case err != nil:
			return err
		case k.Bucket != bucket:
			return keys.ErrKEKNotFound
		}
		return keys.ErrKEKConflict
	})
}

// CountKEK implements keys.Store. It is not made again when its answer was lost: it would count twice.
func (s *Store) CountKEK(ctx context.Context, bucket string, id keys.KEKID, n int64) (total int64, err error) {
	err = s.run(ctx, "count KEK", once, func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, countKEK, raw(bucket), id[:], n).Scan(&total)
		if errors.Is(err, pgx.ErrNoRows) {
			err = keys.ErrKEKNotFound
		}
		return err
	})
	return total, err
}

// CloseKEKs implements keys.Store.
func (s *Store) CloseKEKs(ctx context.Context, bucket string) error {
	return s.run(ctx, "close KEKs", again, func(ctx context.Context, q querier) error {
		_, err := q.Exec(ctx, closeKEKs, raw(bucket))
		return err
	})
}

// TrustList implements keys.Store.
func (s *Store) TrustList(ctx context.Context) (number uint64, dsse []byte, err error) {
	err = s.run(ctx, "read trust list", again, func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, trustList).Scan(&number, &dsse)
		if errors.Is(err, pgx.ErrNoRows) {
			err = keys.ErrNoTrustList
		}
		return err
	})
	return number, dsse, err
}

// SetTrustList implements keys.Store. It is not made again when its answer was lost: the second would find its own
// number taken.
func (s *Store) SetTrustList(ctx context.Context, number uint64, dsse []byte) error {
	if number > math.MaxInt64 {
		return fmt.Errorf("set trust list: number %d is out of range", number)
	}
	return s.run(ctx, "set trust list", once, func(ctx context.Context, q querier) error {
		tag, err := q.Exec(ctx, setTrustList, int64(number), present(dsse))
		if err == nil && tag.RowsAffected() == 0 {
			err = keys.ErrKEKConflict
		}
		return err
	})
}

func findKEK(ctx context.Context, q querier, query string, args ...any) (keys.StoredKEK, error) {
	k, err := scanKEK(q.QueryRow(ctx, query, args...))
	if errors.Is(err, pgx.ErrNoRows) {
		err = keys.ErrKEKNotFound
	}
	return k, err
}

// scanKEK scans the columns of kekColumns, and what stands behind them into more.
func scanKEK(r pgx.Row, more ...any) (k keys.StoredKEK, err error) {
	var id, bucket, creator []byte
	if err := r.Scan(append([]any{&id, &bucket, &creator, &k.Record, &k.Grant, &k.State, &k.Created}, more...)...); err != nil {
		return keys.StoredKEK{}, err
	}
	copy(k.ID[:], id)
	copy(k.Creator[:], creator)
	k.Bucket, k.Created = string(bucket), k.Created.UTC()
	return k, nil
}
