-- +goose Up
-- What processes leave for themselves and for each other: how far a rebuild is, when the last backup was made. None of it is lost with
-- more than time.
CREATE TABLE notes (
    name bytea       NOT NULL PRIMARY KEY,
    text bytea       NOT NULL,
    at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- +goose Down
DROP TABLE notes;
