package postgres

import (
	"context"
	"time"
)

const (
	insertGuard = `INSERT INTO guarded_buckets (bucket) VALUES ($1) ON CONFLICT DO NOTHING`
	guardAge    = `SELECT clock_timestamp() - since FROM guarded_buckets WHERE bucket = $1`
	guardExists = `SELECT EXISTS (SELECT FROM guarded_buckets WHERE bucket = $1)`
)

// GuardBucket implements metadata.Store.
func (s *Store) GuardBucket(ctx context.Context, bucket string) (age time.Duration, err error) {
	err = s.run(ctx, "guard bucket", again, func(ctx context.Context, q querier) error {
		if _, err := q.Exec(ctx, insertGuard, raw(bucket)); err != nil {
			return err
		}
		return q.QueryRow(ctx, guardAge, raw(bucket)).Scan(&age)
	})
	return max(age, 0), err
}

// BucketGuarded implements metadata.Store.
func (s *Store) BucketGuarded(ctx context.Context, bucket string) (guarded bool, err error) {
	err = s.run(ctx, "look for bucket guard", again, func(ctx context.Context, q querier) error {
		return q.QueryRow(ctx, guardExists, raw(bucket)).Scan(&guarded)
	})
	return guarded, err
}
