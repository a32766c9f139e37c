package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	// Whoever else has the store open waits until the end, and then finds all of it.
	lockAll   = `LOCK TABLE ` + allTables + ` IN ACCESS EXCLUSIVE MODE`
	emptyAll  = `TRUNCATE ` + allTables + `, notes`
	allTables = `trust_list, keks, credentials, guarded_buckets, objects, object_parts, uploads, upload_parts, jobs, next_identity, audit`

	anyRow = `
SELECT EXISTS (SELECT FROM trust_list) OR EXISTS (SELECT FROM keks) OR EXISTS (SELECT FROM credentials) OR EXISTS (SELECT FROM guarded_buckets)
    OR EXISTS (SELECT FROM objects) OR EXISTS (SELECT FROM uploads) OR EXISTS (SELECT FROM jobs) OR EXISTS (SELECT FROM next_identity)
    OR EXISTS (SELECT FROM audit)`

	// Versions that carry one envelope share their parts.
	loadParts = `
INSERT INTO object_parts (bucket, key, envelope_hash, number, size, salt, md5, checksum_algorithm, checksum_type, checksum)
SELECT $1, $2, $3, p.*
FROM unnest($4::integer[], $5::bigint[], $6::bytea[], $7::bytea[], $8::smallint[], $9::smallint[], $10::bytea[]) AS p
ON CONFLICT DO NOTHING`

	auditGoesOn = `SELECT setval(pg_get_serial_sequence('audit', 'id'), max(id)) FROM audit HAVING max(id) IS NOT NULL`
)

// Of rows that wait to be sent: how many, and about how many bytes they hold.
const (
	loadedRows  = 1000
	loadedBytes = 8 << 20
)

// errRows is an error of whoever gives the rows.
type errRows struct{ error }

// Load implements metadata.Store.
func (s *Store) Load(ctx context.Context, replace bool, next func() (metadata.Row, error)) error {
	err := s.load(ctx, replace, next)
	var told errRows
	if errors.As(err, &told) {
		return told.error
	}
	if errors.Is(err, metadata.ErrNotEmpty) {
		return fmt.Errorf("load store: %w", err)
	}
	return s.wrap(ctx, "load store", err)
}

func (s *Store) load(ctx context.Context, replace bool, next func() (metadata.Row, error)) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing to do once it is committed
	if _, err := tx.Exec(ctx, holdDump); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, lockAll); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRow(ctx, anyRow).Scan(&there); err != nil {
		return err
	}
	if there && !replace {
		return metadata.ErrNotEmpty
	}
	empty := `DELETE FROM notes`
	if there {
		empty = emptyAll // it makes new files for each of dozens of tables, which takes a second
	}
	if _, err := tx.Exec(ctx, empty); err != nil {
		return err
	}
	l := loader{tx: tx}
	for {
		r, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errRows{err}
		}
		if err := l.add(ctx, r); err != nil {
			return err
		}
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, auditGoesOn); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// loader sends rows of one kind together.
type loader struct {
	tx    pgx.Tx
	kind  metadata.RowKind
	rows  [][]any
	parts pgx.Batch // of the records among rows
	bytes int
}

// loadedColumns is where rows of each kind go, and the columns in the order of values.
var loadedColumns = map[metadata.RowKind]struct {
	table   string
	columns []string
}{
	metadata.TrustListRow:  {"trust_list", []string{"number", "dsse"}},
	metadata.KEKRow:        {"keks", []string{"id", "bucket", "creator", "record", "grant", "state", "created", "sealed"}},
	metadata.CredentialRow: {"credentials", []string{"access_key_id", "sealed_secret", "description", "backend_user", "grants", "created", "disabled"}},
	metadata.GuardRow:      {"guarded_buckets", []string{"bucket", "since"}},
	metadata.RecordRow: {"objects", []string{"bucket", "key", "version", "envelope", "backend_etag", "size", "etag", "checksum_algorithm",
		"checksum_type", "checksum", "content_type", "part_count", "began", "committed", "tombstoned"}},
	metadata.UploadRow: {"uploads", []string{"id", "bucket", "key", "envelope", "sealed_dek", "initiator", "checksum_algorithm", "checksum_type",
		"content_type", "attributes", "state", "intent", "result", "created", "completed"}},
	metadata.UploadPartRow: {"upload_parts", []string{"upload", "number", "attempt", "salt", "size", "md5", "etag", "backend_etag",
		"checksum_algorithm", "checksum_type", "checksum", "committed"}},
	metadata.JobRow: {"jobs", []string{"id", "kind", "bucket", "parameters", "progress", "state", "message", "lease", "cancelled", "created",
		"started", "updated", "ended"}},
	metadata.StagedRow: {"next_identity", []string{"site", "kind", "id", "sealed", "next"}},
	metadata.AuditRow:  {"audit", []string{"id", "at", "actor", "action", "bucket", "subject", "detail"}},
}

