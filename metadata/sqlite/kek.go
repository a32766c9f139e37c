package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"cofre/keys"
	"cofre/metadata/internal/row"
)

const (
	insertKEK = `
INSERT INTO keks (id, bucket, creator, record, grant_, state, created) VALUES (?, ?, ?, ?, ?, ?, ?)`

	kekColumns = `SELECT id, bucket, creator, record, grant_, state, created FROM keks `

	kekByID      = kekColumns + `WHERE id = ?1`
	activeKEK    = kekColumns + `WHERE bucket = ?1 AND creator = ?2 AND state = 1`
	keksOfBucket = kekColumns + `WHERE bucket = ?1 ORDER BY created, id`

	// The next bucket is found by the index of the one before, however many KEKs each has.
	kekBuckets = `
WITH RECURSIVE names(bucket) AS (
    SELECT min(bucket) FROM keks WHERE bucket > ?1
    UNION ALL
    SELECT (SELECT min(k.bucket) FROM keks k WHERE k.bucket > names.bucket) FROM names WHERE names.bucket IS NOT NULL
)
SELECT bucket FROM names WHERE bucket IS NOT NULL LIMIT ?2`

	setKEKState = `UPDATE keks SET state = ? WHERE id = ?`
	countKEK    = `UPDATE keks SET sealed = sealed + ?1 WHERE bucket = ?2 AND id = ?3 RETURNING sealed`
	closeKEKs   = `UPDATE keks SET state = 3 WHERE bucket = ?`

	trustList    = `SELECT number, dsse FROM trust_list`
	setTrustList = `
INSERT INTO trust_list (one, number, dsse) VALUES (1, ?1, ?2)
ON CONFLICT (one) DO UPDATE SET number = ?1, dsse = ?2 WHERE number < ?1`
)

// KEK implements keys.Store.
func (s *Store) KEK(ctx context.Context, bucket string, id keys.KEKID) (keys.StoredKEK, error) {
	found, err := s.keks(ctx, kekByID, id[:])
	if err == nil && (len(found) == 0 || found[0].Bucket != bucket) {
		err = keys.ErrKEKNotFound
	}
	if err != nil {
		return keys.StoredKEK{}, s.failed("find KEK", err)
	}
	return found[0], nil
}

// ActiveKEK implements keys.Store.
func (s *Store) ActiveKEK(ctx context.Context, bucket string, creator keys.SiteID) (keys.StoredKEK, error) {
	found, err := s.keks(ctx, activeKEK, blob(bucket), creator[:])
	if err == nil && len(found) == 0 {
		err = keys.ErrKEKNotFound
	}
	if err != nil {
		return keys.StoredKEK{}, s.failed("find active KEK", err)
	}
	return found[0], nil
}

// KEKs implements keys.Store.
func (s *Store) KEKs(ctx context.Context, bucket string) ([]keys.StoredKEK, error) {
	found, err := s.keks(ctx, keksOfBucket, blob(bucket))
	if err != nil {
		return nil, s.failed("list KEKs", err)
	}
	return found, nil
}

// KEKBuckets implements keys.Store.
func (s *Store) KEKBuckets(ctx context.Context, after string, limit int) (found []string, err error) {
	err = s.read.query(ctx, kekBuckets, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		found = append(found, name)
		return err
	}, blob(after), limit)
	if err != nil {
		return nil, s.failed("list buckets with KEKs", err)
	}
	return found, nil
}

func (s *Store) keks(ctx context.Context, query string, args ...any) (found []keys.StoredKEK, err error) {
	err = s.read.query(ctx, query, func(rows *sql.Rows) error {
		k, err := scanKEK(rows)
		found = append(found, k)
		return err
	}, args...)
	return found, err
}

