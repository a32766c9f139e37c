package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"cofre/metadata"
)

const (
	insertAudit = `INSERT INTO audit (actor, action, bucket, subject, detail) VALUES ($1, $2, $3, $4, $5)`
	auditPage   = `
SELECT id, at, actor, action, bucket, subject, detail FROM audit
WHERE id > $1 AND at >= $2 AND ($3 = ''::bytea OR bucket = $3) ORDER BY id LIMIT $4`
)

// AddAudit implements metadata.Store.
func (s *Store) AddAudit(ctx context.Context, e metadata.AuditEvent) error {
	return s.run(ctx, "add audit event", again, func(ctx context.Context, q querier) error {
		_, err := q.Exec(ctx, insertAudit, raw(e.Actor), e.Action, raw(e.Bucket), raw(e.Subject), raw(e.Detail))
		return err
	})
}

// Audit implements metadata.Store.
func (s *Store) Audit(ctx context.Context, want metadata.AuditFilter, limit int) (found []metadata.AuditEvent, err error) {
	since := want.Since
	if since.IsZero() {
		since = time.Unix(0, 0) // the zero time of Go is before the first that PostgreSQL knows in some of its time zones
	}
	err = s.run(ctx, "list audit events", again, func(ctx context.Context, q querier) error {
		rows, err := q.Query(ctx, auditPage, want.After, since, raw(want.Bucket), limit)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (metadata.AuditEvent, error) { return scanAudit(r) })
		return err
	})
	return found, err
}

func scanAudit(r pgx.Row) (e metadata.AuditEvent, err error) {
	var actor, bucket, subject, detail []byte
	err = r.Scan(&e.ID, &e.At, &actor, &e.Action, &bucket, &subject, &detail)
	e.Actor, e.Bucket, e.Subject, e.Detail, e.At = string(actor), string(bucket), string(subject), string(detail), e.At.UTC()
	return e, err
}
