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

// Adding a record is one statement, put together from these. WITH makes PostgreSQL run all of them under one snapshot,
// and become visible together.
const (
	// replaced makes the tombstones. Its last condition holds unless the server's clock was set back since the request
	// began: then times can no longer be compared, and no tombstone is made rather than a wrong one. A row of the same envelope
	// may be there already, healed before a Complete was asked for once more: an object does not replace itself.
	replaced = `replaced AS (
    UPDATE objects SET tombstoned = clock_timestamp()
    WHERE bucket = $1 AND key = $2 AND version = $3 AND envelope <> $4 AND tombstoned IS NULL AND committed < $13 AND $13 <= clock_timestamp()
)`

	insertRecord = `
INSERT INTO objects (bucket, key, version, envelope, backend_etag, size, etag, checksum_algorithm, checksum_type, checksum,
    content_type, part_count, began, committed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, clock_timestamp())
ON CONFLICT DO NOTHING`

	// insertParts adds the parts of a record that was really added: one that is there has its own.
	insertParts = `
INSERT INTO object_parts (bucket, key, envelope_hash, number, size, salt, md5, checksum_algorithm, checksum_type, checksum)
SELECT $1, $2, sha256($4), p.*
FROM added, unnest($14::integer[], $15::bigint[], $16::bytea[], $17::bytea[], $18::smallint[], $19::smallint[], $20::bytea[]) AS p
ON CONFLICT DO NOTHING`

	// Each gives the time that the row was committed at, and nothing where it was there already.
	addRecord          = insertRecord + ` RETURNING committed`
	addReplacing       = `WITH ` + replaced + insertRecord + ` RETURNING committed`
	addParted          = `WITH ` + addedWithParts
	addPartedReplacing = `WITH ` + replaced + `, ` + addedWithParts
	addedWithParts     = `added AS (` + insertRecord + ` RETURNING committed), parts AS (` + insertParts + `) SELECT committed FROM added`
)

const (
	recordColumns = `
SELECT version, envelope, backend_etag, size, etag, checksum_algorithm, checksum_type, checksum, content_type, part_count,
    began, committed, tombstoned
FROM objects `

	latest = recordColumns + `
WHERE bucket = $1 AND key = $2 AND tombstoned IS NULL ORDER BY committed DESC LIMIT 1`

	latestVersion = recordColumns + `
WHERE bucket = $1 AND key = $2 AND version = $3 AND tombstoned IS NULL ORDER BY committed DESC LIMIT 1`

	byEnvelope = recordColumns + `
WHERE bucket = $1 AND key = $2 AND sha256(envelope) = $3 ORDER BY tombstoned IS NOT NULL, committed DESC LIMIT 1`

	knownVersion = `
SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = $1 AND key = $2 AND version = $3)`

	recordParts = `
SELECT number, size, salt, md5, checksum_algorithm, checksum_type, checksum
FROM object_parts WHERE bucket = $1 AND key = $2 AND envelope_hash = $3 ORDER BY number`
)

// Add implements metadata.Store.
func (s *Store) Add(ctx context.Context, rec metadata.Record, origin metadata.Origin) error {
	return s.run(ctx, "add record", again, func(ctx context.Context, q querier) error { return s.add(ctx, q, rec, origin) })
}

// add writes a record. The time it was committed at is a sample of the server's clock too: so a write that this process
// begins afterwards is known to have begun after it, however close they follow each other, and makes its tombstone.
func (s *Store) add(ctx context.Context, q querier, rec metadata.Record, origin metadata.Origin) error {
	checksumType, err := row.TypeCode(rec.Checksum.Type)
	if err != nil {
		return err
	}
	args := []any{
		raw(rec.Bucket), raw(rec.Key), raw(rec.VersionID), rec.Envelope[:], raw(rec.BackendETag), rec.Size, raw(rec.ETag),
		int16(rec.Checksum.Algorithm), checksumType, present(rec.Checksum.Value), raw(rec.ContentType), len(rec.Parts), rec.Began,
	}
	if len(rec.Parts) > 0 {
		columns, err := partColumns(rec.Parts)
		if err != nil {
			return err
		}
		args = append(args, columns...)
	}
	replaces := origin == metadata.Committed && rec.VersionID == metadata.NullVersion
	statement := addRecord
	switch {
	case replaces && len(rec.Parts) > 0:
		statement = addPartedReplacing
	case replaces:
		statement = addReplacing
	case len(rec.Parts) > 0:
		statement = addParted
	}
	var committed time.Time
	t0 := time.Now()
	err = q.QueryRow(ctx, statement, args...).Scan(&committed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		s.clock.add(t0, committed, time.Now())
	}
	return err
}

