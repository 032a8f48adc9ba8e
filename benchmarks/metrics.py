"""Verification metrics over similarities: accuracy, error rates and thresholds, vectorised.

A pair is called the same person when its similarity *reaches* the threshold (``>=``), as in
`vultus.decide`. FMR is the share of impostor pairs that reach it, FNMR the share of genuine pairs
that do not (ISO/IEC 19795-1); TAR is 1 - FNMR.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "accuracy",
    "accuracy_threshold",
    "cross_pairs",
    "error_rates",
    "round_up",
    "standard_error",
    "threshold_at_fmr",
]

Floats = NDArray[np.float64]


def accuracy(similarities: ArrayLike, same: ArrayLike, threshold: float) -> float:
    """Share of pairs that are decided rightly."""
    decided = np.asarray(similarities, np.float64) >= threshold
    return float((decided == np.asarray(same, bool)).mean())


def standard_error(share: float, pairs: int) -> float:
    """One standard deviation of a share measured on `pairs` independent pairs (binomial)."""
    return math.sqrt(share * (1.0 - share) / pairs)


def accuracy_threshold(similarities: ArrayLike, same: ArrayLike) -> float:
    """The threshold that decides most pairs rightly.

    Every cut between two neighbouring similarities is tried, and one beyond each end. Of several
    that are equally good the middle one counts (the lower of two): far from the flanks, and
    itself one of the best.
    """
    values, labels = np.asarray(similarities, np.float64), np.asarray(same, bool)
    distinct = np.unique(values)
    between = (distinct[1:] + distinct[:-1]) / 2
    cuts = np.concatenate([[distinct[0] - 1e-6], between, [distinct[-1] + 1e-6]])
    genuine, impostor = np.sort(values[labels]), np.sort(values[~labels])
    right = len(genuine) - np.searchsorted(genuine, cuts) + np.searchsorted(impostor, cuts)
    best = np.flatnonzero(right == right.max())
    return float(cuts[best[(len(best) - 1) // 2]])


def threshold_at_fmr(impostor: ArrayLike, fmr: float) -> float:
    """The lowest threshold that at most a share `fmr` of the impostor pairs reaches.

    Args:
        impostor: Similarities of pairs of different people.
        fmr: Target in (0, 1).

    Raises:
        ValueError: There are fewer than ``1 / fmr`` pairs: the target cannot be measured.
    """
    values = np.asarray(impostor, np.float64)
    # 1e-9: 0.001 * 1000 must count as 1, not as 0.99999….
    allowed = math.floor(fmr * len(values) + 1e-9)
    if not 0.0 < fmr < 1.0 or allowed < 1:
        raise ValueError(f"an FMR of {fmr} cannot be measured on {len(values)} impostor pairs")
    # Just above the first one too many; equal similarities stay out together.
    rank = len(values) - 1 - allowed
    return float(np.nextafter(np.partition(values, rank)[rank], np.inf))


def error_rates(genuine: ArrayLike, impostor: ArrayLike, threshold: float) -> tuple[float, float]:
    """(FMR, FNMR) at a threshold."""
    fmr = (np.asarray(impostor, np.float64) >= threshold).mean()
    fnmr = (np.asarray(genuine, np.float64) < threshold).mean()
    return float(fmr), float(fnmr)


def round_up(threshold: float, digits: int = 4) -> float:
    """Round a threshold to the stricter side, so that its FMR does not grow."""
    rounded = round(threshold, digits)
    return rounded if rounded >= threshold else round(rounded + 10.0**-digits, digits)


def cross_pairs(embeddings: NDArray[np.floating], people: ArrayLike) -> tuple[Floats, Floats]:
    """Compare every picture with every other one, once.

    Args:
        embeddings: (n, d) unit rows.
        people: (n,) who each row shows.

    Returns:
        Similarities of the genuine and of the impostor pairs.
    """
    rows = np.asarray(embeddings, np.float64)
    names = np.unique(np.asarray(people), return_inverse=True)[1]
    first, second = np.triu_indices(len(rows), 1)
    similarities = (rows @ rows.T)[first, second]
    same = names[first] == names[second]
    return similarities[same], similarities[~same]
