"""Error rates of one-to-one comparison: FMR, FNMR, operating points, EER, AUC, d-prime, curves.

Terms: ISO/IEC 19795-1. FMR is the share of impostor comparisons that reach the threshold, FNMR
the share of genuine ones that do not; TAR (also GAR, TMR) is 1 - FNMR, and FAR means FMR here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vultus.evaluate._plain import plain
from vultus.evaluate.metrics._need import allowed_errors, dependable
from vultus.evaluate.metrics.scores import Floats, Scores, floats
from vultus.evaluate.metrics.weighted import EqualErrorRate, ErrorCurve, WeightedScores
from vultus.types import Rate

__all__ = [
    "OperatingPoint",
    "accuracy",
    "accuracy_threshold",
    "area_under_curve",
    "d_prime",
    "equal_error_rate",
    "error_curve",
    "false_match_rate",
    "false_non_match_rate",
    "fnmr_at_fmr",
    "threshold_at_fmr",
]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """FNMR at the lowest threshold whose measured FMR does not exceed a target.

    Attributes:
        target_fmr: What was asked for.
        threshold: Similarity from which a pair is accepted.
        fmr: Measured there; at most `target_fmr`.
        fnmr: Measured there.
        false_matches: Impostor pairs accepted.
        impostor: Impostor pairs.
        false_non_matches: Genuine pairs rejected.
        genuine: Genuine pairs.
        fmr_interval: Bootstrap over subjects, at this threshold; ``None`` if not asked for.
        fnmr_interval: Likewise, with the threshold chosen anew in every round.
    """

    target_fmr: float
    threshold: float
    fmr: float
    fnmr: float
    false_matches: int
    impostor: int
    false_non_matches: int
    genuine: int
    fmr_interval: Rate | None = None
    fnmr_interval: Rate | None = None

    @property
    def tar(self) -> float:
        """True accept rate, 1 - FNMR."""
        return 1.0 - self.fnmr

    @property
    def dependable(self) -> bool:
        """Whether the FMR rests on 30 false matches or more (Doddington's rule of 30)."""
        return dependable(self.false_matches)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**plain(self), "tar": self.tar, "dependable": self.dependable}


def false_match_rate(impostor: ArrayLike, threshold: ArrayLike) -> Floats:
    """Share of impostor similarities that reach each threshold, in the thresholds' shape."""
    values = np.sort(floats(impostor, "impostor scores"))
    below = np.searchsorted(values, np.asarray(threshold, np.float64), side="left")
    return np.asarray((len(values) - below) / len(values))


def false_non_match_rate(genuine: ArrayLike, threshold: ArrayLike) -> Floats:
    """Share of genuine similarities below each threshold, in the thresholds' shape."""
    values = np.sort(floats(genuine, "genuine scores"))
    below = np.searchsorted(values, np.asarray(threshold, np.float64), side="left")
    return np.asarray(below / len(values))


def accuracy(scores: Scores, threshold: float) -> float:
    """Share of all pairs that are decided rightly."""
    right = (scores.genuine >= threshold).sum() + (scores.impostor < threshold).sum()
    return float(right / (len(scores.genuine) + len(scores.impostor)))


def accuracy_threshold(scores: Scores) -> float:
    """The threshold that decides most pairs rightly.

    Every cut between two neighbouring similarities is tried, and one beyond each end. Of several
    that are equally good the middle one counts (the lower of two): far from the flanks, and
    itself one of the best.
    """
    distinct = np.unique(np.concatenate([scores.genuine, scores.impostor]))
    between = (distinct[1:] + distinct[:-1]) / 2
    cuts = np.concatenate([[distinct[0] - 1e-6], between, [distinct[-1] + 1e-6]])
    genuine, impostor = np.sort(scores.genuine), np.sort(scores.impostor)
    right = len(genuine) - np.searchsorted(genuine, cuts) + np.searchsorted(impostor, cuts)
    best = np.flatnonzero(right == right.max())
    return float(cuts[best[(len(best) - 1) // 2]])


def threshold_at_fmr(impostor: ArrayLike, fmr: float) -> float:
    """The lowest threshold that at most a share `fmr` of the impostor pairs reaches.

    It lies just above the best impostor that must stay out; equal similarities stay out together.

    Raises:
        RangeError: `fmr` is outside (0, 1).
        InsufficientDataError: One false match would be more than `fmr`.
    """
    values = floats(impostor, "impostor scores")
    allowed = allowed_errors(fmr, len(values), "FMR", "impostor comparisons")
    rank = len(values) - 1 - allowed
    return float(np.nextafter(np.partition(values, rank)[rank], np.inf))


def fnmr_at_fmr(scores: Scores, fmr: float) -> OperatingPoint:
    """FNMR at the lowest threshold whose measured FMR is at most `fmr`.

    Raises:
        RangeError: `fmr` is outside (0, 1).
        InsufficientDataError: There are too few impostor pairs; the fields say how many it takes.
    """
    threshold = threshold_at_fmr(scores.impostor, fmr)
    accepted = int((scores.impostor >= threshold).sum())
    rejected = int((scores.genuine < threshold).sum())
    impostor, genuine = len(scores.impostor), len(scores.genuine)
    return OperatingPoint(
        fmr, threshold, accepted / impostor, rejected / genuine,
        accepted, impostor, rejected, genuine,
    )  # fmt: skip


def equal_error_rate(scores: Scores) -> EqualErrorRate:
    """Where FMR and FNMR are equal."""
    return WeightedScores.of(scores).equal_error_rate()


def area_under_curve(scores: Scores) -> float:
    """Area under the ROC: how often a genuine pair scores above an impostor pair, ties half."""
    return WeightedScores.of(scores).area()


def d_prime(scores: Scores) -> float:
    """Distance of the two means in units of the root mean of the two variances.

    Source: decidability, Daugman 2000, "Biometric decision landscapes".

    Returns:
        0 and more; infinite when neither kind varies and their means differ.
    """
    return WeightedScores.of(scores).d_prime()


def error_curve(scores: Scores, points: int | None = None) -> ErrorCurve:
    """FMR and FNMR at every score, and beyond the highest.

    Args:
        scores: What was measured.
        points: Keep about so many, spread over the decades, for plots and files.
    """
    curve = WeightedScores.of(scores).curve()
    return curve if points is None else curve.thinned(points)
