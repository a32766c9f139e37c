package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	dumpKEKs   = `SELECT id, bucket, creator, record, grant_, state, created, sealed FROM keks`
	dumpGuards = `SELECT bucket, since FROM guarded_buckets`
	dumpParts  = `
SELECT upload, number, attempt, salt, size, md5, etag, backend_etag, checksum_algorithm, checksum_type, checksum, committed FROM upload_parts`
	dumpStaged = `SELECT site, kind, id, sealed, next FROM next_identity`
	dumpAudit  = `SELECT id, at, actor, action, bucket, subject, detail FROM audit`

	dumpRecords = `
SELECT bucket, key, id, version, envelope, backend_etag, size, etag, checksum_algorithm, checksum_type, checksum, content_type,
    part_count, began, committed, coalesce(tombstoned, 0)
FROM objects WHERE id > ?1 ORDER BY id LIMIT ?2`
	dumpedPage = 1000
)

// Dump implements metadata.Store. A reader's transaction sees one state of the file; what is written meanwhile stays in the WAL, which
// grows until the dump is done.
func (s *Store) Dump(ctx context.Context, visit func(metadata.Row) error) error {
	var told error // of visit
	err := s.dump(ctx, func(r metadata.Row) error {
		told = visit(r)
		return told
	})
	if told != nil && errors.Is(err, told) {
		return told
	}
	return s.failed("dump store", err)
}

func (s *Store) dump(ctx context.Context, visit func(metadata.Row) error) error {
	tx, err := s.read.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	for _, of := range []func(context.Context, *sql.Tx, func(metadata.Row) error) error{dumpSmall, dumpRecordsOf, dumpUploads, dumpRest} {
		if err := of(ctx, tx, visit); err != nil {
			return err
		}
	}
	return nil
}

// each hands every row of a query to scan, and what that makes of it to visit.
func each(ctx context.Context, tx *sql.Tx, query string, visit func(metadata.Row) error, scan func(scanner) (metadata.Row, error), args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return err
		}
		if err := visit(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

func dumpSmall(ctx context.Context, tx *sql.Tx, visit func(metadata.Row) error) error {
	err := each(ctx, tx, trustList, visit, func(r scanner) (metadata.Row, error) {
		var t metadata.StoredTrustList
		err := r.Scan(&t.Number, &t.DSSE)
		return metadata.Row{TrustList: &t}, err
	})
	if err != nil {
		return err
	}
	err = each(ctx, tx, dumpKEKs, visit, func(r scanner) (metadata.Row, error) {
		var k metadata.CountedKEK
		var err error
		k.StoredKEK, err = scanKEK(r, &k.Sealed)
		return metadata.Row{KEK: &k}, err
	})
	if err != nil {
		return err
	}
	err = each(ctx, tx, allCredentials, visit, func(r scanner) (metadata.Row, error) {
		c, err := scanCredential(r)
		return metadata.Row{Credential: &c}, err
	})
	if err != nil {
		return err
	}
	return each(ctx, tx, dumpGuards, visit, func(r scanner) (metadata.Row, error) {
		var g metadata.BucketGuard
		var since int64
		err := r.Scan(&g.Bucket, &since)
		g.Since = fromNanos(since)
		return metadata.Row{Guard: &g}, err
	})
}

// dumpRecordsOf reads records a page at a time, and their parts in between.
func dumpRecordsOf(ctx context.Context, tx *sql.Tx, visit func(metadata.Row) error) error {
	type found struct {
		rec   metadata.Record
		id    int64
		parts int
	}
	for last := int64(-1 << 63); ; {
		var page []found
		err := each(ctx, tx, dumpRecords, func(metadata.Row) error { return nil }, func(r scanner) (metadata.Row, error) {
			var f found
			var bucket, key string
			var err error
			f.rec, f.id, f.parts, err = scanRecord(behind{r, []any{&bucket, &key}})
			f.rec.Bucket, f.rec.Key = bucket, key
			page = append(page, f)
			return metadata.Row{}, err
		}, last, dumpedPage)
		if err != nil {
			return err
		}
		for _, f := range page {
			if f.parts > 0 {
				if f.rec.Parts, err = partsOf(ctx, tx, f.id, f.parts); err != nil {
					return err
				}
			}
			if err := visit(metadata.Row{Record: &f.rec}); err != nil {
				return err
			}
			last = f.id
		}
		if len(page) < dumpedPage {
			return nil
		}
	}
}

func partsOf(ctx context.Context, tx *sql.Tx, object int64, count int) ([]metadata.Part, error) {
	parts := make([]metadata.Part, 0, count)
	err := each(ctx, tx, recordParts, func(metadata.Row) error { return nil }, func(r scanner) (metadata.Row, error) {
		p, err := scanPart(r)
		parts = append(parts, p)
		return metadata.Row{}, err
	}, object)
	if err == nil && len(parts) != count {
		err = fmt.Errorf("read parts: %d of %d", len(parts), count)
	}
	return parts, err
}

// behind is a row of which the first columns go to destinations of their own.
type behind struct {
	scanner
	first []any
}

func (b behind) Scan(dest ...any) error { return b.scanner.Scan(append(b.first, dest...)...) }

func dumpUploads(ctx context.Context, tx *sql.Tx, visit func(metadata.Row) error) error {
	err := each(ctx, tx, uploadColumns, visit, func(r scanner) (metadata.Row, error) {
		up, err := scanUpload(r)
		return metadata.Row{Upload: &up}, err
	})
	if err != nil {
		return err
	}
	return each(ctx, tx, dumpParts, visit, func(r scanner) (metadata.Row, error) {
		var (
			p             metadata.PartOfUpload
			attempt, salt []byte
			algorithm     uint8
			checksumType  int16
			committed     int64
		)
		err := r.Scan(&p.UploadID, &p.Number, &attempt, &salt, &p.Size, &p.MD5, &p.ETag, &p.BackendETag, &algorithm, &checksumType,
			&p.Checksum.Value, &committed)
		copy(p.Attempt[:], attempt)
		copy(p.Salt[:], salt)
		p.Checksum.Algorithm, p.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
		p.Committed = fromNanos(committed)
		return metadata.Row{UploadPart: &p}, err
	})
}

func dumpRest(ctx context.Context, tx *sql.Tx, visit func(metadata.Row) error) error {
	err := each(ctx, tx, jobColumns, visit, func(r scanner) (metadata.Row, error) {
		job, err := scanJob(r)
		return metadata.Row{Job: &job}, err
	})
	if err != nil {
		return err
	}
	err = each(ctx, tx, dumpStaged, visit, func(r scanner) (metadata.Row, error) {
		var st metadata.StagedSeal
		var site []byte
		err := r.Scan(&site, &st.Kind, &st.ID, &st.Sealed, &st.Next)
		copy(st.To[:], site)
		return metadata.Row{Staged: &st}, err
	})
	if err != nil {
		return err
	}
	return each(ctx, tx, dumpAudit, visit, func(r scanner) (metadata.Row, error) {
		e, err := scanAudit(r)
		return metadata.Row{Audit: &e}, err
	})
}
