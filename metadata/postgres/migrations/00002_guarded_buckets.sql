-- +goose Up
-- Buckets in which a condition was sent that the backend cannot enforce by itself: there every writer takes the key's lock.
CREATE TABLE guarded_buckets (
    bucket bytea       NOT NULL PRIMARY KEY,
    since  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- +goose Down
DROP TABLE guarded_buckets;
