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

// page joins the index of live rows with the look-ups. They come as JSON, in hex since keys may be no text: the
// statement is the same for every page, so it is compiled once. ?2 is [[key, ETag or null], ...], ?3 the ETags for those
// with null. CROSS JOIN fixes the order: from the look-ups into the index.
const page = `
SELECT l.key, o.version, o.backend_etag, o.size, o.etag, o.checksum_algorithm, o.checksum_type, o.committed
FROM (SELECT unhex(value ->> 0) AS key, unhex(value ->> 1) AS etag FROM json_each(?2)) AS l
CROSS JOIN objects AS o INDEXED BY objects_live
WHERE o.bucket = ?1 AND o.key = l.key AND o.tombstoned IS NULL
  AND CASE WHEN l.etag IS NULL THEN o.backend_etag IN (SELECT unhex(value) FROM json_each(?3)) ELSE o.backend_etag = l.etag END`

// Page implements metadata.Store.
func (s *Store) Page(ctx context.Context, bucket string, entries []metadata.Entry) ([]*metadata.Record, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	p := row.NewPage(bucket, entries)
	lookups, etags, err := encodeLookups(p.Lookups())
	if err != nil {
		return nil, s.failed("read page", err)
	}
	err = s.read.query(ctx, page, func(rows *sql.Rows) error {
		var (
			rec          metadata.Record
			algorithm    uint8
			checksumType int16
			committed    int64
		)
		err := rows.Scan(&rec.Key, &rec.VersionID, &rec.BackendETag, &rec.Size, &rec.ETag, &algorithm, &checksumType, &committed)
		if err != nil {
			return err
		}
		rec.Checksum.Algorithm, rec.Checksum.Type = checksum.Algorithm(algorithm), row.Type(checksumType)
		rec.Committed = fromNanos(committed)
		p.Found(rec)
		return nil
	}, blob(bucket), lookups, etags)
	if err != nil {
		return nil, s.failed("read page", err)
	}
	return p.Records(), nil
}

// encodeLookups gives the two JSON arguments of page.
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
