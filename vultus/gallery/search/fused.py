"""Search by fused templates: a person's mean direction stands for their samples."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search.exact import Found, cosines_of
from vultus.gallery.search.filter import Selection, Table
from vultus.gallery.search.int8 import rounding
from vultus.gallery.search.scan import Floats, Places, Scan, Scanner
from vultus.gallery.search.sieve import Hits, kth_highest, starts

__all__ = ["nearest_fused"]

_NO_DIRECTION = 1e-6  # samples whose sum is shorter than this cancel out
_ROWS_PER_STEP = 1024
_QUERIES_AT_ONCE = 32
_TINY = 1e-9  # far above what double precision loses here, far below what float32 does


def nearest_fused(
    scanner: Scanner,
    selection: Selection,
    queries: Floats,
    k: int,
    at_least: float,
    *,
    coded: bool = True,
) -> list[list[Found]]:
    """For each query the people whose template is among the `k` nearest, and those level.

    A template is the normalised sum of a person's rows that count. Its cosine is the sum of the
    rows' cosines over the length of that sum, so one scan finds the candidates; they are settled
    from the vectors in double precision.

    Args:
        scanner: Of the rows.
        selection: The rows that count, not none.
        queries: (q, d) float32, unit rows.
        k: ≥ 1.
        at_least: No match below this similarity.
        coded: Whether codes may be scanned; the answer is the same.
    """
    table = scanner.table
    if selection.lengths is None:
        selection.lengths = _lengths(table, selection.rows)
    lengths, counts = selection.lengths
    known = counts > 0
    unsure = counts * rounding(table.vectors.shape[1])  # the lengths were summed in float32
    short = np.maximum(lengths - unsure, _TINY)
    settled = []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        scan = scanner.scan(selection, queries[start : start + _QUERIES_AT_ONCE], coded=coded)
        for query, sums, error in zip(
            scan.queries, _sums(scan, table, counts), scan.errors.tolist(), strict=True
        ):
            likely = sums / np.maximum(lengths, _TINY)
            off = (counts * error + np.abs(likely) * unsure) / short + _TINY
            cut = max(min(kth_highest((likely - off)[known], k), 1.0), at_least)
            people = known & ((likely + off >= cut) | (cut <= -1.0))
            settled.append(_settle(table, selection, query, people, k, at_least))
    return settled


def _sums(scan: Scan, table: Table, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """(q, people) the sums of the cosines of each person's rows that count."""
    sums = np.zeros((len(scan.queries), table.people))
    for part in scan:
        part.scores[part.scores == -np.inf] = 0.0
        slots = table.slots[part.rows]
        first = int(slots.min())
        for total, scores in zip(sums, part.scores, strict=True):
            own = np.bincount(slots - first, weights=scores)
            total[first : first + len(own)] += own
    return sums * scan.units[:, None] + counts * scan.zeros[:, None]


def _lengths(table: Table, rows: Places) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Per slot, the length of the sum of these rows, and how many they are."""
    counts = np.bincount(table.slots[rows], minlength=table.people)
    lengths = np.zeros(table.people)
    ordered = rows[np.argsort(table.slots[rows], kind="stable")]
    slots = np.flatnonzero(counts)
    ends = np.cumsum(counts[slots])
    begin = first = 0
    while first < len(slots):
        # At least one person, at most so many rows.
        last = max(first + 1, int(np.searchsorted(ends, begin + _ROWS_PER_STEP, side="right")))
        own = ordered[begin : ends[last - 1]]
        offsets = ends[first:last] - counts[slots[first:last]] - begin
        sums = np.add.reduceat(table.vectors[own], offsets, axis=0)
        lengths[slots[first:last]] = np.sqrt(np.einsum("nd,nd->n", sums, sums))
        begin, first = int(ends[last - 1]), last
    return lengths, counts


def _settle(
    table: Table,
    selection: Selection,
    query: Floats,
    people: NDArray[np.bool_],
    k: int,
    at_least: float,
) -> list[Found]:
    """Compute the templates' cosines of some people; the `k` best and those level with them."""
    wanted = people[table.slots]
    if selection.denied is not None:
        wanted &= ~selection.denied
    rows = np.flatnonzero(wanted)
    rows = rows[np.lexsort((table.samples[rows], table.slots[rows]))]
    cosines = cosines_of(table, query[None], Hits.of_one(rows))
    wide = query.astype(np.float64)
    found = []
    begins = starts(table.slots[rows]).tolist()
    for begin, end in itertools.pairwise([*begins, len(rows)]):
        own = rows[begin:end]
        total = table.vectors[own].astype(np.float64).sum(axis=0)
        length = float(np.sqrt((total * total).sum()))
        if length < _NO_DIRECTION:
            continue
        similarity = min(max(float((wide * (total / length)).sum()), -1.0), 1.0)
        if similarity >= at_least:
            best = int(own[np.argmax(cosines[begin:end])])  # the first, hence the oldest, of equals
            found.append(Found(similarity, int(table.slots[best]), int(table.samples[best])))
    kth = kth_highest(np.array([person.similarity for person in found]), k)
    return [person for person in found if person.similarity >= kth]
