package sqlite

import (
	"context"
	"database/sql"

	"cofre/metadata"
	"cofre/metadata/internal/row"
)

const (
	insertCredential = `
INSERT INTO credentials (access_key_id, sealed_secret, description, backend_user, grants, created, disabled)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING`

	credentialColumns = `
SELECT access_key_id, sealed_secret, description, backend_user, grants, created, disabled FROM credentials `

	credentialByID   = credentialColumns + `WHERE access_key_id = ?`
	allCredentials   = credentialColumns + `ORDER BY access_key_id`
	deleteCredential = `DELETE FROM credentials WHERE access_key_id = ?`
)

// AddCredential implements metadata.Store.
func (s *Store) AddCredential(ctx context.Context, c metadata.Credential) error {
	return s.failed("add credential", s.write.update(ctx, func(t *transaction) error {
		now, err := t.now()
		if err != nil {
			return err
		}
		added, err := t.exec(insertCredential, blob(c.AccessKeyID), present(c.SealedSecret), blob(c.Description),
			blob(c.BackendUser), present(c.Grants), now, c.Disabled)
		if err != nil || added == 1 {
			return err
		}
		stmt, err := t.writer.prepare(t.ctx, credentialByID)
		if err != nil {
			return err
		}
		there, err := scanCredential(stmt.QueryRowContext(t.ctx, blob(c.AccessKeyID)))
		if err == nil && !row.SameCredential(there, c) {
			err = metadata.ErrConflict
		}
		return err
	}))
}

// Credential implements metadata.Store.
func (s *Store) Credential(ctx context.Context, accessKeyID string) (metadata.Credential, error) {
	found, err := s.credentials(ctx, credentialByID, blob(accessKeyID))
	if err == nil && len(found) == 0 {
		err = metadata.ErrNotFound
	}
	if err != nil {
		return metadata.Credential{}, s.failed("find credential", err)
	}
	return found[0], nil
}

// Credentials implements metadata.Store.
func (s *Store) Credentials(ctx context.Context) ([]metadata.Credential, error) {
	found, err := s.credentials(ctx, allCredentials)
	if err != nil {
		return nil, s.failed("list credentials", err)
	}
	return found, nil
}

// DeleteCredential implements metadata.Store.
func (s *Store) DeleteCredential(ctx context.Context, accessKeyID string) error {
	return s.failed("delete credential", s.write.update(ctx, func(t *transaction) error {
		_, err := t.exec(deleteCredential, blob(accessKeyID))
		return err
	}))
}

func (s *Store) credentials(ctx context.Context, query string, args ...any) (found []metadata.Credential, err error) {
	err = s.read.query(ctx, query, func(rows *sql.Rows) error {
		c, err := scanCredential(rows)
		found = append(found, c)
		return err
	}, args...)
	return found, err
}

func scanCredential(rows scanner) (c metadata.Credential, err error) {
	var created int64
	err = rows.Scan(&c.AccessKeyID, &c.SealedSecret, &c.Description, &c.BackendUser, &c.Grants, &created, &c.Disabled)
	c.Created = fromNanos(created)
	return c, err
}
