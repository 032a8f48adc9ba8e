"""A support vector machine on features of faces: its grid, its calibration, when it is unsure."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite
from vultus.assess.liveness.svm import LivenessSvm
from vultus.errors import InsufficientDataError, MissingExtraError, RangeError, ShapeError

__all__ = ["COSTS", "GAMMAS", "SvmOptions", "fit_svm"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

COSTS = tuple(2.0**power for power in range(-8, 7))
"""C: 2^-8 to 2^6."""
GAMMAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15)
"""γ: 0.001 to 0.15, of features whose squared length is `_LENGTH` on average."""

# With it |x − y|² is around 200, so that the γs run from a nearly linear kernel, 0.2 in the
# exponent, to a very local one.
_LENGTH = 100.0
_CONFIDENCES = np.round(np.arange(0.5, 1.0, 0.01), 2)


@dataclass(frozen=True, slots=True)
class SvmOptions:
    """How to train.

    Attributes:
        weights: ``balanced``, or ``fixed``: 0.4 for living faces and 0.6 for attacks.
        folds: Into how many parts the groups are split, ≥ 2; each is held out once.
        wrong_rate: Part of wrong answers among those given, in (0, 1), on the groups held out;
            below the confidence that it takes the machine gives none. ``None``: it always answers.
        costs: Values of C that are tried.
        gammas: Values of γ that are tried.

    Raises:
        RangeError: A value is outside its range.
    """

    weights: Literal["balanced", "fixed"] = "balanced"
    folds: int = 3
    wrong_rate: float | None = 0.05
    costs: Sequence[float] = COSTS
    gammas: Sequence[float] = GAMMAS

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise RangeError(f"folds must be at least 2, got {self.folds}")
        if self.wrong_rate is not None and not 0.0 < self.wrong_rate < 1.0:
            raise RangeError(f"wrong_rate must lie in (0, 1), got {self.wrong_rate}")
        if not self.costs or not self.gammas or min(*self.costs, *self.gammas, 1.0) <= 0:
            raise RangeError("costs and gammas must be above 0")


def fit_svm(
    features: NDArray[np.floating[Any]],
    live: Bools,
    groups: Sequence[str],
    name: str,
    what: str,
    options: SvmOptions | None = None,
) -> LivenessSvm:
    """Train a machine with a radial kernel.

    C and γ are those with the highest accuracy on groups held out (the mean over living faces and
    attacks), so what is special to one person or one session does not count. On the same answers
    margins are calibrated, and the confidence chosen under which none is given.

    Args:
        features: (n, d).
        live: (n,) the truth.
        groups: (n,) people or sessions; none is both learnt from and tried on.
        name: What the machine will be called.
        what: What the features are; see `LivenessSvm.features`.
        options: How.

    Raises:
        ShapeError: The lengths differ.
        InsufficientDataError: Fewer than two groups with living faces and attacks.
        MissingExtraError: scikit-learn is not installed.
    """
    options = options or SvmOptions()
    if features.ndim != 2 or not len(features) == len(live) == len(groups):
        raise ShapeError(
            f"features must be (n, d) with truth and group per row, got {features.shape}, "
            f"{len(live)} and {len(groups)}"
        )
    check_finite(features, "features")
    began = time.process_time()
    folds = _folds(live, groups, options.folds)
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features.astype(np.float64) - mean
    scale = max(math.sqrt(float((centred**2).sum(axis=1).mean()) / _LENGTH), 1e-9)
    scaled = centred / scale
    lengths = (scaled**2).sum(axis=1)
    apart = np.maximum(lengths[:, None] + lengths - 2.0 * scaled @ scaled.T, 0.0)
    best = _searched(apart, live, folds, options)
    margins, gamma, cost = best
    slope = _slope(margins, live)
    reject_below, held_out = _unsure(margins, live, slope, options.wrong_rate)
    machine = _machine(np.exp(-gamma * apart), live, cost, options.weights)
    rows = machine.support_
    report = {
        "presentations": {"live": int(live.sum()), "attack": int((~live).sum())},
        "groups": len(set(groups)),
        "C": cost,
        "gamma": gamma,
        "weights": options.weights,
        "held_out": held_out,
        "cpu_s": round(time.process_time() - began, 1),
    }
    return LivenessSvm(
        name=name,
        features=what,
        mean=mean,
        scale=np.array([scale]),
        support=scaled[rows].astype(np.float32),
        weights=np.asarray(machine.dual_coef_[0], np.float64),
        bias=float(machine.intercept_[0]),
        gamma=gamma,
        slope=slope,
        offset=0.0,
        reject_below=reject_below,
        report=report,
    )


def _folds(live: Bools, groups: Sequence[str], count: int) -> list[Bools]:
    """Rows held out, each time; in every fold and outside of it are living faces and attacks."""
    names = sorted(set(groups))
    of = np.array([names.index(group) for group in groups])
    for parts in range(min(count, len(names)), 1, -1):
        folds = [of % parts == part for part in range(parts)]
        if all(len(set(live[side].tolist())) == 2 for held in folds for side in (held, ~held)):
            return folds
    raise InsufficientDataError(
        "C and gamma are chosen on people held out: it takes two people or more with living "
        f"faces and attacks, got {len(names)}",
        remedy="put the pictures of each person into a folder of their own",
        expected=2,
        actual=len(names),
    )


def _searched(
    apart: Floats, live: Bools, folds: list[Bools], options: SvmOptions
) -> tuple[Floats, float, float]:
    """Margins on what was held out, γ and C of the best; the simplest of equals."""
    best: tuple[float, Floats, float, float] = (-1.0, np.zeros(0), 0.0, 0.0)
    for gamma in sorted(options.gammas):
        kernel = np.exp(-gamma * apart)
        for cost in sorted(options.costs):
            margins = np.zeros(len(live))
            for held in folds:
                own = np.flatnonzero(~held)
                machine = _machine(kernel[np.ix_(own, own)], live[own], cost, options.weights)
                margins[held] = machine.decision_function(kernel[np.ix_(held, own)])
            right = (margins > 0) == live
            accuracy = float((right[live].mean() + right[~live].mean()) / 2.0)
            if accuracy > best[0]:
                best = accuracy, margins, gamma, cost
    return best[1:]


def _machine(
    kernel: Floats, live: Bools, cost: float, weights: Literal["balanced", "fixed"]
) -> Any:
    try:
        from sklearn.svm import SVC
    except ImportError as error:
        raise MissingExtraError(
            "a support vector machine is trained with scikit-learn",
            remedy="pip install 'vultus[train]'",
        ) from error
    shares: Any = "balanced" if weights == "balanced" else {True: 0.4, False: 0.6}
    return SVC(kernel="precomputed", C=cost, class_weight=shares).fit(kernel, live)


def _slope(margins: Floats, live: Bools) -> float:
    """Slope, above 0, of the probability of live; living faces and attacks weigh one half each.

    The machine's own boundary stays where the probability is one half: those that gave these
    margins learnt from other groups than the last one, so their offset is not its. Source: Platt
    1999, with his smoothed targets, without the offset; Newton's method.
    """
    weight = np.where(live, 0.5 / live.sum(), 0.5 / (~live).sum())
    target = np.where(live, (live.sum() + 1) / (live.sum() + 2), 1 / ((~live).sum() + 2))
    spread = float(margins.std()) or 1.0
    z, found = margins / spread, 1.0
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(found * z, -500, 500)))
        gradient = float((z * weight * (p - target)).sum())
        curvature = float((z * z * weight * np.maximum(p * (1 - p), 1e-9)).sum()) + 1e-9
        step = float(np.clip(gradient / curvature, -2.0, 2.0))
        found -= step
        if abs(step) < 1e-9:
            break
    return max(found / spread, 1e-6)


def _unsure(
    margins: Floats, live: Bools, slope: float, wrong_rate: float | None
) -> tuple[float, Mapping[str, Any]]:
    """The lowest confidence from which few enough answers are wrong, and what was measured."""
    probability = 1.0 / (1.0 + np.exp(-np.clip(slope * margins, -500, 500)))
    confidence = np.maximum(probability, 1.0 - probability)
    right = (probability >= 0.5) == live
    limit = 0.5
    for limit in _CONFIDENCES.tolist() if wrong_rate is not None else [0.5]:
        given = confidence >= limit
        if not given.any() or (~right[given]).mean() <= (wrong_rate or 1.0):
            break
    given = confidence >= limit
    return float(limit), {
        "accuracy": float(right.mean()),
        "answered": float(given.mean()),
        "wrong_among_answered": float((~right[given]).mean()) if given.any() else None,
        "wrong_rate_aimed_at": wrong_rate,
    }
