"""Does a quality score tell which comparisons will fail? Error-versus-discard curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus._arrays import check_shape
from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate._plain import plain
from vultus.evaluate.metrics._need import check_share
from vultus.evaluate.metrics.bootstrap import Resampling, bootstrap_subjects, rate_of
from vultus.evaluate.metrics.scores import Floats, floats, subject_numbers
from vultus.types import Rate

__all__ = ["DiscardCurve", "error_versus_discard"]

DISCARDS = tuple(round(0.01 * i, 2) for i in range(31))
"""0 to 30 per cent: what one would discard in practice. Source: Schlett et al. 2023."""


@dataclass(frozen=True, slots=True, eq=False)
class DiscardCurve:
    """FNMR of what is left when the comparisons of lowest quality are discarded.

    Attributes:
        threshold: Similarity from which a genuine pair counts as matched; it stays the same.
        discarded: (k,) share of genuine comparisons that was to be discarded.
        fnmr: (k,) of those left; NaN where none is left.
        left: (k,) how many are left.
        start: FNMR with nothing discarded.
        area: Area under the curve over `discarded`, divided by its length: the mean FNMR.
        ideal_area: The same of a quality that knows every error beforehand:
            ``max(0, start - discarded) / (1 - discarded)``.
        random_area: The same of a quality that knows nothing: `start`.
        intervals: Per point, over subjects; empty if not asked for.
    """

    threshold: float
    discarded: Floats = field(repr=False)
    fnmr: Floats = field(repr=False)
    left: NDArray[np.intp] = field(repr=False)
    start: float
    area: float
    ideal_area: float
    random_area: float
    intervals: tuple[Rate, ...] = field(default=(), repr=False)

    @property
    def gain(self) -> float:
        """How much of what an ideal quality would gain this one gains: 1 ideal, 0 random.

        Negative when discarding makes it worse; NaN where there is nothing to gain.
        """
        possible = self.random_area - self.ideal_area
        return (self.random_area - self.area) / possible if possible > 0 else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**plain(self), "gain": plain(self.gain)}


def error_versus_discard(
    genuine: ArrayLike,
    quality: ArrayLike,
    *,
    threshold: float | None = None,
    start_fnmr: float | None = None,
    discards: Sequence[float] = DISCARDS,
    subjects: Sequence[object] | None = None,
    how: Resampling | None = None,
) -> DiscardCurve:
    """FNMR against the share of genuine comparisons discarded by quality (EDC, also ERC).

    The comparisons are put in order of quality, a pair's quality being the lower of its two
    pictures'. For each share the highest quality is found at or below which no more than that
    share lies, and everything at or below it is discarded: comparisons of equal quality go
    together, so that order cannot matter.

    Source: Grother and Tabassi 2007, "Performance of biometric quality measures"; ISO/IEC
    29794-1:2024; Schlett et al. 2023, "Considerations on the evaluation of biometric quality
    assessment algorithms" (area over a limited range).

    Args:
        genuine: (n,) similarities of genuine pairs.
        quality: (n,) of the pair, or (n, 2) of its two pictures; higher is better.
        threshold: From which a pair is matched; give this or `start_fnmr`.
        start_fnmr: Choose the threshold so that the FNMR of all pairs comes closest to this from
            above where ties allow: the lowest threshold that rejects at least this share.
        discards: Shares in [0, 1), rising.
        subjects: (n,) whose pair it is; needed for intervals.
        how: The bootstrap for intervals; none without.

    Raises:
        ShapeError: Lists of unequal length.
        RangeError: NaN, both or neither of `threshold` and `start_fnmr`, or a share outside
            [0, 1).
        InsufficientDataError: No pairs; too few for `start_fnmr`; or intervals without subjects.
    """
    values, best = floats(genuine, "genuine scores"), _pair_quality(quality)
    check_shape(best, (len(values),), "quality, one per genuine score,")
    if len(values) == 0:
        raise InsufficientDataError("an error-versus-discard curve needs genuine pairs, got none")
    shares = floats(np.asarray(discards), "shares to discard")
    if (
        len(shares) == 0
        or (shares < 0).any()
        or (shares >= 1).any()
        or (np.diff(shares) <= 0).any()
    ):
        raise RangeError("shares to discard must rise within [0, 1)")
    limit = _threshold(values, threshold, start_fnmr)
    order = np.argsort(best, kind="stable")
    wrong, ranked = (values < limit)[order].astype(np.float64), best[order]
    # (q,) where each run of equal quality ends: only there can a cut be.
    ends = np.append(np.flatnonzero(np.diff(ranked)) + 1, len(ranked))
    fnmr, left = _curve(wrong, np.ones(len(wrong)), ends, shares)
    start = float(wrong.mean())
    return DiscardCurve(
        limit,
        shares,
        fnmr,
        np.rint(left).astype(np.intp),
        start,
        _mean_height(shares, fnmr),
        _mean_height(shares, np.maximum(0.0, start - shares) / (1.0 - shares)),
        start,
        _intervals(wrong, fnmr, ends, shares, order, subjects, how),
    )


def _pair_quality(quality: ArrayLike) -> Floats:
    array = np.asarray(quality)
    if array.ndim == 2:
        check_shape(array, (None, 2), "quality of both pictures")
        first, second = (floats(array[:, i], "quality") for i in (0, 1))
        return np.minimum(first, second)
    return floats(array, "quality")


def _threshold(values: Floats, threshold: float | None, start_fnmr: float | None) -> float:
    if (threshold is None) == (start_fnmr is None):
        raise RangeError("give a threshold, or the FNMR to start from: one of the two")
    if threshold is not None:
        return float(threshold)
    check_share(float(start_fnmr or 0.0), "FNMR")
    rejected = int(np.ceil(float(start_fnmr or 0.0) * len(values) - 1e-9))
    return float(np.nextafter(np.partition(values, rejected - 1)[rejected - 1], np.inf))


def _curve(wrong: Floats, weights: Floats, ends: NDArray[np.intp], shares: Floats) -> Any:
    """FNMR and weight of what is left, per share; `wrong` and `weights` by rising quality."""
    count = np.concatenate([[0.0], np.cumsum(weights)[ends - 1]])
    errors = np.concatenate([[0.0], np.cumsum(weights * wrong)[ends - 1]])
    cut = np.searchsorted(count, shares * count[-1] + 1e-9, side="right") - 1
    left = count[-1] - count[cut]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(left > 0, (errors[-1] - errors[cut]) / left, np.nan), left


def _mean_height(shares: Floats, heights: Floats) -> float:
    """Mean over the range by trapezoids; the height itself where there is one share only."""
    kept = np.isfinite(heights)
    x, y = shares[kept], heights[kept]
    if len(x) < 2:
        return float(y[0]) if len(y) else float("nan")
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0]))


def _intervals(
    wrong: Floats,
    fnmr: Floats,
    ends: NDArray[np.intp],
    shares: Floats,
    order: NDArray[np.intp],
    subjects: Sequence[object] | None,
    how: Resampling | None,
) -> tuple[Rate, ...]:
    if how is None or how.rounds == 0:
        return ()
    if subjects is None:
        raise InsufficientDataError("intervals are drawn over subjects; give them")
    numbers = subject_numbers(subjects)
    check_shape(numbers, (len(wrong),), "subjects, one per genuine score,")

    def measure(weights: Floats) -> list[float] | None:
        found: list[float] = _curve(wrong, weights, ends, shares)[0].tolist()
        return found if np.isfinite(found).all() else None

    rounds = bootstrap_subjects(numbers[order], measure, how)
    people = len(np.unique(numbers))
    return tuple(
        rate_of(float(v), rounds[:, i], how, subjects=people, errors=float(v))
        for i, v in enumerate(fnmr)
    )
