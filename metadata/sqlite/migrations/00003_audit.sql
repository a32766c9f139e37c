-- +goose Up
-- What was done with keys and trust, and what was refused, in the order in which it came to the store. Rows are only ever added.
CREATE TABLE audit (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   BLOB    NOT NULL,
    action  TEXT    NOT NULL,
    bucket  BLOB    NOT NULL,
    subject BLOB    NOT NULL,
    detail  BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);

-- +goose Down
DROP TABLE audit;
