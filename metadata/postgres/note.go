package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"cofre/metadata"
)

const (
	findNote = `SELECT text, at FROM notes WHERE name = $1`
	setNote  = `
INSERT INTO notes (name, text) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET text = excluded.text, at = clock_timestamp()`
	dropNote = `DELETE FROM notes WHERE name = $1`
)

// Note implements metadata.Store.
func (s *Store) Note(ctx context.Context, name string) (n metadata.Note, err error) {
	err = s.run(ctx, "read note", again, func(ctx context.Context, q querier) error {
		err := q.QueryRow(ctx, findNote, raw(name)).Scan(&n.Text, &n.At)
		if errors.Is(err, pgx.ErrNoRows) {
			err = metadata.ErrNotFound
		}
		n.At = n.At.UTC()
		return err
	})
	return n, err
}

// SetNote implements metadata.Store.
func (s *Store) SetNote(ctx context.Context, name string, text []byte) error {
	return s.run(ctx, "write note", again, func(ctx context.Context, q querier) error {
		_, err := q.Exec(ctx, setNote, raw(name), present(text))
		return err
	})
}

// DropNote implements metadata.Store.
func (s *Store) DropNote(ctx context.Context, name string) error {
	return s.run(ctx, "drop note", again, func(ctx context.Context, q querier) error {
		_, err := q.Exec(ctx, dropNote, raw(name))
		return err
	})
}
