"""From a similarity to a decision, by a threshold that knows where it comes from."""

from __future__ import annotations

import re

import numpy as np

from vultus.decide.calibration import Calibration, shipped_calibration
from vultus.errors import CardError, RangeError
from vultus.models import ModelCard
from vultus.types import Decision, EmbeddingSpace, Threshold

__all__ = ["DEFAULT_POLICY", "decide", "threshold_for"]

DEFAULT_POLICY = "fmr=5e-3"
"""One pair of strangers in two hundred passes, as measured per model; see its card.

On folders of photos this names as many people as face_recognition's distance of 0.6 does, with
fewer wrong names (benchmarks/identify.py). A door wants ``fmr=1e-4``.
"""


_FMR = re.compile(r"fmr=([0-9.]+(?:e-?[0-9]+)?)")
_FPIR = re.compile(r"fpir=([0-9.]+(?:e-?[0-9]+)?),people=([0-9]+)")


def threshold_for(
    card: ModelCard,
    space: EmbeddingSpace,
    policy: str | float = DEFAULT_POLICY,
    calibration: Calibration | None = None,
) -> Threshold:
    """Find the threshold a policy asks for.

    Args:
        card: The embedder's card, which lists what was measured.
        space: The embedding space in use.
        policy: ``fmr=5e-3`` or any other false match rate; ``fpir=1e-2,people=500`` for searching
            a gallery of that size; another name on the card; or a cosine of the caller's own.
        calibration: The caller's own, which then decides alone about rates. Without one the card
            does, and the shipped calibration for rates that the card does not list.

    Raises:
        RangeError: A number outside its range.
        InsufficientDataError: The calibration rests on too few comparisons for such a rate.
        CardError: Neither card nor calibration know such a policy for this space; nothing is
            made up.
    """
    if isinstance(policy, (int, float, np.floating)) and not isinstance(policy, bool):
        if not np.isfinite(policy):
            raise RangeError(f"a threshold is a cosine in [-1, 1], got {policy}")
        return Threshold(float(policy), "user", "given by the caller", None, None, space.id)
    measured = [t for t in card.thresholds if t.preprocessing == space.preprocessing]
    asked_rate = _FMR.fullmatch(str(policy)) or _FPIR.fullmatch(str(policy))
    for threshold in measured:
        if threshold.policy == policy and not (calibration and asked_rate):
            return Threshold(
                threshold.value,
                threshold.policy,
                threshold.source,
                threshold.fmr,
                threshold.fnmr,
                space.id,
            )
    rates = calibration or (shipped_calibration(space) if asked_rate else None)
    if asked_rate and rates is not None:
        rate = _number(asked_rate[1])
        if asked_rate.re is _FMR:
            return rates.threshold(rate)
        return rates.threshold_for_gallery(int(asked_rate[2]), rate)
    known = ", ".join(t.policy for t in measured) or "none"
    raise CardError(
        f"no threshold {policy!r} was measured for {space.model} with {space.preprocessing} "
        f"(measured: {known})",
        remedy="give a number: threshold=0.9, or --threshold 0.9; or calibrate on your own data",
        expected=str(policy),
        actual=[t.policy for t in measured],
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise RangeError(f"a rate must be a number such as 1e-3, got {text!r}") from error


def decide(
    similarity: float,
    threshold: Threshold,
    calibration: Calibration | None = None,
    *,
    margin: float | None = None,
    sample: int | None = None,
    quality: float | None = None,
) -> Decision:
    """Hold a similarity against a threshold.

    Args:
        similarity: Cosine in [-1, 1].
        threshold: Reached means the same person.
        calibration: Tells how often a stranger scores this high, and what quality cost.
        margin: See `Decision.margin`.
        sample: See `Decision.sample`.
        quality: The face's `Quality.score`, when it was measured.

    Raises:
        RangeError: The similarity is not finite or outside [-1, 1].
    """
    if not -1.0 <= similarity <= 1.0:  # also catches NaN
        raise RangeError(f"a similarity is a cosine in [-1, 1], got {similarity}")
    cost = calibration.quality if calibration and quality is not None else None
    return Decision(
        similarity,
        threshold,
        similarity >= threshold.value,
        fmr=calibration.fmr_at(similarity) if calibration else None,
        margin=margin,
        sample=sample,
        quality_cost=cost.at(quality) if cost and quality is not None else None,
    )
