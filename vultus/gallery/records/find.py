"""Looking things up in the records: people, groups and samples by what callers call them."""

# ruff: noqa: S608 - only placeholders and words of our own are put together
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.gallery._errors import (
    not_a_member_error,
    unknown_group_error,
    unknown_person_error,
    unknown_sample_error,
    unknown_space_error,
)
from vultus.gallery.records.change import Connection, Damage, chunks, from_json, marks
from vultus.gallery.values import AuditEntry
from vultus.types import EmbeddingSpace

__all__ = [
    "AUDIT_COLUMNS",
    "SPACE_STRIDE",
    "StoredSample",
    "audit_entry",
    "decode_vectors",
    "group_key",
    "group_keys",
    "membership_info",
    "person_key",
    "person_keys",
    "require_samples",
    "space_key",
    "stored_samples",
]

SPACE_STRIDE = 2**40
"""An embedding's key is its space's key times this, plus the sample's number."""

AUDIT_COLUMNS = "number, made_at, actor, action, subject, detail, hash"
"""Of the table `audit`, as `audit_entry` takes them."""

_UNIT_TOLERANCE = 1e-3  # the one of vultus.types.Embedding
_SUGGESTIONS = 5_000  # names looked at for "did you mean"


class StoredSample(NamedTuple):
    """What changes need to know of a sample."""

    number: int
    person_key: int
    scope_key: int | None
    source_digest: str | None


def person_key(connection: Connection, person: str) -> int:
    """The key of somebody.

    Raises:
        UnknownPersonError: Nobody has this id.
    """
    row = connection.execute("SELECT key FROM person WHERE id = ?", (person,)).fetchone()
    if row is None:
        names = connection.execute(f"SELECT id FROM person ORDER BY id LIMIT {_SUGGESTIONS}")
        raise unknown_person_error(person, [name for (name,) in names.fetchall()])
    return int(row[0])


def person_keys(connection: Connection, people: Iterable[str]) -> dict[str, int]:
    """The keys of those who are known."""
    found: dict[str, int] = {}
    for part in chunks(people):
        sql = f"SELECT id, key FROM person WHERE id IN {marks(part)}"
        found.update(connection.execute(sql, part).fetchall())
    return found


def group_key(connection: Connection, group: str) -> int:
    """The key of a group.

    Raises:
        UnknownGroupError: There is none of this name.
    """
    return group_keys(connection, [group])[group]


def group_keys(
    connection: Connection, groups: Iterable[str], *, missing: bool = False
) -> dict[str, int]:
    """The keys of groups, in the order given.

    Args:
        connection: Where to look.
        groups: Their names, each once.
        missing: Leave out those there are not, instead of refusing.

    Raises:
        UnknownGroupError: One there is not.
    """
    found: dict[str, int] = {}
    wanted = list(groups)
    for part in chunks(wanted):
        sql = f"SELECT name, key FROM person_group WHERE name IN {marks(part)}"
        found.update(connection.execute(sql, part).fetchall())
    for group in wanted:
        if group not in found and not missing:
            sql = f"SELECT name FROM person_group ORDER BY name LIMIT {_SUGGESTIONS}"
            names = connection.execute(sql).fetchall()
            raise unknown_group_error(group, [name for (name,) in names])
    return {group: found[group] for group in wanted if group in found}


def membership_info(
    connection: Connection, person: str, person_key: int, group: str, group_key: int
) -> str:
    """What is noted with a membership.

    Raises:
        UnknownPersonError: They are not in that group.
    """
    row = connection.execute(
        "SELECT info FROM membership WHERE person_key = ? AND group_key = ?",
        (person_key, group_key),
    ).fetchone()
    if row is None:
        raise not_a_member_error(person, group)
    return str(row[0])


def space_key(connection: Connection, space: EmbeddingSpace) -> int:
    """The key of a space.

    Raises:
        SpaceMismatchError: It was not added.
    """
    row = connection.execute(
        "SELECT key FROM space WHERE model = ? AND digest = ? AND dimension = ?"
        " AND preprocessing = ?",
        (space.model, space.digest, space.dimension, space.preprocessing),
    ).fetchone()
    if row is None:
        rows = connection.execute(
            "SELECT model, digest, dimension, preprocessing FROM space ORDER BY key"
        ).fetchall()
        raise unknown_space_error(space, [EmbeddingSpace(*row) for row in rows])
    return int(row[0])


def stored_samples(
    connection: Connection, where: str, parameters: Sequence[object]
) -> list[StoredSample]:
    """Samples that meet a condition, by number."""
    sql = f"SELECT number, person_key, scope_key, source_digest FROM sample WHERE {where}"
    rows = connection.execute(f"{sql} ORDER BY number", parameters).fetchall()
    return [StoredSample(*row) for row in rows]


def require_samples(connection: Connection, numbers: Sequence[int]) -> list[StoredSample]:
    """These samples, by number.

    Args:
        connection: Where to look.
        numbers: Ascending, each once.

    Raises:
        UnknownSampleError: One there is not.
    """
    found: list[StoredSample] = []
    for part in chunks(numbers):
        rows = stored_samples(connection, f"number IN {marks(part)}", part)
        if len(rows) < len(part):
            known = {row.number for row in rows}
            raise unknown_sample_error(next(n for n in part if n not in known))
        found += rows
    return found


def audit_entry(row: Sequence[Any]) -> AuditEntry:
    """An entry from what `AUDIT_COLUMNS` selects."""
    number, at, actor, action, subject, detail, found = row
    return AuditEntry(number, at, actor, action, subject, from_json(detail), found)


def decode_vectors(
    samples: Sequence[int], blobs: Sequence[object], dimension: int
) -> NDArray[np.float32]:
    """Stored vectors as (n, dimension) float32, every one verified.

    Raises:
        Damage: One has the wrong size, is not finite or not of unit length; the field ``sample``
            names it.
    """
    size_bytes = 4 * dimension
    for sample, blob in zip(samples, blobs, strict=True):
        if not isinstance(blob, bytes) or len(blob) != size_bytes:
            raise _vector_damage(sample, f"a vector of {dimension} float32 numbers")
    joined = b"".join(blobs)  # type: ignore[arg-type]  # all bytes, as just checked
    vectors = np.frombuffer(joined, dtype="<f4").astype(np.float32, copy=False)
    vectors = vectors.reshape(len(samples), dimension)
    with np.errstate(all="ignore"):  # NaN and infinity are the point
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
        sound = np.abs(lengths - 1.0) <= _UNIT_TOLERANCE
    if not sound.all():
        raise _vector_damage(samples[int(np.argmin(sound))], "a finite vector of unit length")
    return vectors


def _vector_damage(sample: int, expected: str) -> Damage:
    return Damage(
        f"is damaged: sample {sample} must hold {expected}", sample=sample, expected=expected
    )
