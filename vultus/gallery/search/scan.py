"""One pass over the rows that count: their cosines with some queries, part by part."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search.filter import Filters, Selection, Table
from vultus.gallery.search.int8 import BLOCK_ROWS, Block, Codes, Screen, rounding

__all__ = ["Part", "Scan", "Scanner", "scored"]

_SCORES_PER_PART = 1 << 19  # 2 MiB of scores: what the next step reads is still in the cache
_RUN_ROWS = 256  # rows behind one another on average that are worth a product of their own
_GATHERED_PER_STEP = 256  # rows that stay in the processor's cache between copy and product

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some rows' scores; the arrays are written to again for the next part.

    Attributes:
        scores: (q, m) float32; -inf for a row that does not count.
        rows: (m,) which rows of the table these are, or a run of them.
    """

    scores: Floats
    rows: Places | slice

    def to_rows(self, columns: Places) -> Places:
        """The table's rows in some columns of the scores."""
        return self.rows.start + columns if isinstance(self.rows, slice) else self.rows[columns]


class Scan:
    """A pass over some rows: a cosine is unit · score + zero, give or take the query's error.

    Args:
        scanner: Of the table.
        selection: The rows that count, not none.
        queries: (q, d) float32, unit rows.
        coded: Whether codes may be used; else scores are as exact as float32 is.

    Attributes:
        queries: The same.
        rows: How many rows are passed over.
        units: (q,) float64, positive.
        zeros: (q,) float64.
        errors: (q,) float64, how far a cosine may be off.
        coded: Whether codes are used.
    """

    def __init__(
        self, scanner: Scanner, selection: Selection, queries: Floats, *, coded: bool
    ) -> None:
        table, screen = scanner.table, scanner.screen
        blocks = screen.cover(table.vectors) if coded else ()
        self._rows: Places | None = None
        self._denied: NDArray[np.bool_] | None = None
        if selection.is_sparse(screened=bool(blocks)):
            self._rows, self.rows = selection.rows, selection.count
            copied = scanner.filters.codes(selection, blocks) if blocks else None
            used = [] if copied is None else [copied]
        else:
            layout = selection.layout
            self._rows, self.rows, self._denied = layout.rows, layout.count, layout.denied
            used = [blocks[number] for number in layout.blocks if number < len(blocks)]
        self._vectors = table.vectors
        self._screen = screen
        self._used: list[Block] = used
        self._codes: Codes | None = None
        self.queries = queries
        count = len(queries)
        self.units, self.zeros = np.ones(count), np.zeros(count)
        self.errors = np.full(count, rounding(queries.shape[1]))
        self.coded = bool(used)
        if used:
            codes = self._codes = screen.encode(queries)
            self.units, self.zeros, self.errors = (
                codes.units,
                codes.zeros,
                screen.error(codes, used),
            )

    def __iter__(self) -> Iterator[Part]:
        """The rows with codes, block by block, then the rest from the vectors."""
        done = 0
        # One room for the scores of all parts: two of them need not be held at once.
        self._room: Floats = np.empty(0, dtype=np.float32)
        together = max(1, _SCORES_PER_PART // (BLOCK_ROWS * len(self.queries)))
        for first in range(0, len(self._used), together):
            blocks = self._used[first : first + together]
            yield self._coded_part(blocks, done)
            done += sum(map(len, blocks))
        for start in range(done, self.rows, together * BLOCK_ROWS):
            yield self._plain_part(start, min(start + together * BLOCK_ROWS, self.rows))

    def _coded_part(self, blocks: Sequence[Block], start: int) -> Part:
        if self._codes is None:
            raise RuntimeError("codes are made with the blocks")
        scores = self._scores(sum(map(len, blocks)))
        done = 0
        for block in blocks:
            self._screen.score(self._codes, block, scores[:, done : done + len(block)])
            done += len(block)
        return self._part(scores, start)

    def _plain_part(self, start: int, stop: int) -> Part:
        scores = self._scores(stop - start)
        if self._rows is None:
            _product(self.queries, self._vectors[start:stop], scores)
        else:
            scored(self._vectors, self._rows[start:stop], self.queries, scores)
        if self.coded:
            np.subtract(scores, self.zeros[:, None], out=scores, casting="same_kind")
            np.divide(scores, self.units[:, None], out=scores, casting="same_kind")
        return self._part(scores, start)

    def _scores(self, rows: int) -> Floats:
        size = len(self.queries) * rows
        if size > len(self._room):
            self._room = np.empty(size, dtype=np.float32)
        return self._room[:size].reshape(len(self.queries), rows)

    def _part(self, scores: Floats, start: int) -> Part:
        inside = slice(start, start + scores.shape[1])
        if self._denied is not None:
            np.copyto(scores, -np.inf, where=self._denied[inside])
        return Part(scores, inside if self._rows is None else self._rows[inside])


class Scanner:
    """Scans a table, by its codes where there are some.

    Args:
        table: The rows.
        screen: Their codes.
        filters: Of this table.
    """

    def __init__(self, table: Table, screen: Screen, filters: Filters) -> None:
        self.table = table
        self.screen = screen
        self.filters = filters

    def scan(self, selection: Selection, queries: Floats, *, coded: bool = True) -> Scan:
        """A pass over the rows of a selection; see `Scan`."""
        return Scan(self, selection, queries, coded=coded)


def scored(vectors: Floats, rows: Places, queries: Floats, out: Floats) -> None:
    """Write the cosines of queries with rows, ascending, into `out`, (q, n)."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    if len(breaks) * _RUN_ROWS > len(rows):
        _gathered(vectors, rows, queries, out)
        return
    ends = (0, *breaks.tolist(), len(rows)) if len(rows) else ()
    for begin, end in itertools.pairwise(ends):
        run = slice(int(rows[begin]), int(rows[end - 1]) + 1)  # nothing to copy
        _product(queries, vectors[run], out[:, begin:end])


def _gathered(vectors: Floats, rows: Places, queries: Floats, out: Floats) -> None:
    """Write the cosines of queries with rows here and there into `out`, (q, n)."""
    step = _GATHERED_PER_STEP * (1 if len(queries) == 1 else 16)
    room = np.empty((min(step, len(rows)), vectors.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        # "clip" because "raise" makes NumPy fill a copy of `out` first.
        copy = np.take(vectors, part, axis=0, out=room[: len(part)], mode="clip")
        _product(queries, copy, out[:, start : start + step])


def _product(queries: Floats, vectors: Floats, out: Floats) -> None:
    if len(queries) == 1:
        np.dot(vectors, queries[0], out=out[0])
    else:
        np.matmul(queries, vectors.T, out=out)
