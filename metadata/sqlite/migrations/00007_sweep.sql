-- +goose Up
-- What the sweeper looks for: tombstones by their age, and the object ids whose layouts somebody may still need.
CREATE INDEX objects_tombstoned ON objects (tombstoned) WHERE tombstoned IS NOT NULL;
CREATE INDEX objects_layout ON objects (bucket, substr(envelope, 5, 16)) WHERE part_count > 0;

-- How far the sweep of a bucket is, so that another process goes on with it.
CREATE TABLE sweeps (
    bucket BLOB NOT NULL PRIMARY KEY,
    state  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE sweeps;
DROP INDEX objects_layout;
DROP INDEX objects_tombstoned;
