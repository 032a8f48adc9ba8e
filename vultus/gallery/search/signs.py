"""The approximate index: signs of projections, compared bit by bit, then the vectors themselves."""

from __future__ import annotations

import json
import math
import threading
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search.exact import Found, nearest, settle
from vultus.gallery.search.filter import Selection, Table
from vultus.gallery.search.scan import Floats, Places, Scanner
from vultus.gallery.search.sieve import Hits
from vultus.gallery.search.trim import give_back

__all__ = ["LIMIT", "Plan", "Signs", "make_plan", "nearest_by_signs", "read_plan"]

LIMIT = 100_000_000
"""Numbers (rows times dimensions) up to which exact search is fast enough.

A scan of 100,000 × 512 takes 4 ms on one thread, of a million 40 (AMD EPYC with VNNI,
benchmarks/gallery.py); sign codes take 4.5 ms for a million.
"""

_VERSION = 1
_SEED = 20260101
_ROWS_PER_STEP = 1024  # encoded at a time: small pieces are given back to the system
_WORDS_AT_ONCE = 32_768  # 256 KiB: what is worked on stays in the processor's cache
_CENTRE_ROWS = 16_384
_EVERY = 16  # one row of so many tells how the distances are distributed
_MAX_BITS = 1024
_QUERIES = 500  # asked to measure a plan
_LEAST_QUERIES = 100  # fewer tell nothing about a recall of 0.999
_TURNED = 0.5  # cosine of a hard genuine pair of an ArcFace-like model
_MIXED = 16  # strangers
_CHOICES = ((256, 2000), (384, 2000), (512, 2000), (512, 4000), (512, 8000))  # cheapest first
_RECALL_AIM = 0.999
_RECALL_LEAST = 0.99


@dataclass(frozen=True, slots=True)
class Plan:
    """How to search approximately, and how well that was measured to work.

    Attributes:
        bits: Length of a code, a multiple of 64.
        candidates: Rows with the nearest codes, whose vectors are then compared.
        recall: Share of the queries answered with the same person as by exact search.
        queries: How many were asked.
        source: What they were.
        rows: Rows searched when that was measured.
    """

    bits: int
    candidates: int
    recall: float
    queries: int
    source: str
    rows: int

    def text(self) -> str:
        """What a store keeps."""
        return json.dumps({"version": _VERSION, "kind": "signs", **asdict(self)})


