"""From the embeddings of known people to a calibration: how often strangers reach a similarity."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite
from vultus.decide import Calibration, Normaliser, QualityCost, normalised_space
from vultus.decide.calibration import RULE_OF
from vultus.errors import InsufficientDataError, ShapeError
from vultus.evaluate.metrics.scores import subject_numbers
from vultus.types import EmbeddingSpace

__all__ = ["calibrate"]

_POINTS_PER_DECADE = 20
_HIGHEST_FMR = 0.999
_CONFIDENCE = 0.95
_LEAST_SUBJECTS = 20  # below, resampling subjects says nothing about others
_LEAST_GENUINE = 30
_ROWS_PER_BLOCK = 512
_QUALITY_BINS = 5
_MOST_PICTURES = 12_000  # 72 million pairs; what they take in memory is about 2 GB


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """All cross pairs, each once: similarities, and the two rows of each."""

    genuine: NDArray[np.float32]
    genuine_rows: NDArray[np.int32]
    impostor: NDArray[np.float32]
    impostor_subjects: NDArray[np.int32]


def calibrate(
    vectors: NDArray[np.float32],
    people: Sequence[str],
    space: EmbeddingSpace,
    data: str,
    *,
    quality: NDArray[np.float64] | None = None,
    normaliser: Normaliser | None = None,
    rounds: int = 1000,
    seed: int = 0,
    created: str | None = None,
) -> Calibration:
    """Measure the error rates of a space on every pair of the given faces.

    The intervals come from a bootstrap over people, not pairs: a person drawn m times counts m
    times in each of their comparisons, because comparisons of one face are alike (the two-way
    resampling of Wu, Martin and Greenberg 2016, "Validation of two-sample bootstrap in ROC
    analysis on large datasets with data dependency").

    Args:
        vectors: (n, d) float32, unit rows, all of `space`.
        people: Whom each row shows; n entries. A wrong name spoils the lowest rates.
        space: The identity of the embeddings.
        data: The faces and the protocol in words, for whoever reads a threshold.
        quality: (n,) `Quality.score` of each face, NaN where unknown, to measure what it costs.
        normaliser: Calibrate normalised similarities; the calibration is one of
            `vultus.decide.normalised_space`.
        rounds: Of the bootstrap.
        seed: Of the bootstrap.
        created: ISO date; today's when ``None``.

    Of more than 12,000 faces those of as many people, drawn at random, are compared, and `data`
    says so.

    Raises:
        ShapeError: The lengths differ.
        RangeError: A vector is not finite.
        InsufficientDataError: Too few people, or too few pairs of one kind.
    """
    if vectors.ndim != 2 or len(vectors) != len(people):
        raise ShapeError(
            f"vectors must be (n, d) with a person per row, got {vectors.shape} and {len(people)}"
        )
    check_finite(vectors, "embeddings")
    subjects = subject_numbers(list(people)).astype(np.int32)
    if len(vectors) > _MOST_PICTURES:
        kept = _some_people(subjects, seed)
        data += f"; {len(kept):,} pictures of randomly drawn people"
        vectors = vectors[kept]
        subjects = np.unique(subjects[kept], return_inverse=True)[1].astype(np.int32)
        quality = None if quality is None else quality[kept]
    count = int(subjects.max(initial=-1)) + 1
    _check_enough("people", _LEAST_SUBJECTS, count)
    pairs = _all_pairs(vectors, subjects, normaliser)
    _check_enough("genuine pairs", _LEAST_GENUINE, len(pairs.genuine))
    _check_enough("impostor pairs", RULE_OF, len(pairs.impostor))
    similarity, fmr = _curve_points(pairs.impostor)
    low, high = _intervals(pairs, similarity, count, rounds, seed)
    genuine = np.sort(pairs.genuine)
    fnmr = np.searchsorted(genuine, similarity, side="left") / len(genuine)
    return Calibration(
        space=space if normaliser is None else normalised_space(space),
        data=data,
        created=created or datetime.date.today().isoformat(),
        subjects=count,
        images=len(vectors),
        genuine=len(pairs.genuine),
        impostor=len(pairs.impostor),
        similarity=similarity.astype(np.float64),
        fmr=fmr,
        fmr_low=np.minimum(low, fmr),
        fmr_high=np.maximum(high, fmr),
        fnmr=fnmr,
        quality=None if quality is None else _quality_cost(pairs, quality),
    )


def _some_people(subjects: NDArray[np.int32], seed: int) -> NDArray[np.intp]:
    """Rows of people drawn at random, as many as may be compared."""
    own = np.bincount(subjects)
    drawn = np.random.default_rng(seed).permutation(len(own))
    inside = np.zeros(len(own), bool)
    inside[drawn[np.cumsum(own[drawn]) <= _MOST_PICTURES]] = True
    return np.flatnonzero(inside[subjects])


def _all_pairs(
    vectors: NDArray[np.float32], subjects: NDArray[np.int32], normaliser: Normaliser | None = None
) -> _Pairs:
    """Similarities of each row with every later one, in blocks of rows."""
    genuine, rows, impostor, others = [], [], [], []
    for start in range(0, len(vectors), _ROWS_PER_BLOCK):
        block = vectors[start : start + _ROWS_PER_BLOCK]
        scores = np.clip(block @ vectors[start:].T, -1.0, 1.0)
        if normaliser is not None:
            scores = normaliser.similarities(scores, block, vectors[start:]).astype(np.float32)
        first, second = np.triu_indices(len(block), 1, scores.shape[1])
        values = scores[first, second]
        one, two = subjects[first + start], subjects[second + start]
        same = one == two
        genuine.append(values[same])
        rows.append(np.stack([first[same], second[same]], axis=1).astype(np.int32) + start)
        impostor.append(values[~same])
        others.append(np.stack([one[~same], two[~same]], axis=1))
    return _Pairs(*(np.concatenate(parts) for parts in (genuine, rows, impostor, others)))


def _check_enough(what: str, least: int, actual: int) -> None:
    if actual < least:
        raise InsufficientDataError(
            f"a calibration takes at least {least} {what}, got {actual}",
            remedy="add people, or pictures of the same people",
            expected=least,
            actual=actual,
        )


def _curve_points(
    impostor: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Similarities evenly spread over the decades of FMR, rising, and the FMR at each.

    The last one is where `RULE_OF` strangers are left: beyond it nothing is measured.
    """
    falling = np.sort(impostor)[::-1]
    total = len(falling)
    least = RULE_OF / total
    decades = math.log10(_HIGHEST_FMR / least)
    targets = np.geomspace(_HIGHEST_FMR, least, max(2, round(decades * _POINTS_PER_DECADE) + 1))
    ranks = np.maximum(np.ceil(targets * total - 1e-9).astype(np.int64), 1) - 1
    similarity = np.unique(falling[ranks])
    reached = np.searchsorted(-falling, -similarity, side="right")
    return similarity, reached / total


def _intervals(
    pairs: _Pairs, similarity: NDArray[np.float32], people: int, rounds: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the bootstrap intervals of the FMR at each similarity.

    A round's false matches at a threshold are Σ w_a·w_b over the pairs that reach it. Counting
    each bin's pairs per pair of people first turns all rounds into one matrix product per bin.
    """
    draws = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), rounds)
    weights = draws.astype(np.float32)
    bins = np.searchsorted(similarity, pairs.impostor, side="right")
    order = np.argsort(bins, kind="stable")
    edges = np.searchsorted(bins[order], np.arange(len(similarity) + 2))
    counts = np.empty((len(similarity) + 1, rounds))
    keys = pairs.impostor_subjects[:, 0].astype(np.int64) * people + pairs.impostor_subjects[:, 1]
    for k in range(len(similarity) + 1):
        counts[k] = _weighted(keys[order[edges[k] : edges[k + 1]]], weights)
    reached = counts[::-1].cumsum(axis=0)[::-1]
    rates = reached[1:] / np.maximum(reached[0], 1.0)
    tail = (1.0 - _CONFIDENCE) / 2
    low, high = np.quantile(rates, [tail, 1.0 - tail], axis=1)
    return low, high


def _weighted(keys: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Σ w_a·w_b over pairs of people `a·n + b`, for each row of weights."""
    people = weights.shape[1]
    if len(keys) * 4 > people * people:  # dense: one matrix product does all rounds
        table = np.bincount(keys, minlength=people * people).astype(np.float32)
        product = weights @ table.reshape(people, people)
        return np.asarray(np.einsum("rp,rp->r", product, weights, dtype=np.float64), np.float64)
    first, second = keys // people, keys % people
    found = np.zeros(len(weights))
    for start in range(0, len(keys), 4096):  # (rounds, 4096) float32 at a time
        part = slice(start, start + 4096)
        found += np.einsum("rp,rp->r", weights[:, first[part]], weights[:, second[part]])
    return found


def _quality_cost(pairs: _Pairs, quality: NDArray[np.float64]) -> QualityCost | None:
    """Mean similarity of genuine pairs per fifth of the worse face's quality, against the best."""
    worse = quality[pairs.genuine_rows].min(axis=1)
    known = np.isfinite(worse)
    if np.count_nonzero(known) < _LEAST_GENUINE:
        return None
    worse, genuine = worse[known], pairs.genuine[known]
    edges = np.quantile(worse, np.linspace(0, 1, _QUALITY_BINS + 1))
    fifth = np.clip(np.searchsorted(edges, worse, side="right") - 1, 0, _QUALITY_BINS - 1)
    used = [k for k in range(_QUALITY_BINS) if (fifth == k).any()]
    means = np.array([genuine[fifth == k].mean(dtype=np.float64) for k in used])
    # A worse face never costs less: noise between neighbouring bins is evened out.
    cost = np.maximum.accumulate((means.max() - means)[::-1])[::-1]
    middles = [float(np.median(worse[fifth == k])) for k in used]
    return QualityCost(tuple(middles), tuple(float(c) for c in cost))
