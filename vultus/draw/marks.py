"""Faces marked in a picture: boxes, landmarks, and labels that stay readable and apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from vultus._arrays import check_image
from vultus.draw._text import Line, set_line
from vultus.errors import RangeError
from vultus.types import Box, Image, Landmarks

__all__ = ["KNOWN", "NEUTRAL", "UNKNOWN", "Color", "Mark", "annotate", "person_color"]

Color: TypeAlias = tuple[int, int, int]
"""Red, green, blue, each 0..255."""

# Okabe & Ito, "Color Universal Design" (2008): told apart with every kind of colour vision. These
# three also differ in lightness (0.15, 0.42, 0.87), so that a grey print keeps them apart.
KNOWN: Color = (0, 114, 178)
"""Blue: somebody of the gallery."""
UNKNOWN: Color = (230, 159, 0)
"""Orange: a face nobody matches."""
NEUTRAL: Color = (240, 240, 240)
"""Nearly white: a face nobody was asked about."""

# The same palette without orange, which means unknown.
_PEOPLE: tuple[Color, ...] = (
    (0, 114, 178),
    (0, 158, 115),
    (86, 180, 233),
    (204, 121, 167),
    (213, 94, 0),
    (240, 228, 66),
)

# Sizes as parts of the picture's side, sqrt(width * height), and of the box's: chosen by eye on
# pictures of 100 to 8000 px, so that text is at least 11 px high when the picture fills a screen.
_LINE_OF_BOX, _LINE_OF_SIDE = 0.025, (0.0025, 0.006)
_TEXT_OF_BOX, _TEXT_OF_SIDE = 0.16, (0.014, 0.030)
_TEXT_MIN_PX, _TEXT_UNREADABLE_PX = 11, 7
_PLATE_OF_HEIGHT = 0.3  # a label's largest part of the picture's height
_LABEL_MIN_EM = 6  # a crowded label is not shortened below this

# What a label's place costs: the part of other labels and of faces that it hides, the part of
# itself that lies on faces, its rank among the places, and being shortened.
_COST_LABEL, _COST_FACE, _COST_ON_FACE, _COST_RANK, _COST_SHORT = 100.0, 20.0, 2.0, 0.1, 1.0

_Rect: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Mark:
    """What to draw at one face.

    Attributes:
        box: Where, in pixels of the picture.
        label: Who; shortened with an ellipsis where room is short. Empty: no label.
        landmarks: Drawn as dots when given.
        color: Of box, dots and label plate.
        note: Follows the label and is kept whole, for example a similarity.

    Raises:
        RangeError: A colour is not three numbers in 0..255.
    """

    box: Box
    label: str = ""
    landmarks: Landmarks | None = None
    color: Color = NEUTRAL
    note: str = ""

    def __post_init__(self) -> None:
        if len(self.color) != 3 or not all(0 <= value <= 255 for value in self.color):
            raise RangeError(f"a colour is (red, green, blue) in 0..255, got {self.color}")


def person_color(name: str) -> Color:
    """A colour for a person, the same on every machine; two people may share one."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return _PEOPLE[digest[0] % len(_PEOPLE)]


def annotate(
    image: Image, marks: Sequence[Mark], *, max_px: int | None = None, scale: float = 1.0
) -> Image:
    """Draw boxes, landmarks and labels into a copy of a picture.

    Lines and text grow with the picture. Labels stay inside it and off each other and off faces
    where there is room.

    Args:
        image: (h, w, 3) uint8, RGB; left as it is.
        marks: Labels of earlier ones choose their place first.
        max_px: Shrink the picture first so that its longer side is at most this: labels of a
            thumbnail stay readable.
        scale: Multiplies line widths and text sizes.

    Returns:
        (h, w, 3) uint8, RGB; smaller than `image` only where `max_px` asks for it.

    Raises:
        DtypeError: `image` is no uint8 array.
        ShapeError: `image` is not (h, w, 3).
        RangeError: `scale` or `max_px` is not positive.
    """
    canvas = Pillow.fromarray(check_image(image))
    if not scale > 0 or not np.isfinite(scale):
        raise RangeError(f"scale must be positive, got {scale}")
    if max_px is not None:
        canvas, marks = _shrink(canvas, marks, max_px)
    draw = ImageDraw.Draw(canvas)
    for mark in marks:
        _draw_box(draw, mark, _line_px(canvas.size, mark.box, scale))
    for mark, rect, line in _place_labels(canvas.size, marks, scale):
        pad_x, pad_y = _padding_px(line)
        draw.rectangle((rect[0], rect[1], rect[2] - 1, rect[3] - 1), fill=mark.color)
        line.draw(draw, rect[0] + pad_x, rect[1] + pad_y, _contrast(mark.color))
    return np.array(canvas)


