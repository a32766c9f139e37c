package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

// page joins the look-ups with the index of live rows. OFFSET 0 keeps the planner from turning the look-ups into a scan
// of the bucket: each is one descent into the index of the one partition that its key is in, whatever the statistics say.
// An ETag that is NULL stands for "any of $4" (see row.Page).
const page = `
SELECT l.key, o.version, o.backend_etag, o.size, o.etag, o.checksum_algorithm, o.checksum_type, o.committed
FROM unnest($2::bytea[], $3::bytea[]) AS l (key, etag)
CROSS JOIN LATERAL (
    SELECT version, backend_etag, size, etag, checksum_algorithm, checksum_type, committed
    FROM objects
    WHERE bucket = $1 AND key = l.key AND tombstoned IS NULL
    OFFSET 0
) AS o
WHERE o.backend_etag = l.etag OR (l.etag IS NULL AND o.backend_etag IN (SELECT unnest($4::bytea[])))`

// Page implements metadata.Store.
func (s *Store) Page(ctx context.Context, bucket string, entries []metadata.Entry) (recs []*metadata.Record, err error) {
	if len(entries) == 0 {
		return nil, nil
	}
	err = s.run(ctx, "read page", again, func(q querier) error {
		p := row.NewPage(bucket, entries)
		if err := readPage(ctx, q, bucket, p); err != nil {
			return err
		}
		recs = p.Records()
		return nil
	})
	return recs, err
}

func readPage(ctx context.Context, q querier, bucket string, p *row.Page) error {
	lookups, anyETags := p.Lookups()
	keys, etags := make([][]byte, len(lookups)), make([][]byte, len(lookups))
	for i, l := range lookups {
		keys[i] = raw(l.Key)
		if !l.Any {
			etags[i] = raw(l.ETag)
		}
	}
	wanted := make([][]byte, len(anyETags))
	for i, e := range anyETags {
		wanted[i] = raw(e)
	}
	rows, err := q.Query(ctx, page, raw(bucket), keys, etags, wanted)
	if err != nil {
		return err
	}
	var (
		rec                             metadata.Record
		key, version, backendETag, etag pgtype.DriverBytes
		algorithm, checksumType         int16
	)
	_, err = pgx.ForEachRow(rows,
		[]any{&key, &version, &backendETag, &rec.Size, &etag, &algorithm, &checksumType, &rec.Committed},
		func() error {
			rec.Key, rec.VersionID, rec.BackendETag, rec.ETag = string(key), string(version), string(backendETag), string(etag)
			rec.Checksum.Algorithm, rec.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
			rec.Committed = rec.Committed.UTC()
			p.Found(rec)
			return nil
		})
	return err
}
