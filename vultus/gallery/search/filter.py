"""Which rows a search may find: those of some groups, less those that were removed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search.int8 import BLOCK_ROWS, Block, join

__all__ = ["Filters", "Layout", "Selection", "Table"]

_REMEMBERED = 16  # sets of groups per snapshot
# What a row costs beside one that is scanned as int8 in its block; measured at 100,000 x 512.
_COST_FLOAT = 2.7  # as float32, rows in a run
_COST_GATHERED = 5.5  # as float32, rows here and there
# Copies may take these shares of the vectors' memory, so that all of it stays below 1.3
# times the vectors: the codes are a quarter, numbers and names one or two per cent.
_CODES_SHARE = 0.03
_VECTORS_SHARE = 0.012
_COPY_FROM_ROWS = 256  # fewer are gathered in no time


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The rows of one moment; their arrays only ever grow behind what is seen here.

    Attributes:
        vectors: (n, d) float32, unit rows.
        slots: (n,) int32, each row's person.
        scopes: (n,) int64, the group a row is limited to, 0 for none; ``None``: none has one.
        samples: (n,) int64, sample numbers.
        dead: (n,) bool, rows that were removed; ``None``: none was.
        members: Group -> the slots of its people.
        people: Number of slots.
    """

    vectors: NDArray[np.float32]
    slots: NDArray[np.int32]
    scopes: NDArray[np.int64] | None
    samples: NDArray[np.int64]
    dead: NDArray[np.bool_] | None
    members: Mapping[int, NDArray[np.int32]]
    people: int

    def __len__(self) -> int:
        return len(self.samples)

    def denied(self, groups: Collection[int] | None) -> NDArray[np.bool_] | None:
        """(n,) bool, which rows do not count; ``None`` when all do.

        A row limited to a group counts in searches of that group; any other counts when its
        person is in one of the groups.
        """
        if groups is None:
            return self.dead
        inside = np.zeros(self.people, dtype=np.bool_)
        for group in groups:
            if group in self.members:
                inside[self.members[group]] = True
        counts = inside[self.slots]
        if self.scopes is not None:
            counts &= self.scopes == 0
            for group in groups:
                counts |= self.scopes == group
        if self.dead is not None:
            counts &= ~self.dead
        return np.logical_not(counts, out=counts)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Whole blocks of rows that a scan passes over, one behind the other.

    Attributes:
        blocks: Their numbers, ascending; the last block of a table may be a short one.
        count: m, the number of rows in them.
        rows: (m,) the table's rows in them, ascending; ``None``: all.
        denied: (m,) bool, which do not count; ``None``: all do.
    """

    blocks: list[int]
    count: int
    rows: NDArray[np.intp] | None
    denied: NDArray[np.bool_] | None


class Selection:
    """The rows that one filter lets through.

    Args:
        table: All rows.
        denied: Which of them do not count; ``None``: all do.

    Attributes:
        denied: The same.
        count: How many rows count.
        lengths: Per slot, how long the sum of its rows is, and how many they are; made by the
            first search for fused templates.
    """

    def __init__(self, table: Table, denied: NDArray[np.bool_] | None) -> None:
        self.denied = denied
        self.count = len(table) - (0 if denied is None else int(np.count_nonzero(denied)))
        self.lengths: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None
        self._table = table
        self._codes: Block | None = None
        self._vectors: NDArray[np.float32] | None = None
        self._uses = 0

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """The rows that count, ascending."""
        if self.denied is None:
            return np.arange(self.count, dtype=np.intp)
        return np.flatnonzero(~self.denied)

    @cached_property
    def run(self) -> slice | None:
        """The rows as a slice when they lie behind one another."""
        first, last = int(self.rows[0]), int(self.rows[-1])
        return slice(first, last + 1) if last - first + 1 == len(self.rows) else None

    @cached_property
    def blocks(self) -> list[int]:
        """The blocks with a row that counts."""
        starts = np.arange(0, len(self._table), BLOCK_ROWS)
        if self.denied is None:
            return list(range(len(starts)))
        return np.flatnonzero(np.logical_or.reduceat(~self.denied, starts)).tolist()

    @cached_property
    def layout(self) -> Layout:
        """Those blocks' rows."""
        total = len(self._table)
        if len(self.blocks) * BLOCK_ROWS >= total:
            return Layout(self.blocks, total, None, self.denied)
        inside = np.zeros(total, dtype=np.bool_)
        for block in self.blocks:
            inside[block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS] = True
        rows = np.flatnonzero(inside)
        denied = None if self.denied is None else self.denied[rows]
        return Layout(self.blocks, len(rows), rows, denied)

    def is_sparse(self, *, screened: bool) -> bool:
        """Whether to read the rows one by one rather than the blocks they lie in."""
        if self.denied is None:
            return False
        blocks = len(self.blocks) * BLOCK_ROWS * (1.0 if screened else _COST_FLOAT)
        return self.count * (_COST_FLOAT if self.run else _COST_GATHERED) < blocks

    def codes(self, blocks: Sequence[Block], room_bytes: int) -> Block | None:
        """Codes of the rows within `blocks`, side by side, where they are worth a copy.

        Args:
            blocks: Of all rows, from the first on.
            room_bytes: What the copy may take.
        """
        self._uses += 1
        if self._codes is None and self._uses > 1:
            rows = self.rows[: int(np.searchsorted(self.rows, len(blocks) * BLOCK_ROWS))]
            size = len(rows) * blocks[0].nbytes // BLOCK_ROWS
            if len(rows) >= _COPY_FROM_ROWS and size <= room_bytes:
                self._codes = join(blocks, rows)
        return self._codes

    def vectors(self, room_bytes: int) -> NDArray[np.float32] | None:
        """The rows themselves, side by side, where they lie so or are worth a copy.

        Args:
            room_bytes: What the copy may take.
        """
        if self.run is not None:
            return self._table.vectors[self.run]
        self._uses += 1
        size = self.count * self._table.vectors.itemsize * self._table.vectors.shape[1]
        if self._vectors is None and self._uses > 1 and size <= room_bytes:
            self._vectors = self._table.vectors[self.rows]
        return self._vectors

    @property
    def codes_bytes(self) -> int:
        """Memory of the copied codes."""
        return 0 if self._codes is None else self._codes.nbytes

    @property
    def vectors_bytes(self) -> int:
        """Memory of the copied vectors."""
        return 0 if self._vectors is None else self._vectors.nbytes


