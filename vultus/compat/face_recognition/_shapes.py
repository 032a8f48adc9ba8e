"""The values that dlib hands out and face_recognition passes on: rectangles, points, shapes.

dlib's ``rectangle``, ``point``, ``full_object_detection`` and ``mmod_rectangle`` as far as code
around face_recognition reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FullObjectDetection", "MmodRectangle", "Point", "Rectangle"]


@dataclass(frozen=True, slots=True)
class Point:
    """A pixel: x to the right, y down."""

    x: int
    y: int

    def __str__(self) -> str:
        return f"({self.x}, {self.y})"

    def __repr__(self) -> str:
        return f"point({self.x}, {self.y})"


class Rectangle:
    """A box in whole pixels; its right and bottom are the last pixels inside, as in dlib.

    Args:
        left: First column.
        top: First row.
        right: Last column.
        bottom: Last row.
    """

    __slots__ = ("_ltrb",)

    def __init__(self, left: int, top: int, right: int, bottom: int) -> None:
        self._ltrb = (left, top, right, bottom)

    def left(self) -> int:
        """First column."""
        return self._ltrb[0]

    def top(self) -> int:
        """First row."""
        return self._ltrb[1]

    def right(self) -> int:
        """Last column."""
        return self._ltrb[2]

    def bottom(self) -> int:
        """Last row."""
        return self._ltrb[3]

    def width(self) -> int:
        """Columns; 0 for an empty rectangle."""
        return 0 if self.is_empty() else self._ltrb[2] - self._ltrb[0] + 1

    def height(self) -> int:
        """Rows; 0 for an empty rectangle."""
        return 0 if self.is_empty() else self._ltrb[3] - self._ltrb[1] + 1

    def area(self) -> int:
        """Pixels."""
        return self.width() * self.height()

    def is_empty(self) -> bool:
        """Whether it holds no pixel."""
        left, top, right, bottom = self._ltrb
        return left > right or top > bottom

    def center(self) -> Point:
        """The pixel in the middle."""
        left, top, right, bottom = self._ltrb
        return Point((left + right + 1) // 2, (top + bottom + 1) // 2)

    def tl_corner(self) -> Point:
        """The top left pixel."""
        return Point(self._ltrb[0], self._ltrb[1])

    def br_corner(self) -> Point:
        """The bottom right pixel."""
        return Point(self._ltrb[2], self._ltrb[3])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rectangle) and other._ltrb == self._ltrb

    def __hash__(self) -> int:
        return hash(self._ltrb)

    def __str__(self) -> str:
        left, top, right, bottom = self._ltrb
        return f"[({left}, {top}) ({right}, {bottom})]"

    def __repr__(self) -> str:
        return "rectangle({},{},{},{})".format(*self._ltrb)


@dataclass(frozen=True, slots=True)
class MmodRectangle:
    """What the CNN detector found.

    Attributes:
        rect: Where.
        confidence: By how much it is a face; what is above 1 is called 1 here.
    """

    rect: Rectangle
    confidence: float


@dataclass(frozen=True, slots=True)
class FullObjectDetection:
    """A face with its landmarks.

    Attributes:
        rect: The box they were looked for in.
    """

    rect: Rectangle
    _points: tuple[Point, ...]

    @classmethod
    def of(cls, rect: Rectangle, points: NDArray[np.floating[Any]]) -> FullObjectDetection:
        """From (n, 2) xy, brought to the nearest pixels as dlib does."""
        whole = np.floor(points.astype(np.float64) + 0.5).astype(int)
        return cls(rect, tuple(Point(x, y) for x, y in whole.tolist()))

    @property
    def num_parts(self) -> int:
        """How many landmarks."""
        return len(self._points)

    def parts(self) -> list[Point]:
        """All landmarks."""
        return list(self._points)

    def part(self, index: int) -> Point:
        """One of them."""
        return self._points[index]
