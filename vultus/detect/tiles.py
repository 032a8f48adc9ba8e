"""Cut a large picture into overlapping tiles, and tell which faces a tile cut off.

A face no larger than the overlap lies whole in at least one tile, so one that touches the seam of
a tile can be left out: another tile has it. Larger faces are for a look at the shrunk picture
(`vultus.detect.scales`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.types import Image

__all__ = ["OVERLAP_PX", "TILE_PX", "Tile", "tiles_of"]

TILE_PX = 1920
"""Longest side of a tile: a picture over 2,000 px becomes two tiles or more."""

OVERLAP_PX = 320
"""What neighbouring tiles share: the largest face left to tiles (256 px) and some room about it,
for detectors miss faces that touch the edge of their input."""

_UNTILED_PX = 2000  # up to here a picture is looked at whole
_TOUCH_PX = 2.0  # a box that ends this near to a seam is taken for cut off


@dataclass(frozen=True, slots=True)
class Tile:
    """One part of a picture, in whole pixels.

    Attributes:
        corner_xy: Where its top left corner lies.
        size_wh: Its width and height.
        picture_wh: Those of the picture.
    """

    corner_xy: tuple[int, int]
    size_wh: tuple[int, int]
    picture_wh: tuple[int, int]

    def view(self, image: Image) -> Image:
        """This part of `image`, not copied."""
        (x, y), (width, height) = self.corner_xy, self.size_wh
        return image[y : y + height, x : x + width]

    def whole(self, boxes: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Which boxes end before every seam; the picture's own edges are no seams.

        Args:
            boxes: (n, 4) xyxy in pixels of the tile.
        """
        corner, size = np.array(self.corner_xy), np.array(self.size_wh)
        inner_start = corner > 0
        inner_end = corner + size < self.picture_wh
        early = (boxes[:, :2] <= _TOUCH_PX) & inner_start
        late = (boxes[:, 2:] >= size - _TOUCH_PX) & inner_end
        whole: NDArray[np.bool_] = ~(early | late).any(axis=1)
        return whole


def tiles_of(picture_wh: tuple[int, int]) -> list[Tile]:
    """Tiles that cover a picture; one, the picture, up to 2,000 px.

    All tiles of a picture have one size, so that they go through a network together.

    Args:
        picture_wh: Its width and height.
    """
    (starts_x, width), (starts_y, height) = (_along(side) for side in picture_wh)
    return [Tile((x, y), (width, height), picture_wh) for y, x in product(starts_y, starts_x)]


def _along(side: int) -> tuple[list[int], int]:
    """Where the tiles start along one axis, and their length."""
    if side <= _UNTILED_PX:
        return [0], side
    count = -(-(side - OVERLAP_PX) // (TILE_PX - OVERLAP_PX))
    length = -(-(side + (count - 1) * OVERLAP_PX) // count)
    # Rounding up makes the tiles reach past the end; the last is moved back.
    return [min(i * (length - OVERLAP_PX), side - length) for i in range(count)], length
