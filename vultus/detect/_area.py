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
    """Summed-area tables of one picture, (h + 1) * (w + 1) for each colour.

    Sums are 32-bit and may wrap around; the differences of them that are used do not, as long as
    one cell covers less than 8 million pixels. One table per colour: NumPy picks single numbers
    twice as fast as triples.

    Args:
        image: (h, w, 3) uint8.
    """

    def __init__(self, image: Image) -> None:
        self.height_px, self.width_px = image.shape[:2]
        self._tables = [np.asarray(cv2.integral(plane), np.int32) for plane in cv2.split(image)]

    def resize(self, size_wh: tuple[int, int]) -> NDArray[np.float32]:
        """Resample the whole picture.

        Args:
            size_wh: Wanted width and height in pixels.

        Returns:
            (1, 3, height, width) float32 in 0..255.
        """
        x1, x2 = _cells(np.zeros(1, np.intp), np.array([self.width_px]), size_wh[0])
        y1, y2 = _cells(np.zeros(1, np.intp), np.array([self.height_px]), size_wh[1])
        weight = _inverse_area(x1, x2, y1, y2)
        means = np.empty((1, 3, size_wh[1], size_wh[0]), np.float32)
        for plane, table in zip(means[0], self._tables, strict=True):
            rows = table.take(y2[0], axis=0)
            rows -= table.take(y1[0], axis=0)
            sums = rows.take(x2[0], axis=1)
            sums -= rows.take(x1[0], axis=1)
            np.multiply(sums.astype(np.float32), weight[0], out=plane)
        return means

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
        weight = _inverse_area(x1, x2, y1, y2)
        stride = self.width_px + 1
        corners = [(y * stride)[:, :, None] + x[:, None, :] for y in (y1, y2) for x in (x1, x2)]
        means = np.empty((len(whole), 3, size_px, size_px), np.float32)
        for colour, table in enumerate(self._tables):
            first, right, below, last = (table.take(corner) for corner in corners)
            last -= right
            last -= below
            last += first
            np.multiply(last.astype(np.float32), weight, out=means[:, colour])
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
