"""Baidu's points, 0 to 100: from 80 on, the same person."""

from __future__ import annotations

import numpy as np

from vultus.pipeline import Recognizer

__all__ = ["SAME", "points"]

SAME = 80.0
"""Points from which Baidu recommends to call two faces the same."""


def points(recognizer: Recognizer, similarity: float) -> float:
    """A similarity in points.

    By the calibration of the recogniser's space (`Calibration.similarity_100`: 80 where one
    stranger in ten thousand passes). A space without one has 80 at the recogniser's threshold,
    and straight lines to 0 at a cosine of -1 and to 100 at 1.

    Args:
        recognizer: What made the embeddings.
        similarity: Cosine in [-1, 1].
    """
    similarity = float(np.clip(similarity, -1.0, 1.0))
    calibration = recognizer.calibration
    if calibration is not None:
        return round(calibration.similarity_100(similarity), 4)
    knots = [-1.0, recognizer.threshold.value, 1.0]
    return round(float(np.interp(similarity, knots, [0.0, SAME, 100.0])), 4)
