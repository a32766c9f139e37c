package sqlite

import (
	"context"

	"cofre/metadata"
)

// A walk goes on in the middle of a key: first what is left of that one, then what follows it, each a range of the index.
const (
	rowColumns = `
SELECT key, version, backend_etag, size, etag, checksum_algorithm, checksum_type, committed
FROM objects INDEXED BY objects_live `

	restOfKey = rowColumns + `
WHERE bucket = ?1 AND key = ?2 AND tombstoned IS NULL AND committed <= ?3 AND (committed < ?3 OR version > ?4)
ORDER BY committed DESC, version LIMIT ?5`

	rowsBehindKey = rowColumns + `
WHERE bucket = ?1 AND key > ?2 AND tombstoned IS NULL
ORDER BY key, committed DESC, version LIMIT ?3`
)

// Rows implements metadata.Store.
func (s *Store) Rows(ctx context.Context, bucket string, after *metadata.Record, limit int) ([]metadata.Record, error) {
	var recs []metadata.Record
	add := func(key, backendETag []byte, rec metadata.Record) {
		rec.Bucket, rec.Key, rec.BackendETag = bucket, string(key), string(backendETag)
		recs = append(recs, rec)
	}
	key := "" // no key is empty, so the first page is what follows the empty one
	if after != nil {
		key = after.Key
		err := s.readPage(ctx, add, restOfKey, blob(bucket), blob(key), toNanos(after.Committed), blob(after.VersionID), limit)
		if err != nil {
			return nil, s.failed("read rows", err)
		}
	}
	if len(recs) == limit {
		return recs, nil
	}
	if err := s.readPage(ctx, add, rowsBehindKey, blob(bucket), blob(key), limit-len(recs)); err != nil {
		return nil, s.failed("read rows", err)
	}
	return recs, nil
}
