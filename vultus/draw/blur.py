"""Faces made unrecognisable in a copy of a picture: pixelated, blurred or masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_image
from vultus.errors import RangeError
from vultus.types import Box, Image

__all__ = ["CELLS", "MARGIN", "HidingStyle", "hide_faces"]

HidingStyle: TypeAlias = Literal["blur", "pixelate", "mask"]
"""``blur``: smooth colours; ``pixelate``: squares; ``mask``: one colour, nothing is left."""

CELLS = 6
"""Colours kept across a face, and down it."""

MARGIN = 0.2
"""By which part of its width and height a box is enlarged on each side."""

_STYLES = ("blur", "pixelate", "mask")
_GREY = (127, 127, 127)


def hide_faces(
    image: Image,
    boxes: Sequence[Box],
    *,
    style: HidingStyle = "blur",
    cells: int = CELLS,
    margin: float = MARGIN,
    elliptical: bool = False,
    color: tuple[int, int, int] = _GREY,
) -> Image:
    """Hide faces in a copy of a picture; every pixel outside their regions stays as it was.

    What is left of a face is the mean colour of `cells` × `cells` parts of its region, shown as
    squares or run into one another: strength grows with the face, and no sharpening brings back
    what was averaged away (a Gaussian blur keeps it, only fainter). One colour (``mask``) leaves
    nothing at all. docs/quality.md tells how often a hidden face is still matched.

    Args:
        image: (h, w, 3) uint8 RGB; left as it is.
        boxes: Of the faces to hide; what lies outside the picture is ignored.
        style: How.
        cells: For ``blur`` and ``pixelate``, ≥ 1; fewer hide more.
        margin: Enlarges each box on every side, as a part of its width and height, ≥ 0.
        elliptical: Hide the ellipse in the enlarged box instead of all of it.
        color: For ``mask``, red, green and blue in 0..255.

    Returns:
        (h, w, 3) uint8 RGB.

    Raises:
        RangeError: An option is outside its range.
        DtypeError: `image` is no uint8 array.
        ShapeError: `image` is not (h, w, 3).
    """
    _check(style, cells, margin, color)
    hidden = check_image(image).copy()
    for box in boxes:
        rows, columns = _region(hidden, box, margin)
        part = hidden[rows, columns]
        if part.size == 0:
            continue
        filled = np.full_like(part, color) if style == "mask" else _coarse(part, cells, style)
        if elliptical:
            shape = _ellipse(rows, columns, box, margin)
            part[shape] = filled[shape]
        else:
            part[:] = filled
    return hidden


def _check(style: str, cells: int, margin: float, color: tuple[int, int, int]) -> None:
    if style not in _STYLES:
        raise RangeError(f"a style must be one of {', '.join(_STYLES)}, got {style!r}")
    if cells < 1:
        raise RangeError(f"cells must be at least 1, got {cells}")
    if not 0.0 <= margin < np.inf:
        raise RangeError(f"margin must be 0 or more, got {margin}")
    if len(color) != 3 or not all(0 <= value <= 255 for value in color):
        raise RangeError(f"a colour is (red, green, blue) in 0..255, got {color}")


def _region(image: Image, box: Box, margin: float) -> tuple[slice, slice]:
    """Rows and columns of the enlarged box, whole pixels, inside the picture."""
    high, wide = image.shape[:2]
    reach_x, reach_y = margin * box.width_px, margin * box.height_px
    x1, x2 = (np.clip(x, 0, wide) for x in (box.x1 - reach_x, box.x2 + reach_x))
    y1, y2 = (np.clip(y, 0, high) for y in (box.y1 - reach_y, box.y2 + reach_y))
    rows = slice(int(np.floor(y1)), int(np.ceil(y2)))
    return rows, slice(int(np.floor(x1)), int(np.ceil(x2)))


def _coarse(part: Image, cells: int, style: HidingStyle) -> Image:
    """The mean colours of a region's cells, as squares or smoothly joined."""
    high, wide = part.shape[:2]
    # Cells of at least two pixels: of a tiny face, too, something must go.
    size_wh = (max(1, min(cells, wide // 2)), max(1, min(cells, high // 2)))
    grid = cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA)
    way = cv2.INTER_NEAREST if style == "pixelate" else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grid, (wide, high), interpolation=way), np.uint8)


def _ellipse(rows: slice, columns: slice, box: Box, margin: float) -> NDArray[np.bool_]:
    """Which pixels of a region have their middle in the ellipse of the enlarged box."""
    x, y = box.center_xy
    radius_x, radius_y = (0.5 + margin) * box.width_px, (0.5 + margin) * box.height_px
    across = (np.arange(columns.start, columns.stop) + 0.5 - x) / radius_x
    down = (np.arange(rows.start, rows.stop) + 0.5 - y) / radius_y
    inside: NDArray[np.bool_] = across**2 + down[:, None] ** 2 <= 1.0
    return inside
