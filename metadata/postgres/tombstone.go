package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	// The last condition is that of replaced.
	tombstoneRows = `
UPDATE objects AS o SET tombstoned = clock_timestamp()
FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::timestamptz[]) AS d (bucket, key, version, began)
WHERE o.bucket = d.bucket AND o.key = d.key AND o.version = d.version AND o.tombstoned IS NULL
  AND o.committed < d.began AND d.began <= clock_timestamp()`

	reviveRows = `
UPDATE objects SET tombstoned = NULL WHERE bucket = $1 AND key = $2 AND sha256(envelope) = $3`

	dropBucket = `
WITH forgotten AS (DELETE FROM uploads WHERE bucket = $1 AND created < $2)
UPDATE objects SET tombstoned = clock_timestamp() WHERE bucket = $1 AND committed < $2 AND tombstoned IS NULL`
)

// Tombstone implements metadata.Store.
func (s *Store) Tombstone(ctx context.Context, deletions ...metadata.Deletion) error {
	if len(deletions) == 0 {
		return nil
	}
	// One order for all: two calls that meet in several rows then rarely wait for each other in a circle.
	deletions = slices.Clone(deletions)
	slices.SortFunc(deletions, func(a, b metadata.Deletion) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Key, b.Key), cmp.Compare(a.VersionID, b.VersionID))
	})
	n := len(deletions)
	buckets, keys, versions, began := make([][]byte, n), make([][]byte, n), make([][]byte, n), make([]time.Time, n)
	for i, d := range deletions {
		buckets[i], keys[i], versions[i], began[i] = raw(d.Bucket), raw(d.Key), raw(d.VersionID), d.Began
	}
	return s.run(ctx, "tombstone records", again, func(q querier) error {
		_, err := q.Exec(ctx, tombstoneRows, buckets, keys, versions, began)
		return err
	})
}

// Revive implements metadata.Store.
func (s *Store) Revive(ctx context.Context, bucket, key string, env metadata.Envelope) error {
	return s.run(ctx, "revive record", again, func(q querier) error {
		tag, err := q.Exec(ctx, reviveRows, raw(bucket), raw(key), row.EnvelopeHash(env))
		if err == nil && tag.RowsAffected() == 0 {
			err = metadata.ErrNotFound
		}
		return err
	})
}

// DropBucket implements metadata.Store. The parts of the uploads go with them, by the foreign key.
func (s *Store) DropBucket(ctx context.Context, bucket string, began time.Time) error {
	return s.run(ctx, "drop bucket", again, func(q querier) error {
		_, err := q.Exec(ctx, dropBucket, raw(bucket), began)
		return err
	})
}
