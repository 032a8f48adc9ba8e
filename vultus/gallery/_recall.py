"""How often an approximate index finds whom it should: asked of the very gallery it serves."""

# ruff: noqa: S608 - only placeholders are put together

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vultus.gallery._records import Connection, chunks, marks
from vultus.gallery._records_find import SPACE_STRIDE, decode_vectors
from vultus.types import Match

__all__ = ["K", "NearestPeople"]

K = 5
"""How many of the nearest people must be found."""

_QUERIES = 100
_ROWS_PER_BLOCK = 2000
_ROWS_KEPT = 64  # true best rows per query: enough for 5 people of a dozen samples each


class NearestPeople:
    """Some stored vectors, and the people truly nearest to each, by comparing it with everything.

    Args:
        connection: To the records; a streaming one, as every vector is read.
        space_key: The space.
        dimension: Of its vectors.

    Attributes:
        queries: (q, d) float32: up to a hundred samples, spread over the gallery.
        people: For each the ids of the five nearest people, their own among them.
    """

    def __init__(self, connection: Connection, space_key: int, dimension: int) -> None:
        self.queries = _some_vectors(connection, space_key, dimension)
        keys = _nearest(connection, space_key, self.queries)
        names: dict[int, str] = {}
        for part in chunks({key for row in keys for key in row}):
            sql = f"SELECT key, id FROM person WHERE key IN {marks(part)}"
            names.update(connection.execute(sql, part).fetchall())
        self.people = [{names[key] for key in row} for row in keys]

    def recall(self, found: Sequence[Sequence[Match]]) -> float | None:
        """The part of these people that a search found; ``None`` for an empty gallery."""
        total = sum(map(len, self.people))
        hits = sum(
            len(people & {match.person for match in matches})
            for people, matches in zip(self.people, found, strict=True)
        )
        return hits / total if total else None


def _some_vectors(connection: Connection, space_key: int, dimension: int) -> NDArray[np.float32]:
    base = space_key * SPACE_STRIDE
    (last,) = connection.execute("SELECT last_sample FROM gallery WHERE id = 1").fetchone()
    found: dict[int, object] = {}
    for start in np.linspace(1, max(1, last), _QUERIES, dtype=np.int64).tolist():
        row = connection.execute(
            "SELECT id, vector FROM embedding WHERE id >= ? AND id < ? ORDER BY id LIMIT 1",
            (base + start, base + SPACE_STRIDE),
        ).fetchone()
        if row is not None:
            found[row[0] - base] = row[1]
    values = connection.unpack(list(found.values()))
    return decode_vectors(list(found), values, dimension)


def _nearest(
    connection: Connection, space_key: int, queries: NDArray[np.float32]
) -> list[list[int]]:
    """For each query the keys of the nearest people, nearest first."""
    base, after, dimension = space_key * SPACE_STRIDE, 0, queries.shape[1]
    scores = np.full((len(queries), _ROWS_KEPT), -np.inf, dtype=np.float32)
    people = np.zeros((len(queries), _ROWS_KEPT), dtype=np.int64)
    while True:
        rows = connection.execute(
            "SELECT e.id, s.person_key, e.vector FROM embedding e"
            " JOIN sample s ON s.number = e.id - ? WHERE e.id > ? AND e.id < ?"
            " ORDER BY e.id LIMIT ?",
            (base, base + after, base + SPACE_STRIDE, _ROWS_PER_BLOCK),
        ).fetchall()
        if not rows:
            break
        ids, keys, values = zip(*rows, strict=True)
        numbers = [id_ - base for id_ in ids]
        after = numbers[-1]
        vectors = decode_vectors(numbers, connection.unpack(values), dimension)
        block = queries @ vectors.T
        scores = np.concatenate([scores, block], axis=1)
        people = np.concatenate([people, np.broadcast_to(keys, block.shape)], axis=1)
        top = np.argpartition(-scores, _ROWS_KEPT - 1, axis=1)[:, :_ROWS_KEPT]
        scores = np.take_along_axis(scores, top, axis=1)
        people = np.take_along_axis(people, top, axis=1)
    ordered = np.take_along_axis(people, np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return [list(dict.fromkeys(key for key in row if key))[:K] for row in ordered.tolist()]
