package sqlite

import (
	"context"
	"database/sql"
	"time"
)

const (
	insertGuard = `INSERT INTO guarded_buckets (bucket, since) VALUES (?, ?) ON CONFLICT DO NOTHING`
	guardSince  = `SELECT since FROM guarded_buckets WHERE bucket = ?`
	dropGuard   = `DELETE FROM guarded_buckets WHERE bucket = ? AND since < ?`
)

// GuardBucket implements metadata.Store.
func (s *Store) GuardBucket(ctx context.Context, bucket string) (age time.Duration, err error) {
	err = s.failed("guard bucket", s.write.update(ctx, func(t *transaction) error {
		now, err := t.now()
		if err != nil {
			return err
		}
		if _, err := t.exec(insertGuard, blob(bucket), now); err != nil {
			return err
		}
		var since int64
		_, err = t.row(guardSince, []any{blob(bucket)}, &since)
		age = time.Duration(now - since)
		return err
	}))
	return age, err
}

// BucketGuarded implements metadata.Store.
func (s *Store) BucketGuarded(ctx context.Context, bucket string) (guarded bool, err error) {
	err = s.failed("look for bucket guard", s.read.query(ctx, guardSince, func(*sql.Rows) error {
		guarded = true
		return nil
	}, blob(bucket)))
	return guarded, err
}
