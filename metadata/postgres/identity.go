package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"cofre/keys"
	"cofre/metadata"
)

const (
	// $1 is the other identity, $2 the kind, $3 the id behind which the page begins.
	unstagedKEKs = `
SELECT id, "grant", record FROM keks r
WHERE id > $3 AND NOT EXISTS (
    SELECT FROM next_identity n WHERE n.site = $1 AND n.kind = $2 AND n.id = r.id AND n.sealed = r."grant")
ORDER BY id LIMIT $4`

	unstagedCredentials = `
SELECT access_key_id, sealed_secret, ''::bytea FROM credentials r
WHERE access_key_id > $3 AND NOT EXISTS (
    SELECT FROM next_identity n WHERE n.site = $1 AND n.kind = $2 AND n.id = r.access_key_id AND n.sealed = r.sealed_secret)
ORDER BY access_key_id LIMIT $4`

	unstagedUploads = `
SELECT id, sealed_dek, envelope FROM uploads r
WHERE id > $3 AND state < 3 AND sealed_dek <> '' AND NOT EXISTS (
    SELECT FROM next_identity n WHERE n.site = $1 AND n.kind = $2 AND n.id = r.id AND n.sealed = r.sealed_dek)
ORDER BY id LIMIT $4`

	stageSealed = `
INSERT INTO next_identity (site, kind, id, sealed, next) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (site, kind, id) DO UPDATE SET sealed = excluded.sealed, next = excluded.next`

	// An upload that is just being finished or deleted is waited for: what came behind it would stay.
	stageUpload = `
INSERT INTO next_identity (site, kind, id, sealed, next)
SELECT $1, $2, id, sealed_dek, $5 FROM uploads WHERE id = $3 AND sealed_dek = $4 AND state < 3 FOR SHARE
ON CONFLICT (site, kind, id) DO UPDATE SET sealed = excluded.sealed, next = excluded.next`

	unstageUpload = `DELETE FROM next_identity WHERE kind = 3 AND id = $1`

	// Writers wait until the exchange is through; readers do not.
	lockSealed = `LOCK TABLE keks, credentials, uploads, trust_list IN SHARE ROW EXCLUSIVE MODE`

	takeKEKs = `
UPDATE keks r SET "grant" = n.next, state = CASE WHEN r.creator = n.site THEN r.state ELSE greatest(r.state, 2) END
FROM next_identity n WHERE n.site = $1 AND n.kind = 1 AND n.id = r.id`
	takeCredentials = `
UPDATE credentials r SET sealed_secret = n.next FROM next_identity n WHERE n.site = $1 AND n.kind = 2 AND n.id = r.access_key_id`
	takeUploads = `
UPDATE uploads r SET sealed_dek = n.next FROM next_identity n WHERE n.site = $1 AND n.kind = 3 AND n.id = r.id AND r.state < 3`
	dropStaged = `DELETE FROM next_identity`
)

var unstaged = map[metadata.SealedKind]string{
	metadata.SealedKEK: unstagedKEKs, metadata.SealedCredential: unstagedCredentials, metadata.SealedUpload: unstagedUploads,
}

// UnstagedRows implements metadata.Store.
func (s *Store) UnstagedRows(ctx context.Context, to keys.SiteID, kind metadata.SealedKind, after string, limit int) (found []metadata.SealedRow, err error) {
	err = s.run(ctx, "list sealed rows", again, func(ctx context.Context, q querier) (err error) {
		found, err = unstagedRows(ctx, q, to, kind, after, limit)
		return err
	})
	return found, err
}

func unstagedRows(ctx context.Context, q querier, to keys.SiteID, kind metadata.SealedKind, after string, limit int) ([]metadata.SealedRow, error) {
	query, ok := unstaged[kind]
	if !ok {
		return nil, fmt.Errorf("no kind %d of sealed rows", kind)
	}
	rows, err := q.Query(ctx, query, to[:], int16(kind), raw(after), limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (metadata.SealedRow, error) {
		var id []byte
		row := metadata.SealedRow{Kind: kind}
		err := r.Scan(&id, &row.Sealed, &row.Beside)
		row.ID = string(id)
		return row, err
	})
}

// StageSealed implements metadata.Store.
func (s *Store) StageSealed(ctx context.Context, to keys.SiteID, row metadata.SealedRow, next []byte) error {
	statement := stageSealed
	if row.Kind == metadata.SealedUpload {
		statement = stageUpload
	}
	return s.run(ctx, "stage sealed row", again, func(ctx context.Context, q querier) error {
		_, err := q.Exec(ctx, statement, to[:], int16(row.Kind), raw(row.ID), present(row.Sealed), present(next))
		return err
	})
}

// TakeIdentity implements metadata.Store.
func (s *Store) TakeIdentity(ctx context.Context, to keys.SiteID, number uint64, dsse []byte) error {
	if number > math.MaxInt64 {
		return fmt.Errorf("take identity: number %d is out of range", number)
	}
	return s.runLong(ctx, "take identity", again, func(ctx context.Context, _ querier) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return takeIdentity(ctx, tx, to, number, dsse) })
	})
}

func takeIdentity(ctx context.Context, tx pgx.Tx, to keys.SiteID, number uint64, dsse []byte) error {
	if _, err := tx.Exec(ctx, lockSealed); err != nil {
		return err
	}
	var there []byte
	err := tx.QueryRow(ctx, trustList).Scan(new(uint64), &there)
	if err == nil && bytes.Equal(there, dsse) {
		return nil // it was done, and the answer lost
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	for _, kind := range metadata.SealedKinds() {
		left, err := unstagedRows(ctx, tx, to, kind, "", 1)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return metadata.ErrConflict
		}
	}
	tag, err := tx.Exec(ctx, setTrustList, int64(number), present(dsse))
	if err == nil && tag.RowsAffected() == 0 {
		err = keys.ErrKEKConflict
	}
	if err != nil {
		return err
	}
	for _, statement := range []string{takeKEKs, takeCredentials, takeUploads} {
		if _, err := tx.Exec(ctx, statement, to[:]); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, dropStaged)
	return err
}
