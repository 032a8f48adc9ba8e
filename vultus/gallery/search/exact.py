"""Exact search: a scan leaves few candidates, double precision settles their order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from vultus.gallery.search.filter import Selection, Table
from vultus.gallery.search.int8 import rounding
from vultus.gallery.search.scan import Doubles, Floats, Places, Scanner, scored
from vultus.gallery.search.sieve import Bounds, Hits, kth_highest, leaders, sieve, starts

__all__ = ["Found", "cosines_of", "nearest", "settle"]

_PAIRS_PER_STEP = 256  # rows widened to float64 at a time (1 MiB at 512 dimensions)
_FEW_ROWS = 32  # per query: so few are settled in double precision at once
_QUERIES_AT_ONCE = 256
_HITS_AT_ONCE = 1 << 22  # pairs that may pass at a time when all do: 100 MB
_MANY_ROWS = 2048  # so many are compared at once before codes are worth the trouble
_USELESS = 0.1  # share of rows left above which the codes have told nothing
_ROWS_PER_PEAK = 256  # with fewer, peaks tell little about the rows below them
_WIDER = 8  # how many times more peaks a sieve gets when one was too narrow


@dataclass(frozen=True, slots=True)
class Found:
    """One person found.

    Attributes:
        similarity: In [-1, 1].
        slot: The person.
        sample: Number of their best sample.
    """

    similarity: float
    slot: int
    sample: int


def nearest(
    scanner: Scanner,
    selection: Selection,
    queries: Floats,
    k: int,
    at_least: float,
    *,
    coded: bool = True,
) -> list[list[Found]]:
    """For each query the people whose best row is among the `k` best, and those level with them.

    Args:
        scanner: Of the rows.
        selection: The rows that count, not none.
        queries: (q, d) float32, unit rows.
        k: ≥ 1.
        at_least: No match below this similarity.
        coded: Whether codes may be scanned; the answer is the same.
    """
    table = scanner.table
    if len(queries) == 1 and selection.count <= _MANY_ROWS:
        return _among_few(scanner, selection, queries, k, at_least)
    found: list[list[Found]] = [[] for _ in queries]
    peaks = 3 * k + 2 * -(-len(table) // max(1, table.people))
    work = [(which, peaks, coded) for which in _batches(np.arange(len(queries)), peaks, table)]
    while work:
        which, peaks, coded = work.pop()
        scan = scanner.scan(selection, queries[which], coded=coded)
        bounds = Bounds.of(scan.units, scan.zeros, scan.errors, at_least)
        hits, enough = sieve(scan, table.slots, k, bounds, peaks)
        left = np.bincount(hits.query, minlength=len(which))
        useless = enough & (left > max(_USELESS * scan.rows, _MANY_ROWS)) & scan.coded
        for again, more, with_codes in ((~enough, peaks * _WIDER, coded), (useless, peaks, False)):
            work += [(b, more, with_codes) for b in _batches(which[again], more, table)]
        done = enough & ~useless
        hits = hits.take(np.flatnonzero(done[hits.query]))
        settled = settle(table, scan.queries, hits, k, at_least)
        for place in np.flatnonzero(done).tolist():
            found[which[place]] = settled[place]
    return found


def _among_few(
    scanner: Scanner, selection: Selection, query: Floats, k: int, at_least: float
) -> list[list[Found]]:
    """The same for one query and few rows, where a sieve costs more than it saves."""
    table, rows = scanner.table, selection.rows
    vectors = scanner.filters.vectors(selection)
    scores = np.empty((1, len(rows)), dtype=np.float32)
    if vectors is None:
        scored(table.vectors, rows, query, scores)
    else:
        np.dot(vectors, query[0], out=scores[0])
    high, wanted = scores[0], 4 * k
    if wanted < len(high):
        cut = float(np.partition(high, -wanted)[-wanted])
        floor = min(max(cut, at_least), 1.0) - 2.0 * rounding(query.shape[1])
        if cut <= at_least or len(np.unique(table.slots[rows[high >= cut]])) >= k:
            rows = rows[high >= floor] if floor > -1.0 else rows
    return settle(table, query, Hits.of_one(rows), k, at_least)


def _batches(which: Places, peaks: int, table: Table) -> list[Places]:
    """So many queries at a time that their hits fit into memory."""
    step = _QUERIES_AT_ONCE
    if peaks * _ROWS_PER_PEAK > len(table):  # much or all of the table may pass
        step = max(1, min(step, _HITS_AT_ONCE // len(table)))
    return [which[start : start + step] for start in range(0, len(which), step)]


def settle(table: Table, queries: Floats, hits: Hits, k: int, at_least: float) -> list[list[Found]]:
    """Order the people of candidate rows by their best cosine in double precision.

    Returns:
        Per query the `k` best and whoever is level with the last, in no promised order.
    """
    count = len(queries)
    if len(hits) > _FEW_ROWS * count:
        hits = _rescored(table, queries, hits)
        bounds = Bounds.of(
            np.ones(count), np.zeros(count), np.full(count, rounding(queries.shape[1])), at_least
        )
        hits = leaders(hits, table.slots, k, bounds)
    cosines = cosines_of(table, queries, hits)
    slots, samples = table.slots[hits.row], table.samples[hits.row]
    order = np.lexsort((samples, -cosines, slots, hits.query))
    best = order[starts(hits.query[order], slots[order])]
    best = best[cosines[best] >= at_least]
    ends = np.searchsorted(hits.query[best], np.arange(count + 1)).tolist()
    settled = []
    for begin, end in itertools.pairwise(ends):
        own = best[begin:end]
        own = own[cosines[own] >= kth_highest(cosines[own], k)]
        entries = zip(
            cosines[own].tolist(), slots[own].tolist(), samples[own].tolist(), strict=True
        )
        settled.append([Found(*entry) for entry in entries])
    return settled


def _rescored(table: Table, queries: Floats, hits: Hits) -> Hits:
    """The same hits, by query, with scores from the vectors."""
    order = np.lexsort((hits.row, hits.query))
    rows = hits.row[order]
    scores = np.empty((1, len(rows)), dtype=np.float32)
    ends = np.searchsorted(hits.query[order], np.arange(len(queries) + 1)).tolist()
    for place, (begin, end) in enumerate(itertools.pairwise(ends)):
        query = queries[place : place + 1]
        scored(table.vectors, rows[begin:end], query, scores[:, begin:end])
    return Hits(hits.query[order], rows, scores[0])


def cosines_of(table: Table, queries: Floats, hits: Hits) -> Doubles:
    """(n,) cosines of pairs of a query and a row, in double precision, within [-1, 1].

    Summing each row by itself gives equal vectors equal cosines wherever they lie.
    """
    wide = queries.astype(np.float64)
    cosines = np.empty(len(hits))
    for start in range(0, len(hits), _PAIRS_PER_STEP):
        part = slice(start, start + _PAIRS_PER_STEP)
        products = table.vectors[hits.row[part]] * wide[hits.query[part]]
        np.sum(products, axis=1, out=cosines[part])
    return np.clip(cosines, -1.0, 1.0, out=cosines)
