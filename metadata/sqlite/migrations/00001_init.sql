-- +goose Up
-- Every string that comes from a client or from the backend is a BLOB: keys, versions, ETags and ids may hold any bytes,
-- and BLOBs compare byte by byte. Times are nanoseconds since 1970; 0 stands for "none".

-- The one row of clock keeps times rising across restarts: no time at or above reserved has been given out yet.
CREATE TABLE clock (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    reserved INTEGER NOT NULL
) STRICT;
INSERT INTO clock VALUES (1, 0);

CREATE TABLE objects (
    id                 INTEGER PRIMARY KEY,
    bucket             BLOB    NOT NULL,
    key                BLOB    NOT NULL,
    version            BLOB    NOT NULL,
    envelope           BLOB    NOT NULL,
    envelope_hash      BLOB    NOT NULL, -- SHA-256 of envelope
    backend_etag       BLOB    NOT NULL,
    size               INTEGER NOT NULL,
    etag               BLOB    NOT NULL,
    checksum_algorithm INTEGER NOT NULL,
    checksum_type      INTEGER NOT NULL,
    checksum           BLOB    NOT NULL,
    content_type       BLOB    NOT NULL,
    part_count         INTEGER NOT NULL,
    began              INTEGER NOT NULL,
    committed          INTEGER NOT NULL,
    tombstoned         INTEGER           -- NULL while live
) STRICT;

-- What a record is unique by. The hash stands before the version, so that a row is found by its envelope alone.
CREATE UNIQUE INDEX objects_envelope ON objects (bucket, key, envelope_hash, version);

-- Live rows only, so tombstones are out of the way of everything that is frequent: the newest row of a key is the first
-- of its range, and a listing page is answered from the index alone.
CREATE INDEX objects_live ON objects
    (bucket, key, committed DESC, version, backend_etag, size, etag, checksum_algorithm, checksum_type)
    WHERE tombstoned IS NULL;

CREATE TABLE object_parts (
    object             INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    number             INTEGER NOT NULL,
    size               INTEGER NOT NULL,
    salt               BLOB    NOT NULL,
    md5                BLOB,             -- NULL where the bucket does without
    checksum_algorithm INTEGER NOT NULL,
    checksum_type      INTEGER NOT NULL,
    checksum           BLOB    NOT NULL,
    PRIMARY KEY (object, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
    id                 BLOB    NOT NULL PRIMARY KEY,
    bucket             BLOB    NOT NULL,
    key                BLOB    NOT NULL,
    envelope           BLOB    NOT NULL,
    sealed_dek         BLOB    NOT NULL,
    initiator          BLOB    NOT NULL,
    checksum_algorithm INTEGER NOT NULL,
    checksum_type      INTEGER NOT NULL,
    content_type       BLOB    NOT NULL,
    attributes         BLOB    NOT NULL,
    state              INTEGER NOT NULL, -- 1 open, 2 completing, 3 completed
    intent             BLOB    NOT NULL,
    result             BLOB    NOT NULL,
    created            INTEGER NOT NULL,
    completed          INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_list ON uploads (bucket, key, id) WHERE state < 3;
CREATE INDEX uploads_completed ON uploads (completed) WHERE state = 3;

CREATE TABLE upload_parts (
    upload             BLOB    NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    number             INTEGER NOT NULL,
    attempt            BLOB    NOT NULL,
    salt               BLOB    NOT NULL,
    size               INTEGER NOT NULL,
    md5                BLOB,
    etag               BLOB    NOT NULL,
    backend_etag       BLOB    NOT NULL,
    checksum_algorithm INTEGER NOT NULL,
    checksum_type      INTEGER NOT NULL,
    checksum           BLOB    NOT NULL,
    committed          INTEGER NOT NULL,
    PRIMARY KEY (upload, number, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE keks (
    id      BLOB    NOT NULL PRIMARY KEY,
    bucket  BLOB    NOT NULL,
    creator BLOB    NOT NULL,
    record  BLOB    NOT NULL,
    grant_  BLOB    NOT NULL,
    state   INTEGER NOT NULL, -- 1 active, 2 read-only, 3 closed
    created INTEGER NOT NULL
) STRICT;
CREATE INDEX keks_bucket ON keks (bucket, created, id);
-- The rule that new objects of a site have one KEK holds here, whoever races.
CREATE UNIQUE INDEX keks_active ON keks (bucket, creator) WHERE state = 1;

CREATE TABLE trust_list (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    dsse   BLOB    NOT NULL
) STRICT;

CREATE TABLE credentials (
    access_key_id BLOB    NOT NULL PRIMARY KEY,
    sealed_secret BLOB    NOT NULL,
    description   BLOB    NOT NULL,
    backend_user  BLOB    NOT NULL,
    grants        BLOB    NOT NULL,
    created       INTEGER NOT NULL,
    disabled      INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE credentials;
DROP TABLE trust_list;
DROP TABLE keks;
DROP TABLE upload_parts;
DROP TABLE uploads;
DROP TABLE object_parts;
DROP TABLE objects;
DROP TABLE clock;
