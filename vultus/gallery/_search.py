"""The exact index: all vectors of one space in one matrix, best sample per person."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus.types import EmbeddingSpace, Match

__all__ = ["ExactIndex", "Snapshot"]

_FIRST_CAPACITY = 64
_GROWTH = 1.5  # amortised constant cost per row with little memory idle
_HEADROOM = 1.1  # so that the next addition does not copy everything
_SCORES_PER_BLOCK = 1 << 24  # 64 MiB of float32 scores at a time in a batched search
_ROWS_PER_BLOCK = 4096  # rows widened to float64 at a time (16 MiB at 512 dimensions)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The index at one moment; later changes do not touch it.

    Attributes:
        vectors: (n, d) float32, unit rows.
        slots: (n,) int64, each row's person as an index into `names`.
        samples: (n,) int64, each row's sample number.
        names: People in order of first appearance; entries past `people` are of a later moment.
        people: Number of people; each has at least one row.
    """

    vectors: NDArray[np.float32]
    slots: NDArray[np.int64]
    samples: NDArray[np.int64]
    names: Sequence[str]
    people: int

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Match]]:
        """For each query the `k` nearest people, best first.

        Convention:
            queries: (q, d) float32, unit rows.
            k: ≥ 1.
        """
        rows = len(self.vectors)
        if rows == 0:
            return [[] for _ in queries]
        found = []
        block = max(1, _SCORES_PER_BLOCK // rows)
        for start in range(0, len(queries), block):
            part = queries[start : start + block]
            for query, scores in zip(part, part @ self.vectors.T, strict=True):
                candidates = self._candidates(scores, k)
                found.append(self._rank(query, candidates, k))
        return found

    def _candidates(self, scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
        """Every row that can be the best of one of the `k` best people.

        A float32 product of unit vectors is off by at most about d·u, u = 2⁻²⁴ (Higham 2002,
        *Accuracy and Stability of Numerical Algorithms*, section 3.1), and a single product
        differs from a batched one. Two scores are compared, and vectors may be 1e-3 longer than
        one: rows within 4·d·u of the cut stay in, and `_rank` settles the order. It clips
        cosines at 1, hence the cap here.
        """
        margin = 2.0 * self.vectors.shape[1] * float(np.finfo(np.float32).eps)
        best = scores
        if self.people < len(scores):
            best = np.full(self.people, -np.inf, dtype=np.float32)
            np.maximum.at(best, self.slots, scores)
        kth = np.partition(best, -k)[-k] if k < self.people else -np.inf
        rows = np.flatnonzero(scores >= min(kth, 1.0) - margin)
        own = np.minimum(best[self.slots[rows]], 1.0) - margin
        possible: NDArray[np.bool_] = scores[rows] >= own
        return rows[possible]

    def _rank(self, query: NDArray[np.float32], rows: NDArray[np.intp], k: int) -> list[Match]:
        """Order people by their best row's cosine in double precision, then by name.

        Summing each row by itself gives equal vectors equal similarities wherever they lie.
        """
        wide = query.astype(np.float64)
        best: dict[int, tuple[float, int]] = {}
        for start in range(0, len(rows), _ROWS_PER_BLOCK):
            part = rows[start : start + _ROWS_PER_BLOCK]
            cosines = np.clip((self.vectors[part] * wide).sum(axis=1), -1.0, 1.0)
            for slot, cosine, sample in zip(
                self.slots[part].tolist(),
                cosines.tolist(),
                self.samples[part].tolist(),
                strict=True,
            ):
                entry = (-cosine, sample)
                if slot not in best or entry < best[slot]:
                    best[slot] = entry
        ranked = heapq.nsmallest(k, ((neg, self.names[s], n) for s, (neg, n) in best.items()))
        return [Match(name, -negated, sample) for negated, name, sample in ranked]


class ExactIndex:
    """Vectors of one space, appended to and thinned out by one writer, read by many threads.

    A reader takes `snapshot` and searches it. Appending writes behind the rows a snapshot covers,
    thinning out makes new arrays, so a snapshot never changes. Writers must take turns.

    Args:
        space: Where the vectors live.

    Attributes:
        space: The same.
        snapshot: The index now.
    """

    def __init__(self, space: EmbeddingSpace) -> None:
        self.space = space
        self._clear()
        self.snapshot = self._view()

    def _clear(self) -> None:
        self._rows = 0
        self._slot_of: dict[str, int] = {}
        self._names: list[str] = []
        self._vectors = np.empty((0, self.space.dimension), dtype=np.float32)
        self._slots = np.empty(0, dtype=np.int64)
        self._samples = np.empty(0, dtype=np.int64)

    def _view(self) -> Snapshot:
        rows = slice(self._rows)
        return Snapshot(
            self._vectors[rows],
            self._slots[rows],
            self._samples[rows],
            self._names,
            len(self._names),
        )

    def reserve(self, rows: int) -> None:
        """Make room for `rows` rows in total, and a few more."""
        if rows <= len(self._vectors):
            return
        rows = int(rows * _HEADROOM)
        used = slice(self._rows)
        vectors = np.empty((rows, self.space.dimension), dtype=np.float32)
        slots = np.empty(rows, dtype=np.int64)
        samples = np.empty(rows, dtype=np.int64)
        vectors[used] = self._vectors[used]
        slots[used] = self._slots[used]
        samples[used] = self._samples[used]
        self._vectors, self._slots, self._samples = vectors, slots, samples

    def extend(
        self, names: Sequence[str], samples: Sequence[int], vectors: NDArray[np.float32]
    ) -> None:
        """Append rows: person, sample number and (n, d) unit vectors."""
        start, stop = self._rows, self._rows + len(names)
        if stop > len(self._vectors):
            self.reserve(max(stop, int(len(self._vectors) * _GROWTH), _FIRST_CAPACITY))
        self._vectors[start:stop] = vectors
        self._samples[start:stop] = samples
        self._slots[start:stop] = self._slots_for(names)
        self._rows = stop
        self.snapshot = self._view()

    def _slots_for(self, names: Sequence[str]) -> list[int]:
        slots = []
        for name in names:
            slot = self._slot_of.setdefault(name, len(self._names))
            if slot == len(self._names):
                self._names.append(name)
            slots.append(slot)
        return slots

    def keep(self, samples: Sequence[int]) -> None:
        """Drop every row whose sample number is not among `samples`, and people left without."""
        old = self.snapshot
        kept = np.flatnonzero(np.isin(old.samples, np.asarray(samples, dtype=np.int64)))
        self._clear()
        self.reserve(len(kept))
        self._rows = len(kept)
        rows = slice(self._rows)
        # "clip" because "raise" makes NumPy fill a copy of `out` first.
        np.take(old.vectors, kept, axis=0, out=self._vectors[rows], mode="clip")
        self._samples[rows] = old.samples[kept]
        self._slots[rows] = self._slots_for([old.names[s] for s in old.slots[kept].tolist()])
        self.snapshot = self._view()