// AddKEK implements keys.Store.
func (s *Store) AddKEK(ctx context.Context, k keys.StoredKEK) (keys.StoredKEK, error) {
	if !k.State.Valid() {
		return keys.StoredKEK{}, fmt.Errorf("add KEK: invalid state %v", k.State)
	}
	var stored keys.StoredKEK
	err := s.write.update(ctx, func(t *transaction) error {
		there, exists, err := t.kek(kekByID, k.ID[:])
		switch {
		case err != nil:
			return err
		case exists && !row.SameKEK(there, k):
			return keys.ErrKEKConflict
		case exists:
			stored = there
			return nil
		}
		if k.State == keys.Active {
			if there, exists, err = t.kek(activeKEK, blob(k.Bucket), k.Creator[:]); err != nil {
				return err
			}
			if exists {
				stored = there
				return nil
			}
		}
		_, err = t.exec(insertKEK, k.ID[:], blob(k.Bucket), k.Creator[:], present(k.Record), present(k.Grant), int64(k.State),
			toNanos(k.Created))
		stored = k
		return err
	})
	if err != nil {
		return keys.StoredKEK{}, s.failed("add KEK", err)
	}
	return stored, nil
}

// SetKEKState implements keys.Store.
func (s *Store) SetKEKState(ctx context.Context, bucket string, id keys.KEKID, state keys.KEKState) error {
	if !state.Valid() {
		return fmt.Errorf("set KEK state: invalid state %v", state)
	}
	return s.failed("set KEK state", s.write.update(ctx, func(t *transaction) error {
		there, exists, err := t.kek(kekByID, id[:])
		switch {
		case err != nil:
			return err
		case !exists || there.Bucket != bucket:
			return keys.ErrKEKNotFound
		case state < there.State:
			return keys.ErrKEKConflict
		}
		_, err = t.exec(setKEKState, int64(state), id[:])
		return err
	}))
}

// CountKEK implements keys.Store.
func (s *Store) CountKEK(ctx context.Context, bucket string, id keys.KEKID, n int64) (total int64, err error) {
	err = s.write.update(ctx, func(t *transaction) error {
		stmt, err := t.writer.prepare(t.ctx, countKEK)
		if err != nil {
			return err
		}
		err = stmt.QueryRowContext(t.ctx, n, blob(bucket), id[:]).Scan(&total)
		if errors.Is(err, sql.ErrNoRows) {
			err = keys.ErrKEKNotFound
		}
		return err
	})
	if err != nil {
		return 0, s.failed("count KEK", err)
	}
	return total, nil
}

// CloseKEKs implements keys.Store.
func (s *Store) CloseKEKs(ctx context.Context, bucket string) error {
	return s.failed("close KEKs", s.write.update(ctx, func(t *transaction) error {
		_, err := t.exec(closeKEKs, blob(bucket))
		return err
	}))
}

// TrustList implements keys.Store.
func (s *Store) TrustList(ctx context.Context) (number uint64, dsse []byte, err error) {
	err = keys.ErrNoTrustList
	failure := s.read.query(ctx, trustList, func(rows *sql.Rows) error {
		err = nil
		return rows.Scan(&number, &dsse)
	})
	if failure != nil {
		err = failure
	}
	if err != nil {
		return 0, nil, s.failed("read trust list", err)
	}
	return number, dsse, nil
}

// SetTrustList implements keys.Store.
func (s *Store) SetTrustList(ctx context.Context, number uint64, dsse []byte) error {
	if number > math.MaxInt64 {
		return fmt.Errorf("set trust list: number %d is out of range", number)
	}
	return s.failed("set trust list", s.write.update(ctx, func(t *transaction) error {
		changed, err := t.exec(setTrustList, int64(number), present(dsse))
		if err == nil && changed == 0 {
			err = keys.ErrKEKConflict
		}
		return err
	}))
}

func (t *transaction) kek(query string, args ...any) (k keys.StoredKEK, exists bool, err error) {
	stmt, err := t.writer.prepare(t.ctx, query)
	if err != nil {
		return k, false, err
	}
	k, err = scanKEK(stmt.QueryRowContext(t.ctx, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return k, false, nil
	}
	return k, err == nil, err
}

// scanKEK scans the columns of kekColumns, and what stands behind them into more.
func scanKEK(rows scanner, more ...any) (k keys.StoredKEK, err error) {
	var (
		id, creator []byte
		created     int64
	)
	if err := rows.Scan(append([]any{&id, &k.Bucket, &creator, &k.Record, &k.Grant, &k.State, &created}, more...)...); err != nil {
		return k, err
	}
	copy(k.ID[:], id)
	copy(k.Creator[:], creator)
	k.Created = fromNanos(created)
	return k, nil
}
