package sqlite

import (
	"context"
	"database/sql"

	"cofre/metadata"
)

const (
	findNote = `SELECT text, at FROM notes WHERE name = ?`
	setNote  = `INSERT INTO notes (name, text, at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET text = ?2, at = ?3`
	dropNote = `DELETE FROM notes WHERE name = ?`
)

// Note implements metadata.Store.
func (s *Store) Note(ctx context.Context, name string) (n metadata.Note, err error) {
	found := metadata.ErrNotFound
	err = s.read.query(ctx, findNote, func(rows *sql.Rows) error {
		found = nil
		var at int64
		err := rows.Scan(&n.Text, &at)
		n.At = fromNanos(at)
		return err
	}, blob(name))
	if err == nil {
		err = found
	}
	return n, s.failed("read note", err)
}

// SetNote implements metadata.Store.
func (s *Store) SetNote(ctx context.Context, name string, text []byte) error {
	return s.failed("write note", s.write.update(ctx, func(t *transaction) error {
		now, err := t.now()
		if err != nil {
			return err
		}
		_, err = t.exec(setNote, blob(name), present(text), now)
		return err
	}))
}

// DropNote implements metadata.Store.
func (s *Store) DropNote(ctx context.Context, name string) error {
	return s.failed("drop note", s.write.update(ctx, func(t *transaction) error {
		_, err := t.exec(dropNote, blob(name))
		return err
	}))
}
