"""Scores counted with weights: every metric of one-to-one comparison, written once.

With weights of one it is the metric; with the weights of a resampled set of subjects it is one
round of the bootstrap. All scores are kept and nothing is binned: the only thresholds that matter
are the scores themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.evaluate._plain import plain
from vultus.evaluate.metrics.scores import Floats, Ints, Scores

__all__ = ["EqualErrorRate", "ErrorCurve", "SortedScores", "WeightedScores", "cumulative"]

_BLOCK = 1 << 15


@dataclass(frozen=True, slots=True)
class EqualErrorRate:
    """Where FMR and FNMR are equal, between two neighbouring points of the ROC.

    Attributes:
        rate: The equal error rate, interpolated linearly between them.
        threshold: The lower of the two thresholds around it at which FNMR reaches FMR.
    """

    rate: float
    threshold: float


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCurve:
    """FMR and FNMR at rising thresholds: a DET curve, and with `tar` a ROC curve.

    Attributes:
        threshold: (k,) rising; the last one is infinite and accepts nobody.
        fmr: (k,) falling from 1 to 0.
        fnmr: (k,) rising from 0 to 1.
    """

    threshold: Floats = field(repr=False)
    fmr: Floats = field(repr=False)
    fnmr: Floats = field(repr=False)

    @property
    def tar(self) -> Floats:
        """(k,) true accept rates, 1 - FNMR."""
        return 1.0 - self.fnmr

    def thinned(self, points: int) -> ErrorCurve:
        """About `points` of the points, spread over the decades of both rates, ends included."""
        if len(self.threshold) <= points:
            return self
        falling = np.geomspace(self.fmr[self.fmr > 0].min(), 1.0, max(2, points // 2))
        rising = np.geomspace(self.fnmr[self.fnmr > 0].min(), 1.0, max(2, points // 2))
        by_fmr = len(self.fmr) - np.searchsorted(self.fmr[::-1], falling, side="right")
        by_fnmr = np.searchsorted(self.fnmr, rising)
        ends = [0, len(self.threshold) - 1]
        kept = np.unique(np.clip(np.concatenate([by_fmr, by_fnmr, ends]), 0, ends[1]))
        return ErrorCurve(self.threshold[kept], self.fmr[kept], self.fnmr[kept])

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the infinite threshold becomes ``None``."""
        result: dict[str, Any] = plain(self)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class SortedScores:
    """Scores sorted once, with where they stand among each other.

    Attributes:
        genuine: Rising.
        impostor: Rising.
        genuine_order: Where each came from in the scores.
        impostor_order: Likewise.
        cuts: Every distinct score, rising, and infinity: the thresholds.
        genuine_below: How many genuine scores lie below each cut.
        impostor_below: How many impostor scores do.
        beaten: For each genuine score, how many impostor scores are lower.
        tied: For each, how many are lower or equal.
        genuine_moments: (2, g) each score less a value amid them all, and its square.
        impostor_moments: (2, i) likewise, less the same value.
    """

    genuine: Floats
    impostor: Floats
    genuine_order: Ints
    impostor_order: Ints
    cuts: Floats
    genuine_below: Ints
    impostor_below: Ints
    beaten: Ints
    tied: Ints
    genuine_moments: Floats
    impostor_moments: Floats

    @classmethod
    def of(cls, scores: Scores) -> SortedScores:
        """Sort."""
        genuine_order = np.argsort(scores.genuine, kind="stable")
        impostor_order = np.argsort(scores.impostor, kind="stable")
        genuine, impostor = scores.genuine[genuine_order], scores.impostor[impostor_order]
        amid = (float(genuine.mean()) + float(impostor.mean())) / 2.0  # squares stay precise
        cuts = np.append(np.unique(np.concatenate([genuine, impostor])), np.inf)
        return cls(
            genuine,
            impostor,
            genuine_order,
            impostor_order,
            cuts,
            np.searchsorted(genuine, cuts, side="left"),
            np.searchsorted(impostor, cuts, side="left"),
            np.searchsorted(impostor, genuine, side="left"),
            np.searchsorted(impostor, genuine, side="right"),
            np.stack([genuine - amid, (genuine - amid) ** 2]),
            np.stack([impostor - amid, (impostor - amid) ** 2]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class WeightedScores:
    """Sorted scores, each counted as often as its weight says.

    Attributes:
        scores: Sorted.
        genuine: (g + 1,) weight of the lowest 0, 1, … g genuine scores.
        impostor: (i + 1,) likewise.
    """

    scores: SortedScores
    genuine: Floats
    impostor: Floats

    @classmethod
    def of(cls, scores: Scores) -> WeightedScores:
        """Every score once."""
        ordered = SortedScores.of(scores)
        return cls(
            ordered,
            np.arange(len(ordered.genuine) + 1, dtype=np.float64),
            np.arange(len(ordered.impostor) + 1, dtype=np.float64),
        )

    @property
    def empty(self) -> bool:
        """Whether all pairs of a kind have no weight."""
        return not (self.genuine[-1] > 0 and self.impostor[-1] > 0)

    def fmr(self, below: int | Ints) -> Any:
        """FMR where so many of the impostor scores lie below the threshold."""
        return (self.impostor[-1] - self.impostor[below]) / self.impostor[-1]

    def fnmr(self, below: int | Ints) -> Any:
        """FNMR where so many of the genuine scores do."""
        return self.genuine[below] / self.genuine[-1]

    def fnmr_at_fmr(self, fmr: float) -> float:
        """FNMR at the lowest threshold whose FMR is at most `fmr`."""
        total = self.impostor[-1]
        # The fewest that must stay out; the best of them, and its equals, are what is refused.
        refused = int(np.searchsorted(self.impostor, total - fmr * total - 1e-9))
        barrier = self.scores.impostor[max(0, refused - 1)]
        return float(self.fnmr(int(np.searchsorted(self.scores.genuine, barrier, side="right"))))

    def equal_error_rate(self) -> EqualErrorRate:
        """Where the polyline of the ROC crosses FMR = FNMR."""
        low, high = 0, len(self.scores.cuts) - 1  # FNMR < FMR at low, FNMR >= FMR at high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._gap(middle) >= 0 else (middle, high)
        fmr = [self.fmr(self.scores.impostor_below[i]) for i in (low, high)]
        gaps = self._gap(low), self._gap(high)
        share = -gaps[0] / (gaps[1] - gaps[0])
        return EqualErrorRate(
            float(fmr[0] + share * (fmr[1] - fmr[0])), float(self.scores.cuts[high])
        )

    def _gap(self, cut: int) -> float:
        """FNMR less FMR; rises with the threshold from -1 to 1."""
        fnmr = self.fnmr(self.scores.genuine_below[cut])
        return float(fnmr - self.fmr(self.scores.impostor_below[cut]))

    def area(self) -> float:
        """Area under the ROC (Mann and Whitney 1947)."""
        weights = np.diff(self.genuine)
        beaten = self.impostor[self.scores.beaten] + self.impostor[self.scores.tied]
        wins = float(np.einsum("i,i->", weights, beaten))
        return wins / (2.0 * float(self.genuine[-1]) * float(self.impostor[-1]))

    def d_prime(self) -> float:
        """See the function of this name."""
        means, variances = [], []
        for values, counts in (
            (self.scores.genuine_moments, self.genuine),
            (self.scores.impostor_moments, self.impostor),
        ):
            mean, square = _moments(values, counts) / counts[-1]
            means.append(mean)
            variances.append(max(0.0, square - mean * mean))
        spread, apart = float(np.sqrt(sum(variances) / 2.0)), float(abs(means[0] - means[1]))
        return apart / spread if spread > 0 else float("inf") if apart > 0 else 0.0

    def curve(self) -> ErrorCurve:
        """FMR and FNMR at every cut."""
        return ErrorCurve(
            self.scores.cuts,
            self.fmr(self.scores.impostor_below),
            self.fnmr(self.scores.genuine_below),
        )


def _moments(values: Floats, counts: Floats) -> Floats:
    """Weighted sums of (2, n) values, in blocks; `counts` are the weights' (n + 1) sums."""
    total = np.zeros(2)
    for start in range(0, values.shape[1], _BLOCK):
        weights = np.diff(counts[start : start + _BLOCK + 1])
        # einsum: BLAS would wake threads of its own for every sum.
        total += np.einsum("ki,i->k", values[:, start : start + _BLOCK], weights)
    return total


def cumulative(counts: Floats, *subjects: NDArray[np.integer]) -> Floats:
    """(n + 1,) sums of the weights of the first 0, 1, … n scores.

    A weight is the product of the counts of a score's subjects. Summed in blocks, which stay in
    the processor's cache.

    Args:
        counts: How often each subject was drawn.
        subjects: (n,) each; the subject, or both subjects, of each score.
    """
    total = np.zeros(len(subjects[0]) + 1)
    for start in range(0, len(subjects[0]), _BLOCK):
        part = slice(start, start + _BLOCK)
        weights = np.take(counts, subjects[0][part])
        for others in subjects[1:]:
            weights *= np.take(counts, others[part])
        np.cumsum(weights, out=weights)
        weights += total[start]
        total[start + 1 : start + 1 + len(weights)] = weights
    return total