func (l *loader) add(ctx context.Context, r metadata.Row) error {
	kind := r.Kind()
	if kind != l.kind || len(l.rows) >= loadedRows || l.bytes >= loadedBytes {
		if err := l.flush(ctx); err != nil {
			return err
		}
		l.kind = kind
	}
	values, err := loadedValues(r)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	l.rows = append(l.rows, values)
	for _, v := range values {
		if b, ok := v.([]byte); ok {
			l.bytes += len(b)
		}
	}
	if r.Record != nil && len(r.Record.Parts) > 0 {
		return l.addParts(r.Record)
	}
	return nil
}

func (l *loader) addParts(rec *metadata.Record) error {
	columns, err := partColumns(rec.Parts)
	if err != nil {
		return err
	}
	l.parts.Queue(loadParts, append([]any{raw(rec.Bucket), raw(rec.Key), row.EnvelopeHash(rec.Envelope)}, columns...)...)
	const aboutAPart = 100 // bytes
	l.bytes += aboutAPart * len(rec.Parts)
	return nil
}

func (l *loader) flush(ctx context.Context) error {
	if len(l.rows) == 0 {
		return nil
	}
	to := loadedColumns[l.kind]
	if _, err := l.tx.CopyFrom(ctx, pgx.Identifier{to.table}, to.columns, pgx.CopyFromRows(l.rows)); err != nil {
		return err
	}
	if l.parts.Len() > 0 {
		if err := l.tx.SendBatch(ctx, &l.parts).Close(); err != nil {
			return err
		}
	}
	l.rows, l.parts, l.bytes = l.rows[:0], pgx.Batch{}, 0
	return nil
}

func loadedValues(r metadata.Row) ([]any, error) {
	switch {
	case r.TrustList != nil:
		if r.TrustList.Number > math.MaxInt64 {
			return nil, fmt.Errorf("number %d is out of range", r.TrustList.Number)
		}
		return []any{int64(r.TrustList.Number), present(r.TrustList.DSSE)}, nil
	case r.KEK != nil:
		k := r.KEK
		return []any{k.ID[:], raw(k.Bucket), k.Creator[:], present(k.Record), present(k.Grant), int16(k.State), k.Created, k.Sealed}, nil
	case r.Credential != nil:
		c := r.Credential
		return []any{raw(c.AccessKeyID), present(c.SealedSecret), raw(c.Description), raw(c.BackendUser), present(c.Grants), c.Created, c.Disabled}, nil
	case r.Guard != nil:
		return []any{raw(r.Guard.Bucket), r.Guard.Since}, nil
	case r.Record != nil:
		return recordValues(r.Record)
	case r.Upload != nil:
		return uploadValues(r.Upload)
	case r.UploadPart != nil:
		p := r.UploadPart
		checksumType, err := row.TypeCode(p.Checksum.Type)
		return []any{raw(p.UploadID), p.Number, p.Attempt[:], p.Salt[:], p.Size, p.MD5, raw(p.ETag), raw(p.BackendETag),
			int16(p.Checksum.Algorithm), checksumType, present(p.Checksum.Value), p.Committed}, err
	case r.Job != nil:
		j := r.Job
		return []any{raw(j.ID), raw(j.Kind), raw(j.Bucket), present(j.Parameters), present(j.Progress), int16(j.State), raw(j.Message), raw(j.Lease),
			j.Cancelled, j.Created, orNull(j.Started), j.Updated, orNull(j.Ended)}, nil
	case r.Staged != nil:
		st := r.Staged
		return []any{st.To[:], int16(st.Kind), raw(st.ID), present(st.Sealed), present(st.Next)}, nil
	case r.Audit != nil:
		e := r.Audit
		return []any{e.ID, e.At, raw(e.Actor), e.Action, raw(e.Bucket), raw(e.Subject), raw(e.Detail)}, nil
	}
	return nil, errors.New("empty row")
}

func recordValues(rec *metadata.Record) ([]any, error) {
	checksumType, err := row.TypeCode(rec.Checksum.Type)
	return []any{raw(rec.Bucket), raw(rec.Key), raw(rec.VersionID), rec.Envelope[:], raw(rec.BackendETag), rec.Size, raw(rec.ETag),
		int16(rec.Checksum.Algorithm), checksumType, present(rec.Checksum.Value), raw(rec.ContentType), len(rec.Parts),
		rec.Began, rec.Committed, orNull(rec.Tombstoned)}, err
}

func uploadValues(up *metadata.Upload) ([]any, error) {
	checksumType, err := row.TypeCode(up.ChecksumType)
	return []any{raw(up.ID), raw(up.Bucket), raw(up.Key), up.Envelope[:], present(up.SealedDEK), raw(up.Initiator), int16(up.ChecksumAlgorithm),
		checksumType, raw(up.ContentType), present(up.Attributes), int16(up.State), present(up.Intent), present(up.Result), up.Created,
		orNull(up.Completed)}, err
}

// orNull is a time for a column that is NULL where there is none.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
