-- +goose Up
-- What processes leave for themselves and for each other: how far a rebuild is, when the last backup was made. None of it is lost with
-- more than time.
CREATE TABLE notes (
    name BLOB    NOT NULL PRIMARY KEY,
    text BLOB    NOT NULL,
    at   INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE notes;
