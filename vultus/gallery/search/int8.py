"""Int8 copies of the rows: scanned at a quarter of the memory traffic, with a proven error."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InferenceError
from vultus.gallery.search.product import integer_product
from vultus.gallery.search.trim import give_back
from vultus.runtime import Session

__all__ = ["BLOCK_ROWS", "Block", "Codes", "Screen", "join", "quantise", "rounding"]

BLOCK_ROWS = 4096
"""Rows quantised together; rows beyond the last block are scanned as they are."""

# Codes may take this share of the vectors' memory, so that everything stays below 1.3 times the
# vectors. That is enough for nearly all rows of 512 dimensions, for nine tenths of 128.
_SHARE = 0.245
_ROW_PEAK = 127  # of int8
# A query's numbers are -peak … peak above a zero point of peak + 1. Eight bits where the
# processor adds products in 32 bits (VNNI); where it adds pairs in 16 bits, 2 · 255 · 127 would
# saturate and 2 · 127 · 127 does not.
_QUERY_PEAKS = (127, 63)
_FEW = 2  # up to here one product per query is cheaper: a batch is repacked first
_ROWS_PER_STEP = 256  # quantised at a time: small pieces are given back to the system
_TRIALS = 5
_LONGER = 1.0 + 1e-3  # what unit vectors may have, and lengths that were summed in float32
_EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows less the centre, as int8 columns.

    Attributes:
        codes: (d, n) int8, one column per row.
        scales: (n,) float32: a row is its column times this, plus the centre.
        offsets: (n,) float32: what a query's zero point of 1 takes from the score.
        error: The longest difference between a row and what its column stands for.
        reach: The longest vector that a column stands for.
    """

    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    offsets: NDArray[np.float32]
    error: float
    reach: float

    def __len__(self) -> int:
        return len(self.scales)

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self.codes.nbytes + self.scales.nbytes + self.offsets.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Queries as small numbers: a cosine is unit · score + zero.

    Attributes:
        codes: (q, d) uint8.
        units: (q,) float64, positive.
        zeros: (q,) float64, cosines with the centre.
        missed: (q,) float64, the longest the differences of queries and their codes can be.
    """

    codes: NDArray[np.uint8]
    units: NDArray[np.float64]
    zeros: NDArray[np.float64]
    missed: NDArray[np.float64]


def rounding(dimension: int) -> float:
    """How far a float32 product of two unit vectors can be off, in any order of summation.

    About d·u, u = 2⁻²⁴ (Higham 2002, *Accuracy and Stability of Numerical Algorithms*, section
    3.1); doubled, since vectors may be 1e-3 longer than one.
    """
    return dimension * _EPS


class Screen:
    """Blocks of quantised rows, made when first needed and never changed.

    A query's product with a column differs from its product with the row by at most
    |q|·|row - column| + |q - its code|·|column| (Cauchy-Schwarz). Both differences are measured
    when the codes are made, so whatever lies further below the k-th best than twice that
    bound cannot be among the k best: the scan is a sieve, not an approximation.

    Args:
        dimension: Of the vectors.
        peak: The largest number of a query's code, 0 for not using codes at all; ``None``:
            what this machine does right and fast.
        share: Of the vectors' memory, what the codes may take.
    """

    def __init__(self, dimension: int, *, peak: int | None = None, share: float = _SHARE) -> None:
        self.dimension = dimension
        self._share = share
        self._lock = threading.Lock()
        self._blocks: tuple[Block, ...] = ()
        self._peak = peak
        self._centre = np.zeros(dimension)

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return sum(block.nbytes for block in self._blocks)

    def renewed(self) -> Screen:
        """One without blocks, for other rows on this machine."""
        return Screen(self.dimension, peak=self._peak, share=self._share)

    def cover(self, vectors: NDArray[np.float32]) -> tuple[Block, ...]:
        """The blocks of these rows, which later calls may only extend; none where none pay."""
        block_bytes = BLOCK_ROWS * (self.dimension + 8)
        wanted = min(len(vectors) // BLOCK_ROWS, int(self._share * vectors.nbytes) // block_bytes)
        if len(self._blocks) < wanted and self._peak != 0:
            with self._lock:
                self._extend(vectors, wanted)
        return self._blocks[:wanted]

    def _extend(self, vectors: NDArray[np.float32], wanted: int) -> None:
        if not self._blocks:
            # Any centre is right; the mean makes what is quantised short where all faces of a
            # model lean one way, and the bound with it.
            self._centre = vectors[:BLOCK_ROWS].mean(axis=0).astype(np.float64)
        blocks = list(self._blocks)
        while len(blocks) < wanted and self._peak != 0:
            start = len(blocks) * BLOCK_ROWS
            part = vectors[start : start + BLOCK_ROWS]
            blocks.append(quantise(part, self._centre.astype(np.float32)))
            if self._peak is None:
                self._peak = _best_peak(part, blocks[0].codes)
        self._blocks = tuple(blocks) if self._peak else ()
        give_back()

    def encode(self, queries: NDArray[np.float32]) -> Codes:
        """Queries as codes; `cover` must have given blocks."""
        peak = np.float32(self._peak or _QUERY_PEAKS[-1])
        units = np.abs(queries).max(axis=1) / peak
        units[units == 0.0] = 1.0
        steps = np.rint(queries / units[:, None])
        missed = queries - steps * units[:, None]
        lengths = np.sqrt(np.einsum("qd,qd->q", missed, missed), dtype=np.float64)
        return Codes(
            (steps + (peak + np.float32(1.0))).astype(np.uint8),
            units.astype(np.float64),
            queries.astype(np.float64) @ self._centre,
            lengths * _LONGER + 4.0 * _EPS,  # the difference was taken in float32
        )

    def score(self, queries: Codes, block: Block, out: NDArray[np.float32]) -> None:
        """Write the scores of queries with a block's rows into `out`, (q, n)."""
        count = len(queries.codes)
        offsets = block.offsets * np.float32((self._peak or _QUERY_PEAKS[-1]) + 1)
        for start in range(count) if count <= _FEW else (0,):
            part = slice(start, start + 1 if count <= _FEW else count)
            products = _run(integer_product(), queries.codes[part], block.codes)
            np.multiply(products, block.scales, out=out[part], dtype=np.float32, casting="unsafe")
        np.subtract(out, offsets, out=out)

    def error(self, queries: Codes, blocks: Sequence[Block]) -> NDArray[np.float64]:
        """(q,) how far a cosine of each query with a row of these blocks may be off."""
        error = max(block.error for block in blocks)
        reach = max(block.reach for block in blocks)
        # What float32 loses in putting a score together. Before the query's unit of at most
        # 1/peak, product and offset are below 2·peak·√d·reach and (peak + 1)·√d·reach
        # (|codes|₁ ≤ √d·|codes|₂), and are rounded five times at u = 2⁻²⁴ each.
        slack = 10.0 * math.sqrt(self.dimension) * max(reach, 1.0) * _EPS
        bound: NDArray[np.float64] = queries.missed * reach
        return bound + (_LONGER * error + slack + rounding(self.dimension))


