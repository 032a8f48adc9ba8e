"""CompreFace's similarity: a distance between embeddings on a scale from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from math import atanh, sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vultus.decide import Calibration
from vultus.errors import InsufficientDataError
from vultus.types import Threshold

__all__ = ["Scale"]

_COMMON, _RARE = 5e-3, 1e-4
"""Two false match rates: that of `vultus.decide.DEFAULT_POLICY`, and that of a door."""
_SIMILARITY_AT_RARE = 0.9
# c0 · c1 of CompreFace's default model (facenet 20180402): c0 1.1817961, c1 5.291995557.
# Source: CompreFace 1.2.0, embedding-calculator, the model's `similarity_coefficients`.
_PRODUCT = 1.1817961 * 5.291995557


@dataclass(frozen=True, slots=True)
class Scale:
    """``(tanh((c0 − d) · c1) + 1) / 2`` of the distance d between unit vectors.

    A cosine s is a distance √(2 − 2s). The scale is 0.5 at ``d = c0``, and it is the logistic
    function of ``2 · c1 · (c0 − d)``.

    Attributes:
        c0: Distance at which the similarity is 0.5.
        c1: How steep it is there.
    """

    c0: float
    c1: float

    @classmethod
    def of(cls, threshold: Threshold, calibration: Calibration | None) -> Self:
        """The scale of an embedding space.

        0.5 lies at the threshold. The slope is such that, with the default threshold (strangers
        pass once in 200 times), 0.9 is what strangers reach once in 10,000 times. A space without
        a calibration, or with one that rests on too few comparisons, gets the curve of
        CompreFace's own default model, stretched so that its middle lies at the threshold.

        Args:
            threshold: From which similarity two faces are called the same.
            calibration: Tells how often strangers reach a similarity.
        """
        c0 = max(_distance(threshold.value), 1e-6)  # a threshold of 1 has no scale
        try:
            if calibration is not None:
                common = _distance(calibration.threshold(_COMMON).value)
                rare = _distance(calibration.threshold(_RARE).value)
                return cls(c0, atanh(2 * _SIMILARITY_AT_RARE - 1) / (common - rare))
        except InsufficientDataError:
            pass
        return cls(c0, _PRODUCT / c0)

    def of_cosine(self, cosine: float) -> float:
        """The similarity in [0, 1] of a cosine in [-1, 1]."""
        return float(self.of_cosines(np.array([cosine]))[0])

    def of_cosines(self, cosines: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The similarities in [0, 1] of cosines in [-1, 1]."""
        distance = np.sqrt(np.maximum(2.0 - 2.0 * cosines.astype(np.float64), 0.0))
        similarity: NDArray[np.float64] = (np.tanh((self.c0 - distance) * self.c1) + 1.0) / 2.0
        return similarity


def _distance(cosine: float) -> float:
    return sqrt(max(0.0, 2.0 - 2.0 * cosine))
