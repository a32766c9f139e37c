package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"cofre/keys"
)

const (
	// The parts of a record go with it, by the foreign key.
	sweepTombstones = `
DELETE FROM objects WHERE id IN (SELECT id FROM objects WHERE tombstoned < ? ORDER BY tombstoned LIMIT ?)`

	// ?2 is a JSON array of object ids in hex, so that the statement is the same for any number of them.
	layoutsInUse = `
SELECT i.key FROM json_each(?2) AS i
WHERE EXISTS (SELECT 1 FROM objects AS o WHERE o.bucket = ?1 AND substr(o.envelope, 5, 16) = unhex(i.value) AND o.part_count > 0
        AND (o.tombstoned IS NULL OR o.tombstoned >= ?3))
    OR EXISTS (SELECT 1 FROM uploads AS u WHERE u.bucket = ?1 AND substr(u.envelope, 5, 16) = unhex(i.value))`

	sweepState = `SELECT state FROM sweeps WHERE bucket = ?`

	setSweepState = `
INSERT INTO sweeps (bucket, state) VALUES (?, ?) ON CONFLICT (bucket) DO UPDATE SET state = excluded.state`

	dropSweepState = `DELETE FROM sweeps WHERE bucket = ?`
)

// SweepTombstones implements metadata.Store.
func (s *Store) SweepTombstones(ctx context.Context, tombstonedBefore time.Time, limit int) (int, error) {
	var swept int64
	err := s.write.update(ctx, func(t *transaction) (err error) {
		swept, err = t.exec(sweepTombstones, toNanos(tombstonedBefore), limit)
		return err
	})
	return int(swept), s.failed("sweep tombstones", err)
}

// LayoutsInUse implements metadata.Store.
func (s *Store) LayoutsInUse(ctx context.Context, bucket string, ids []keys.ObjectID, goneSince time.Time) ([]bool, error) {
	list, err := json.Marshal(ids) // in hex
	if err != nil {
		return nil, err
	}
	used := make([]bool, len(ids))
	err = s.read.query(ctx, layoutsInUse, func(rows *sql.Rows) error {
		var n int
		if err := rows.Scan(&n); err != nil {
			return err
		}
		used[n] = true
		return nil
	}, blob(bucket), string(list), toNanos(goneSince))
	if err != nil {
		return nil, s.failed("find layouts in use", err)
	}
	return used, nil
}

// SweepState implements metadata.Store.
func (s *Store) SweepState(ctx context.Context, bucket string) (state []byte, err error) {
	err = s.read.query(ctx, sweepState, func(rows *sql.Rows) error { return rows.Scan(&state) }, blob(bucket))
	return state, s.failed("read sweep state", err)
}

// SetSweepState implements metadata.Store.
func (s *Store) SetSweepState(ctx context.Context, bucket string, state []byte) error {
	return s.failed("keep sweep state", s.write.update(ctx, func(t *transaction) (err error) {
		if len(state) == 0 {
			_, err = t.exec(dropSweepState, blob(bucket))
		} else {
			_, err = t.exec(setSweepState, blob(bucket), state)
		}
		return err
	}))
}
