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
	tombstoneReplaced = `
UPDATE objects SET tombstoned = ?1
WHERE bucket = ?2 AND key = ?3 AND version = ?4 AND committed < ?5 AND tombstoned IS NULL`

	// A row of the same envelope may be there already, healed before a Complete was asked for once more: an object does not replace
	// itself.
	tombstoneOthers = tombstoneReplaced + ` AND envelope_hash <> ?6`

	insertRecord = `
INSERT INTO objects (bucket, key, version, envelope, envelope_hash, backend_etag, size, etag,
    checksum_algorithm, checksum_type, checksum, content_type, part_count, began, committed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING RETURNING id`

	insertPart = `
INSERT INTO object_parts (object, number, size, salt, md5, checksum_algorithm, checksum_type, checksum)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)`

	recordColumns = `
SELECT id, version, envelope, backend_etag, size, etag, checksum_algorithm, checksum_type, checksum, content_type,
    part_count, began, committed, coalesce(tombstoned, 0)
FROM objects`

	latest = recordColumns + `
WHERE bucket = ?1 AND key = ?2 AND tombstoned IS NULL ORDER BY committed DESC LIMIT 1`

	latestVersion = recordColumns + `
WHERE bucket = ?1 AND key = ?2 AND version = ?3 AND tombstoned IS NULL ORDER BY committed DESC LIMIT 1`

	byEnvelope = recordColumns + `
WHERE bucket = ?1 AND key = ?2 AND envelope_hash = ?3 ORDER BY tombstoned IS NOT NULL, committed DESC LIMIT 1`

	knownVersion = `SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1 AND key = ?2 AND version = ?3)`

	recordParts = `
SELECT number, size, salt, md5, checksum_algorithm, checksum_type, checksum
FROM object_parts WHERE object = ? ORDER BY number`
)

// Add implements metadata.Store.
func (s *Store) Add(ctx context.Context, rec metadata.Record, origin metadata.Origin) error {
	return s.failed("add record", s.write.update(ctx, func(t *transaction) error { return t.add(rec, origin) }))
}

func (t *transaction) add(rec metadata.Record, origin metadata.Origin) error {
	checksumType, err := row.TypeCode(rec.Checksum.Type)
	if err != nil {
		return err
	}
	now, err := t.now()
	if err != nil {
		return err
	}
	if origin == metadata.Committed && rec.VersionID == metadata.NullVersion {
		_, err := t.exec(tombstoneOthers, now, blob(rec.Bucket), blob(rec.Key), blob(rec.VersionID), toNanos(rec.Began), row.EnvelopeHash(rec.Envelope))
		if err != nil {
			return err
		}
	}
	var id int64
	added, err := t.row(insertRecord, []any{blob(rec.Bucket), blob(rec.Key), blob(rec.VersionID), rec.Envelope[:],
		row.EnvelopeHash(rec.Envelope), blob(rec.BackendETag), rec.Size, blob(rec.ETag), int64(rec.Checksum.Algorithm), checksumType,
		present(rec.Checksum.Value), blob(rec.ContentType), len(rec.Parts), toNanos(rec.Began), now}, &id)
	if err != nil || !added {
		return err // a row that is there has its parts
	}
	return t.addParts(id, rec.Parts)
}

func (t *transaction) addParts(object int64, parts []metadata.Part) error {
	for _, p := range parts {
		partType, err := row.TypeCode(p.Checksum.Type)
		if err != nil {
			return err
		}
		_, err = t.exec(insertPart, object, p.Number, p.Size, p.Salt[:], p.MD5, int64(p.Checksum.Algorithm), partType,
			present(p.Checksum.Value))
		if err != nil {
			return err
		}
	}
	return nil
}

// Latest implements metadata.Store.
func (s *Store) Latest(ctx context.Context, bucket, key, versionID string) (metadata.Record, error) {
	if versionID == "" {
		return s.record(ctx, "find record", latest, bucket, key)
	}
	return s.record(ctx, "find record", latestVersion, bucket, key, blob(versionID))
}

// ByEnvelope implements metadata.Store.
func (s *Store) ByEnvelope(ctx context.Context, bucket, key string, env metadata.Envelope) (metadata.Record, error) {
	return s.record(ctx, "find record by envelope", byEnvelope, bucket, key, row.EnvelopeHash(env))
}

// Known implements metadata.Store.
func (s *Store) Known(ctx context.Context, bucket, key, versionID string) (known bool, err error) {
	err = s.read.query(ctx, knownVersion, func(rows *sql.Rows) error { return rows.Scan(&known) }, blob(bucket), blob(key), blob(versionID))
	return known, s.failed("find rows of version", err)
}

// record reads one record with its parts. Two statements may do that without a transaction: parts never change, and are
// there as long as their row is.
func (s *Store) record(ctx context.Context, call, query, bucket, key string, arg ...any) (metadata.Record, error) {
	var (
		rec    metadata.Record
		id     int64
		parts  int
		exists bool
	)
	err := s.read.query(ctx, query, func(rows *sql.Rows) (err error) {
		exists = true
		rec, id, parts, err = scanRecord(rows)
		return err
	}, append([]any{blob(bucket), blob(key)}, arg...)...)
	if err == nil && !exists {
		err = metadata.ErrNotFound
	}
	if err == nil && parts > 0 {
		rec.Parts, err = s.parts(ctx, id, parts)
	}
	if err != nil {
		return metadata.Record{}, s.failed(call, err)
	}
	rec.Bucket, rec.Key = bucket, key
	return rec, nil
}

func scanRecord(rows scanner) (rec metadata.Record, id int64, parts int, err error) {
	var (
		envelope                     sql.RawBytes
		algorithm                    uint8
		checksumType                 int16
		began, committed, tombstoned int64
	)
	err = rows.Scan(&id, &rec.VersionID, &envelope, &rec.BackendETag, &rec.Size, &rec.ETag, &algorithm, &checksumType,
		&rec.Checksum.Value, &rec.ContentType, &parts, &began, &committed, &tombstoned)
	if err != nil {
		return rec, 0, 0, err
	}
	if copy(rec.Envelope[:], envelope) != metadata.EnvelopeSize || len(envelope) != metadata.EnvelopeSize {
		return rec, 0, 0, fmt.Errorf("scan record: envelope has %d bytes", len(envelope))
	}
	rec.Checksum.Algorithm, rec.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
	rec.Began, rec.Committed, rec.Tombstoned = fromNanos(began), fromNanos(committed), fromNanos(tombstoned)
	return rec, id, parts, nil
}

func (s *Store) parts(ctx context.Context, object int64, count int) ([]metadata.Part, error) {
	parts := make([]metadata.Part, 0, count)
	err := s.read.query(ctx, recordParts, func(rows *sql.Rows) error {
		p, err := scanPart(rows)
		parts = append(parts, p)
		return err
	}, object)
	if err != nil {
		return nil, err
	}
	if len(parts) != count {
		return nil, fmt.Errorf("read parts: %d of %d", len(parts), count)
	}
	return parts, nil
}

func scanPart(rows scanner) (p metadata.Part, err error) {
	var (
		salt         sql.RawBytes
		algorithm    uint8
		checksumType int16
	)
	err = rows.Scan(&p.Number, &p.Size, &salt, &p.MD5, &algorithm, &checksumType, &p.Checksum.Value)
	copy(p.Salt[:], salt)
	p.Checksum.Algorithm, p.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
	return p, err
}

// blob is s as a column that is never NULL holds it.
func blob(s string) []byte { return []byte(s) }

// present is b for a column that is never NULL: an absent value stands there as an empty one.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