def read_plan(text: str | None) -> Plan | None:
    """The plan a store kept; ``None`` for what is no plan of this version."""
    try:
        found = json.loads(text or "")
        plan = Plan(
            int(found["bits"]),
            int(found["candidates"]),
            float(found["recall"]),
            int(found["queries"]),
            str(found["source"]),
            int(found["rows"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
    if (found.get("version"), found.get("kind")) != (_VERSION, "signs"):
        return None
    sound = 64 <= plan.bits <= _MAX_BITS and plan.bits % 64 == 0 and plan.candidates >= 1
    return plan if sound and 0.0 <= plan.recall <= 1.0 else None


class Signs:
    """One bit per projection and row: on which side of the centre the row lies.

    For random directions the share of bits that differ is the angle between two vectors over π
    (Charikar 2002, *Similarity estimation techniques from rounding algorithms*), so the rows
    with the fewest differing bits are the nearest ones, give or take. Codes are made from the
    vectors when first needed, behind those that are there; they are never stored.

    Args:
        dimension: Of the vectors.
        plan: Length of the codes, and the rest.
    """

    def __init__(self, dimension: int, plan: Plan) -> None:
        self.plan = plan
        self._lock = threading.Lock()
        self._directions = directions(dimension, plan.bits)
        self._offsets = np.empty(0, dtype=np.float32)
        self._codes = np.empty((plan.bits // 64, 0), dtype=np.uint64)
        self._rows = 0

    def cover(self, vectors: Floats) -> NDArray[np.uint64]:
        """(words, n) uint64, the codes of these rows, which later calls may only extend."""
        rows = len(vectors)
        if self._rows < rows:
            with self._lock:
                if self._rows < rows:
                    self._extend(vectors)
        return self._codes[:, :rows]

    def _extend(self, vectors: Floats) -> None:
        rows = len(vectors)
        if self._rows == 0:
            step = max(1, rows // _CENTRE_ROWS)
            self._offsets = vectors[::step].mean(axis=0) @ self._directions
        if rows > self._codes.shape[1]:
            codes = np.empty((len(self._codes), max(rows, int(rows * 1.1))), dtype=np.uint64)
            codes[:, : self._rows] = self._codes[:, : self._rows]
            self._codes = codes
        for start in range(self._rows, rows, _ROWS_PER_STEP):
            part = vectors[start : min(start + _ROWS_PER_STEP, rows)]
            self._codes[:, start : start + len(part)] = self.encode(part).T
        if rows - self._rows > _ROWS_PER_STEP:
            give_back()
        self._rows = rows

    def encode(self, vectors: Floats) -> NDArray[np.uint64]:
        """(n, words) uint64."""
        return np.packbits(vectors @ self._directions > self._offsets, axis=1).view(np.uint64)

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self._codes.nbytes + self._directions.nbytes


def directions(dimension: int, bits: int) -> Floats:
    """(dimension, bits) float32: random directions, at right angles to each other in sets."""
    draw = np.random.default_rng(_SEED)
    sets = [
        np.linalg.qr(draw.standard_normal((dimension, dimension)))[0]
        for _ in range(-(-bits // dimension))
    ]
    return np.ascontiguousarray(np.concatenate(sets, axis=1)[:, :bits], dtype=np.float32)


# -- search -------------------------------------------------------------------------------------


def nearest_by_signs(
    scanner: Scanner,
    signs: Signs,
    selection: Selection,
    queries: Floats,
    k: int,
    at_least: float,
) -> list[list[Found]]:
    """For each query the people found among the rows with the nearest codes, compared exactly.

    The arguments are those of `nearest`. Where the candidates belong to fewer than `k` people,
    the answer is exact.
    """
    table = scanner.table
    codes = signs.cover(table.vectors)
    found = []
    for query, code in zip(queries, signs.encode(queries), strict=True):
        distances = _distances(codes, code)
        rows = _lowest(distances, selection.denied, signs.plan.candidates, signs.plan.bits)
        if len(np.unique(table.slots[rows])) < k:
            found += nearest(scanner, selection, query[None], k, at_least, coded=False)
        else:
            found += settle(table, query[None], Hits.of_one(rows), k, at_least)
    return found


def _distances(
    codes: NDArray[np.uint64], code: NDArray[np.uint64]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(n,) how many bits of each code differ.

    In 256 bits a distance of 256 wraps to 0, which adds one useless candidate to thousands.
    """
    words, rows = codes.shape
    total: NDArray[np.uint8] | NDArray[np.uint16]
    total = np.empty(rows, np.uint8) if words <= 4 else np.empty(rows, np.uint16)
    mixed = np.empty(min(rows, _WORDS_AT_ONCE), dtype=np.uint64)
    count = np.empty(len(mixed), dtype=np.uint8)
    for start in range(0, rows, _WORDS_AT_ONCE):
        part = total[start : start + _WORDS_AT_ONCE]
        mixed, count = mixed[: len(part)], count[: len(part)]
        for word in range(words):
            np.bitwise_xor(codes[word, start : start + len(part)], code[word], out=mixed)
            np.bitwise_count(mixed, out=count)
            if word == 0:
                part[:] = count
            else:
                np.add(part, count, out=part)
    return total


def _lowest(
    distances: NDArray[np.uint8] | NDArray[np.uint16],
    denied: NDArray[np.bool_] | None,
    wanted: int,
    bits: int,
) -> Places:
    """About so many rows with the lowest distances, of those that count; fewer when all do."""
    sample = distances[::_EVERY] if denied is None else distances[::_EVERY][~denied[::_EVERY]]
    passed = np.cumsum(np.bincount(sample)) * _EVERY
    cut = int(np.searchsorted(passed, wanted))
    while True:
        rows = np.flatnonzero(distances <= cut)
        if denied is not None:
            rows = rows[~denied[rows]]
        if len(rows) >= wanted // 2 or cut >= bits:
            return rows
        cut += max(1, bits // 64)  # the sample was not a fair one


# -- planning -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """Queries whose answer is known.

    Attributes:
        queries: (q, d) float32.
        own: Per query the rows of its person, itself not among them.
        hidden: (q,) each query's own row, -1 where it is none.
        source: What these queries are.
    """

    queries: Floats
    own: list[Places]
    hidden: Places
    source: str


def make_plan(table: Table) -> Plan | None:
    """Choose the shortest codes that answer as exact search does; ``None`` when none do."""
    alive = np.arange(len(table)) if table.dead is None else np.flatnonzero(~table.dead)
    draw = np.random.default_rng(_SEED)
    for trial in (_held_out(table, alive, draw), _disturbed(table, alive, draw)):
        right = _answered_right(table, trial)
        if np.count_nonzero(right) >= _LEAST_QUERIES:
            return _choose(table, trial, np.flatnonzero(right))
    return None


def _held_out(table: Table, alive: Places, draw: np.random.Generator) -> _Trial:
    """Samples of people who have several: their other samples must be found."""
    order = alive[np.argsort(table.slots[alive], kind="stable")]
    slots = table.slots[order]
    counts = np.bincount(slots, minlength=table.people)
    several = alive[counts[table.slots[alive]] > 1]
    chosen = draw.choice(several, min(_QUERIES, len(several)), replace=False)
    begins = np.searchsorted(slots, table.slots[chosen])
    ends = begins + counts[table.slots[chosen]]
    own = [order[b:e] for b, e in zip(begins.tolist(), ends.tolist(), strict=True)]
    own = [rows[rows != row] for rows, row in zip(own, chosen.tolist(), strict=True)]
    return _Trial(table.vectors[chosen], own, chosen, "held-out samples")


def _disturbed(table: Table, alive: Places, draw: np.random.Generator) -> _Trial:
    """Samples turned away, each in a direction mixed of strangers: the sample must be found.

    The mixture varies as the samples do, and is too even for one of the strangers to be near.
    """
    count = min(_QUERIES, len(alive) // 2)
    chosen = draw.choice(alive, count, replace=False)
    queries = table.vectors[chosen]
    away = np.zeros_like(queries)
    signs = np.array([-1, 1], dtype=np.float32)
    for _ in range(_MIXED):
        away += draw.choice(signs, (count, 1)) * table.vectors[draw.choice(alive, count)]
    away -= np.einsum("nd,nd->n", away, queries)[:, None] * queries
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), np.float32(1e-6))
    turned = np.float32(_TURNED) * queries + np.float32(math.sqrt(1.0 - _TURNED**2)) * away
    own = [chosen[i : i + 1] for i in range(count)]
    hidden = np.full(count, -1, dtype=np.intp)
    return _Trial(turned, own, hidden, f"samples turned to cosine {_TURNED}")


def _answered_right(table: Table, trial: _Trial) -> NDArray[np.bool_]:
    """(q,) whether exact search finds each query's person."""
    best = np.full(len(trial.queries), -np.inf, dtype=np.float32)
    for start in range(0, len(table), _WORDS_AT_ONCE):
        part = slice(start, start + _WORDS_AT_ONCE)
        scores = trial.queries @ table.vectors[part].T
        if table.dead is not None:
            scores[:, table.dead[part]] = -np.inf
        inside = np.flatnonzero((trial.hidden >= start) & (trial.hidden < start + scores.shape[1]))
        scores[inside, trial.hidden[inside] - start] = -np.inf
        np.maximum(best, scores.max(axis=1, initial=-np.inf), out=best)
    right = np.zeros(len(best), dtype=np.bool_)
    for number, own in enumerate(trial.own):
        likeness = float((table.vectors[own] @ trial.queries[number]).max())
        right[number] = likeness >= best[number] - 1e-5  # another order of summation
    return right


def _choose(table: Table, trial: _Trial, asked: Places) -> Plan | None:
    """The cheapest of some plans that reaches the recall aimed at, or the best one."""
    longest = Plan(max(bits for bits, _ in _CHOICES), 1, 0.0, 0, "", 0)
    signs = Signs(table.vectors.shape[1], longest)
    codes = signs.cover(table.vectors)
    queries = signs.encode(trial.queries)
    lengths = sorted({bits for bits, _ in _CHOICES})
    ranks = {bits: np.empty(len(asked), dtype=np.int64) for bits in lengths}
    for place, number in enumerate(asked.tolist()):
        before, distances = 0, np.zeros(len(table), dtype=np.uint16)
        for bits in lengths:
            words = slice(before // 64, bits // 64)
            distances += _distances(codes[words], queries[number, words])
            own = distances[trial.own[number]].min()
            ranks[bits][place] = np.count_nonzero(distances <= own)
            before = bits
    best: Plan | None = None
    for bits, candidates in _CHOICES:
        recall = float((ranks[bits] <= candidates).mean())
        if best is None or recall > best.recall:
            best = Plan(bits, candidates, recall, len(asked), trial.source, len(table))
        if recall >= _RECALL_AIM:
            break
    return best if best is not None and best.recall >= _RECALL_LEAST else None
