package postgres

import (
	"context"
	"time"

	"cofre/metadata"
)

// A walk goes on in the middle of a key, which may have any number of versions: so a page is the rest of the key that the
// one before ended in, from one partition, and then what follows that key, merged from the index objects_live of each.
const (
	rowColumns = `
SELECT key, version, backend_etag, size, etag, checksum_algorithm, checksum_type, committed
FROM objects `

	restOfKey = rowColumns + `
WHERE bucket = $1 AND key = $2 AND tombstoned IS NULL AND committed <= $3 AND (committed < $3 OR version > $4)
ORDER BY committed DESC, version LIMIT $5`

	rowsBehindKey = rowColumns + `
WHERE bucket = $1 AND key > $2 AND tombstoned IS NULL
ORDER BY key, committed DESC, version LIMIT $3`
)

// Rows implements metadata.Store.
func (s *Store) Rows(ctx context.Context, bucket string, after *metadata.Record, limit int) (recs []metadata.Record, err error) {
	err = s.run(ctx, "read rows", again, func(ctx context.Context, q querier) error {
		recs = nil
		add := func(key, backendETag []byte, rec metadata.Record) {
			rec.Bucket, rec.Key, rec.BackendETag = bucket, string(key), string(backendETag)
			recs = append(recs, rec)
		}
		var key, version string // no key is empty, so the first page is what follows the empty one
		var committed time.Time
		if after != nil {
			key, version, committed = after.Key, after.VersionID, after.Committed
			if err := readPage(ctx, q, add, restOfKey, raw(bucket), raw(key), committed, raw(version), limit); err != nil {
				return err
			}
		}
		if len(recs) == limit {
			return nil
		}
		return readPage(ctx, q, add, rowsBehindKey, raw(bucket), raw(key), limit-len(recs))
	})
	return recs, err
}
