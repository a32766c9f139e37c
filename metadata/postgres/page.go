package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	// scanPage merges one range of the index objects_live of each partition.
	scanPage = `
SELECT key, version, backend_etag, size, etag, checksum_algorithm, checksum_type, committed
FROM objects
WHERE bucket = $1 AND key >= $2 AND key <= $3 AND tombstoned IS NULL
ORDER BY key LIMIT $4`

	// lookupPage joins look-ups with that index. OFFSET 0 keeps the planner from turning them into a scan of the bucket:
	// each is one descent into the index of the one partition that its key is in, whatever the statistics say. An ETag
	// that is NULL stands for "any of $4".
	lookupPage = `
SELECT l.key, o.version, o.backend_etag, o.size, o.etag, o.checksum_algorithm, o.checksum_type, o.committed
FROM unnest($2::bytea[], $3::bytea[]) AS l (key, etag)
CROSS JOIN LATERAL (
    SELECT version, backend_etag, size, etag, checksum_algorithm, checksum_type, committed
    FROM objects
    WHERE bucket = $1 AND key = l.key AND tombstoned IS NULL
    OFFSET 0
) AS o
WHERE o.backend_etag = l.etag OR (l.etag IS NULL AND o.backend_etag IN (SELECT unnest($4::bytea[])))`
)

// Page implements metadata.Store.
func (s *Store) Page(ctx context.Context, bucket string, entries []metadata.Entry) (recs []*metadata.Record, err error) {
	if len(entries) == 0 {
		return nil, nil
	}
	err = s.run(ctx, "read page", again, func(ctx context.Context, q querier) error {
		p := row.NewPage(bucket, entries)
		first, last, limit := p.Span()
		err := readPage(ctx, q, p.Scanned, scanPage, raw(bucket), raw(first), raw(last), limit)
		if err != nil {
			return err
		}
		if lookups, anyETags := p.Rest(); len(lookups) > 0 {
			keys, etags, wanted := lookupColumns(lookups, anyETags)
			if err := readPage(ctx, q, p.Found, lookupPage, raw(bucket), keys, etags, wanted); err != nil {
				return err
			}
		}
		recs = p.Records()
		return nil
	})
	return recs, err
}

func readPage(ctx context.Context, q querier, found func(key, etag []byte, rec metadata.Record), query string, args ...any) error {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	var (
		rec                             metadata.Record
		key, version, backendETag, etag pgtype.DriverBytes // the connection's own memory, until the next row
		algorithm, checksumType         int16
	)
	_, err = pgx.ForEachRow(rows,
		[]any{&key, &version, &backendETag, &rec.Size, &etag, &algorithm, &checksumType, &rec.Committed},
		func() error {
			rec.VersionID, rec.ETag = row.Version(version), string(etag)
			rec.Checksum.Algorithm, rec.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
			rec.Committed = rec.Committed.UTC()
			found(key, backendETag, rec)
			return nil
		})
	return err
}

func lookupColumns(lookups []row.Lookup, anyETags []string) (keys, etags, wanted [][]byte) {
	keys, etags, wanted = make([][]byte, len(lookups)), make([][]byte, len(lookups)), make([][]byte, len(anyETags))
	for i, l := range lookups {
		keys[i] = raw(l.Key)
		if !l.Any {
			etags[i] = raw(l.ETag)
		}
	}
	for i, e := range anyETags {
		wanted[i] = raw(e)
	}
	return keys, etags, wanted
}
