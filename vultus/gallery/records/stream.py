"""The records as one stream, out of a gallery and into an empty one."""

# ruff: noqa: S608 - only words of our own are put together
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from vultus.gallery._stream import checked, not_empty_error
from vultus.gallery.audit import canonical
from vultus.gallery.records.change import (
    Change,
    Connection,
    as_json,
    from_json,
    read_spaces,
    read_state,
)
from vultus.gallery.records.find import AUDIT_COLUMNS, SPACE_STRIDE, audit_entry, decode_vectors
from vultus.gallery.values import (
    AuditEntry,
    EmbeddingRecord,
    GalleryRecord,
    GroupRecord,
    Membership,
    PersonRecord,
    Record,
    SampleRecord,
    SpaceRecord,
)
from vultus.types import Embedding, EmbeddingSpace

__all__ = ["dump_records", "restore_records"]

_ROWS_PER_PAGE = 1000


# -- out ------------------------------------------------------------------------------------------


def dump_records(connection: Connection) -> Iterator[Record]:
    """Everything, as of the connection's transaction; see `Gallery.dump`."""
    state = read_state(connection)
    yield GalleryRecord(state.created_at, state.salt, state.last_sample)
    spaces = read_spaces(connection)
    for key, space in spaces.items():
        yield SpaceRecord(space, key == state.active_space)
    sql = "SELECT name, note, created_at FROM person_group WHERE name > ? ORDER BY name LIMIT ?"
    for row in _pages(connection, sql, [""], lambda row: [row[0]]):
        yield GroupRecord(*row)
    sql = (
        "SELECT id, name, consent, created_at, updated_at FROM person WHERE id > ?"
        " ORDER BY id LIMIT ?"
    )
    for row in _pages(connection, sql, [""], lambda row: [row[0]]):
        yield PersonRecord(*row)
    sql = (
        "SELECT p.id, g.name, m.info FROM membership m JOIN person p ON p.key = m.person_key"
        " JOIN person_group g ON g.key = m.group_key"
        " WHERE p.id > ? OR (p.id = ? AND g.name > ?) ORDER BY p.id, g.name LIMIT ?"
    )
    for row in _pages(connection, sql, ["", "", ""], lambda row: [row[0], row[0], row[1]]):
        yield Membership(*row)
    yield from _samples(connection)
    yield from _embeddings(connection, spaces)
    sql = f"SELECT {AUDIT_COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?"
    for row in _pages(connection, sql, [0], lambda row: [row[0]]):
        yield audit_entry(row)


def _samples(connection: Connection) -> Iterator[SampleRecord]:
    sql = (
        "SELECT s.number, p.id, g.name, s.source_digest, s.source, s.quality, c.data,"
        " s.created_at FROM sample s JOIN person p ON p.key = s.person_key"
        " LEFT JOIN person_group g ON g.key = s.scope_key"
        " LEFT JOIN crop c ON c.number = s.number"
        " WHERE s.number > ? ORDER BY s.number LIMIT ?"
    )
    for row in _pages(connection, sql, [0], lambda row: [row[0]]):
        crop = None if row[6] is None else bytes(row[6])
        number, person, group, digest, source, quality, _, created_at = row
        yield SampleRecord(
            number, person, group, digest, source, from_json(quality), crop, created_at
        )


def _embeddings(
    connection: Connection, spaces: dict[int, EmbeddingSpace]
) -> Iterator[EmbeddingRecord]:
    sql = "SELECT id, raw_norm, vector FROM embedding WHERE id > ? ORDER BY id LIMIT ?"
    for id_, raw_norm, value in _pages(connection, sql, [0], lambda row: [row[0]]):
        key, number = divmod(id_, SPACE_STRIDE)
        space = spaces[key]
        (vector,) = decode_vectors([number], connection.unpack([value]), space.dimension)
        yield EmbeddingRecord(number, Embedding(vector, space, raw_norm))


def _pages(
    connection: Connection,
    sql: str,
    after: list[object],
    following: Callable[[Any], list[object]],
) -> Iterator[Any]:
    """All rows of a query that begins after given keys and ends after a number of rows."""
    while True:
        rows = connection.execute(sql, [*after, _ROWS_PER_PAGE]).fetchall()
        yield from rows
        if len(rows) < _ROWS_PER_PAGE:
            return
        after = following(rows[-1])


# -- in -------------------------------------------------------------------------------------------


def restore_records(change: Change, records: Iterable[Record]) -> None:
    """Take over a stream of records; see `Gallery.restore`."""
    state = change.state
    if state.revision:
        raise not_empty_error()
    restorer = _Restorer(change)
    batch: list[Any] = []
    for record in checked(records):
        if batch and (type(record) is not type(batch[0]) or len(batch) == _ROWS_PER_PAGE):
            restorer.write(batch)
            batch = []
        batch.append(record)
    restorer.write(batch)
    restorer.finish()


