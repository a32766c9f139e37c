package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"cofre/metadata"
	"cofre/metadata/internal/row"
)

// Load's statements. What stands in their columns is in the order of loadRow.
const (
	loadKEK = `
INSERT INTO keks (id, bucket, creator, record, grant_, state, created, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	loadCredential = `
INSERT INTO credentials (access_key_id, sealed_secret, description, backend_user, grants, created, disabled) VALUES (?, ?, ?, ?, ?, ?, ?)`
	loadGuard  = `INSERT INTO guarded_buckets (bucket, since) VALUES (?, ?)`
	loadRecord = `
INSERT INTO objects (bucket, key, version, envelope, envelope_hash, backend_etag, size, etag,
    checksum_algorithm, checksum_type, checksum, content_type, part_count, began, committed, tombstoned)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0)) RETURNING id`
	loadUpload = `
INSERT INTO uploads (id, bucket, key, envelope, sealed_dek, initiator, checksum_algorithm, checksum_type, content_type,
    attributes, state, intent, result, created, completed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	loadUploadPart = `
INSERT INTO upload_parts (upload, number, attempt, salt, size, md5, etag, backend_etag, checksum_algorithm, checksum_type,
    checksum, committed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	loadJob = `
INSERT INTO jobs (id, kind, bucket, parameters, progress, state, message, lease, cancelled, created, started, updated, ended)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	loadStaged = `INSERT INTO next_identity (site, kind, id, sealed, next) VALUES (?, ?, ?, ?, ?)`
	loadAudit  = `INSERT INTO audit (id, at, actor, action, bucket, subject, detail) VALUES (?, ?, ?, ?, ?, ?, ?)`
)

// loadedTables is what has rows of a dump; tables that stand on others come first.
var loadedTables = []string{
	"trust_list", "keks", "credentials", "guarded_buckets", "object_parts", "objects", "upload_parts", "uploads", "jobs", "next_identity", "audit",
}

// errRows is an error of whoever gives the rows.
type errRows struct{ error }

// Load implements metadata.Store. It is one transaction, so the WAL grows to the size of what is loaded.
func (s *Store) Load(ctx context.Context, replace bool, next func() (metadata.Row, error)) error {
	err := s.write.update(ctx, func(t *transaction) error { return t.load(replace, next) })
	var told errRows
	if errors.As(err, &told) {
		return told.error
	}
	if errors.Is(err, metadata.ErrNotEmpty) {
		return fmt.Errorf("load store: %w", err)
	}
	return s.failed("load store", err)
}

func (t *transaction) load(replace bool, next func() (metadata.Row, error)) error {
	if err := t.empty(replace); err != nil {
		return err
	}
	l := loader{transaction: t}
	for {
		r, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errRows{err}
		}
		if err := l.add(r); err != nil {
			return fmt.Errorf("%s: %w", r.Kind(), err)
		}
	}
	// The row of the table clock stays above every time in the file.
	t.writer.clock.raise(l.newest)
	_, err := t.now()
	return err
}

// empty makes sure that there are no rows.
func (t *transaction) empty(replace bool) error {
	for _, table := range loadedTables {
		var one int
		there, err := t.row(`SELECT 1 FROM `+table+` LIMIT 1`, nil, &one)
		if err != nil {
			return err
		}
		if there && !replace {
			return metadata.ErrNotEmpty
		}
		if there {
			if _, err := t.exec(`DELETE FROM ` + table); err != nil {
				return err
			}
		}
	}
	_, err := t.exec(`DELETE FROM notes`)
	return err
}

type loader struct {
	*transaction
	newest int64 // of all times that were loaded
}

// time is a time for a column.
func (l *loader) time(t time.Time) int64 {
	n := toNanos(t)
	l.newest = max(l.newest, n)
	return n
}

