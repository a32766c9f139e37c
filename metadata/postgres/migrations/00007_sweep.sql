-- +goose Up
-- What the sweeper looks for: tombstones by their age, and the object ids whose layouts somebody may still need. Live rows of objects of
-- one part, which is most, are in neither index.
CREATE INDEX objects_tombstoned ON objects (tombstoned) WHERE tombstoned IS NOT NULL;
CREATE INDEX objects_layout ON objects (bucket, substring(envelope FROM 5 FOR 16)) WHERE part_count > 0;

-- How far the sweep of a bucket is, so that another process goes on with it.
CREATE TABLE sweeps (
    bucket  bytea       NOT NULL PRIMARY KEY,
    state   bytea       NOT NULL,
    updated timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- +goose Down
DROP TABLE sweeps;
DROP INDEX objects_layout;
DROP INDEX objects_tombstoned;