class _Restorer:
    """Writes checked records, some of one kind at a time, and keeps the keys they were given."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._execute = change.connection.execute
        self._write_rows = change.connection.executemany
        self._spaces: dict[EmbeddingSpace, int] = {}
        self._held: Counter[int] = Counter()
        self._groups: dict[str | None, int | None] = {None: None}
        self._people: dict[str, int] = {}
        self._writers: dict[type, Callable[[list[Any]], None]] = {
            GalleryRecord: self._gallery,
            SpaceRecord: self._write_spaces,
            GroupRecord: self._write_groups,
            PersonRecord: self._write_people,
            Membership: self._write_memberships,
            SampleRecord: self._write_samples,
            EmbeddingRecord: self._write_embeddings,
            AuditEntry: self._write_audit,
        }

    def write(self, batch: list[Any]) -> None:
        """Write records of one kind."""
        self._writers[type(batch[0])](batch)

    def finish(self) -> None:
        """Write what is known at the end only."""
        for key, samples in self._held.items():
            self._execute("UPDATE space SET samples = ? WHERE key = ?", (samples, key))
        self._change.tell("space", [0])

    def _gallery(self, batch: list[GalleryRecord]) -> None:
        self._execute(
            "UPDATE gallery SET created_at = ?, salt = ? WHERE id = 1",
            (batch[0].created_at, batch[0].salt),
        )
        self._change.state.last_sample = batch[0].last_sample

    def _write_spaces(self, batch: list[SpaceRecord]) -> None:
        for record in batch:
            space, key = record.space, self._change.next_space()
            self._spaces[space] = key
            self._execute(
                "INSERT INTO space (key, model, digest, dimension, preprocessing)"
                " VALUES (?, ?, ?, ?, ?)",
                (key, space.model, space.digest, space.dimension, space.preprocessing),
            )
            if record.active:
                self._change.state.active_space = key

    def _write_groups(self, batch: list[GroupRecord]) -> None:
        self._groups.update((record.name, self._change.next_group()) for record in batch)
        self._write_rows(
            "INSERT INTO person_group (key, name, note, created_at) VALUES (?, ?, ?, ?)",
            [(self._groups[r.name], r.name, r.note, r.created_at) for r in batch],
        )

    def _write_people(self, batch: list[PersonRecord]) -> None:
        keys = self._change.next_people(len(batch))
        self._people.update((r.id, key) for r, key in zip(batch, keys, strict=True))
        self._write_rows(
            "INSERT INTO person (key, id, name, consent, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (self._people[r.id], r.id, r.name, r.consent, r.created_at, r.updated_at)
                for r in batch
            ],
        )

    def _write_memberships(self, batch: list[Membership]) -> None:
        self._write_rows(
            "INSERT INTO membership (person_key, group_key, info) VALUES (?, ?, ?)",
            [(self._people[r.person], self._groups[r.group], r.info) for r in batch],
        )

    def _write_samples(self, batch: list[SampleRecord]) -> None:
        self._write_rows(
            "INSERT INTO sample (number, person_key, scope_key, source_digest, source, quality,"
            " created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    r.number,
                    self._people[r.person],
                    self._groups[r.group],
                    r.source_digest,
                    r.source,
                    as_json(r.quality),
                    r.created_at,
                )
                for r in batch
            ],
        )
        crops = [(r.number, r.crop) for r in batch if r.crop is not None]
        if crops:
            self._write_rows("INSERT INTO crop (number, data) VALUES (?, ?)", crops)

    def _write_embeddings(self, batch: list[EmbeddingRecord]) -> None:
        pack = self._change.connection.pack
        keys = [self._spaces[record.embedding.space] for record in batch]
        self._held.update(keys)
        self._write_rows(
            "INSERT INTO embedding (id, raw_norm, vector) VALUES (?, ?, ?)",
            [
                (
                    key * SPACE_STRIDE + r.number,
                    float(r.embedding.raw_norm),
                    pack(r.embedding.vector),
                )
                for key, r in zip(keys, batch, strict=True)
            ],
        )

    def _write_audit(self, batch: list[AuditEntry]) -> None:
        self._write_rows(
            "INSERT INTO audit (number, made_at, actor, action, subject, detail, hash)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (e.number, e.at, e.actor, e.action, e.subject, canonical(e.detail), e.hash)
                for e in batch
            ],
        )
        state = self._change.state
        state.last_audit, state.audit_head = batch[-1].number, batch[-1].hash
