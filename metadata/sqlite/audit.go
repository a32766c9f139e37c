package sqlite

import (
	"context"
	"database/sql"

	"cofre/metadata"
)

const (
	insertAudit = `INSERT INTO audit (at, actor, action, bucket, subject, detail) VALUES (?, ?, ?, ?, ?, ?)`
	auditPage   = `
SELECT id, at, actor, action, bucket, subject, detail FROM audit
WHERE id > ?1 AND at >= ?2 AND (?3 = x'' OR bucket = ?3) ORDER BY id LIMIT ?4`
)

// AddAudit implements metadata.Store.
func (s *Store) AddAudit(ctx context.Context, e metadata.AuditEvent) error {
	return s.failed("add audit event", s.write.update(ctx, func(t *transaction) error {
		now, err := t.now()
		if err != nil {
			return err
		}
		_, err = t.exec(insertAudit, now, blob(e.Actor), e.Action, blob(e.Bucket), blob(e.Subject), blob(e.Detail))
		return err
	}))
}

// Audit implements metadata.Store.
func (s *Store) Audit(ctx context.Context, want metadata.AuditFilter, limit int) (found []metadata.AuditEvent, err error) {
	err = s.failed("list audit events", s.read.query(ctx, auditPage, func(rows *sql.Rows) error {
		e, err := scanAudit(rows)
		found = append(found, e)
		return err
	}, want.After, toNanos(want.Since), blob(want.Bucket), limit))
	return found, err
}

func scanAudit(rows scanner) (e metadata.AuditEvent, err error) {
	var at int64
	err = rows.Scan(&e.ID, &at, &e.Actor, &e.Action, &e.Bucket, &e.Subject, &e.Detail)
	e.At = fromNanos(at)
	return e, err
}
