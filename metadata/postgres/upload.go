package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	insertUpload = `
INSERT INTO uploads (id, bucket, key, envelope, sealed_dek, initiator, checksum_algorithm, checksum_type, content_type, attributes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING`

	uploadColumns = `
SELECT id, bucket, key, envelope, sealed_dek, initiator, checksum_algorithm, checksum_type, content_type, attributes,
    state, intent, result, created, completed
FROM uploads `

	uploadByID = uploadColumns + `WHERE id = $1`

	// $5 is the end of the prefix's range, NULL where it has none.
	uploadsPage = uploadColumns + `
WHERE bucket = $1 AND state < 3 AND (key, id) > ($2, $3) AND key >= $4 AND ($5::bytea IS NULL OR key < $5)
ORDER BY key, id LIMIT $6`

	uploadState = `SELECT state FROM uploads WHERE id = $1`

	// The same intent again changes nothing, and is found.
	setIntent = `
UPDATE uploads SET state = 2, intent = $2 WHERE id = $1 AND (state = 1 OR state = 2 AND intent = $2)`

	clearIntent = `
UPDATE uploads SET state = 1, intent = '' WHERE id = $1 AND state < 3`

	// Parts that are being added may go on: what the foreign key locks does not conflict.
	lockUploadRow = `
SELECT state, bucket, key FROM uploads WHERE id = $1 FOR NO KEY UPDATE`

	finishUpload = `
UPDATE uploads SET state = 3, result = $2, sealed_dek = '', completed = clock_timestamp() WHERE id = $1`

	deleteUpload = `DELETE FROM uploads WHERE id = $1`

	sweepUploads = `
DELETE FROM uploads WHERE id IN (
    SELECT id FROM uploads WHERE state = 3 AND completed < $1 ORDER BY completed LIMIT $2 FOR UPDATE SKIP LOCKED)`
)

// CreateUpload implements metadata.Store.
func (s *Store) CreateUpload(ctx context.Context, up metadata.Upload) error {
	return s.run(ctx, "create upload", again, func(ctx context.Context, q querier) error {
		checksumType, err := row.TypeCode(up.ChecksumType)
		if err != nil {
			return err
		}
		tag, err := q.Exec(ctx, insertUpload, raw(up.ID), raw(up.Bucket), raw(up.Key), up.Envelope[:], present(up.SealedDEK),
			raw(up.Initiator), int16(up.ChecksumAlgorithm), checksumType, raw(up.ContentType), present(up.Attributes))
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		there, err := scanUpload(q.QueryRow(ctx, uploadByID, raw(up.ID)))
		if errors.Is(err, pgx.ErrNoRows) || err == nil && !row.SameUpload(there, up) {
			err = metadata.ErrConflict
		}
		return err
	})
}

// Upload implements metadata.Store.
func (s *Store) Upload(ctx context.Context, bucket, key, uploadID string) (up metadata.Upload, err error) {
	err = s.run(ctx, "find upload", again, func(ctx context.Context, q querier) (err error) {
		up, err = scanUpload(q.QueryRow(ctx, uploadByID, raw(uploadID)))
		if errors.Is(err, pgx.ErrNoRows) || err == nil && (up.Bucket != bucket || up.Key != key) {
			err = metadata.ErrNotFound
		}
		return err
	})
	if err != nil {
		return metadata.Upload{}, err
	}
	return up, nil
}

// Uploads implements metadata.Store.
func (s *Store) Uploads(ctx context.Context, bucket, prefix, keyMarker, idMarker string, limit int) (ups []metadata.Upload, err error) {
	keyMarker, idMarker = row.UploadMarkers(keyMarker, idMarker)
	var end []byte
	if e, ok := row.PrefixEnd(prefix); ok {
		end = raw(e)
	}
	err = s.run(ctx, "list uploads", again, func(ctx context.Context, q querier) error {
		rows, err := q.Query(ctx, uploadsPage, raw(bucket), raw(keyMarker), raw(idMarker), raw(prefix), end, limit)
		if err != nil {
			return err
		}
		ups, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (metadata.Upload, error) { return scanUpload(r) })
		return err
	})
	return ups, err
}

