-- +goose Up
-- Buckets in which a condition was sent that the backend cannot enforce by itself: there every writer takes the key's lock.
CREATE TABLE guarded_buckets (
    bucket BLOB    NOT NULL PRIMARY KEY,
    since  INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE guarded_buckets;
