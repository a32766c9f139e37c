package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"

	"cofre/checksum"
	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	scanPage = `
SELECT key, version, backend_etag, size, etag, checksum_algorithm, checksum_type, committed
FROM objects INDEXED BY objects_live
WHERE bucket = ? AND key >= ? AND key <= ? AND tombstoned IS NULL
ORDER BY key LIMIT ?`

	// lookupPage joins look-ups with the index of live rows. They come as JSON, in hex since keys may be no text: ?2 is
	// [[key, ETag or null], ...], ?3 the ETags for those with null. So the statement is the same for every page and is
	// compiled once. CROSS JOIN fixes the order: from the look-ups into the index.
	lookupPage = `
SELECT l.key, o.version, o.backend_etag, o.size, o.etag, o.checksum_algorithm, o.checksum_type, o.committed
FROM (SELECT unhex(value ->> 0) AS key, unhex(value ->> 1) AS etag FROM json_each(?2)) AS l
CROSS JOIN objects AS o INDEXED BY objects_live
WHERE o.bucket = ?1 AND o.key = l.key AND o.tombstoned IS NULL
  AND CASE WHEN l.etag IS NULL THEN o.backend_etag IN (SELECT unhex(value) FROM json_each(?3)) ELSE o.backend_etag = l.etag END`
)

// Page implements metadata.Store.
func (s *Store) Page(ctx context.Context, bucket string, entries []metadata.Entry) ([]*metadata.Record, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	p := row.NewPage(bucket, entries)
	first, last, limit := p.Span()
	err := s.readPage(ctx, p.Scanned, scanPage, blob(bucket), blob(first), blob(last), limit)
	if lookups, anyETags := p.Rest(); err == nil && len(lookups) > 0 {
		var pairs, etags string
		if pairs, etags, err = encodeLookups(lookups, anyETags); err == nil {
			err = s.readPage(ctx, p.Found, lookupPage, blob(bucket), pairs, etags)
		}
	}
	if err != nil {
		return nil, s.failed("read page", err)
	}
	return p.Records(), nil
}

func (s *Store) readPage(ctx context.Context, found func(key, etag []byte, rec metadata.Record), query string, args ...any) error {
	return s.read.query(ctx, query, func(rows *sql.Rows) error {
		var (
			rec                       metadata.Record
			key, version, backendETag sql.RawBytes
			algorithm                 uint8
			checksumType              int16
			committed                 int64
		)
		err := rows.Scan(&key, &version, &backendETag, &rec.Size, &rec.ETag, &algorithm, &checksumType, &committed)
		if err != nil {
			return err
		}
		rec.VersionID = row.Version(version)
		rec.Checksum.Algorithm, rec.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
		rec.Committed = fromNanos(committed)
		found(key, backendETag, rec)
		return nil
	}, args...)
}

// encodeLookups gives the two JSON arguments of lookupPage.
func encodeLookups(lookups []row.Lookup, anyETags []string) (pairs, etags string, err error) {
	pair := make([][2]*string, len(lookups))
	for i, l := range lookups {
		key, etag := hex.EncodeToString([]byte(l.Key)), hex.EncodeToString([]byte(l.ETag))
		pair[i][0] = &key
		if !l.Any {
			pair[i][1] = &etag
		}
	}
	anyHex := make([]string, len(anyETags))
	for i, e := range anyETags {
		anyHex[i] = hex.EncodeToString([]byte(e))
	}
	a, err := json.Marshal(pair)
	if err != nil {
		return "", "", err
	}
	b, err := json.Marshal(anyHex)
	return string(a), string(b), err
}
