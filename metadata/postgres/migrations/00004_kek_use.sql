-- +goose Up
-- How many objects were sealed under each KEK, as far as replicas have counted: an active one is replaced when it is much used.
ALTER TABLE keks ADD COLUMN sealed bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE keks DROP COLUMN sealed;
