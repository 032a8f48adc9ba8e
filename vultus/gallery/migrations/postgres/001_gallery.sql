-- People, groups, samples, their embeddings in one or more spaces, the audit log, and a list of
-- changes that tells other connections what to read again: the tables of the SQLite gallery.
-- COLLATE "C" orders texts by code points whatever the database's language.
-- Statements are separated by blank lines; the runner applies a file wholly or not at all.
-- samples: how many have an embedding there. search_plan: how the approximate index of this space
-- is built and how good it was found; NULL searches exactly.
CREATE TABLE space (
    key           BIGINT PRIMARY KEY,
    model         TEXT COLLATE "C" NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    dimension     INTEGER NOT NULL CHECK (dimension > 0),
    preprocessing TEXT COLLATE "C" NOT NULL,
    samples       BIGINT NOT NULL DEFAULT 0,
    search_plan   TEXT COLLATE "C",
    UNIQUE (model, digest, dimension, preprocessing)
);

-- One row. `revision` counts changes; the last_* are the highest numbers ever given out;
-- `audit_head` is the hash of the newest entry of the log. Who changes anything locks it first.
CREATE TABLE gallery (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    created_at   TEXT COLLATE "C" NOT NULL,
    salt         BYTEA  NOT NULL CHECK (length(salt) = 32),
    active_space BIGINT REFERENCES space (key),
    revision     BIGINT NOT NULL DEFAULT 0,
    last_space   BIGINT NOT NULL DEFAULT 0,
    last_group   BIGINT NOT NULL DEFAULT 0,
    last_person  BIGINT NOT NULL DEFAULT 0,
    last_sample  BIGINT NOT NULL DEFAULT 0,
    last_change  BIGINT NOT NULL DEFAULT 0,
    last_audit   BIGINT NOT NULL DEFAULT 0,
    audit_head   TEXT COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE person_group (
    key        BIGINT PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    note       TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL
);

CREATE TABLE person (
    key        BIGINT PRIMARY KEY,
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    name       TEXT COLLATE "C" NOT NULL,
    consent    TEXT COLLATE "C",
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL
);

CREATE TABLE membership (
    person_key BIGINT NOT NULL REFERENCES person (key),
    group_key  BIGINT NOT NULL REFERENCES person_group (key),
    info       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (person_key, group_key)
);

CREATE INDEX membership_of_group ON membership (group_key, person_key);

-- scope_key: the one group the sample counts in; NULL: all groups of the person.
CREATE TABLE sample (
    number        BIGINT PRIMARY KEY,
    person_key    BIGINT NOT NULL REFERENCES person (key),
    scope_key     BIGINT REFERENCES person_group (key),
    source_digest TEXT COLLATE "C",
    source        TEXT COLLATE "C",
    quality       TEXT COLLATE "C",
    created_at    TEXT COLLATE "C" NOT NULL
);

CREATE INDEX sample_of_person ON sample (person_key, source_digest);

CREATE INDEX sample_of_scope ON sample (scope_key, person_key) WHERE scope_key IS NOT NULL;

-- id: 2^40 * space_key + number. vector: float32 (pgvector's type is), unit length, as many as the
-- space has dimensions. raw_norm: length of the network's output before it was scaled to one.
CREATE TABLE embedding (
    id       BIGINT PRIMARY KEY,
    raw_norm DOUBLE PRECISION NOT NULL CHECK (raw_norm > 0),
    vector   vector NOT NULL
);

-- Vectors are noise to a compressor, and are read whole: neither try to compress them nor, up to
-- the size of a page, put them into a table of their own.
ALTER TABLE embedding ALTER COLUMN vector SET STORAGE EXTERNAL;

ALTER TABLE embedding SET (toast_tuple_target = 8160);

CREATE TABLE crop (
    number BIGINT PRIMARY KEY REFERENCES sample (number),
    data   BYTEA NOT NULL
);

ALTER TABLE crop ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE audit (
    number  BIGINT PRIMARY KEY,
    made_at TEXT COLLATE "C" NOT NULL,
    actor   TEXT COLLATE "C" NOT NULL,
    action  TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C",
    detail  TEXT COLLATE "C" NOT NULL,
    hash    TEXT COLLATE "C" NOT NULL
);

CREATE INDEX audit_of_subject ON audit (subject, number);

-- What those who search must read again, newest last; only the newest are kept. Kinds and what
-- their keys are: see `Change.tell`.
CREATE TABLE change (
    seq   BIGINT PRIMARY KEY,
    kind  TEXT COLLATE "C" NOT NULL,
    key   BIGINT NOT NULL,
    other BIGINT NOT NULL
);

-- How far a search engine that follows this gallery has got; only such an engine reads or writes it.
CREATE TABLE mirror (
    name        TEXT COLLATE "C" PRIMARY KEY,
    token       TEXT COLLATE "C" NOT NULL,
    seq         BIGINT NOT NULL,
    last_sample BIGINT NOT NULL
);