def _shrink(
    picture: Pillow.Image, marks: Sequence[Mark], max_px: int
) -> tuple[Pillow.Image, list[Mark]]:
    if max_px < 1:
        raise RangeError(f"max_px must be at least 1, got {max_px}")
    wide, high = picture.size
    if max(wide, high) <= max_px:
        return picture, list(marks)
    ratio = max_px / max(wide, high)
    size_wh = (max(1, round(wide * ratio)), max(1, round(high * ratio)))
    small = picture.resize(size_wh, Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    factors = np.array([size_wh[0] / wide, size_wh[1] / high], np.float32)
    return small, [_scaled(mark, factors) for mark in marks]


def _scaled(mark: Mark, factors_xy: NDArray[np.float32]) -> Mark:
    x, y = (float(factor) for factor in factors_xy)
    box = Box(mark.box.x1 * x, mark.box.y1 * y, mark.box.x2 * x, mark.box.y2 * y)
    points = mark.landmarks
    return replace(
        mark, box=box, landmarks=None if points is None else Landmarks(points.points * factors_xy)
    )


def _between(value: float, side: float, parts: tuple[float, float]) -> float:
    return min(max(value, parts[0] * side), parts[1] * side)


def _line_px(size_wh: tuple[int, int], box: Box, scale: float) -> int:
    small = min(box.width_px, box.height_px)
    return max(1, round(scale * _between(_LINE_OF_BOX * small, _side(size_wh), _LINE_OF_SIDE)))


def _text_px(size_wh: tuple[int, int], box: Box, scale: float) -> int:
    size = _between(_TEXT_OF_BOX * box.width_px, _side(size_wh), _TEXT_OF_SIDE)
    return round(min(max(size, _TEXT_MIN_PX) * scale, _PLATE_OF_HEIGHT * size_wh[1]))


def _side(size_wh: tuple[int, int]) -> float:
    return sqrt(size_wh[0] * size_wh[1])


def _contrast(color: Color) -> Color:
    """Black or white, whichever reads better; WCAG 2.2, relative luminance and contrast ratio."""
    parts = [v / 255 for v in color]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # Equal contrast with both where (L + 0.05)² = 1.05 * 0.05.
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def _draw_box(draw: ImageDraw.ImageDraw, mark: Mark, line_px: int) -> None:
    """A line inside the box's edge, with a thin contrasting line around it."""
    wide, high = draw.im.size
    halo_px = max(1, line_px // 4)
    reach = line_px + halo_px + 1  # far outside the picture there is nothing to draw
    x1, y1, x2, y2 = mark.box.xyxy
    left, right = (round(min(max(v, -reach), wide + reach)) for v in (x1, x2))
    top, bottom = (round(min(max(v, -reach), high + reach)) for v in (y1, y2))
    right, bottom = max(right - 1, left), max(bottom - 1, top)
    edge = (left - halo_px, top - halo_px, right + halo_px, bottom + halo_px)
    around = _contrast(mark.color)
    draw.rectangle(edge, outline=around, width=halo_px)
    draw.rectangle((left, top, right, bottom), outline=mark.color, width=line_px)
    if mark.landmarks is None:
        return
    radius = max(1.0, 1.1 * line_px)
    for x, y in mark.landmarks.points.tolist():
        if -reach <= x <= wide + reach and -reach <= y <= high + reach:
            _draw_dot(draw, x, y, radius + halo_px, around)
            _draw_dot(draw, x, y, radius, mark.color)


def _draw_dot(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: Color) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _padding_px(line: Line) -> tuple[int, int]:
    """Left and right, above and below the text."""
    return max(2, round(0.22 * line.height_px)), max(1, round(0.06 * line.height_px))


def _place_labels(
    size_wh: tuple[int, int], marks: Sequence[Mark], scale: float
) -> Iterable[tuple[Mark, _Rect, Line]]:
    """Give every label a place: off the other labels first, then off the faces."""
    faces = np.array([mark.box.xyxy for mark in marks], np.float64).reshape(-1, 4)
    taken = np.empty((0, 4))
    for mark in marks:
        size_px = _text_px(size_wh, mark.box, scale)
        if size_px < _TEXT_UNREADABLE_PX:
            continue
        whole = _fit(mark, size_px, size_wh[0])
        if whole is None:
            continue
        short_px = round(max(mark.box.width_px, _LABEL_MIN_EM * size_px))
        short = _fit(mark, size_px, min(size_wh[0], short_px)) or whole
        cost, rect = _cheapest(_candidates(size_wh, mark.box, whole), taken, faces)
        line = whole
        if short.width_px < whole.width_px:
            other_cost, other = _cheapest(_candidates(size_wh, mark.box, short), taken, faces)
            if other_cost + _COST_SHORT < cost:
                rect, line = other, short
        taken = np.vstack([taken, rect])
        yield mark, rect, line


def _fit(mark: Mark, size_px: int, width_px: int) -> Line | None:
    room = width_px - 2 * max(2, round(0.3 * size_px))  # what `_padding_px` makes of it, at least
    line = set_line(mark.label, size_px, room, mark.note)
    while line is not None and line.width_px + 2 * _padding_px(line)[0] > width_px:
        room -= 1
        line = set_line(mark.label, size_px, room, mark.note)
    return line


def _candidates(size_wh: tuple[int, int], box: Box, line: Line) -> NDArray[np.float64]:
    """Places around the box, best first, each moved into the picture."""
    pad_x, pad_y = _padding_px(line)
    wide, high = line.width_px + 2 * pad_x, line.height_px + 2 * pad_y
    x1, y1, x2, y2 = box.xyxy
    middle = (x1 + x2 - wide) / 2
    corners = [(x, y) for y in (y1 - high, y2) for x in (x1, x2 - wide, middle)]
    corners += [(x, y) for x in (x2, x1 - wide) for y in (y1, y2 - high)]
    corners += [(x1, y1), (x1, y2 - high), (x2 - wide, y1), (x2 - wide, y2 - high)]
    corners += [(x, y) for y in (y1 - 2 * high, y2 + high) for x in (x1, x2 - wide)]
    xy = np.rint(np.array(corners))
    xy = np.clip(xy, 0, np.maximum(np.array(size_wh) - (wide, high), 0))
    return np.hstack([xy, np.minimum(xy + np.array([wide, high]), size_wh)])


def _cheapest(
    places: NDArray[np.float64], taken: NDArray[np.float64], faces: NDArray[np.float64]
) -> tuple[float, _Rect]:
    hidden = _COST_LABEL * (_shared(places, taken) / _area(taken)).sum(axis=1)
    on_faces = _shared(places, faces)
    hidden += _COST_FACE * (on_faces / _area(faces)).sum(axis=1)
    hidden += _COST_ON_FACE * on_faces.sum(axis=1) / _area(places)
    costs = hidden + _COST_RANK * np.arange(len(places))
    index = int(costs.argmin())
    x1, y1, x2, y2 = (int(v) for v in places[index])
    return float(costs[index]), (x1, y1, x2, y2)


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    area: NDArray[np.float64] = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return area


def _shared(places: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area in square pixels that each place (rows) shares with each of `others` (columns)."""
    low = np.maximum(places[:, None, :2], others[None, :, :2])
    high = np.minimum(places[:, None, 2:], others[None, :, 2:])
    shared: NDArray[np.float64] = np.prod(np.maximum(high - low, 0), axis=2)
    return shared
