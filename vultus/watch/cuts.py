"""Tells where one shot ends and another begins."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vultus.types import Image

__all__ = ["CUT", "colours", "difference"]

_Floats: TypeAlias = NDArray[np.float64]

CUT = 0.2
"""From this difference of two frames' colours on, they are of different shots.

Between frames 1 to 5 apart the three cuts of a dark concert film differ by 0.26 to 0.59, fast
moves of its camera by at most 0.18, a street scene by at most 0.09."""

_BINS = 8
# About 3,600 pixels of a picture of 640 × 360: colours of a whole frame need no more.
_STEP_OF_SIDE = 80
# Square roots spread dark tones, of which concert and night pictures are full.
_BIN_OF = np.minimum(np.sqrt(np.arange(256) / 255.0) * _BINS, _BINS - 1).astype(np.intp)


def colours(image: Image) -> _Floats:
    """How often each of 512 colours occurs in a picture.

    Args:
        image: (h, w, 3) uint8, RGB.

    Returns:
        (512,), adds up to 1.
    """
    step = max(1, max(image.shape[:2]) // _STEP_OF_SIDE)
    bins = _BIN_OF[image[::step, ::step]]
    flat = (bins[..., 0] * _BINS + bins[..., 1]) * _BINS + bins[..., 2]
    counts = np.bincount(flat.ravel(), minlength=_BINS**3)
    shares: _Floats = counts / counts.sum()
    return shares


def difference(first: _Floats, second: _Floats) -> float:
    """Part of the picture whose colours differ, in [0, 1]: half the sum of absolute differences."""
    return float(0.5 * np.abs(first - second).sum())
