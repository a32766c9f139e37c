-- +goose Up
-- What rows that are sealed to the site's identity become when the site takes on another one: staged here row by row, and
-- exchanged all at once. A row counts as staged while it holds what it held then.
CREATE TABLE next_identity (
    site   bytea    NOT NULL, -- the other identity
    kind   smallint NOT NULL, -- 1 KEK, 2 credential, 3 upload
    id     bytea    NOT NULL,
    sealed bytea    NOT NULL, -- what the row holds
    next   bytea    NOT NULL, -- what it will hold
    PRIMARY KEY (site, kind, id)
);

-- +goose Down
DROP TABLE next_identity;
