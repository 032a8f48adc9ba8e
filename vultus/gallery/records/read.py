"""What the records hold of samples, embeddings, spaces and the log, without changing anything."""

# ruff: noqa: S608 - only placeholders and words of our own are put together
from __future__ import annotations

from collections.abc import Sequence

from vultus.gallery._errors import missing_embedding_error
from vultus.gallery.audit import subject_of
from vultus.gallery.records.change import (
    Connection,
    chunks,
    from_json,
    marks,
    read_spaces,
    read_state,
)
from vultus.gallery.records.find import (
    AUDIT_COLUMNS,
    SPACE_STRIDE,
    audit_entry,
    decode_vectors,
    group_key,
    person_key,
    require_samples,
    space_key,
)
from vultus.gallery.values import AuditEntry, Sample, SpaceInfo
from vultus.types import Embedding, EmbeddingSpace

__all__ = [
    "count",
    "list_audit",
    "list_pending",
    "list_samples",
    "list_spaces",
    "read_crop",
    "read_embedding",
    "read_sample",
]

_SAMPLE = (
    "SELECT s.number, p.id, g.name, s.source_digest, s.source, s.quality, c.number, s.created_at"
    " FROM sample s JOIN person p ON p.key = s.person_key"
    " LEFT JOIN person_group g ON g.key = s.scope_key"
    " LEFT JOIN crop c ON c.number = s.number"
)
_IN_GROUP = (
    "(s.scope_key = ? OR (s.scope_key IS NULL AND EXISTS (SELECT 1 FROM membership m"
    " WHERE m.group_key = ? AND m.person_key = s.person_key)))"
)


def count(connection: Connection, table: str) -> int:
    """How many rows a table has."""
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def list_samples(
    connection: Connection, person: str | None, group: str | None, after: int, limit: int
) -> list[Sample]:
    """Samples by number; see `Gallery.samples`."""
    conditions, parameters = ["s.number > ?"], list[object]([after])
    if person is not None:
        conditions.append("s.person_key = ?")
        parameters.append(person_key(connection, person))
    if group is not None:
        conditions.append(_IN_GROUP)
        parameters += [group_key(connection, group)] * 2
    return _samples(connection, " AND ".join(conditions), [*parameters, limit])


def list_pending(
    connection: Connection, space: EmbeddingSpace, after: int, limit: int
) -> list[Sample]:
    """Samples that lack an embedding; see `Gallery.pending`."""
    base = space_key(connection, space) * SPACE_STRIDE
    where = "s.number > ? AND NOT EXISTS (SELECT 1 FROM embedding e WHERE e.id = s.number + ?)"
    return _samples(connection, where, [after, base, limit])


def read_sample(connection: Connection, number: int) -> Sample:
    """One sample; see `Gallery.sample`."""
    require_samples(connection, [number])
    return _samples(connection, "s.number = ?", [number, 1])[0]


def _samples(connection: Connection, where: str, parameters: Sequence[object]) -> list[Sample]:
    sql = f"{_SAMPLE} WHERE {where} ORDER BY s.number LIMIT ?"
    rows = connection.execute(sql, parameters).fetchall()
    spaces = _spaces_of(connection, [row[0] for row in rows])
    return [
        Sample(
            number,
            person,
            group,
            digest,
            source,
            from_json(quality),
            crop is not None,
            tuple(spaces.get(number, ())),
            created_at,
        )
        for number, person, group, digest, source, quality, crop, created_at in rows
    ]


def _spaces_of(connection: Connection, numbers: Sequence[int]) -> dict[int, list[str]]:
    """Ids of the spaces that samples have embeddings in, in the order of code points."""
    found: dict[int, list[str]] = {}
    by_id = sorted((space.id, key) for key, space in read_spaces(connection).items())
    for id_, key in by_id:
        base = key * SPACE_STRIDE
        for part in chunks(numbers):
            sql = f"SELECT id FROM embedding WHERE id IN {marks(part)}"
            rows = connection.execute(sql, [base + number for number in part]).fetchall()
            for (held,) in rows:
                found.setdefault(held - base, []).append(id_)
    return found


def read_embedding(connection: Connection, number: int, space: EmbeddingSpace | None) -> Embedding:
    """The embedding of a sample; see `Gallery.embedding`."""
    require_samples(connection, [number])
    if space is None:
        active = read_state(connection).active_space
        key = 0 if active is None else active
        space = read_spaces(connection)[key]  # a sample fixed it
    else:
        key = space_key(connection, space)
    row = connection.execute(
        "SELECT raw_norm, vector FROM embedding WHERE id = ?", (key * SPACE_STRIDE + number,)
    ).fetchone()
    if row is None:
        raise missing_embedding_error(number, space)
    (vector,) = decode_vectors([number], connection.unpack([row[1]]), space.dimension)
    return Embedding(vector, space, row[0])


def read_crop(connection: Connection, number: int) -> bytes | None:
    """The crop kept with a sample; see `Gallery.crop`."""
    require_samples(connection, [number])
    row = connection.execute("SELECT data FROM crop WHERE number = ?", (number,)).fetchone()
    return None if row is None else bytes(row[0])


def list_spaces(connection: Connection) -> list[SpaceInfo]:
    """Every space; see `Gallery.spaces`."""
    active = read_state(connection).active_space
    samples = dict(connection.execute("SELECT key, samples FROM space").fetchall())
    return [
        SpaceInfo(space, samples[key], key == active)
        for key, space in read_spaces(connection).items()
    ]


def list_audit(
    connection: Connection, person: str | None, after: int, limit: int
) -> list[AuditEntry]:
    """The log of changes; see `Gallery.audit`."""
    sql = f"SELECT {AUDIT_COLUMNS} FROM audit WHERE number > ?"
    parameters: list[object] = [after]
    if person is not None:
        sql += " AND subject = ?"
        parameters.append(subject_of(read_state(connection).salt, person))
    rows = connection.execute(f"{sql} ORDER BY number LIMIT ?", [*parameters, limit]).fetchall()
    return [audit_entry(row) for row in rows]
