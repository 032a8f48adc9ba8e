"""Error rates of one-to-many search: CMC and rank-k, FNIR and FPIR, closed and open set.

A probe is searched in a gallery of enrolled subjects. It is *mated* when its subject is enrolled.
Terms: ISO/IEC 19795-1. FPIR is the share of non-mated searches that return anybody at or above
the threshold; FNIR the share of mated searches that do not return the mate, at or above the
threshold, among the first R candidates. TPIR is 1 - FNIR.

Ties count against the system: a stranger who is exactly as similar as the mate stands before them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus._arrays import check_finite, check_shape
from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate._plain import plain
from vultus.evaluate.metrics._need import allowed_errors, dependable
from vultus.evaluate.metrics.bootstrap import Resampling, bootstrap_subjects, rate_of
from vultus.evaluate.metrics.scores import Floats, Ints, subject_numbers
from vultus.types import Rate

__all__ = [
    "OpenSetPoint",
    "Searches",
    "cmc",
    "false_negative_identification_rate",
    "false_positive_identification_rate",
    "fnir_at_fpir",
    "rank_rate",
    "search_gallery",
]

_BLOCK_CELLS = 16_000_000  # similarities held at a time: 128 MB


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """What came of searching probes in a gallery.

    Attributes:
        subjects: (p,) whom each probe shows, numbered.
        mated: (p,) whether that subject is enrolled.
        mate_rank: (p,) 1 when the mate is the first candidate; 0 for non-mated searches.
        mate_similarity: (p,) of the mate; -inf for non-mated searches.
        top_similarity: (p,) of the first candidate, whoever it is.
        enrolled: Subjects in the gallery.
    """

    subjects: Ints = field(repr=False)
    mated: NDArray[np.bool_] = field(repr=False)
    mate_rank: Ints = field(repr=False)
    mate_similarity: Floats = field(repr=False)
    top_similarity: Floats = field(repr=False)
    enrolled: int

    @property
    def mated_count(self) -> int:
        """Mated searches."""
        return int(self.mated.sum())

    @property
    def nonmated_count(self) -> int:
        """Non-mated searches."""
        return int((~self.mated).sum())


@dataclass(frozen=True, slots=True)
class OpenSetPoint:
    """FNIR at the lowest threshold whose measured FPIR does not exceed a target.

    Attributes:
        target_fpir: What was asked for.
        rank: Candidates looked at (R).
        threshold: Similarity from which a candidate is returned.
        fpir: Measured there; at most `target_fpir`.
        fnir: Measured there.
        false_positives: Non-mated searches that returned somebody.
        nonmated: Non-mated searches.
        false_negatives: Mated searches that did not return the mate.
        mated: Mated searches.
        fnir_interval: Bootstrap over probe subjects, the threshold chosen anew in every round.
        fpir_interval: Likewise, at this threshold.
    """

    target_fpir: float
    rank: int
    threshold: float
    fpir: float
    fnir: float
    false_positives: int
    nonmated: int
    false_negatives: int
    mated: int
    fnir_interval: Rate | None = None
    fpir_interval: Rate | None = None

    @property
    def tpir(self) -> float:
        """True positive identification rate, 1 - FNIR."""
        return 1.0 - self.fnir

    @property
    def dependable(self) -> bool:
        """Whether the FPIR rests on 30 false positives or more (Doddington's rule of 30)."""
        return dependable(self.false_positives)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**plain(self), "tpir": self.tpir, "dependable": self.dependable}


