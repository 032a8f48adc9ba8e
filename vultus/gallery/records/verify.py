"""Whether the records are sound: references, counts, vectors, the log, the index."""

# ruff: noqa: S608 - only placeholders and words of our own are put together
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from vultus.gallery.audit import CHAIN_START, verify_chain
from vultus.gallery.records.change import (
    Connection,
    Damage,
    chunks,
    marks,
    read_spaces,
    read_state,
)
from vultus.gallery.records.find import AUDIT_COLUMNS, SPACE_STRIDE, audit_entry, decode_vectors
from vultus.gallery.search.snapshot import Snapshot
from vultus.gallery.values import Finding
from vultus.types import EmbeddingSpace

__all__ = ["verify_index", "verify_records"]

_ROWS_PER_FETCH = 2000
_SHOWN = 10  # findings of one kind; a thousand alike help nobody

_ORPHANS = {
    "sample {} belongs to nobody": (
        "SELECT number FROM sample WHERE person_key NOT IN (SELECT key FROM person)"
    ),
    "sample {} is scoped to no group": (
        "SELECT number FROM sample WHERE scope_key IS NOT NULL"
        " AND scope_key NOT IN (SELECT key FROM person_group)"
    ),
    "sample {} is scoped to a group its person is not in": (
        "SELECT s.number FROM sample s WHERE s.scope_key IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM membership m"
        " WHERE m.person_key = s.person_key AND m.group_key = s.scope_key)"
    ),
    "a membership is nobody's (person {})": (
        "SELECT person_key FROM membership WHERE person_key NOT IN (SELECT key FROM person)"
    ),
    "a membership leads to no group (group {})": (
        "SELECT group_key FROM membership WHERE group_key NOT IN (SELECT key FROM person_group)"
    ),
    "a crop is of no sample (number {})": (
        "SELECT number FROM crop WHERE number NOT IN (SELECT number FROM sample)"
    ),
}
_NUMBERED = {
    "sample": ("number", "last_sample"),
    "person": ("key", "last_person"),
    "person_group": ("key", "last_group"),
    "space": ("key", "last_space"),
    "change": ("seq", "last_change"),
    "audit": ("number", "last_audit"),
}


def verify_records(connection: Connection) -> Iterator[Finding]:
    """Everything but the index."""
    yield from _verify_references(connection)
    yield from _verify_numbers(connection)
    yield from _verify_embeddings(connection)
    yield from _verify_audit(connection)


def _verify_references(connection: Connection) -> Iterator[Finding]:
    for message, sql in _ORPHANS.items():
        rows = connection.execute(f"{sql} LIMIT {_SHOWN}").fetchall()
        yield from (Finding("orphan", message.format(key)) for (key,) in rows)
    state = read_state(connection)
    spaces = read_spaces(connection)
    if (state.active_space is None) != (not spaces) or (
        spaces and state.active_space not in spaces
    ):
        yield Finding("space", "exactly one of the spaces must be active, none is")


def _verify_numbers(connection: Connection) -> Iterator[Finding]:
    state = read_state(connection)
    for table, (column, last) in _NUMBERED.items():
        (highest,) = connection.execute(f"SELECT max({column}) FROM {table}").fetchone()
        given = getattr(state, last)
        if highest is not None and highest > given:
            yield Finding(
                "number", f"{table} {highest} must be at most {given}, the last given out"
            )


def _verify_embeddings(connection: Connection) -> Iterator[Finding]:
    spaces = read_spaces(connection)
    counts = dict(connection.execute("SELECT key, samples FROM space").fetchall())
    held = dict.fromkeys(counts, 0)
    after, shown = 0, 0
    while True:
        rows = connection.execute(
            "SELECT e.id, e.raw_norm, e.vector FROM embedding e WHERE e.id > ?"
            " ORDER BY e.id LIMIT ?",
            (after, _ROWS_PER_FETCH),
        ).fetchall()
        if not rows:
            break
        after = rows[-1][0]
        for found in _verify_rows(connection, rows, spaces, held):
            shown += 1
            if shown <= _SHOWN:
                yield found
    for key, samples in counts.items():
        if held[key] != samples:
            yield Finding(
                "count",
                f"the space {spaces[key]} must have {samples} embeddings, it has {held[key]}",
            )


