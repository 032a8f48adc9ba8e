"""Area resampling of a picture and of many boxes in it, exact and without a loop per box.

The nets of MTCNN answer to the last bit of their input with boxes that move by several per cent,
so the resampling is the one of its reference implementation: each output pixel is the mean of
the whole input pixels its cell touches (PyTorch's ``interpolate(mode="area")``). A summed-area
table gives each mean by four look-ups, whatever the cell's size.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.types import Image

__all__ = ["AreaSampler"]

Index = NDArray[np.intp]


class AreaSampler:
    """Summed-area table of one picture, (h + 1, w + 1, 3).

    Sums are 32-bit and may wrap around; the differences of them that are used do not, as long as
    one cell covers less than 8 million pixels.

    Args:
        image: (h, w, 3) uint8.
    """

    def __init__(self, image: Image) -> None:
        self.height_px, self.width_px = image.shape[:2]
        self._table = np.asarray(cv2.integral(image), dtype=np.int32)

    def resize(self, size_wh: tuple[int, int]) -> NDArray[np.float32]:
        """Resample the whole picture.

        Args:
            size_wh: Wanted width and height in pixels.

        Returns:
            (1, 3, height, width) float32 in 0..255.
        """
        x1, x2 = _cells(np.zeros(1, np.intp), np.array([self.width_px]), size_wh[0])
        y1, y2 = _cells(np.zeros(1, np.intp), np.array([self.height_px]), size_wh[1])
        rows = np.take(self._table, y2[0], axis=0)
        rows -= np.take(self._table, y1[0], axis=0)
        sums = np.take(rows, x2[0], axis=1)
        sums -= np.take(rows, x1[0], axis=1)
        return _means(sums[None], _inverse_area(x1, x2, y1, y2))

    def crop(self, boxes: NDArray[np.floating[Any]], size_px: int) -> NDArray[np.float32]:
        """Cut boxes out and scale each to a square; aspect ratios are not kept.

        Args:
            boxes: (n, 4) xyxy whole pixels inside the picture, x2 and y2 exclusive.
            size_px: Side of the result.

        Returns:
            (n, 3, size_px, size_px) float32 in 0..255.
        """
        whole = boxes.astype(np.intp)
        x1, x2 = _cells(whole[:, 0], whole[:, 2] - whole[:, 0], size_px)
        y1, y2 = _cells(whole[:, 1], whole[:, 3] - whole[:, 1], size_px)
        flat = self._table.reshape(-1, 3)
        stride = self._table.shape[1]

        def at(y: Index, x: Index) -> NDArray[np.int32]:
            corners: NDArray[np.int32] = np.take(
                flat, (y * stride)[:, :, None] + x[:, None, :], axis=0
            )
            return corners

        sums = at(y2, x2)
        sums -= at(y1, x2)
        sums -= at(y2, x1)
        sums += at(y1, x1)
        return _means(sums, _inverse_area(x1, x2, y1, y2))


def _means(sums: NDArray[np.int32], inverse_area: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, h, w, 3) sums and (n, h, w) weights to (n, 3, h, w) means."""
    count, height, width, channels = sums.shape
    means = np.empty((count, channels, height, width), np.float32)
    np.multiply(sums, inverse_area[..., None], out=means.transpose(0, 2, 3, 1))
    return means


def _cells(start: Index, length: Index, count: int) -> tuple[Index, Index]:
    """First and one-past-last pixel of each of `count` cells along one axis, (n, count) each."""
    step = np.arange(count)
    first = start[:, None] + step * length[:, None] // count
    last = start[:, None] - (-(step + 1) * length[:, None] // count)
    return first, last


def _inverse_area(x1: Index, x2: Index, y1: Index, y2: Index) -> NDArray[np.float32]:
    wide = (1.0 / (x2 - x1)).astype(np.float32)
    high = (1.0 / (y2 - y1)).astype(np.float32)
    return high[:, :, None] * wide[:, None, :]