def search_gallery(
    probes: NDArray[np.floating],
    probe_subjects: Sequence[object] | NDArray[np.generic],
    gallery: NDArray[np.floating],
    gallery_subjects: Sequence[object] | NDArray[np.generic],
) -> Searches:
    """Search every probe in the gallery, exactly, by cosine.

    Args:
        probes: (p, d) unit rows.
        probe_subjects: (p,) names or numbers.
        gallery: (g, d) unit rows; of a subject with several the most similar one counts.
        gallery_subjects: (g,) in the same names.

    Raises:
        ShapeError: The arrays do not fit together.
        RangeError: NaN or infinity.
        InsufficientDataError: There are no probes, or nobody is enrolled.
    """
    for rows, name in ((probes, "probes"), (gallery, "gallery")):
        check_shape(np.asarray(rows), (None, None), name)
        check_finite(np.asarray(rows), name)
        if len(rows) == 0:
            raise InsufficientDataError(
                f"identification needs probes and a gallery, the {name} are empty"
            )
    check_shape(np.asarray(probes), (None, np.shape(gallery)[1]), "probes, as long as the gallery,")
    listed = [*np.asarray(probe_subjects).tolist(), *np.asarray(gallery_subjects).tolist()]
    numbers = subject_numbers(listed)
    check_shape(numbers, (len(probes) + len(gallery),), "subjects, one per row,")
    theirs, ours = numbers[: len(probes)], numbers[len(probes) :]
    order = np.argsort(ours, kind="stable")
    enrolled, starts = np.unique(ours[order], return_index=True)
    mate = np.searchsorted(enrolled, theirs)
    mated = np.isin(theirs, enrolled)
    ordered = np.asarray(gallery)[order]
    parts = [
        _best(np.maximum.reduceat(block, starts, axis=1), mate[rows], mated[rows])
        for rows, block in _blocks(np.asarray(probes), ordered)
    ]
    rank, similarity, top = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Searches(theirs, mated, rank, similarity, top, len(enrolled))


