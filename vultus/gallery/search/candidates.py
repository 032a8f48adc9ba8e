"""From a search engine's rows to people: exact similarities, and whether enough rows were seen."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.types import Match

__all__ = ["Candidate", "Proposal", "rank", "rounding", "search_until_certain"]

_GROWTH = 4  # how many times more rows are asked for when the first ones do not settle it


class Candidate(NamedTuple):
    """A sample that a search engine proposes, as the records know it.

    Attributes:
        number: Of the sample.
        person: Id of whose face it is.
        name: What they are called.
        vector: (d,) float32, little-endian bytes.
    """

    number: int
    person: str
    name: str
    vector: bytes


class Proposal(NamedTuple):
    """What a search engine answers.

    Attributes:
        candidates: The samples it found nearest, as far as the records still know them.
        worst: Inner product of the last one, as the engine computed it.
        complete: Whether there are no more.
    """

    candidates: Sequence[Candidate]
    worst: float
    complete: bool


def rounding(dimension: int) -> float:
    """By how much two float32 inner products of unit vectors may be off, and then some.

    The margin of the exact index; see there for its source.
    """
    return 2.0 * dimension * float(np.finfo(np.float32).eps)


def rank(query: NDArray[np.float32], candidates: Sequence[Candidate], k: int) -> list[Match]:
    """The `k` people nearest among `candidates`, by their best sample in double precision.

    The older sample counts on a tie, and people of equal similarity come in the order of ids; the
    arithmetic is that of the exact index, so that both give the same numbers.

    Convention:
        query: (d,) float32, unit length.
    """
    if not candidates:
        return []
    joined = b"".join(candidate.vector for candidate in candidates)
    vectors = np.frombuffer(joined, dtype="<f4").reshape(len(candidates), len(query))
    wide = query.astype(np.float64)
    cosines = np.clip((vectors * wide).sum(axis=1), -1.0, 1.0)
    best: dict[str, tuple[float, int, str]] = {}
    for candidate, cosine in zip(candidates, cosines.tolist(), strict=True):
        entry = (-cosine, candidate.number, candidate.name)
        if candidate.person not in best or entry < best[candidate.person]:
            best[candidate.person] = entry
    ranked = heapq.nsmallest(k, ((e[0], person, e[1], e[2]) for person, e in best.items()))
    return [Match(person, -negated, number, name) for negated, person, number, name in ranked]


def search_until_certain(
    propose: Callable[[int], Proposal],
    query: NDArray[np.float32],
    k: int,
    *,
    first: int,
    most: int,
    margin: float | None,
    min_similarity: float | None,
) -> list[Match] | None:
    """Ask for more and more rows until they hold the best samples of the `k` best people.

    Args:
        propose: Gives the best rows, at most as many as asked for.
        query: (d,) float32, unit length.
        k: Number of people.
        first: How many rows to ask for at first.
        most: More than so many are never asked for.
        margin: By how much the engine's inner products may be off, if it compares every row: what
            it did not propose can then be ruled out. ``None`` for an approximate engine, which
            promises nothing about those rows: `k` people are enough.
        min_similarity: People below do not count.

    Returns:
        The people, or ``None`` when `most` rows do not settle it.
    """
    least = -np.inf if min_similarity is None else min_similarity
    limit = min(first, most)
    while True:
        proposal = propose(limit)
        matches = rank(query, proposal.candidates, k)
        full = len(matches) == k
        matches = [match for match in matches if match.similarity >= least]
        if proposal.complete:
            return matches
        if margin is None:
            if full:
                return matches
        else:
            unseen = proposal.worst + margin
            if unseen < least or (len(matches) == k and matches[-1].similarity > unseen):
                return matches
        if limit == most:
            return None
        limit = min(most, limit * _GROWTH)