// SetIntent implements metadata.Store.
func (s *Store) SetIntent(ctx context.Context, uploadID string, intent []byte) error {
	return s.run(ctx, "set upload intent", again, func(ctx context.Context, q querier) error {
		query, args := setIntent, []any{raw(uploadID), intent}
		if len(intent) == 0 {
			query, args = clearIntent, args[:1]
		}
		tag, err := q.Exec(ctx, query, args...)
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		if _, err := stateOf(ctx, q, uploadID); err != nil {
			return err
		}
		return metadata.ErrConflict
	})
}

// stateOf gives the state of an upload, or ErrNotFound.
func stateOf(ctx context.Context, q querier, uploadID string) (state metadata.UploadState, err error) {
	err = q.QueryRow(ctx, uploadState, raw(uploadID)).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) {
		err = metadata.ErrNotFound
	}
	return state, err
}

// FinishUpload implements metadata.Store.
func (s *Store) FinishUpload(ctx context.Context, uploadID string, result []byte, rec metadata.Record) error {
	return s.run(ctx, "finish upload", again, func(ctx context.Context, _ querier) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.finish(ctx, tx, uploadID, result, rec) })
	})
}

func (s *Store) finish(ctx context.Context, tx pgx.Tx, uploadID string, result []byte, rec metadata.Record) error {
	var (
		state       metadata.UploadState
		bucket, key []byte
	)
	err := tx.QueryRow(ctx, lockUploadRow, raw(uploadID)).Scan(&state, &bucket, &key)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return metadata.ErrNotFound
	case err != nil:
		return err
	case string(bucket) != rec.Bucket || string(key) != rec.Key:
		return metadata.ErrNotFound
	case state == metadata.UploadOpen:
		return metadata.ErrConflict
	case state == metadata.UploadCompleting:
		if _, err := tx.Exec(ctx, finishUpload, raw(uploadID), present(result)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteUploadParts, raw(uploadID)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, unstageUpload, raw(uploadID)); err != nil {
			return err
		}
	}
	return s.add(ctx, tx, rec, metadata.Committed)
}

// DeleteUpload implements metadata.Store. Its parts go with it, by the foreign key. What is staged of it goes by a statement of its own
// behind that one, which waits for whoever is staging it.
func (s *Store) DeleteUpload(ctx context.Context, uploadID string) error {
	return s.run(ctx, "delete upload", again, func(ctx context.Context, q querier) error {
		var batch pgx.Batch // one transaction
		batch.Queue(deleteUpload, raw(uploadID))
		batch.Queue(unstageUpload, raw(uploadID))
		return q.SendBatch(ctx, &batch).Close()
	})
}

// SweepUploads implements metadata.Store. Of what is completed nothing is staged any more. Replicas may sweep at once: each takes
// what no other has in hand.
func (s *Store) SweepUploads(ctx context.Context, completedBefore time.Time, limit int) (int, error) {
	var swept int64
	err := s.run(ctx, "sweep uploads", again, func(ctx context.Context, q querier) error {
		tag, err := q.Exec(ctx, sweepUploads, completedBefore, limit)
		swept = tag.RowsAffected()
		return err
	})
	return int(swept), err
}

func scanUpload(r pgx.Row) (up metadata.Upload, err error) {
	var (
		id, bucket, key, envelope, initiator, contentType []byte
		algorithm, checksumType                           int16
		completed                                         *time.Time
	)
	err = r.Scan(&id, &bucket, &key, &envelope, &up.SealedDEK, &initiator, &algorithm, &checksumType, &contentType,
		&up.Attributes, &up.State, &up.Intent, &up.Result, &up.Created, &completed)
	if err != nil {
		return up, err
	}
	if len(envelope) != metadata.EnvelopeSize {
		return up, fmt.Errorf("scan upload: envelope has %d bytes", len(envelope))
	}
	copy(up.Envelope[:], envelope)
	up.ID, up.Bucket, up.Key, up.Initiator, up.ContentType = string(id), string(bucket), string(key), string(initiator), string(contentType)
	up.ChecksumAlgorithm, up.ChecksumType = checksum.Algorithm(algorithm), row.Type(checksumType)
	up.Created = up.Created.UTC()
	if completed != nil {
		up.Completed = completed.UTC()
	}
	return up, nil
}
