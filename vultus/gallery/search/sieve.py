"""Keeps, of a scan, the few rows that can be the best of one of the `k` best people."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search.scan import Doubles, Floats, Places, Scan

__all__ = ["Bounds", "Hits", "kth_highest", "leaders", "sieve", "starts"]

_ROWS_PER_PEAK = 64  # with fewer rows in a group, peaks cost more than they sort out
_LOWEST = float(np.finfo(np.float32).min)  # passes every score but -inf


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """What must be known about each query's scores to compare them, all (q,) float64.

    Attributes:
        margin: Twice what a score may be off, since two are compared.
        lowest: Scores from here down end up as cosine -1, level with each other.
        highest: Scores from here up end up as cosine 1.
        at_least: What is below does not count.
    """

    margin: Doubles
    lowest: Doubles
    highest: Doubles
    at_least: Doubles

    @classmethod
    def of(cls, units: Doubles, zeros: Doubles, errors: Doubles, at_least: float) -> Self:
        """For scores of which a cosine is unit · score + zero, give or take the error."""
        return cls(
            2.0 * errors / units,
            (-1.0 - zeros) / units,
            (1.0 - zeros) / units,
            (at_least - zeros) / units,
        )

    def floor(self, kth: NDArray[np.floating]) -> Doubles:
        """(q,) the lowest score that may reach the `k`-th best person's."""
        floor = np.minimum(np.maximum(kth, self.at_least), self.highest) - self.margin
        return np.where(floor > self.lowest, floor, _LOWEST)


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Pairs of a query and a row.

    Attributes:
        query: (n,) place of the query.
        row: (n,) row of the table.
        score: (n,) float32.
    """

    query: Places
    row: Places
    score: Floats

    @classmethod
    def of_one(cls, rows: Places) -> Self:
        """Rows for a single query, not scored."""
        return cls(np.zeros(len(rows), dtype=np.intp), rows, np.empty(0, dtype=np.float32))

    def __len__(self) -> int:
        return len(self.row)

    def take(self, places: Places) -> Hits:
        """Some of them."""
        return Hits(self.query[places], self.row[places], self.score[places])


def sieve(
    scan: Scan, slots: NDArray[np.int32], k: int, bounds: Bounds, peaks: int
) -> tuple[Hits, NDArray[np.bool_]]:
    """Pass over all rows and keep those that may matter.

    Each part is cut into groups of rows. The n-th highest of all groups' peaks so far is reached
    by n rows at least; where those belong to k people, rows further below than the margin
    cannot matter. The cut only rises, so each part is looked at once, while it is in the
    processor's cache.

    Args:
        scan: The scan.
        slots: Each row's person.
        k: How many people are sought, ≥ 1.
        bounds: On the scan's scores.
        peaks: n, so many more than k that the rows should belong to k people.

    Returns:
        The hits, and (q,) whether all that matter are among them: else the rows belonged to too
        few people, and more peaks are needed.
    """
    count = len(scan.queries)
    group = max(1, min(_ROWS_PER_PEAK, scan.rows // (4 * peaks)))
    peaks = min(peaks, scan.rows // group + 1)  # one more than there are: everything passes
    top = np.full((count, peaks), -np.inf, dtype=np.float32)
    found = []
    for part in scan:
        top = _highest(top, part.scores, group)
        floors = bounds.floor(top.min(axis=1)).astype(np.float32)
        places = np.flatnonzero(part.scores >= floors[:, None])
        query, column = np.divmod(places, part.scores.shape[1])
        found.append(Hits(query, part.to_rows(column), part.scores.ravel()[places]))
    hits = Hits(
        np.concatenate([part.query for part in found]),
        np.concatenate([part.row for part in found]),
        np.concatenate([part.score for part in found]),
    )
    cuts = top.min(axis=1)
    everything = (bounds.floor(cuts) == _LOWEST) | (cuts <= bounds.at_least)
    cuts[everything] = -np.inf
    high = hits.take(np.flatnonzero(hits.score >= cuts[hits.query]))
    people = _People(high, slots)
    floors = bounds.floor(people.kth_best(k, count)).astype(np.float32)
    hits = hits.take(np.flatnonzero(hits.score >= floors[hits.query]))
    return hits, everything | (np.bincount(people.query, minlength=count) >= k)


def _highest(top: Floats, scores: Floats, group: int) -> Floats:
    """The highest peaks of groups of so many rows so far."""
    width = scores.shape[1] // group
    if width == 0:
        return top
    groups = scores[:, : width * group].reshape(len(scores), group, width)
    every = np.concatenate((top, groups.max(axis=1)), axis=1)
    wanted = top.shape[1]
    highest: Floats = np.partition(every, -wanted, axis=1)[:, -wanted:]
    return highest


def leaders(hits: Hits, slots: NDArray[np.int32], k: int, bounds: Bounds) -> Hits:
    """Those hits that may be their person's best, of people who may be among a query's `k`.

    Args:
        hits: Of every person who matters all rows within the margin.
        slots: Each row's person.
        k: ≥ 1.
        bounds: On the scores.
    """
    people = _People(hits, slots)
    of = people.query
    floor = bounds.floor(people.kth_best(k, len(bounds.margin)))[of]
    own = np.minimum(people.best, bounds.highest[of]) - bounds.margin[of]
    own = np.where(own > bounds.lowest[of], np.maximum(own, floor), floor).astype(np.float32)
    kept = hits.score[people.order] >= np.repeat(own, people.counts)
    return hits.take(people.order[kept])


class _People:
    """Hits put together by query and person.

    Attributes:
        order: The hits' places, those of a person and query behind one another.
        counts: How many hits each of them has.
        query: Their queries, ascending.
        best: Their highest scores.
    """

    def __init__(self, hits: Hits, slots: NDArray[np.int32]) -> None:
        people = slots[hits.row].astype(np.int64)
        owner = hits.query * (people.max(initial=0) + 1) + people
        self.order = np.argsort(owner)
        begins = starts(owner[self.order])
        self.counts = np.diff(begins, append=len(owner))
        self.query = hits.query[self.order[begins]]
        ordered = hits.score[self.order]
        self.best = np.maximum.reduceat(ordered, begins) if len(begins) else ordered

    def kth_best(self, k: int, count: int) -> Doubles:
        """(q,) each query's `k`-th highest best score; -inf where fewer have one."""
        ends = np.searchsorted(self.query, np.arange(count + 1)).tolist()
        return np.array([kth_highest(self.best[b:e], k) for b, e in itertools.pairwise(ends)])


def starts(*columns: NDArray[np.integer]) -> Places:
    """Where each run of equal entries begins."""
    changed = np.ones(len(columns[0]), dtype=np.bool_)
    if len(changed):
        changed[1:] = False
        for column in columns:
            changed[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changed)


def kth_highest(values: NDArray[np.floating], k: int) -> float:
    """The `k`-th highest of some numbers; -inf where there are fewer."""
    return float(np.partition(values, -k)[-k]) if k <= len(values) else -np.inf