def _verify_rows(
    connection: Connection,
    rows: Sequence[tuple[int, float, object]],
    spaces: Mapping[int, EmbeddingSpace],
    held: dict[int, int],
) -> Iterator[Finding]:
    """What is wrong with some embeddings; counts those of each space."""
    of_space: dict[int, list[tuple[int, object]]] = {}
    for id_, raw_norm, value in rows:
        key, number = divmod(id_, SPACE_STRIDE)
        of_space.setdefault(key, []).append((number, value))
        if not (isinstance(raw_norm, float) and 0.0 < raw_norm < math.inf):
            yield Finding("vector", f"sample {number}: a raw norm must be positive, is {raw_norm}")
    numbers = sorted({number for pairs in of_space.values() for number, _ in pairs})
    known: set[int] = set()
    for part in chunks(numbers):
        sql = f"SELECT number FROM sample WHERE number IN {marks(part)}"
        known.update(number for (number,) in connection.execute(sql, part).fetchall())
    for key, pairs in of_space.items():
        if key not in spaces:
            yield Finding("orphan", f"an embedding is of no space (sample {pairs[0][0]})")
            continue
        held[key] += len(pairs)
        for number, _ in pairs:
            if number not in known:
                yield Finding("orphan", f"an embedding is of no sample (number {number})")
        values = connection.unpack([value for _, value in pairs])
        yield from _verify_vectors([number for number, _ in pairs], values, spaces[key])


def _verify_vectors(
    numbers: Sequence[int], values: Sequence[object], space: EmbeddingSpace
) -> Iterator[Finding]:
    try:
        decode_vectors(numbers, values, space.dimension)
    except Damage:
        for number, value in zip(numbers, values, strict=True):
            try:
                decode_vectors([number], [value], space.dimension)
            except Damage as damage:
                expected = damage.fields["expected"]
                yield Finding("vector", f"sample {number} must hold {expected} in {space}")


def _verify_audit(connection: Connection) -> Iterator[Finding]:
    state = read_state(connection)
    head, last = CHAIN_START, 0
    while True:
        rows = connection.execute(
            f"SELECT {AUDIT_COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?",
            (last, _ROWS_PER_FETCH),
        ).fetchall()
        if not rows:
            break
        try:
            entries = [audit_entry(row) for row in rows]
        except ValueError:
            yield Finding("audit", f"an audit entry after {last} is not as it was written")
            return
        broken = verify_chain(entries, previous=head)
        if broken:
            yield from broken
            return
        head, last = entries[-1].hash, entries[-1].number
    if (head, last) != (state.audit_head, state.last_audit):
        yield Finding(
            "audit", f"the audit log must end with entry {state.last_audit}, it ends with {last}"
        )


def verify_index(connection: Connection, snapshot: Snapshot, space_key: int) -> Iterator[Finding]:
    """Whether the index that is searched holds what the records hold."""
    held = set(snapshot.samples.tolist())
    base, after, shown = space_key * SPACE_STRIDE, 0, 0
    while shown < _SHOWN:
        rows = connection.execute(
            "SELECT id, vector FROM embedding WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (base + after, base + SPACE_STRIDE, _ROWS_PER_FETCH),
        ).fetchall()
        if not rows:
            break
        numbers = [id_ - base for id_, _ in rows]
        after = numbers[-1]
        for number, value in zip(numbers, connection.unpack([v for _, v in rows]), strict=True):
            found = snapshot.vector(number) if number in held else None
            if found is None or found.astype("<f4", copy=False).tobytes() != value:
                shown += 1
                yield Finding("index", f"the index must hold sample {number} as it is stored")
        held.difference_update(numbers)
    for number in sorted(held)[:_SHOWN] if shown < _SHOWN else ():
        yield Finding("index", f"the index holds sample {number}, which is not stored")
