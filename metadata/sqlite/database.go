package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"sync"
)

// reader is a pool of connections that only read. It keeps each statement prepared, by its text.
type reader struct {
	db         *sql.DB
	statements sync.Map // string -> *sql.Stmt
}

// connect opens a pool of n connections to the file at path.
func connect(path string, n int, extra url.Values) (*sql.DB, error) {
	query := url.Values{"_pragma": {
		"busy_timeout(10000)", // milliseconds; the two pools meet at checkpoints
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"temp_store(MEMORY)",
	}}
	for name, values := range extra {
		query[name] = append(query[name], values...)
	}
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// query runs a statement and hands each row to scan.
func (r *reader) query(ctx context.Context, query string, scan func(*sql.Rows) error, args ...any) error {
	stmt, err := r.prepare(ctx, query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r *reader) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := r.statements.Load(query); ok {
		return stmt.(*sql.Stmt), nil
	}
	stmt, err := r.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, there := r.statements.LoadOrStore(query, stmt); there {
		return first.(*sql.Stmt), stmt.Close()
	}
	return stmt, nil
}

// writer is the one connection that writes.
type writer struct {
	clock  *clock
	turn   chan struct{} // holds a token while a transaction runs, and from the close on
	closed <-chan struct{}

	// Owned by the transaction that runs.

	conn       *sql.Conn
	statements map[string]*sql.Stmt
	reserved   int64 // the row of the table clock, as committed
}

// update runs do in a transaction and makes it durable. An error of do undoes all of it.
func (w *writer) update(ctx context.Context, do func(*transaction) error) error {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-w.closed:
		return sql.ErrConnDone
	case <-ctx.Done():
		return ctx.Err()
	}
	// IMMEDIATE, so that what the transaction reads cannot be overtaken before it writes.
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	// Its end does not listen to ctx: once do is done the outcome is going to be known.
	end := context.WithoutCancel(ctx)
	t := &transaction{ctx: ctx, writer: w, reserved: w.reserved}
	err := do(t)
	if err == nil {
		err = w.exec(end, "COMMIT")
	}
	if err != nil {
		// SQLite rolls some errors back by itself (a full disk); then this one has nothing to do, and says so.
		_ = w.exec(end, "ROLLBACK")
		return err
	}
	w.reserved = t.reserved
	return nil
}

func (w *writer) exec(ctx context.Context, query string) error {
	stmt, err := w.prepare(ctx, query)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(ctx)
	return err
}

func (w *writer) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt, ok := w.statements[query]; ok {
		return stmt, nil
	}
	stmt, err := w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	w.statements[query] = stmt
	return stmt, nil
}

// transaction is one write; there is never more than one.
type transaction struct {
	ctx      context.Context
	writer   *writer
	reserved int64 // the row of the table clock, once this transaction is committed
}

// now reads the store's clock for a time that is going to be written.
func (t *transaction) now() (int64, error) {
	now := t.writer.clock.tick()
	if now < t.reserved {
		return now, nil
	}
	// In the same transaction: a time and the reservation above it become durable together.
	if _, err := t.exec(`UPDATE clock SET reserved = ?`, now+reserve); err != nil {
		return 0, err
	}
	t.reserved = now + reserve
	return now, nil
}

// exec runs a statement and says how many rows it changed.
func (t *transaction) exec(query string, args ...any) (int64, error) {
	stmt, err := t.writer.prepare(t.ctx, query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row reads one row into dest and says whether there is one.
func (t *transaction) row(query string, args []any, dest ...any) (bool, error) {
	stmt, err := t.writer.prepare(t.ctx, query)
	if err != nil {
		return false, err
	}
	err = stmt.QueryRowContext(t.ctx, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// scanner is what *sql.Row and *sql.Rows have in common.
type scanner interface{ Scan(dest ...any) error }
