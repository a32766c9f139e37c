package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	insertCredential = `
INSERT INTO credentials (access_key_id, sealed_secret, description, backend_user, grants, disabled)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING`

	credentialColumns = `
SELECT access_key_id, sealed_secret, description, backend_user, grants, created, disabled FROM credentials `

	credentialByID   = credentialColumns + `WHERE access_key_id = $1`
	allCredentials   = credentialColumns + `ORDER BY access_key_id`
	deleteCredential = `DELETE FROM credentials WHERE access_key_id = $1`
)

// AddCredential implements metadata.Store.
func (s *Store) AddCredential(ctx context.Context, c metadata.Credential) error {
	return s.run(ctx, "add credential", again, func(ctx context.Context, q querier) error {
		tag, err := q.Exec(ctx, insertCredential, raw(c.AccessKeyID), present(c.SealedSecret), raw(c.Description),
			raw(c.BackendUser), present(c.Grants), c.Disabled)
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		there, err := findCredential(ctx, q, c.AccessKeyID)
		if errors.Is(err, metadata.ErrNotFound) || err == nil && !row.SameCredential(there, c) {
			err = metadata.ErrConflict
		}
		return err
	})
}

// Credential implements metadata.Store.
func (s *Store) Credential(ctx context.Context, accessKeyID string) (c metadata.Credential, err error) {
	err = s.run(ctx, "find credential", again, func(ctx context.Context, q querier) (err error) {
		c, err = findCredential(ctx, q, accessKeyID)
		return err
	})
	return c, err
}

// Credentials implements metadata.Store.
func (s *Store) Credentials(ctx context.Context) (found []metadata.Credential, err error) {
	err = s.run(ctx, "list credentials", again, func(ctx context.Context, q querier) error {
		rows, err := q.Query(ctx, allCredentials)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (metadata.Credential, error) { return scanCredential(r) })
		return err
	})
	return found, err
}

// DeleteCredential implements metadata.Store.
func (s *Store) DeleteCredential(ctx context.Context, accessKeyID string) error {
	return s.run(ctx, "delete credential", again, func(ctx context.Context, q querier) error {
		_, err := q.Exec(ctx, deleteCredential, raw(accessKeyID))
		return err
	})
}

func findCredential(ctx context.Context, q querier, accessKeyID string) (metadata.Credential, error) {
	c, err := scanCredential(q.QueryRow(ctx, credentialByID, raw(accessKeyID)))
	if errors.Is(err, pgx.ErrNoRows) {
		err = metadata.ErrNotFound
	}
	return c, err
}

func scanCredential(r pgx.Row) (metadata.Credential, error) {
	var (
		c                            metadata.Credential
		id, description, backendUser []byte
	)
	if err := r.Scan(&id, &c.SealedSecret, &description, &backendUser, &c.Grants, &c.Created, &c.Disabled); err != nil {
		return metadata.Credential{}, err
	}
	c.AccessKeyID, c.Description, c.BackendUser, c.Created = string(id), string(description), string(backendUser), c.Created.UTC()
	return c, nil
}