class Filters:
    """The selections of one snapshot's searches, each worked out once.

    Args:
        table: The rows.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._lock = threading.Lock()
        self._known: dict[frozenset[int] | None, Selection] = {}

    def select(self, groups: Collection[int] | None) -> Selection:
        """The rows that count in a search of these groups, or of everybody."""
        key = None if groups is None else frozenset(groups)
        with self._lock:
            found = self._known.pop(key, None)
            if found is None:
                found = Selection(self._table, self._table.denied(key))
                while len(self._known) >= _REMEMBERED:
                    del self._known[next(iter(self._known))]
            self._known[key] = found  # the last used is the last to go
        return found

    def codes(self, selection: Selection, blocks: Sequence[Block]) -> Block | None:
        """`Selection.codes` within the memory that copies of all filters may take."""
        with self._lock:
            return selection.codes(blocks, self._room_bytes(_CODES_SHARE, "codes_bytes"))

    def vectors(self, selection: Selection) -> NDArray[np.float32] | None:
        """`Selection.vectors` within that memory."""
        with self._lock:
            return selection.vectors(self._room_bytes(_VECTORS_SHARE, "vectors_bytes"))

    def _room_bytes(self, share: float, kind: Literal["codes_bytes", "vectors_bytes"]) -> int:
        taken: int = sum(getattr(s, kind) for s in self._known.values())
        return int(self._table.vectors.nbytes * share) - taken

    @property
    def nbytes(self) -> int:
        """Memory of the copies."""
        with self._lock:
            return sum(s.codes_bytes + s.vectors_bytes for s in self._known.values())