def _blocks(probes: NDArray[Any], gallery: NDArray[Any]) -> Iterator[tuple[slice, Floats]]:
    """Similarities of some probes at a time, (rows, g)."""
    step = max(1, _BLOCK_CELLS // len(gallery))
    for start in range(0, len(probes), step):
        rows = slice(start, start + step)
        yield rows, (probes[rows] @ gallery.T).astype(np.float64)


def _best(
    similarities: Floats, mate: Ints, mated: NDArray[np.bool_]
) -> tuple[Ints, Floats, Floats]:
    """Rank and similarity of the mates, and the best similarity, per row."""
    lines = np.arange(len(similarities))
    own = similarities[lines, np.where(mated, mate, 0)]
    rank = (similarities >= own[:, None]).sum(axis=1)  # the mate itself is one of them
    return (
        np.where(mated, rank, 0),
        np.where(mated, own, -np.inf),
        similarities.max(axis=1),
    )


def cmc(searches: Searches, max_rank: int = 20) -> Floats:
    """Cumulative match characteristic: share of mated searches whose mate is at rank k or before.

    Returns:
        (max_rank,) for k = 1, 2, …

    Raises:
        RangeError: `max_rank` is below 1.
        InsufficientDataError: No search is mated.
    """
    if max_rank < 1:
        raise RangeError(f"a CMC needs max_rank >= 1, got {max_rank}")
    ranks = _mated(searches, searches.mate_rank)
    found = np.bincount(np.minimum(ranks, max_rank + 1), minlength=max_rank + 2)[1 : max_rank + 1]
    return np.asarray(np.cumsum(found) / len(ranks))


def rank_rate(searches: Searches, rank: int, how: Resampling | None = None) -> Rate | float:
    """Share of mated searches whose mate is at `rank` or before; an interval if `how` says so.

    Raises:
        RangeError: `rank` is below 1.
        InsufficientDataError: No search is mated; too few subjects for an interval.
    """
    value = float(cmc(searches, rank)[-1])
    if how is None or how.rounds == 0:
        return value
    hits = (_mated(searches, searches.mate_rank) <= rank).astype(np.float64)
    subjects = searches.subjects[searches.mated]
    rounds = bootstrap_subjects(subjects, lambda w: [float(w @ hits / w.sum())], how)
    people = len(np.unique(subjects))
    return rate_of(value, rounds[:, 0], how, subjects=people, errors=value)


def false_positive_identification_rate(searches: Searches, threshold: ArrayLike) -> Floats:
    """FPIR at each threshold, in the thresholds' shape.

    Raises:
        InsufficientDataError: Every search is mated.
    """
    top = np.sort(_nonmated(searches))
    below = np.searchsorted(top, np.asarray(threshold, np.float64), side="left")
    return np.asarray((len(top) - below) / len(top))


def false_negative_identification_rate(
    searches: Searches, threshold: ArrayLike, rank: int | None = 1
) -> Floats:
    """FNIR at each threshold, in the thresholds' shape.

    Args:
        searches: What was found.
        threshold: Similarities from which a candidate is returned.
        rank: Candidates looked at; all when ``None``.

    Raises:
        InsufficientDataError: No search is mated.
    """
    values = np.sort(_returned(searches, rank))
    below = np.searchsorted(values, np.asarray(threshold, np.float64), side="left")
    return np.asarray(below / len(values))


def fnir_at_fpir(
    searches: Searches, fpir: float, rank: int = 1, how: Resampling | None = None
) -> OpenSetPoint:
    """FNIR at the lowest threshold whose measured FPIR is at most `fpir`.

    Raises:
        RangeError: `fpir` is outside (0, 1).
        InsufficientDataError: Too few non-mated searches; the fields say how many it takes.
    """
    top, own = _nonmated(searches), _returned(searches, rank)
    allowed = allowed_errors(fpir, len(top), "FPIR", "non-mated searches")
    threshold = _threshold(top, np.ones(len(top)), allowed)
    positives, negatives = int((top >= threshold).sum()), int((own < threshold).sum())
    point = OpenSetPoint(
        fpir, rank, threshold, positives / len(top), negatives / len(own),
        positives, len(top), negatives, len(own),
    )  # fmt: skip
    return point if how is None or how.rounds == 0 else _with_intervals(point, searches, how)


def _threshold(top: Floats, weights: Floats, allowed: float) -> float:
    """Just above the best search that must come back empty."""
    order = np.argsort(top, kind="stable")
    total = np.cumsum(weights[order])
    refused = int(np.searchsorted(total, total[-1] - allowed - 1e-9))
    return float(np.nextafter(top[order[min(refused, len(order) - 1)]], np.inf))


def _with_intervals(point: OpenSetPoint, searches: Searches, how: Resampling) -> OpenSetPoint:
    mated, own = searches.mated, _returned(searches, point.rank)
    top = _nonmated(searches)

    def measure(weights: Floats) -> list[float] | None:
        inside, outside = weights[mated], weights[~mated]
        if not (inside.sum() > 0 and outside.sum() > 0):
            return None
        allowed = point.target_fpir * float(outside.sum())
        threshold = _threshold(top, outside, allowed)
        return [
            float(inside @ (own < threshold) / inside.sum()),
            float(outside @ (top >= point.threshold) / outside.sum()),
        ]

    rounds = bootstrap_subjects(searches.subjects, measure, how)
    people = [len(np.unique(searches.subjects[kind])) for kind in (mated, ~mated)]
    return dataclasses.replace(
        point,
        fnir_interval=rate_of(point.fnir, rounds[:, 0], how, subjects=people[0], errors=point.fnir),
        fpir_interval=rate_of(point.fpir, rounds[:, 1], how, subjects=people[1], errors=point.fpir),
    )


def _returned(searches: Searches, rank: int | None) -> Floats:
    """Similarity of each mate; -inf where the first `rank` candidates do not hold the mate."""
    if rank is not None and rank < 1:
        raise RangeError(f"a rank must be at least 1, got {rank}")
    similarity = _mated(searches, searches.mate_similarity)
    if rank is None:
        return similarity
    within = _mated(searches, searches.mate_rank) <= rank
    return np.where(within, similarity, -np.inf)


def _mated(searches: Searches, values: NDArray[Any]) -> NDArray[Any]:
    if not searches.mated.any():
        raise InsufficientDataError(
            "this rate needs mated searches, and the subject of no probe is enrolled",
            remedy="check that probes and gallery name their subjects alike",
            expected=1,
            actual=0,
        )
    return values[searches.mated]


def _nonmated(searches: Searches) -> Floats:
    if searches.mated.all():
        raise InsufficientDataError(
            "FPIR needs non-mated searches, and the subject of every probe is enrolled",
            remedy="leave some subjects unenrolled",
            expected=1,
            actual=0,
        )
    return searches.top_similarity[~searches.mated]
