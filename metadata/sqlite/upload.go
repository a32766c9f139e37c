package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"time"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	insertUpload = `
INSERT INTO uploads (id, bucket, key, envelope, sealed_dek, initiator, checksum_algorithm, checksum_type, content_type,
    attributes, state, intent, result, created, completed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, x'', x'', ?, 0)
ON CONFLICT DO NOTHING`

	uploadColumns = `
SELECT id, bucket, key, envelope, sealed_dek, initiator, checksum_algorithm, checksum_type, content_type, attributes,
    state, intent, result, created, completed
FROM uploads `

	uploadByID = uploadColumns + `WHERE id = ?1`

	// ?5 is the end of the prefix's range, NULL where it has none.
	uploadsPage = uploadColumns + `
WHERE bucket = ?1 AND state < 3 AND (key, id) > (?2, ?3) AND key >= ?4 AND (?5 IS NULL OR key < ?5)
ORDER BY key, id LIMIT ?6`

	uploadState = `SELECT state, intent FROM uploads WHERE id = ?`

	setUploadState = `UPDATE uploads SET state = ?, intent = ? WHERE id = ?`

	finishUpload = `UPDATE uploads SET state = 3, result = ?, sealed_dek = x'', completed = ? WHERE id = ?`

	deleteUpload = `DELETE FROM uploads WHERE id = ?`

	sweepUploads = `
DELETE FROM uploads WHERE id IN (
    SELECT id FROM uploads WHERE state = 3 AND completed < ? ORDER BY completed LIMIT ?)`
)

// CreateUpload implements metadata.Store.
func (s *Store) CreateUpload(ctx context.Context, up metadata.Upload) error {
	checksumType, err := row.TypeCode(up.ChecksumType)
	if err != nil {
		return fmt.Errorf("create upload: %w", err)
	}
	return s.failed("create upload", s.write.update(ctx, func(t *transaction) error {
		now, err := t.now()
		if err != nil {
			return err
		}
		added, err := t.exec(insertUpload, blob(up.ID), blob(up.Bucket), blob(up.Key), up.Envelope[:], present(up.SealedDEK),
			blob(up.Initiator), int64(up.ChecksumAlgorithm), checksumType, blob(up.ContentType), present(up.Attributes), now)
		if err != nil || added == 1 {
			return err
		}
		there, err := t.upload(up.ID)
		if err != nil {
			return err
		}
		if !row.SameUpload(there, up) {
			return metadata.ErrConflict
		}
		return nil
	}))
}

func (t *transaction) upload(id string) (up metadata.Upload, err error) {
	stmt, err := t.writer.prepare(t.ctx, uploadByID)
	if err != nil {
		return up, err
	}
	return scanUpload(stmt.QueryRowContext(t.ctx, blob(id)))
}

// Upload implements metadata.Store.
func (s *Store) Upload(ctx context.Context, bucket, key, uploadID string) (metadata.Upload, error) {
	var up metadata.Upload
	err := s.read.query(ctx, uploadByID, func(rows *sql.Rows) (err error) {
		up, err = scanUpload(rows)
		return err
	}, blob(uploadID))
	if err == nil && (up.State == 0 || up.Bucket != bucket || up.Key != key) {
		err = metadata.ErrNotFound
	}
	if err != nil {
		return metadata.Upload{}, s.failed("find upload", err)
	}
	return up, nil
}

// Uploads implements metadata.Store.
func (s *Store) Uploads(ctx context.Context, bucket, prefix, keyMarker, idMarker string, limit int) ([]metadata.Upload, error) {
	keyMarker, idMarker = row.UploadMarkers(keyMarker, idMarker)
	var end any
	if e, ok := row.PrefixEnd(prefix); ok {
		end = blob(e)
	}
	var ups []metadata.Upload
	err := s.read.query(ctx, uploadsPage, func(rows *sql.Rows) error {
		up, err := scanUpload(rows)
		ups = append(ups, up)
		return err
	}, blob(bucket), blob(keyMarker), blob(idMarker), blob(prefix), end, limit)
	if err != nil {
		return nil, s.failed("list uploads", err)
	}
	return ups, nil
}

