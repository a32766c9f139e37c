package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"cofre/keys"
)

const (
	// Replicas may sweep at once: each takes what no other has in hand.
	sweepTombstones = `
SELECT bucket, key, version, sha256(envelope), part_count
FROM objects WHERE tombstoned < $1 ORDER BY tombstoned LIMIT $2 FOR UPDATE SKIP LOCKED`

	// One statement for each row: joined with what was taken, the planner has all partitions, or all tombstones, read for every batch.
	sweepTombstone = `DELETE FROM objects WHERE bucket = $1 AND key = $2 AND sha256(envelope) = $3 AND version = $4`

	// Versions that carry one envelope share its parts.
	sweepParts = `
DELETE FROM object_parts WHERE bucket = $1 AND key = $2 AND envelope_hash = $3
    AND NOT EXISTS (SELECT FROM objects WHERE bucket = $1 AND key = $2 AND sha256(envelope) = $3)`

	// With LIMIT each id is looked up. EXISTS leaves it to the planner to read all of the bucket instead, which it does where it has no
	// statistics yet.
	layoutsInUse = `
SELECT i.n FROM unnest($2::bytea[]) WITH ORDINALITY AS i (id, n)
WHERE (SELECT 1 FROM objects o WHERE o.bucket = $1 AND substring(o.envelope FROM 5 FOR 16) = i.id AND o.part_count > 0
        AND (o.tombstoned IS NULL OR o.tombstoned >= $3) LIMIT 1) IS NOT NULL
    OR (SELECT 1 FROM uploads u WHERE u.bucket = $1 AND substring(u.envelope FROM 5 FOR 16) = i.id LIMIT 1) IS NOT NULL`

	sweepState = `SELECT state FROM sweeps WHERE bucket = $1`

	setSweepState = `
INSERT INTO sweeps (bucket, state) VALUES ($1, $2)
ON CONFLICT (bucket) DO UPDATE SET state = excluded.state, updated = clock_timestamp()`

	dropSweepState = `DELETE FROM sweeps WHERE bucket = $1`
)

// SweepTombstones implements metadata.Store.
func (s *Store) SweepTombstones(ctx context.Context, tombstonedBefore time.Time, limit int) (swept int, err error) {
	err = s.runLong(ctx, "sweep tombstones", again, func(ctx context.Context, _ querier) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, sweepTombstones, tombstonedBefore, limit)
			if err != nil {
				return err
			}
			var (
				batch                      pgx.Batch
				bucket, key, version, hash []byte
				parts                      int
			)
			swept = 0
			_, err = pgx.ForEachRow(rows, []any{&bucket, &key, &version, &hash, &parts}, func() error {
				swept++
				batch.Queue(sweepTombstone, bucket, key, hash, version)
				if parts > 0 {
					batch.Queue(sweepParts, bucket, key, hash)
				}
				bucket, key, version, hash = nil, nil, nil, nil // they belong to the batch
				return nil
			})
			if err != nil || batch.Len() == 0 {
				return err
			}
			return tx.SendBatch(ctx, &batch).Close()
		})
	})
	return swept, err
}

// LayoutsInUse implements metadata.Store.
func (s *Store) LayoutsInUse(ctx context.Context, bucket string, ids []keys.ObjectID, goneSince time.Time) (used []bool, err error) {
	raws := make([][]byte, len(ids))
	for i := range ids {
		raws[i] = ids[i][:]
	}
	err = s.runLong(ctx, "find layouts in use", again, func(ctx context.Context, q querier) error {
		used = make([]bool, len(ids))
		rows, err := q.Query(ctx, layoutsInUse, raw(bucket), raws, goneSince)
		if err != nil {
			return err
		}
		var n int
		_, err = pgx.ForEachRow(rows, []any{&n}, func() error { used[n-1] = true; return nil })
		return err
	})
	return used, err
}

// SweepState implements metadata.Store.
func (s *Store) SweepState(ctx context.Context, bucket string) (state []byte, err error) {
	err = s.run(ctx, "read sweep state", again, func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, sweepState, raw(bucket)).Scan(&state)
		if errors.Is(err, pgx.ErrNoRows) {
			state, err = nil, nil
		}
		return err
	})
	return state, err
}

// SetSweepState implements metadata.Store.
func (s *Store) SetSweepState(ctx context.Context, bucket string, state []byte) error {
	return s.run(ctx, "keep sweep state", again, func(ctx context.Context, q querier) error {
		if len(state) == 0 {
			_, err := q.Exec(ctx, dropSweepState, raw(bucket))
			return err
		}
		_, err := q.Exec(ctx, setSweepState, raw(bucket), state)
		return err
	})
}
