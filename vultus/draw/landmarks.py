"""Landmarks drawn into a picture: dots, the lines that join them, and the mesh behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from vultus._arrays import check_finite, check_image, check_shape, float32_copy
from vultus.draw.marks import Color
from vultus.errors import RangeError
from vultus.types import Image

__all__ = ["POINTS", "PointMark", "draw_points"]

POINTS: Color = (86, 180, 233)
"""Sky blue, of Okabe & Ito's palette: no skin has it, and it stands out from dark and light."""

_DOT: Color = (255, 255, 255)
_HALO_ALPHA, _MESH_ALPHA = 150, 120

# Sizes as parts of the face's, the square root of its points' area: chosen by eye on faces of 40
# to 2000 px. Dots are also kept apart: no wider than this part of the way to the next one.
_LINE_OF_FACE, _DOT_OF_FACE, _DOT_OF_GAP = 0.006, 0.009, 0.22
_LINE_MIN_PX, _DOT_MIN_PX, _DOT_LEAST_PX = 0.9, 0.9, 0.35
# Shapes are drawn this many times larger and shrunk, so that thin lines have smooth edges; beyond
# this side a face's lines are wide enough without.
_FINE, _FINE_UP_TO_PX = 4, 900


@dataclass(frozen=True, slots=True, eq=False)
class PointMark:
    """What to draw at one face.

    Attributes:
        points: (n, 2) xy in pixels of the picture, as landmarks count them.
        lines: Each the points to join, one after the other (`vultus.assess.outlines` gives them).
        edges: (m, 2) pairs of points joined by a faint line (`vultus.assess.mesh_edges` gives
            those of a mesh). They look best without dots.
        dots: Whether the points themselves are drawn.
        color: Of lines and edges.

    Raises:
        ShapeError: `points` is not (n, 2), or `edges` not (m, 2).
        RangeError: A coordinate is not finite, a line or an edge names a point that is not
            there, or a colour is not three numbers in 0..255.
    """

    points: NDArray[np.float32]
    lines: tuple[tuple[int, ...], ...] = ()
    edges: NDArray[np.intp] | None = None
    dots: bool = True
    color: Color = POINTS

    def __post_init__(self) -> None:
        points = float32_copy(self.points, "points to draw")
        check_shape(points, (None, 2), "points to draw")
        check_finite(points, "points to draw")
        object.__setattr__(self, "points", points)
        if self.edges is not None:
            check_shape(self.edges, (None, 2), "edges to draw")
        for names in (*self.lines, () if self.edges is None else self.edges.ravel().tolist()):
            if names and not 0 <= min(names) <= max(names) < len(points):
                raise RangeError(
                    f"lines and edges must name points 0 to {len(points) - 1}, "
                    f"got {min(names)} to {max(names)}",
                    remedy="take lines and edges of the scheme that the points belong to",
                )
        if len(self.color) != 3 or not all(0 <= value <= 255 for value in self.color):
            raise RangeError(f"a colour is (red, green, blue) in 0..255, got {self.color}")


def draw_points(image: Image, marks: Sequence[PointMark], *, scale: float = 1.0) -> Image:
    """Draw landmarks into a copy of a picture.

    Lines and dots grow with each face; a thin dark rim keeps them readable on any background.

    Args:
        image: (h, w, 3) uint8, RGB; left as it is.
        marks: Drawn one after the other.
        scale: Multiplies line widths and dots.

    Raises:
        DtypeError: `image` is no uint8 array.
        ShapeError: `image` is not (h, w, 3).
        RangeError: `scale` is not positive.
    """
    canvas = Pillow.fromarray(check_image(image))
    if not scale > 0 or not np.isfinite(scale):
        raise RangeError(f"scale must be positive, got {scale}")
    for mark in marks:
        if len(mark.points):
            _draw(canvas, mark, scale)
    return np.array(canvas)


def _draw(canvas: Pillow.Image, mark: PointMark, scale: float) -> None:
    """One face, on a layer of its own that covers no more of the picture than it has to."""
    reach = np.array(canvas.size, np.float64)  # further outside there is nothing to draw
    points = np.clip(mark.points.astype(np.float64) + 0.5, -reach, 2 * reach)
    spread = points.max(axis=0) - points.min(axis=0)
    side = float(np.sqrt(np.prod(np.maximum(spread, 1.0))))
    line_px = scale * max(_LINE_OF_FACE * side, _LINE_MIN_PX)
    dot_px = min(max(_DOT_OF_FACE * side, _DOT_MIN_PX), _DOT_OF_GAP * _gap(points))
    dot_px = scale * max(dot_px, _DOT_LEAST_PX)
    margin = 2 * (line_px + dot_px) + 2
    low = np.clip(np.floor(points.min(axis=0) - margin), 0, canvas.size).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + margin), 0, canvas.size).astype(int)
    if (high <= low).any():  # all of it outside the picture
        return
    fine = _FINE if max(high - low) <= _FINE_UP_TO_PX else 1
    layer = Pillow.new("RGBA", tuple((fine * (high - low)).tolist()))
    _draw_shapes(layer, mark, (points - low) * fine, line_px * fine, dot_px * fine)
    if fine > 1:
        layer = layer.resize(tuple((high - low).tolist()), Pillow.Resampling.BOX)
    canvas.paste(layer, tuple(low.tolist()), layer)


def _draw_shapes(
    layer: Pillow.Image, mark: PointMark, points: NDArray[Any], line_px: float, dot_px: float
) -> None:
    draw = ImageDraw.Draw(layer)
    rim_px, dark = max(1.0, 0.5 * line_px), (0, 0, 0, _HALO_ALPHA)
    if mark.edges is not None:
        for pair in points[mark.edges].reshape(-1, 4).tolist():
            draw.line(pair, (*mark.color, _MESH_ALPHA), max(1, round(0.6 * line_px)))
    paths = [points[list(names)].ravel().tolist() for names in mark.lines if len(names) > 1]
    for color, width in ((dark, line_px + 2 * rim_px), ((*mark.color, 255), line_px)):
        for path in paths:
            draw.line(path, color, max(1, round(width)), joint="curve")
    if mark.dots:
        rim_px = max(1.0, 0.5 * min(line_px, dot_px))
        for color, radius in ((dark, dot_px + rim_px), ((*_DOT, 255), dot_px)):
            for x, y in points.tolist():
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def _gap(points: NDArray[Any]) -> float:
    """Median distance of a point to the nearest other one."""
    if len(points) < 2:
        return float("inf")
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))
