-- +goose Up
-- What rows that are sealed to the site's identity become when the site takes on another one: staged here row by row, and
-- exchanged all at once. A row counts as staged while it holds what it held then.
CREATE TABLE next_identity (
    site   BLOB    NOT NULL, -- the other identity
    kind   INTEGER NOT NULL, -- 1 KEK, 2 credential, 3 upload
    id     BLOB    NOT NULL,
    sealed BLOB    NOT NULL, -- what the row holds
    next   BLOB    NOT NULL, -- what it will hold
    PRIMARY KEY (site, kind, id)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE next_identity;
