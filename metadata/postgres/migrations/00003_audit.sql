-- +goose Up
-- What was done with keys and trust, and what was refused, in the order in which it came to the store. Rows are only ever added.
CREATE TABLE audit (
    id      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   bytea       NOT NULL,
    action  text        NOT NULL,
    bucket  bytea       NOT NULL,
    subject bytea       NOT NULL,
    detail  bytea       NOT NULL
);
CREATE INDEX audit_at ON audit (at);

-- +goose Down
DROP TABLE audit;
