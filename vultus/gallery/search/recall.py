"""How often a search engine finds whom exact search finds: asked of the very gallery it serves."""

# ruff: noqa: S608 - only placeholders are put together

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.records.change import Connection, chunks, marks
from vultus.gallery.records.find import SPACE_STRIDE, decode_vectors
from vultus.gallery.search.candidates import Candidate, rank

__all__ = ["Question", "questions", "recall"]

_QUESTIONS = 400
_LEAST = 50  # fewer tell little about a recall of 0.99
_TURNED = 0.5  # cosine of a hard genuine pair of an ArcFace-like model, as in `search.signs`
_STRANGERS = 8
_ROWS_PER_BLOCK = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A face whose owner exact search finds.

    Attributes:
        query: (d,) float32, unit length.
        person: Id of the owner.
        hidden: Number of the sample that must not count, being the query itself; 0 for none.
    """

    query: NDArray[np.float32]
    person: str
    hidden: int


def recall(
    asked: Sequence[Question], propose: Callable[[NDArray[np.float32]], Sequence[Candidate]]
) -> float | None:
    """The part of the questions that a search answers like exact search; ``None`` without any.

    Args:
        asked: What `questions` gave.
        propose: The samples the engine finds nearest to a query.
    """
    right = 0
    for question in asked:
        found = [c for c in propose(question.query) if c.number != question.hidden]
        best = rank(question.query, found, 1)
        right += bool(best) and best[0].person == question.person
    return right / len(asked) if asked else None


def questions(connection: Connection, space_key: int, dimension: int) -> list[Question]:
    """Faces of the gallery that exact search recognises, spread over all of it.

    At first samples of people who have several: the others must be found. Where too few people
    have, samples turned away from themselves: the sample itself must be found.

    Args:
        connection: To the records; a streaming one, as every vector is read.
        space_key: The space.
        dimension: Of its vectors.
    """
    base = space_key * SPACE_STRIDE
    numbers, owners, vectors = _some_samples(connection, base, dimension)
    if not numbers:
        return []
    found = _recognised(connection, base, vectors, owners, np.array(numbers))
    hidden = numbers
    if len(found) < _LEAST:
        vectors, hidden = _turned(vectors), [0] * len(numbers)
        found = _recognised(connection, base, vectors, owners, np.zeros(len(numbers)))
    ids = _ids(connection, {owners[i] for i in found})
    return [Question(vectors[i], ids[owners[i]], hidden[i]) for i in found]


def _some_samples(
    connection: Connection, base: int, dimension: int
) -> tuple[list[int], list[int], NDArray[np.float32]]:
    """Numbers, owners' keys and (n, d) vectors of some samples, one in every so many."""
    (last,) = connection.execute("SELECT last_sample FROM gallery WHERE id = 1").fetchone()
    found: dict[int, tuple[int, object]] = {}
    for start in np.linspace(1, max(1, last), _QUESTIONS, dtype=np.int64).tolist():
        row = connection.execute(
            "SELECT e.id, s.person_key, e.vector FROM embedding e"
            " JOIN sample s ON s.number = e.id - ? WHERE e.id >= ? AND e.id < ?"
            " ORDER BY e.id LIMIT 1",
            (base, base + start, base + SPACE_STRIDE),
        ).fetchone()
        if row is not None:
            found[row[0] - base] = row[1:]
    values = connection.unpack([value for _, value in found.values()])
    owners = [owner for owner, _ in found.values()]
    return list(found), owners, decode_vectors(list(found), values, dimension)


def _turned(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each turned away from itself until its cosine with itself is `_TURNED`.

    The direction is a mixture of strangers, as what disturbs a face looks like faces: of so many
    that none of them is nearer than the face itself.
    """
    others = np.zeros_like(vectors)
    for step in range(1, _STRANGERS + 1):
        others += (-1) ** step * np.roll(vectors, step, axis=0)
    away = others - np.einsum("nd,nd->n", vectors, others)[:, None] * vectors
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    turned = _TURNED * vectors + np.sqrt(1.0 - _TURNED**2) * away
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    result: NDArray[np.float32] = turned.astype(np.float32)
    return result


def _recognised(
    connection: Connection,
    base: int,
    queries: NDArray[np.float32],
    owners: Sequence[int],
    hidden: NDArray[np.int64] | NDArray[np.float64],
) -> list[int]:
    """Which of the queries are nearest to a sample of their owner, of all but the hidden ones."""
    own = np.full(len(queries), -np.inf, dtype=np.float32)
    other = np.full(len(queries), -np.inf, dtype=np.float32)
    mine = np.asarray(owners)[:, None]
    after = 0
    while True:
        rows = connection.execute(
            "SELECT e.id, s.person_key, e.vector FROM embedding e"
            " JOIN sample s ON s.number = e.id - ? WHERE e.id > ? AND e.id < ?"
            " ORDER BY e.id LIMIT ?",
            (base, base + after, base + SPACE_STRIDE, _ROWS_PER_BLOCK),
        ).fetchall()
        if not rows:
            return np.flatnonzero(own > other).tolist()
        ids, keys, values = zip(*rows, strict=True)
        numbers = [id_ - base for id_ in ids]
        after = numbers[-1]
        scores = queries @ decode_vectors(numbers, connection.unpack(values), queries.shape[1]).T
        scores[hidden[:, None] == np.array(numbers)] = -np.inf
        same = mine == np.array(keys)
        own = np.maximum(own, np.where(same, scores, -np.inf).max(axis=1))
        other = np.maximum(other, np.where(same, -np.inf, scores).max(axis=1))


def _ids(connection: Connection, keys: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for part in chunks(sorted(keys)):
        sql = f"SELECT key, id FROM person WHERE key IN {marks(part)}"
        found.update(connection.execute(sql, part).fetchall())
    return found
