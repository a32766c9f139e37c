package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	// The last condition is that of replaced.
	tombstoneRow = `
UPDATE objects SET tombstoned = clock_timestamp()
WHERE bucket = $1 AND key = $2 AND version = $3 AND tombstoned IS NULL AND committed < $4 AND $4 <= clock_timestamp()`

	reviveRows = `
UPDATE objects SET tombstoned = NULL WHERE bucket = $1 AND key = $2 AND sha256(envelope) = $3`

	// What is staged of the uploads goes by a statement of its own: see DeleteUpload.
	dropUploads = `
DELETE FROM uploads WHERE bucket = $1 AND created < $2`

	unstageGone = `
DELETE FROM next_identity n WHERE n.kind = 3 AND NOT EXISTS (SELECT FROM uploads u WHERE u.id = n.id)`

	dropBucket = `
WITH unguarded AS (DELETE FROM guarded_buckets WHERE bucket = $1 AND since < $2)
UPDATE objects SET tombstoned = clock_timestamp() WHERE bucket = $1 AND committed < $2 AND tombstoned IS NULL`
)

// Tombstone implements metadata.Store. The statements go out together and are one transaction: nothing but a failure comes
// between them. One statement that joins all deletions would be planned by the statistics of the moment, and on a
// table that was empty a minute ago the plan is to read all of it; one deletion by itself has only one plan.
func (s *Store) Tombstone(ctx context.Context, deletions ...metadata.Deletion) error {
	if len(deletions) == 0 {
		return nil
	}
	// One order for all: two calls that meet in several rows then do not wait for each other in a circle.
	deletions = slices.Clone(deletions)
	slices.SortFunc(deletions, func(a, b metadata.Deletion) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Key, b.Key), cmp.Compare(a.VersionID, b.VersionID))
	})
	return s.run(ctx, "tombstone records", again, func(ctx context.Context, q querier) error {
		var batch pgx.Batch
		for _, d := range deletions {
			batch.Queue(tombstoneRow, raw(d.Bucket), raw(d.Key), raw(d.VersionID), d.Began)
		}
		return q.SendBatch(ctx, &batch).Close()
	})
}

// Revive implements metadata.Store.
func (s *Store) Revive(ctx context.Context, bucket, key string, env metadata.Envelope) error {
	return s.run(ctx, "revive record", again, func(ctx context.Context, q querier) error {
		tag, err := q.Exec(ctx, reviveRows, raw(bucket), raw(key), row.EnvelopeHash(env))
		if err == nil && tag.RowsAffected() == 0 {
			err = metadata.ErrNotFound
		}
		return err
	})
}

// DropBucket implements metadata.Store. The parts of the uploads go with them, by the foreign key.
func (s *Store) DropBucket(ctx context.Context, bucket string, began time.Time) error {
	return s.runLong(ctx, "drop bucket", again, func(ctx context.Context, q querier) error {
		var batch pgx.Batch // one transaction
		batch.Queue(dropUploads, raw(bucket), began)
		batch.Queue(unstageGone)
		batch.Queue(dropBucket, raw(bucket), began)
		return q.SendBatch(ctx, &batch).Close()
	})
}
