package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	insertUploadPart = `
INSERT INTO upload_parts (upload, number, attempt, salt, size, md5, etag, backend_etag, checksum_algorithm, checksum_type, checksum)
SELECT id, $2::integer, $3::bytea, $4::bytea, $5::bigint, $6::bytea, $7::bytea, $8::bytea, $9::smallint, $10::smallint, $11::bytea
FROM uploads WHERE id = $1 AND state = 1
ON CONFLICT DO NOTHING`

	deleteUploadParts = `DELETE FROM upload_parts WHERE upload = $1`

	uploadPartColumns = `number, attempt, salt, size, md5, etag, backend_etag, checksum_algorithm, checksum_type, checksum, committed`

	newestParts = `
SELECT DISTINCT ON (number) ` + uploadPartColumns + `, count(*) OVER (PARTITION BY number)
FROM upload_parts WHERE upload = $1 AND number > $2 ORDER BY number, committed DESC, attempt LIMIT $3`

	partAttempts = `
SELECT ` + uploadPartColumns + `, 1::bigint
FROM upload_parts WHERE upload = $1 AND number = $2 ORDER BY committed DESC, attempt`
)

// AddPart implements metadata.Store.
func (s *Store) AddPart(ctx context.Context, uploadID string, part metadata.UploadPart) error {
	return s.run(ctx, "add part", again, func(ctx context.Context, q querier) error {
		checksumType, err := row.TypeCode(part.Checksum.Type)
		if err != nil {
			return err
		}
		tag, err := q.Exec(ctx, insertUploadPart, raw(uploadID), part.Number, part.Attempt[:], part.Salt[:], part.Size, part.MD5,
			raw(part.ETag), raw(part.BackendETag), int16(part.Checksum.Algorithm), checksumType, present(part.Checksum.Value))
		if code(err) == codeForeignKeyViolation {
			return metadata.ErrNotFound // the upload ended while the part was being added
		}
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		state, err := stateOf(ctx, q, uploadID)
		if err == nil && state != metadata.UploadOpen {
			err = metadata.ErrConflict
		}
		return err // none: this very attempt is there
	})
}

// UploadParts implements metadata.Store.
func (s *Store) UploadParts(ctx context.Context, uploadID string, after, limit int) (parts []metadata.UploadPart, attempts []int, err error) {
	err = s.run(ctx, "list parts", again, func(ctx context.Context, q querier) (err error) {
		parts, attempts, err = uploadParts(ctx, q, newestParts, raw(uploadID), after, limit)
		return err
	})
	return parts, attempts, err
}

// PartAttempts implements metadata.Store.
func (s *Store) PartAttempts(ctx context.Context, uploadID string, number int) (parts []metadata.UploadPart, err error) {
	err = s.run(ctx, "list attempts of part", again, func(ctx context.Context, q querier) (err error) {
		parts, _, err = uploadParts(ctx, q, partAttempts, raw(uploadID), number)
		return err
	})
	return parts, err
}

func uploadParts(ctx context.Context, q querier, query string, args ...any) (parts []metadata.UploadPart, attempts []int, err error) {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	var (
		p                                metadata.UploadPart
		attempt, salt, etag, backendETag []byte
		algorithm, checksumType          int16
		n                                int
	)
	_, err = pgx.ForEachRow(rows,
		[]any{&p.Number, &attempt, &salt, &p.Size, &p.MD5, &etag, &backendETag, &algorithm, &checksumType, &p.Checksum.Value, &p.Committed, &n},
		func() error {
			copy(p.Attempt[:], attempt)
			copy(p.Salt[:], salt)
			p.ETag, p.BackendETag = string(etag), string(backendETag)
			p.Checksum.Algorithm, p.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
			p.Committed = p.Committed.UTC()
			parts, attempts = append(parts, p), append(attempts, n)
			p = metadata.UploadPart{} // its slices belong to the one that was appended
			return nil
		})
	if err != nil {
		return nil, nil, err
	}
	return parts, attempts, nil
}
