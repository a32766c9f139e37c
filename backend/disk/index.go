package disk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// schema is made at the first Open. Keys are BLOBs: SQLite compares those byte by byte, which is S3's order, and they may
// hold anything. Times are milliseconds since 1970, as S3 tells them.
const schema = `
CREATE TABLE IF NOT EXISTS buckets (
	name       TEXT PRIMARY KEY,
	created    INTEGER NOT NULL,
	versioning TEXT NOT NULL DEFAULT ''      -- '', 'Enabled' or 'Suspended'
) STRICT, WITHOUT ROWID;

-- One row per version of an object, delete markers too. A larger id is a newer version.
CREATE TABLE IF NOT EXISTS versions (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	bucket     TEXT NOT NULL REFERENCES buckets(name) ON DELETE CASCADE,
	key        BLOB NOT NULL,
	version_id TEXT NOT NULL,                -- 'null' for what was written while versioning was not enabled
	latest     INTEGER NOT NULL,
	marker     INTEGER NOT NULL,             -- a delete marker
	size       INTEGER NOT NULL,
	etag       TEXT NOT NULL,                -- without quotes
	modified   INTEGER NOT NULL,
	header     BLOB NOT NULL,                -- JSON
	tags       TEXT NOT NULL                 -- as in x-amz-tagging
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS versions_by_id ON versions (bucket, key, version_id);
CREATE UNIQUE INDEX IF NOT EXISTS versions_in_order ON versions (bucket, key, id DESC);
CREATE UNIQUE INDEX IF NOT EXISTS versions_latest ON versions (bucket, key) WHERE latest;
CREATE UNIQUE INDEX IF NOT EXISTS versions_current ON versions (bucket, key) WHERE latest AND NOT marker;

-- The bytes of a version are its blobs, one after the other.
CREATE TABLE IF NOT EXISTS segments (
	version    INTEGER NOT NULL REFERENCES versions(id) ON DELETE CASCADE,
	seq        INTEGER NOT NULL,
	blob       TEXT NOT NULL,
	size       INTEGER NOT NULL,
	PRIMARY KEY (version, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS segments_by_blob ON segments (blob);

CREATE TABLE IF NOT EXISTS uploads (
	id         TEXT PRIMARY KEY,
	bucket     TEXT NOT NULL REFERENCES buckets(name) ON DELETE CASCADE,
	key        BLOB NOT NULL,
	initiated  INTEGER NOT NULL,
	header     BLOB NOT NULL,
	tags       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_in_order ON uploads (bucket, key, id);

CREATE TABLE IF NOT EXISTS parts (
	upload     TEXT NOT NULL REFERENCES uploads(id) ON DELETE CASCADE,
	number     INTEGER NOT NULL,
	blob       TEXT NOT NULL,
	size       INTEGER NOT NULL,
	etag       TEXT NOT NULL,                -- without quotes
	modified   INTEGER NOT NULL,
	PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parts_by_blob ON parts (blob);

-- Completing an upload twice gives the same answer, for a day.
CREATE TABLE IF NOT EXISTS completed (
	upload     TEXT PRIMARY KEY,
	bucket     TEXT NOT NULL REFERENCES buckets(name) ON DELETE CASCADE,
	key        BLOB NOT NULL,
	etag       TEXT NOT NULL,
	version_id TEXT NOT NULL,
	at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

// index is the SQLite database. Writers come one at a time through write, which spares them SQLITE_BUSY; readers have
// connections of their own and see the last committed state (write-ahead log).
type index struct {
	writer *sql.DB
	reader *sql.DB
}

func openIndex(dir string) (*index, error) {
	path := filepath.Join(dir, "index.db")
	writer, err := openSQLite(path, "immediate", "synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	if _, err := writer.Exec(schema); err != nil {
		writer.Close()
		return nil, fmt.Errorf("make index: %w", err)
	}
	reader, err := openSQLite(path, "deferred", "query_only(1)")
	if err != nil {
		writer.Close()
		return nil, err
	}
	reader.SetMaxOpenConns(8)
	reader.SetMaxIdleConns(8)
	return &index{writer: writer, reader: reader}, nil
}

func openSQLite(path, txlock, pragma string) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"_txlock": {txlock},
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)", pragma},
	}.Encode()}
	if !filepath.IsAbs(path) {
		dsn.Opaque, dsn.Path = (&url.URL{Path: path}).EscapedPath(), ""
	}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	return db, nil
}

func (x *index) close() error {
	return errors.Join(x.reader.Close(), x.writer.Close())
}

// write runs do in a transaction, alone. It is not tied to the request's context: once the bytes are on disk a client that
// goes away must not decide whether its object exists.
func (x *index) write(do func(tx *sql.Tx) error) error {
	tx, err := x.writer.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}

// querier is a transaction or the reading pool.
type querier interface {
	QueryRow(query string, args ...any) *sql.Row
	Query(query string, args ...any) (*sql.Rows, error)
}

// collect runs a query and scans each row.
func collect[T any](q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("query index: %w", err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read index: %w", err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	return all, nil
}

func scanString(rows *sql.Rows) (s string, err error) {
	err = rows.Scan(&s)
	return s, err
}
