package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	// One snapshot for all statements behind it: what others commit meanwhile is not seen. A backup takes as long as its reader.
	beginDump = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`
	holdDump  = `
SELECT set_config('idle_in_transaction_session_timeout', '0', true), set_config('statement_timeout', '0', true)`

	dumpKEKs    = `SELECT id, bucket, creator, record, "grant", state, created, sealed FROM keks`
	dumpGuards  = `SELECT bucket, since FROM guarded_buckets`
	dumpParts   = `SELECT upload, ` + uploadPartColumns + ` FROM upload_parts`
	dumpStaged  = `SELECT site, kind, id, sealed, next FROM next_identity`
	dumpAudit   = `SELECT id, at, actor, action, bucket, subject, detail FROM audit`
	dumpRecords = `
DECLARE dumped NO SCROLL CURSOR FOR
SELECT bucket, key, version, envelope, backend_etag, size, etag, checksum_algorithm, checksum_type, checksum, content_type, part_count,
    began, committed, tombstoned
FROM objects`
	// So many that a round trip costs nothing, so few that they are nothing in memory.
	dumpedPage = `FETCH FORWARD 1000 FROM dumped`
)

// Dump implements metadata.Store.
func (s *Store) Dump(ctx context.Context, visit func(metadata.Row) error) error {
	var told error // of visit
	err := s.dump(ctx, func(r metadata.Row) error {
		told = visit(r)
		return told
	})
	if told != nil && errors.Is(err, told) {
		return told
	}
	return s.wrap(ctx, "dump store", err)
}

func (s *Store) dump(ctx context.Context, visit func(metadata.Row) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, beginDump); err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		if _, err := conn.Exec(end, `ROLLBACK`); err != nil {
			_ = conn.Conn().Close(end) // nothing was written: what matters is that the transaction ends
		}
	}()
	if _, err := conn.Exec(ctx, holdDump); err != nil {
		return err
	}
	for _, of := range []func(context.Context, querier, func(metadata.Row) error) error{
		dumpSmall, dumpRecordsOf, dumpUploads, dumpRest,
	} {
		if err := of(ctx, conn, visit); err != nil {
			return err
		}
	}
	return nil
}

// each hands every row of a query to scan and what that makes of it to visit, as they come from the server.
func each(ctx context.Context, q querier, query string, visit func(metadata.Row) error, scan func(pgx.Row) (metadata.Row, error)) error {
	rows, err := q.Query(ctx, query)
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

func dumpSmall(ctx context.Context, q querier, visit func(metadata.Row) error) error {
	err := each(ctx, q, trustList, visit, func(r pgx.Row) (metadata.Row, error) {
		var t metadata.StoredTrustList
		err := r.Scan(&t.Number, &t.DSSE)
		return metadata.Row{TrustList: &t}, err
	})
	if err != nil {
		return err
	}
	err = each(ctx, q, dumpKEKs, visit, func(r pgx.Row) (metadata.Row, error) {
		var k metadata.CountedKEK
		var err error
		k.StoredKEK, err = scanKEK(r, &k.Sealed)
		return metadata.Row{KEK: &k}, err
	})
	if err != nil {
		return err
	}
	err = each(ctx, q, allCredentials, visit, func(r pgx.Row) (metadata.Row, error) {
		c, err := scanCredential(r)
		return metadata.Row{Credential: &c}, err
	})
	if err != nil {
		return err
	}
	return each(ctx, q, dumpGuards, visit, func(r pgx.Row) (metadata.Row, error) {
		var bucket []byte
		var since time.Time
		err := r.Scan(&bucket, &since)
		return metadata.Row{Guard: &metadata.BucketGuard{Bucket: string(bucket), Since: since.UTC()}}, err
	})
}

// dumpRecordsOf reads records through a cursor, so that the parts of those that have some can be read in between.
func dumpRecordsOf(ctx context.Context, q querier, visit func(metadata.Row) error) error {
	if _, err := q.Exec(ctx, dumpRecords); err != nil {
		return err
	}
	for {
		var page []metadata.Record
		var parts []int
		err := each(ctx, q, dumpedPage, func(r metadata.Row) error {
			page = append(page, *r.Record)
			return nil
		}, func(r pgx.Row) (metadata.Row, error) {
			rec, n, err := scanWholeRecord(r)
			parts = append(parts, n)
			return metadata.Row{Record: &rec}, err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			rec := &page[i]
			if parts[i] > 0 {
				if rec.Parts, err = readParts(ctx, q, rec.Bucket, rec.Key, rec.Envelope, parts[i]); err != nil {
					return err
				}
			}
			if err := visit(metadata.Row{Record: rec}); err != nil {
				return err
			}
		}
	}
}

// scanWholeRecord is scanRecord behind the columns bucket and key.
func scanWholeRecord(r pgx.Row) (metadata.Record, int, error) {
	var bucket, key []byte
	rec, parts, err := scanRecord(behind{r, []any{&bucket, &key}})
	rec.Bucket, rec.Key = string(bucket), string(key)
	return rec, parts, err
}

// behind is a row of which the first columns go to destinations of their own.
type behind struct {
	pgx.Row
	first []any
}

func (b behind) Scan(dest ...any) error { return b.Row.Scan(append(b.first, dest...)...) }

func dumpUploads(ctx context.Context, q querier, visit func(metadata.Row) error) error {
	err := each(ctx, q, uploadColumns, visit, func(r pgx.Row) (metadata.Row, error) {
		up, err := scanUpload(r)
		return metadata.Row{Upload: &up}, err
	})
	if err != nil {
		return err
	}
	return each(ctx, q, dumpParts, visit, func(r pgx.Row) (metadata.Row, error) {
		var (
			p                                    metadata.PartOfUpload
			upload, attempt, salt, etag, backend []byte
			algorithm, checksumType              int16
		)
		err := r.Scan(&upload, &p.Number, &attempt, &salt, &p.Size, &p.MD5, &etag, &backend, &algorithm, &checksumType, &p.Checksum.Value, &p.Committed)
		copy(p.Attempt[:], attempt)
		copy(p.Salt[:], salt)
		p.UploadID, p.ETag, p.BackendETag, p.Committed = string(upload), string(etag), string(backend), p.Committed.UTC()
		p.Checksum.Algorithm, p.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
		return metadata.Row{UploadPart: &p}, err
	})
}

func dumpRest(ctx context.Context, q querier, visit func(metadata.Row) error) error {
	err := each(ctx, q, jobColumns, visit, func(r pgx.Row) (metadata.Row, error) {
		job, err := scanJob(r)
		return metadata.Row{Job: &job}, err
	})
	if err != nil {
		return err
	}
	err = each(ctx, q, dumpStaged, visit, func(r pgx.Row) (metadata.Row, error) {
		var st metadata.StagedSeal
		var site, id []byte
		err := r.Scan(&site, &st.Kind, &id, &st.Sealed, &st.Next)
		copy(st.To[:], site)
		st.ID = string(id)
		return metadata.Row{Staged: &st}, err
	})
	if err != nil {
		return err
	}
	return each(ctx, q, dumpAudit, visit, func(r pgx.Row) (metadata.Row, error) {
		e, err := scanAudit(r)
		return metadata.Row{Audit: &e}, err
	})
}
