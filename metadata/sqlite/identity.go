package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math"

	"cofre/keys"
	"cofre/metadata"
)

const (
	// ?1 is the other identity, ?2 the kind, ?3 the id behind which the page begins.
	unstagedKEKs = `
SELECT id, grant_, record FROM keks r
WHERE id > ?3 AND NOT EXISTS (
    SELECT 1 FROM next_identity n WHERE n.site = ?1 AND n.kind = ?2 AND n.id = r.id AND n.sealed = r.grant_)
ORDER BY id LIMIT ?4`

	unstagedCredentials = `
SELECT access_key_id, sealed_secret, x'' FROM credentials r
WHERE access_key_id > ?3 AND NOT EXISTS (
    SELECT 1 FROM next_identity n WHERE n.site = ?1 AND n.kind = ?2 AND n.id = r.access_key_id AND n.sealed = r.sealed_secret)
ORDER BY access_key_id LIMIT ?4`

	unstagedUploads = `
SELECT id, sealed_dek, envelope FROM uploads r
WHERE id > ?3 AND state < 3 AND sealed_dek <> x'' AND NOT EXISTS (
    SELECT 1 FROM next_identity n WHERE n.site = ?1 AND n.kind = ?2 AND n.id = r.id AND n.sealed = r.sealed_dek)
ORDER BY id LIMIT ?4`

	stageSealed = `
INSERT INTO next_identity (site, kind, id, sealed, next) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (site, kind, id) DO UPDATE SET sealed = ?4, next = ?5`

	stageUpload = `
INSERT INTO next_identity (site, kind, id, sealed, next)
SELECT ?1, ?2, id, sealed_dek, ?5 FROM uploads WHERE id = ?3 AND sealed_dek = ?4 AND state < 3
ON CONFLICT (site, kind, id) DO UPDATE SET sealed = ?4, next = ?5`

	unstageUpload = `DELETE FROM next_identity WHERE kind = 3 AND id = ?`

	takeKEKs = `
UPDATE keks SET grant_ = n.next, state = CASE WHEN keks.creator = n.site THEN state ELSE max(state, 2) END
FROM next_identity n WHERE n.site = ?1 AND n.kind = 1 AND n.id = keks.id`
	takeCredentials = `
UPDATE credentials SET sealed_secret = n.next FROM next_identity n WHERE n.site = ?1 AND n.kind = 2 AND n.id = credentials.access_key_id`
	takeUploads = `
UPDATE uploads SET sealed_dek = n.next FROM next_identity n WHERE n.site = ?1 AND n.kind = 3 AND n.id = uploads.id AND uploads.state < 3`
	dropStaged = `DELETE FROM next_identity`
)

var unstaged = map[metadata.SealedKind]string{
	metadata.SealedKEK: unstagedKEKs, metadata.SealedCredential: unstagedCredentials, metadata.SealedUpload: unstagedUploads,
}

// UnstagedRows implements metadata.Store.
func (s *Store) UnstagedRows(ctx context.Context, to keys.SiteID, kind metadata.SealedKind, after string, limit int) (found []metadata.SealedRow, err error) {
	query, ok := unstaged[kind]
	if !ok {
		return nil, fmt.Errorf("list sealed rows: no kind %d", kind)
	}
	err = s.read.query(ctx, query, func(rows *sql.Rows) error {
		row := metadata.SealedRow{Kind: kind}
		err := rows.Scan(&row.ID, &row.Sealed, &row.Beside)
		found = append(found, row)
		return err
	}, to[:], int64(kind), blob(after), limit)
	if err != nil {
		return nil, s.failed("list sealed rows", err)
	}
	return found, nil
}

// StageSealed implements metadata.Store.
func (s *Store) StageSealed(ctx context.Context, to keys.SiteID, row metadata.SealedRow, next []byte) error {
	statement := stageSealed
	if row.Kind == metadata.SealedUpload {
		statement = stageUpload
	}
	return s.failed("stage sealed row", s.write.update(ctx, func(t *transaction) error {
		_, err := t.exec(statement, to[:], int64(row.Kind), blob(row.ID), present(row.Sealed), present(next))
		return err
	}))
}

// TakeIdentity implements metadata.Store.
func (s *Store) TakeIdentity(ctx context.Context, to keys.SiteID, number uint64, dsse []byte) error {
	if number > math.MaxInt64 {
		return fmt.Errorf("take identity: number %d is out of range", number)
	}
	return s.failed("take identity", s.write.update(ctx, func(t *transaction) error { return t.takeIdentity(to, number, dsse) }))
}

func (t *transaction) takeIdentity(to keys.SiteID, number uint64, dsse []byte) error {
	var (
		was   uint64
		there []byte
	)
	exists, err := t.row(trustList, nil, &was, &there)
	if err != nil || exists && bytes.Equal(there, dsse) {
		return err // without one it was done, and the answer lost
	}
	for _, kind := range metadata.SealedKinds() {
		var left metadata.SealedRow
		found, err := t.row(unstaged[kind], []any{to[:], int64(kind), blob(""), 1}, &left.ID, &left.Sealed, &left.Beside)
		if err != nil {
			return err
		}
		if found {
			return metadata.ErrConflict
		}
	}
	changed, err := t.exec(setTrustList, int64(number), present(dsse))
	if err == nil && changed == 0 {
		err = keys.ErrKEKConflict
	}
	if err != nil {
		return err
	}
	for _, statement := range []string{takeKEKs, takeCredentials, takeUploads} {
		if _, err := t.exec(statement, to[:]); err != nil {
			return err
		}
	}
	_, err = t.exec(dropStaged)
	return err
}
