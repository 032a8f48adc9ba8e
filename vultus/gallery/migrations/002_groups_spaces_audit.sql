-- Groups, several spaces side by side, crops, quality, the audit log, and a list of changes that
-- tells other connections what to read again. What schema 1 held is carried over.
-- Numbers are given out by the row of `gallery`, so that no backend needs a sequence of its own.
DROP TRIGGER sample_removed;

DROP TRIGGER sample_rewritten;

DROP TRIGGER person_rewritten;

DROP INDEX sample_once;

DROP INDEX sample_of_person;

ALTER TABLE gallery RENAME TO old_gallery;

ALTER TABLE sample RENAME TO old_sample;

ALTER TABLE person RENAME TO old_person;

ALTER TABLE space RENAME TO old_space;

-- samples: how many have an embedding there. search_plan: how the approximate index of this space
-- is built; NULL searches exactly.
CREATE TABLE space (
    key           INTEGER PRIMARY KEY,
    model         TEXT    NOT NULL,
    digest        TEXT    NOT NULL,
    dimension     INTEGER NOT NULL CHECK (dimension > 0),
    preprocessing TEXT    NOT NULL,
    samples       INTEGER NOT NULL DEFAULT 0,
    search_plan   TEXT,
    UNIQUE (model, digest, dimension, preprocessing)
);

-- One row. `revision` counts changes; the last_* are the highest numbers ever given out;
-- `audit_head` is the hash of the newest entry of the log.
CREATE TABLE gallery (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    created_at   TEXT    NOT NULL,
    salt         BLOB    NOT NULL,
    active_space INTEGER REFERENCES space (key),
    revision     INTEGER NOT NULL DEFAULT 0,
    last_space   INTEGER NOT NULL DEFAULT 0,
    last_group   INTEGER NOT NULL DEFAULT 0,
    last_person  INTEGER NOT NULL DEFAULT 0,
    last_sample  INTEGER NOT NULL DEFAULT 0,
    last_change  INTEGER NOT NULL DEFAULT 0,
    last_audit   INTEGER NOT NULL DEFAULT 0,
    audit_head   TEXT    NOT NULL DEFAULT ''
);

CREATE TABLE person_group (
    key        INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE CHECK (typeof(name) = 'text'),
    note       TEXT    NOT NULL,
    created_at TEXT    NOT NULL
);

CREATE TABLE person (
    key        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE CHECK (typeof(id) = 'text'),
    name       TEXT    NOT NULL,
    consent    TEXT,
    created_at TEXT    NOT NULL,
    updated_at TEXT    NOT NULL
);

CREATE TABLE membership (
    person_key INTEGER NOT NULL REFERENCES person (key),
    group_key  INTEGER NOT NULL REFERENCES person_group (key),
    info       TEXT    NOT NULL,
    PRIMARY KEY (person_key, group_key)
) WITHOUT ROWID;

CREATE INDEX membership_of_group ON membership (group_key, person_key);

-- scope_key: the one group the sample counts in; NULL: all groups of the person.
CREATE TABLE sample (
    number        INTEGER PRIMARY KEY,
    person_key    INTEGER NOT NULL REFERENCES person (key),
    scope_key     INTEGER REFERENCES person_group (key),
    source_digest TEXT,
    source        TEXT,
    quality       TEXT,
    created_at    TEXT    NOT NULL
);

CREATE INDEX sample_of_person ON sample (person_key, source_digest);

CREATE INDEX sample_of_scope ON sample (scope_key, person_key) WHERE scope_key IS NOT NULL;

-- id: 2^40 * space_key + number, so that the vectors of one space lie together, in order.
-- vector: float32, little-endian, unit length, as many as the space has dimensions.
-- raw_norm: length of the network's output before it was scaled to one; of no declared type, so
-- that 1.0 takes as many bytes as any other. Rows of one size are never packed anew within a page,
-- which is when SQLite leaves copies of rows in the page's unused bytes.
CREATE TABLE embedding (
    id       INTEGER PRIMARY KEY,
    raw_norm NOT NULL CHECK (typeof(raw_norm) = 'real' AND raw_norm > 0),
    vector   BLOB NOT NULL CHECK (typeof(vector) = 'blob')
);

CREATE TABLE crop (
    number INTEGER PRIMARY KEY REFERENCES sample (number),
    data   BLOB NOT NULL
);

CREATE TABLE audit (
    number  INTEGER PRIMARY KEY,
    made_at TEXT NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT,
    detail  TEXT NOT NULL,
    hash    TEXT NOT NULL
);

CREATE INDEX audit_of_subject ON audit (subject, number);

-- What those who search must read again, newest last; only the newest are kept. Kinds and what
-- their keys are: see `Change.tell`.
CREATE TABLE change (
    seq   INTEGER PRIMARY KEY,
    kind  TEXT    NOT NULL,
    key   INTEGER NOT NULL,
    other INTEGER NOT NULL
);

-- How far a search engine that follows this gallery has got; only such an engine uses it.
CREATE TABLE mirror (
    name        TEXT PRIMARY KEY,
    token       TEXT    NOT NULL,
    seq         INTEGER NOT NULL,
    last_sample INTEGER NOT NULL
);

INSERT INTO space (key, model, digest, dimension, preprocessing, samples)
    SELECT id, model, digest, dimension, preprocessing,
        (SELECT count(*) FROM old_sample WHERE space_id = old_space.id)
    FROM old_space;

INSERT INTO person (key, id, name, created_at, updated_at)
    SELECT id, name, name, created_at, created_at FROM old_person;

INSERT INTO sample (number, person_key, source_digest, source, created_at)
    SELECT id, person_id, source_digest, source, created_at FROM old_sample ORDER BY id;

INSERT INTO embedding (id, raw_norm, vector)
    SELECT space_id * 1099511627776 + id, raw_norm + 0.0, vector FROM old_sample
    ORDER BY space_id, id;

INSERT INTO gallery
    (id, created_at, salt, active_space, last_space, last_person, last_sample)
    SELECT 1, created_at, randomblob(32), space_id,
        (SELECT coalesce(max(id), 0) FROM old_space),
        coalesce((SELECT seq FROM sqlite_sequence WHERE name IN ('person', 'old_person')), 0),
        coalesce((SELECT seq FROM sqlite_sequence WHERE name IN ('sample', 'old_sample')), 0)
    FROM old_gallery;

DROP TABLE old_sample;

DROP TABLE old_person;

DROP TABLE old_gallery;

DROP TABLE old_space;
