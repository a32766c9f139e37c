-- +goose Up
-- Needs PostgreSQL 14 or newer: it prunes partitions of UPDATE and of joins while the statement runs.
--
-- Every string that comes from a client or from the backend is bytea: keys, versions, ETags and ids may hold any bytes,
-- NUL and invalid UTF-8 included, and bytea compares byte by byte whatever the database's collation. To read them in psql:
-- convert_from(key, 'UTF8'), or encode(key, 'escape').
--
-- objects and object_parts are partitioned by the hash of (bucket, key) from the start, since a table that holds hundreds
-- of millions of rows can no longer be partitioned without a pause. Why hash, and why by key: every statement names the
-- bucket and the key, so it touches one partition for each key, found by arithmetic; buckets differ in size by orders of
-- magnitude, keys spread evenly; autovacuum works on sixteen tables at once, each with indexes a sixteenth as large, short
-- enough to be vacuumed or rebuilt in minutes. Sixteen is cheap to plan and to lock for the statements that touch many
-- keys, and serves into the billions of rows. A unique index must hold the partition key: (bucket, key) begins each of
-- them anyway.

CREATE TABLE objects (
    bucket             bytea       NOT NULL,
    key                bytea       NOT NULL,
    version            bytea       NOT NULL,
    envelope           bytea       NOT NULL,
    backend_etag       bytea       NOT NULL,
    size               bigint      NOT NULL,
    etag               bytea       NOT NULL,
    checksum_algorithm smallint    NOT NULL,
    checksum_type      smallint    NOT NULL,
    checksum           bytea       NOT NULL,
    content_type       bytea       NOT NULL,
    part_count         integer     NOT NULL,
    began              timestamptz NOT NULL,
    committed          timestamptz NOT NULL,
    tombstoned         timestamptz            -- NULL while live
) PARTITION BY HASH (bucket, key);

-- What a record is unique by. The hash stands before the version, so that a row is found by its envelope alone; it is
-- computed, not stored: 32 bytes less in every row.
CREATE UNIQUE INDEX objects_envelope ON objects (bucket, key, sha256(envelope), version);

-- Live rows only, so tombstones are out of the way of everything that is frequent. The newest row of a key is the first
-- of its range; what a commit replaces is the rest of it; a listing page is answered from the index alone, which is why
-- it carries the backend's ETag and all that a listing shows.
CREATE INDEX objects_live ON objects (bucket, key, committed DESC, version)
    INCLUDE (backend_etag, size, etag, checksum_algorithm, checksum_type)
    WHERE tombstoned IS NULL;

-- Parts belong to an envelope, as the record does: two versions that carry one envelope share them. Rows are only ever
-- added.
CREATE TABLE object_parts (
    bucket             bytea    NOT NULL,
    key                bytea    NOT NULL,
    envelope_hash      bytea    NOT NULL, -- SHA-256 of the envelope
    number             integer  NOT NULL,
    size               bigint   NOT NULL,
    salt               bytea    NOT NULL,
    md5                bytea,             -- NULL where the bucket does without
    checksum_algorithm smallint NOT NULL,
    checksum_type      smallint NOT NULL,
    checksum           bytea    NOT NULL,
    PRIMARY KEY (bucket, key, envelope_hash, number)
) PARTITION BY HASH (bucket, key);

CREATE TABLE uploads (
    id                 bytea       NOT NULL PRIMARY KEY,
    bucket             bytea       NOT NULL,
    key                bytea       NOT NULL,
    envelope           bytea       NOT NULL,
    sealed_dek         bytea       NOT NULL,
    initiator          bytea       NOT NULL,
    checksum_algorithm smallint    NOT NULL,
    checksum_type      smallint    NOT NULL,
    content_type       bytea       NOT NULL,
    attributes         bytea       NOT NULL,
    state              smallint    NOT NULL DEFAULT 1, -- 1 open, 2 completing, 3 completed
    intent             bytea       NOT NULL DEFAULT '',
    result             bytea       NOT NULL DEFAULT '',
    created            timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed          timestamptz
);
CREATE INDEX uploads_list ON uploads (bucket, key, id) WHERE state < 3;
CREATE INDEX uploads_completed ON uploads (completed) WHERE state = 3;

-- Rows come and go by the million, so these too are spread: by upload, since every statement names one.
CREATE TABLE upload_parts (
    -- The foreign key is what makes a part that races the end of its upload either refused or removed with it.
    upload             bytea       NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    number             integer     NOT NULL,
    attempt            bytea       NOT NULL,
    salt               bytea       NOT NULL,
    size               bigint      NOT NULL,
    md5                bytea,
    etag               bytea       NOT NULL,
    backend_etag       bytea       NOT NULL,
    checksum_algorithm smallint    NOT NULL,
    checksum_type      smallint    NOT NULL,
    checksum           bytea       NOT NULL,
    committed          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (upload, number, attempt)
) PARTITION BY HASH (upload);

-- +goose StatementBegin
DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format('CREATE TABLE objects_%s PARTITION OF objects FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
        -- A listing reads the index alone where vacuum has seen the pages. The defaults wait for a fifth of the table to
        -- change, which takes weeks once it is large; a fiftieth keeps what is new, and what is listed most, in order.
        EXECUTE format('ALTER TABLE objects_%s SET (autovacuum_vacuum_insert_scale_factor = 0.02,'
            ' autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)', i);
        EXECUTE format('CREATE TABLE object_parts_%s PARTITION OF object_parts FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
        EXECUTE format('CREATE TABLE upload_parts_%s PARTITION OF upload_parts FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
    END LOOP;
END
$$;
-- +goose StatementEnd

CREATE TABLE keks (
    id      bytea       NOT NULL PRIMARY KEY,
    bucket  bytea       NOT NULL,
    creator bytea       NOT NULL,
    record  bytea       NOT NULL,
    "grant" bytea       NOT NULL,
    state   smallint    NOT NULL, -- 1 active, 2 read-only, 3 closed
    created timestamptz NOT NULL
);
CREATE INDEX keks_bucket ON keks (bucket, created, id);
-- The rule that new objects of a site have one KEK holds here, whoever races.
CREATE UNIQUE INDEX keks_active ON keks (bucket, creator) WHERE state = 1;

CREATE TABLE trust_list (
    one    boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    number bigint  NOT NULL,
    dsse   bytea   NOT NULL
);

CREATE TABLE credentials (
    access_key_id bytea       NOT NULL PRIMARY KEY,
    sealed_secret bytea       NOT NULL,
    description   bytea       NOT NULL,
    backend_user  bytea       NOT NULL,
    grants        bytea       NOT NULL,
    created       timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled      boolean     NOT NULL
);

-- +goose Down
DROP TABLE credentials;
DROP TABLE trust_list;
DROP TABLE keks;
DROP TABLE upload_parts;
DROP TABLE uploads;
DROP TABLE object_parts;
DROP TABLE objects;
