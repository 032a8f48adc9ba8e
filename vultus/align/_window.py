"""The part of a picture that a face needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.types import Image

__all__ = ["REMAP_LIMIT_PX", "window"]

REMAP_LIMIT_PX = 32_766
"""Longest side that OpenCV's remap and warpAffine can read: they address with 16 bits."""


def window(
    image: Image, low: NDArray[np.floating[Any]], high: NDArray[np.floating[Any]]
) -> tuple[Image, NDArray[np.float64]]:
    """A view of the picture from pixel `low` to pixel `high`, both included, clipped to it.

    Args:
        image: (h, w, 3) uint8.
        low: (2,) xy.
        high: (2,) xy.

    Returns:
        The view, at least one pixel, and the (2,) xy of its first pixel.
    """
    last = np.array(image.shape[1::-1]) - 1
    first = np.floor(np.clip(low, 0, last) + 0.5).astype(int)
    end = np.floor(np.clip(high, 0, last) + 0.5).astype(int) + 1
    return image[first[1] : end[1], first[0] : end[0]], first.astype(np.float64)
