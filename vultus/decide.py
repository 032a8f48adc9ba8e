"""From a similarity to a decision, by a threshold that knows where it comes from."""

from __future__ import annotations

import numpy as np

from vultus.errors import CardError, RangeError
from vultus.models import ModelCard
from vultus.types import Decision, EmbeddingSpace, Threshold

__all__ = ["DEFAULT_POLICY", "decide", "threshold_for"]

DEFAULT_POLICY = "fmr=5e-3"
"""One pair of strangers in two hundred passes, as measured per model; see its card.

On folders of photos this names as many people as face_recognition's distance of 0.6 does, with
fewer wrong names (benchmarks/identify.py). A door wants ``fmr=1e-4``.
"""


def threshold_for(
    card: ModelCard, space: EmbeddingSpace, policy: str | float = DEFAULT_POLICY
) -> Threshold:
    """Find the threshold a policy asks for.

    Args:
        card: The embedder's card, which lists what was measured.
        space: The embedding space in use.
        policy: A policy's name such as ``fmr=5e-3``, or a cosine of the caller's own.

    Raises:
        RangeError: A number outside [-1, 1].
        CardError: The card lists no such policy for this space; nothing is made up.
    """
    if isinstance(policy, (int, float, np.floating)) and not isinstance(policy, bool):
        if not np.isfinite(policy):
            raise RangeError(f"a threshold is a cosine in [-1, 1], got {policy}")
        return Threshold(float(policy), "user", "given by the caller", None, None, space.id)
    measured = [t for t in card.thresholds if t.preprocessing == space.preprocessing]
    for threshold in measured:
        if threshold.policy == policy:
            return Threshold(
                threshold.value,
                threshold.policy,
                threshold.source,
                threshold.fmr,
                threshold.fnmr,
                space.id,
            )
    known = ", ".join(t.policy for t in measured) or "none"
    raise CardError(
        f"no threshold {policy!r} was measured for {space.model} with {space.preprocessing} "
        f"(measured: {known})",
        remedy="give a number: threshold=0.9, or --threshold 0.9",
        expected=str(policy),
        actual=[t.policy for t in measured],
    )


def decide(similarity: float, threshold: Threshold) -> Decision:
    """Hold a similarity against a threshold.

    Args:
        similarity: Cosine in [-1, 1].
        threshold: Reached means the same person.

    Raises:
        RangeError: The similarity is not finite or outside [-1, 1].
    """
    if not -1.0 <= similarity <= 1.0:  # also catches NaN
        raise RangeError(f"a similarity is a cosine in [-1, 1], got {similarity}")
    return Decision(similarity, threshold, similarity >= threshold.value)
