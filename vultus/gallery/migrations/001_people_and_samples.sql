-- People, their face samples, and the embedding space that all samples live in.
-- Statements are separated by blank lines; the runner applies a file wholly or not at all.
-- No STRICT, RETURNING or other syntax younger than SQLite 3.31, so that RHEL 9's 3.34 works.
CREATE TABLE space (
    id            INTEGER PRIMARY KEY,
    model         TEXT    NOT NULL,
    digest        TEXT    NOT NULL,
    dimension     INTEGER NOT NULL CHECK (dimension > 0),
    preprocessing TEXT    NOT NULL,
    UNIQUE (model, digest, dimension, preprocessing)
);

-- One row. `space_id` is the space that is searched. The two counters tell other connections
-- what happened since they last looked: rows only appended (neither moved), rows gone, or rows
-- changed in place.
CREATE TABLE gallery (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    created_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    space_id   INTEGER REFERENCES space (id),
    removals   INTEGER NOT NULL DEFAULT 0,
    rewrites   INTEGER NOT NULL DEFAULT 0
);

INSERT INTO gallery (id) VALUES (1);

-- AUTOINCREMENT: a number is never used again, and later commits have higher numbers.
CREATE TABLE person (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL UNIQUE CHECK (typeof(name) = 'text'),
    created_at TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

-- vector: float32, little-endian, unit length, as many as the space has dimensions.
-- raw_norm: length of the network's output before it was scaled to one.
CREATE TABLE sample (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    person_id     INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    space_id      INTEGER NOT NULL REFERENCES space (id),
    vector        BLOB    NOT NULL CHECK (typeof(vector) = 'blob'),
    raw_norm      REAL    NOT NULL CHECK (raw_norm > 0),
    source_digest TEXT,
    source        TEXT,
    created_at    TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

CREATE UNIQUE INDEX sample_once
    ON sample (person_id, source_digest) WHERE source_digest IS NOT NULL;

-- Serves the cascade, the counts, and listing numbers without reading vectors.
CREATE INDEX sample_of_person ON sample (person_id, space_id);

CREATE TRIGGER sample_removed AFTER DELETE ON sample BEGIN
    UPDATE gallery SET removals = removals + 1;
END;

CREATE TRIGGER sample_rewritten AFTER UPDATE OF id, person_id, space_id, vector ON sample BEGIN
    UPDATE gallery SET rewrites = rewrites + 1;
END;

CREATE TRIGGER person_rewritten AFTER UPDATE OF id, name ON person BEGIN
    UPDATE gallery SET rewrites = rewrites + 1;
END;