// SetIntent implements metadata.Store.
func (s *Store) SetIntent(ctx context.Context, uploadID string, intent []byte) error {
	return s.failed("set upload intent", s.write.update(ctx, func(t *transaction) error {
		var (
			state metadata.UploadState
			there []byte
		)
		exists, err := t.row(uploadState, []any{blob(uploadID)}, &state, &there)
		switch {
		case err != nil:
			return err
		case !exists:
			return metadata.ErrNotFound
		case state == metadata.UploadCompleted:
			return metadata.ErrConflict
		case len(intent) == 0:
			_, err = t.exec(setUploadState, int64(metadata.UploadOpen), []byte{}, blob(uploadID))
		case state == metadata.UploadOpen:
			_, err = t.exec(setUploadState, int64(metadata.UploadCompleting), intent, blob(uploadID))
		case !bytes.Equal(there, intent):
			return metadata.ErrConflict
		}
		return err
	}))
}

// FinishUpload implements metadata.Store.
func (s *Store) FinishUpload(ctx context.Context, uploadID string, result []byte, rec metadata.Record) error {
	return s.failed("finish upload", s.write.update(ctx, func(t *transaction) error {
		var (
			state       metadata.UploadState
			bucket, key string
		)
		exists, err := t.row(`SELECT state, bucket, key FROM uploads WHERE id = ?`, []any{blob(uploadID)}, &state, &bucket, &key)
		switch {
		case err != nil:
			return err
		case !exists || bucket != rec.Bucket || key != rec.Key:
			return metadata.ErrNotFound
		case state == metadata.UploadOpen:
			return metadata.ErrConflict
		case state == metadata.UploadCompleting:
			now, err := t.now()
			if err != nil {
				return err
			}
			if _, err := t.exec(finishUpload, present(result), now, blob(uploadID)); err != nil {
				return err
			}
			if _, err := t.exec(deleteUploadParts, blob(uploadID)); err != nil {
				return err
			}
			if _, err := t.exec(unstageUpload, blob(uploadID)); err != nil {
				return err
			}
		}
		return t.add(rec, metadata.Committed)
	}))
}

// DeleteUpload implements metadata.Store. Its parts go with it, by the foreign key.
func (s *Store) DeleteUpload(ctx context.Context, uploadID string) error {
	return s.failed("delete upload", s.write.update(ctx, func(t *transaction) error {
		if _, err := t.exec(deleteUpload, blob(uploadID)); err != nil {
			return err
		}
		_, err := t.exec(unstageUpload, blob(uploadID))
		return err
	}))
}

// SweepUploads implements metadata.Store. Of what is completed nothing is staged any more.
func (s *Store) SweepUploads(ctx context.Context, completedBefore time.Time, limit int) (int, error) {
	var swept int64
	err := s.write.update(ctx, func(t *transaction) (err error) {
		swept, err = t.exec(sweepUploads, toNanos(completedBefore), limit)
		return err
	})
	if err != nil {
		return 0, s.failed("sweep uploads", err)
	}
	return int(swept), nil
}

func scanUpload(rows scanner) (up metadata.Upload, err error) {
	var (
		envelope           []byte
		algorithm          uint8
		checksumType       int16
		created, completed int64
	)
	err = rows.Scan(&up.ID, &up.Bucket, &up.Key, &envelope, &up.SealedDEK, &up.Initiator, &algorithm, &checksumType,
		&up.ContentType, &up.Attributes, &up.State, &up.Intent, &up.Result, &created, &completed)
	if err != nil {
		return up, err
	}
	copy(up.Envelope[:], envelope)
	up.ChecksumAlgorithm, up.ChecksumType = checksum.Algorithm(algorithm), row.Type(checksumType)
	up.Created, up.Completed = fromNanos(created), fromNanos(completed)
	return up, nil
}
