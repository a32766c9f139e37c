package sqlite

import (
	"context"
	"time"

	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	reviveRows = `
UPDATE objects SET tombstoned = NULL WHERE bucket = ? AND key = ? AND envelope_hash = ?`

	dropBucketRows = `
UPDATE objects SET tombstoned = ?1 WHERE bucket = ?2 AND committed < ?3 AND tombstoned IS NULL`

	dropBucketUploads = `
DELETE FROM uploads WHERE bucket = ? AND created < ?`

	unstageGone = `
DELETE FROM next_identity WHERE kind = 3 AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.id = next_identity.id)`
)

// Tombstone implements metadata.Store.
func (s *Store) Tombstone(ctx context.Context, deletions ...metadata.Deletion) error {
	if len(deletions) == 0 {
		return nil
	}
	return s.failed("tombstone records", s.write.update(ctx, func(t *transaction) error {
		now, err := t.now()
		if err != nil {
			return err
		}
		for _, d := range deletions {
			_, err := t.exec(tombstoneReplaced, now, blob(d.Bucket), blob(d.Key), blob(d.VersionID), toNanos(d.Began))
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// Revive implements metadata.Store.
func (s *Store) Revive(ctx context.Context, bucket, key string, env metadata.Envelope) error {
	return s.failed("revive record", s.write.update(ctx, func(t *transaction) error {
		changed, err := t.exec(reviveRows, blob(bucket), blob(key), row.EnvelopeHash(env))
		if err == nil && changed == 0 {
			err = metadata.ErrNotFound
		}
		return err
	}))
}

// DropBucket implements metadata.Store.
func (s *Store) DropBucket(ctx context.Context, bucket string, began time.Time) error {
	return s.failed("drop bucket", s.write.update(ctx, func(t *transaction) error {
		now, err := t.now()
		if err != nil {
			return err
		}
		if _, err := t.exec(dropBucketRows, now, blob(bucket), toNanos(began)); err != nil {
			return err
		}
		if _, err := t.exec(dropBucketUploads, blob(bucket), toNanos(began)); err != nil {
			return err
		}
		if _, err := t.exec(unstageGone); err != nil {
			return err
		}
		_, err = t.exec(dropGuard, blob(bucket), toNanos(began))
		return err
	}))
}
