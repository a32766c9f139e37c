package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	insertUploadPart = `
INSERT INTO upload_parts (upload, number, attempt, salt, size, md5, etag, backend_etag, checksum_algorithm, checksum_type,
    checksum, committed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING`

	deleteUploadParts = `DELETE FROM upload_parts WHERE upload = ?`

	uploadPartColumns = `number, attempt, salt, size, md5, etag, backend_etag, checksum_algorithm, checksum_type, checksum, committed`

	// The newest attempt of each number: with max, SQLite takes the bare columns from the row that has it
	// (https://www.sqlite.org/lang_select.html#bareagg). Commit times differ, so there is one such row.
	newestParts = `
SELECT number, attempt, salt, size, md5, etag, backend_etag, checksum_algorithm, checksum_type, checksum, max(committed), count(*)
FROM upload_parts WHERE upload = ? AND number > ? GROUP BY number ORDER BY number LIMIT ?`

	partAttempts = `
SELECT ` + uploadPartColumns + `, 1
FROM upload_parts WHERE upload = ? AND number = ? ORDER BY committed DESC`
)

// AddPart implements metadata.Store.
func (s *Store) AddPart(ctx context.Context, uploadID string, part metadata.UploadPart) error {
	checksumType, err := row.TypeCode(part.Checksum.Type)
	if err != nil {
		return fmt.Errorf("add part: %w", err)
	}
	return s.failed("add part", s.write.update(ctx, func(t *transaction) error {
		var state metadata.UploadState
		exists, err := t.row(`SELECT state FROM uploads WHERE id = ?`, []any{blob(uploadID)}, &state)
		switch {
		case err != nil:
			return err
		case !exists:
			return metadata.ErrNotFound
		case state != metadata.UploadOpen:
			return metadata.ErrConflict
		}
		now, err := t.now()
		if err != nil {
			return err
		}
		_, err = t.exec(insertUploadPart, blob(uploadID), part.Number, part.Attempt[:], part.Salt[:], part.Size, part.MD5,
			blob(part.ETag), blob(part.BackendETag), int64(part.Checksum.Algorithm), checksumType,
			present(part.Checksum.Value), now)
		return err
	}))
}

// UploadParts implements metadata.Store.
func (s *Store) UploadParts(ctx context.Context, uploadID string, after, limit int) ([]metadata.UploadPart, []int, error) {
	parts, attempts, err := s.uploadParts(ctx, newestParts, blob(uploadID), after, limit)
	if err != nil {
		return nil, nil, s.failed("list parts", err)
	}
	return parts, attempts, nil
}

// PartAttempts implements metadata.Store.
func (s *Store) PartAttempts(ctx context.Context, uploadID string, number int) ([]metadata.UploadPart, error) {
	parts, _, err := s.uploadParts(ctx, partAttempts, blob(uploadID), number)
	if err != nil {
		return nil, s.failed("list attempts of part", err)
	}
	return parts, nil
}

func (s *Store) uploadParts(ctx context.Context, query string, args ...any) (parts []metadata.UploadPart, attempts []int, err error) {
	err = s.read.query(ctx, query, func(rows *sql.Rows) error {
		var (
			p             metadata.UploadPart
			attempt, salt sql.RawBytes
			algorithm     uint8
			checksumType  int16
			committed     int64
			n             int
		)
		err := rows.Scan(&p.Number, &attempt, &salt, &p.Size, &p.MD5, &p.ETag, &p.BackendETag, &algorithm, &checksumType,
			&p.Checksum.Value, &committed, &n)
		if err != nil {
			return err
		}
		copy(p.Attempt[:], attempt)
		copy(p.Salt[:], salt)
		p.Checksum.Algorithm, p.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
		p.Committed = fromNanos(committed)
		parts, attempts = append(parts, p), append(attempts, n)
		return nil
	}, args...)
	return parts, attempts, err
}