// partColumns gives the arrays that insertParts takes: all parts of an object in one statement.
func partColumns(parts []metadata.Part) ([]any, error) {
	n := len(parts)
	var (
		numbers    = make([]int32, n)
		sizes      = make([]int64, n)
		salts      = make([][]byte, n)
		md5s       = make([][]byte, n)
		algorithms = make([]int16, n)
		types      = make([]int16, n)
		checksums  = make([][]byte, n)
	)
	for i := range parts {
		p := &parts[i]
		t, err := row.TypeCode(p.Checksum.Type)
		if err != nil {
			return nil, err
		}
		numbers[i], sizes[i], salts[i], md5s[i] = int32(p.Number), p.Size, p.Salt[:], p.MD5
		algorithms[i], types[i], checksums[i] = int16(p.Checksum.Algorithm), t, present(p.Checksum.Value)
	}
	return []any{numbers, sizes, salts, md5s, algorithms, types, checksums}, nil
}

// Latest implements metadata.Store.
func (s *Store) Latest(ctx context.Context, bucket, key, versionID string) (rec metadata.Record, err error) {
	err = s.run(ctx, "find record", again, func(ctx context.Context, q querier) (err error) {
		rec, err = latestRecord(ctx, q, bucket, key, versionID)
		return err
	})
	return rec, err
}

// ByEnvelope implements metadata.Store.
func (s *Store) ByEnvelope(ctx context.Context, bucket, key string, env metadata.Envelope) (rec metadata.Record, err error) {
	err = s.run(ctx, "find record by envelope", again, func(ctx context.Context, q querier) (err error) {
		rec, err = recordByEnvelope(ctx, q, bucket, key, env)
		return err
	})
	return rec, err
}

// Known implements metadata.Store.
func (s *Store) Known(ctx context.Context, bucket, key, versionID string) (known bool, err error) {
	err = s.run(ctx, "find rows of version", again, func(ctx context.Context, q querier) error {
		return q.QueryRow(ctx, knownVersion, raw(bucket), raw(key), raw(versionID)).Scan(&known)
	})
	return known, err
}

func latestRecord(ctx context.Context, q querier, bucket, key, versionID string) (metadata.Record, error) {
	if versionID == "" {
		return record(ctx, q, latest, bucket, key)
	}
	return record(ctx, q, latestVersion, bucket, key, raw(versionID))
}

func recordByEnvelope(ctx context.Context, q querier, bucket, key string, env metadata.Envelope) (metadata.Record, error) {
	return record(ctx, q, byEnvelope, bucket, key, row.EnvelopeHash(env))
}

// record reads one record with its parts. Two statements may do that without a transaction: parts never change, and are
// there as long as their record is.
func record(ctx context.Context, q querier, query, bucket, key string, arg ...any) (metadata.Record, error) {
	rec, parts, err := scanRecord(q.QueryRow(ctx, query, append([]any{raw(bucket), raw(key)}, arg...)...))
	if errors.Is(err, pgx.ErrNoRows) {
		err = metadata.ErrNotFound
	}
	if err == nil && parts > 0 {
		rec.Parts, err = readParts(ctx, q, bucket, key, rec.Envelope, parts)
	}
	if err != nil {
		return metadata.Record{}, err
	}
	rec.Bucket, rec.Key = bucket, key
	return rec, nil
}

func scanRecord(r pgx.Row) (rec metadata.Record, parts int, err error) {
	var (
		version, envelope, backendETag, etag, contentType []byte
		algorithm, checksumType                           int16
		tombstoned                                        *time.Time
	)
	err = r.Scan(&version, &envelope, &backendETag, &rec.Size, &etag, &algorithm, &checksumType, &rec.Checksum.Value,
		&contentType, &parts, &rec.Began, &rec.Committed, &tombstoned)
	if err != nil {
		return rec, 0, err
	}
	if len(envelope) != metadata.EnvelopeSize {
		return rec, 0, fmt.Errorf("scan record: envelope has %d bytes", len(envelope))
	}
	copy(rec.Envelope[:], envelope)
	rec.VersionID, rec.BackendETag, rec.ETag, rec.ContentType = string(version), string(backendETag), string(etag), string(contentType)
	rec.Checksum.Algorithm, rec.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
	rec.Began, rec.Committed = rec.Began.UTC(), rec.Committed.UTC()
	if tombstoned != nil {
		rec.Tombstoned = tombstoned.UTC()
	}
	return rec, parts, nil
}

func readParts(ctx context.Context, q querier, bucket, key string, env metadata.Envelope, count int) ([]metadata.Part, error) {
	parts := make([]metadata.Part, 0, count)
	rows, err := q.Query(ctx, recordParts, raw(bucket), raw(key), row.EnvelopeHash(env))
	if err != nil {
		return nil, err
	}
	var (
		p                       metadata.Part
		salt                    []byte
		algorithm, checksumType int16
	)
	_, err = pgx.ForEachRow(rows, []any{&p.Number, &p.Size, &salt, &p.MD5, &algorithm, &checksumType, &p.Checksum.Value}, func() error {
		copy(p.Salt[:], salt)
		p.Checksum.Algorithm, p.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
		parts = append(parts, p)
		p = metadata.Part{} // its slices belong to the one that was appended
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(parts) != count {
		return nil, fmt.Errorf("read parts: %d of %d", len(parts), count)
	}
	return parts, nil
}

// raw is s as a bytea that is never NULL.
func raw(s string) []byte { return []byte(s) }

// present is b for a column that is never NULL: an absent value stands there as an empty one.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
