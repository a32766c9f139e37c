-- +goose Up
-- Work on whole buckets that outlives a process. Progress is written every few seconds by whoever holds the job's advisory lock.
CREATE TABLE jobs (
    id         bytea       NOT NULL PRIMARY KEY,
    kind       bytea       NOT NULL,
    bucket     bytea       NOT NULL,
    parameters bytea       NOT NULL,
    progress   bytea       NOT NULL DEFAULT '',
    state      smallint    NOT NULL DEFAULT 1, -- 1 waiting, 2 running, 3 done, 4 failed, 5 cancelled
    message    bytea       NOT NULL DEFAULT '',
    lease      bytea       NOT NULL DEFAULT '',
    cancelled  boolean     NOT NULL DEFAULT false,
    created    timestamptz NOT NULL DEFAULT clock_timestamp(),
    started    timestamptz,
    updated    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended      timestamptz
);
-- The rule that a bucket has one job of a kind holds here, whoever races.
CREATE UNIQUE INDEX jobs_open ON jobs (bucket, kind) WHERE state < 3;
CREATE INDEX jobs_created ON jobs (created);

-- +goose Down
DROP TABLE jobs;
