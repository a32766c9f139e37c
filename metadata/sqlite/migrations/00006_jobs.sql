-- +goose Up
-- Work on whole buckets that outlives a process. Progress is written every few seconds by whoever holds the job.
CREATE TABLE jobs (
    id         BLOB    NOT NULL PRIMARY KEY,
    kind       BLOB    NOT NULL,
    bucket     BLOB    NOT NULL,
    parameters BLOB    NOT NULL,
    progress   BLOB    NOT NULL,
    state      INTEGER NOT NULL, -- 1 waiting, 2 running, 3 done, 4 failed, 5 cancelled
    message    BLOB    NOT NULL,
    lease      BLOB    NOT NULL,
    cancelled  INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    started    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    ended      INTEGER NOT NULL
) STRICT;
-- The rule that a bucket has one job of a kind holds here, whoever races.
CREATE UNIQUE INDEX jobs_open ON jobs (bucket, kind) WHERE state < 3;
CREATE INDEX jobs_created ON jobs (created);

-- +goose Down
DROP TABLE jobs;