func (l *loader) add(r metadata.Row) error {
	switch {
	case r.TrustList != nil:
		if r.TrustList.Number > math.MaxInt64 {
			return fmt.Errorf("number %d is out of range", r.TrustList.Number)
		}
		return l.insert(setTrustList, int64(r.TrustList.Number), present(r.TrustList.DSSE))
	case r.KEK != nil:
		k := r.KEK
		return l.insert(loadKEK, k.ID[:], blob(k.Bucket), k.Creator[:], present(k.Record), present(k.Grant), int64(k.State), toNanos(k.Created), k.Sealed)
	case r.Credential != nil:
		c := r.Credential
		return l.insert(loadCredential, blob(c.AccessKeyID), present(c.SealedSecret), blob(c.Description), blob(c.BackendUser), present(c.Grants),
			l.time(c.Created), c.Disabled)
	case r.Guard != nil:
		return l.insert(loadGuard, blob(r.Guard.Bucket), l.time(r.Guard.Since))
	case r.Record != nil:
		return l.record(r.Record)
	case r.Upload != nil:
		return l.loadUpload(r.Upload)
	case r.UploadPart != nil:
		return l.uploadPart(r.UploadPart)
	case r.Job != nil:
		j := r.Job
		return l.insert(loadJob, blob(j.ID), blob(j.Kind), blob(j.Bucket), present(j.Parameters), present(j.Progress), int64(j.State), blob(j.Message),
			blob(j.Lease), j.Cancelled, l.time(j.Created), l.time(j.Started), l.time(j.Updated), l.time(j.Ended))
	case r.Staged != nil:
		st := r.Staged
		return l.insert(loadStaged, st.To[:], int64(st.Kind), blob(st.ID), present(st.Sealed), present(st.Next))
	case r.Audit != nil:
		e := r.Audit
		return l.insert(loadAudit, e.ID, l.time(e.At), blob(e.Actor), e.Action, blob(e.Bucket), blob(e.Subject), blob(e.Detail))
	}
	return errors.New("empty row")
}

func (l *loader) insert(statement string, args ...any) error {
	_, err := l.exec(statement, args...)
	return err
}

func (l *loader) record(rec *metadata.Record) error {
	checksumType, err := row.TypeCode(rec.Checksum.Type)
	if err != nil {
		return err
	}
	var id int64
	_, err = l.row(loadRecord, []any{blob(rec.Bucket), blob(rec.Key), blob(rec.VersionID), rec.Envelope[:], row.EnvelopeHash(rec.Envelope),
		blob(rec.BackendETag), rec.Size, blob(rec.ETag), int64(rec.Checksum.Algorithm), checksumType, present(rec.Checksum.Value),
		blob(rec.ContentType), len(rec.Parts), l.time(rec.Began), l.time(rec.Committed), l.time(rec.Tombstoned)}, &id)
	if err != nil {
		return err
	}
	return l.addParts(id, rec.Parts)
}

func (l *loader) loadUpload(up *metadata.Upload) error {
	checksumType, err := row.TypeCode(up.ChecksumType)
	if err != nil {
		return err
	}
	return l.insert(loadUpload, blob(up.ID), blob(up.Bucket), blob(up.Key), up.Envelope[:], present(up.SealedDEK), blob(up.Initiator),
		int64(up.ChecksumAlgorithm), checksumType, blob(up.ContentType), present(up.Attributes), int64(up.State), present(up.Intent),
		present(up.Result), l.time(up.Created), l.time(up.Completed))
}

func (l *loader) uploadPart(p *metadata.PartOfUpload) error {
	checksumType, err := row.TypeCode(p.Checksum.Type)
	if err != nil {
		return err
	}
	return l.insert(loadUploadPart, blob(p.UploadID), p.Number, p.Attempt[:], p.Salt[:], p.Size, p.MD5, blob(p.ETag), blob(p.BackendETag),
		int64(p.Checksum.Algorithm), checksumType, present(p.Checksum.Value), l.time(p.Committed))
}