def quantise(vectors: NDArray[np.float32], centre: NDArray[np.float32]) -> Block:
    """Rows as int8 columns with a scale each."""
    rows = len(vectors)
    columns = np.empty((vectors.shape[1], rows), dtype=np.int8)
    scales, sums = np.empty(rows, dtype=np.float32), np.empty(rows, dtype=np.float32)
    error = reach = 0.0
    for start in range(0, rows, _ROWS_PER_STEP):
        part = slice(start, start + _ROWS_PER_STEP)
        rest = vectors[part] - centre
        scale = np.abs(rest).max(axis=1) / np.float32(_ROW_PEAK)
        scale[scale == 0.0] = 1.0
        codes = np.rint(rest / scale[:, None]).astype(np.int8)
        columns[:, part], scales[part] = codes.T, scale
        sums[part] = codes.sum(axis=1, dtype=np.int32)
        meant = codes * scale[:, None]
        reach = max(reach, _longest(meant))
        rest -= meant
        error = max(error, _longest(rest))
    # Taking off the centre and scaling back round as well.
    return Block(columns, scales, scales * sums, error + 4.0 * _EPS, reach)


def _longest(vectors: NDArray[np.float32]) -> float:
    """No less than the longest one's length."""
    return math.sqrt(np.einsum("nd,nd->n", vectors, vectors).max()) * _LONGER


def join(blocks: Sequence[Block], rows: NDArray[np.intp]) -> Block:
    """The codes of some rows, ascending, as one block."""
    cuts = np.searchsorted(rows, np.arange(len(blocks) + 1) * BLOCK_ROWS)
    parts = [
        (block, rows[start:stop] - number * BLOCK_ROWS)
        for number, (block, start, stop) in enumerate(zip(blocks, cuts, cuts[1:], strict=False))
        if stop > start
    ]
    codes = np.empty((len(blocks[0].codes), int(cuts[-1])), dtype=np.int8)
    done = 0
    for block, own in parts:
        codes[:, done : done + len(own)] = block.codes[:, own]
        done += len(own)
    return Block(
        codes,
        np.concatenate([block.scales[own] for block, own in parts]),
        np.concatenate([block.offsets[own] for block, own in parts]),
        max(block.error for block, _ in parts),
        max(block.reach for block, _ in parts),
    )


# -- the integer product ------------------------------------------------------------------------


def _run(
    product: Session, codes: NDArray[np.uint8], columns: NDArray[np.int8]
) -> NDArray[np.int32]:
    result: NDArray[np.int32] = product.run({"a": codes, "b": columns})[0]
    return result


def _best_peak(vectors: NDArray[np.float32], codes: NDArray[np.int8]) -> int:
    """The finest query code that this machine multiplies rightly; 0 where codes do not pay.

    Where the processor has no instructions for it, ONNX Runtime repacks the codes on every call,
    which is slower than reading four times as much. What is compared is processor time, since
    the float32 product may use several cores.
    """
    try:
        product = integer_product()
        peak = next((p for p in _QUERY_PEAKS if _is_right(product, p, len(codes))), 0)
        query = np.full((1, len(codes)), peak, dtype=np.uint8)
        integer = _least_s(lambda: _run(product, query, codes))
    except InferenceError:
        return 0
    direction = vectors[0]
    return peak if integer < _least_s(lambda: vectors @ direction) else 0


def _least_s(call: Callable[[], object]) -> float:
    taken: list[float] = []
    for _ in range(_TRIALS):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


def _is_right(product: Session, peak: int, dimension: int) -> bool:
    """Whether the largest numbers come out exactly, one query at a time and several."""
    columns = np.full((dimension, 64), _ROW_PEAK, dtype=np.int8)
    columns[:, ::2] = -_ROW_PEAK
    codes = np.full((4, dimension), 2 * peak + 1, dtype=np.uint8)
    expected = codes.astype(np.int64) @ columns.astype(np.int64)
    return bool(
        (_run(product, codes, columns) == expected).all()
        and (_run(product, codes[:1], columns) == expected[:1]).all()
    )
