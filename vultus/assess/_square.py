"""Square crops around faces, turned so that the eyes are level, and the way back from them.

A square is (centre x, centre y, side, turn): pixels of the picture as boxes count them (a pixel's
middle is at .5), and the angle in radians by which it leans clockwise as the viewer sees it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.types import Face, Image

__all__ = ["cut", "square_around", "square_of", "to_picture"]

Floats = NDArray[np.floating[Any]]

# Side of the crop as a multiple of the longer side of what it is cut around.
# Source: MediaPipe, face_landmarks_to_roi.pbtxt and face_detection_front_detection_to_roi.pbtxt.
_MARGIN = 1.5

# Where the crop lies when the five points are known: its side as a multiple of the larger of eye
# distance and eye-mouth distance, and how far its centre lies above the middle between eyes and
# mouth in the same unit. Medians of what the mesh itself asks for, over 500 pictures of LFW with
# MTCNN's points.
_FIVE_SIDE, _FIVE_RISE = 3.7, 0.045

# Beyond this shrinking, OpenCV's bilinear sampling leaves pixels out.
_SHRINK_FROM = 2


def square_of(face: Face) -> NDArray[np.float64]:
    """The (4,) square to look for a face's mesh in, from its five points or else its box."""
    if face.landmarks is None:
        side = _MARGIN * max(face.box.width_px, face.box.height_px)
        return np.array([*face.box.center_xy, side, 0.0])
    points = face.landmarks.points.astype(np.float64) + 0.5
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    across = points[1] - points[0]
    unit = max(float(np.hypot(*across)), float(np.hypot(*(mouth - eyes))), 1.0)
    turn = float(np.arctan2(across[1], across[0]))
    up = np.array([np.sin(turn), -np.cos(turn)])
    return np.array([*((eyes + mouth) / 2 + _FIVE_RISE * unit * up), _FIVE_SIDE * unit, turn])


def square_around(points: Floats, left: int, right: int) -> NDArray[np.float64]:
    """The (4,) square around points, level with the line from one of them to another.

    Args:
        points: (n, 2) xy, pixels of the picture as landmarks count them.
        left: Which point the line starts from.
        right: Where it ends.
    """
    across = points[right] - points[left]
    turn = float(np.arctan2(across[1], across[0]))
    axes = _axes(turn)
    level = points.astype(np.float64) @ axes
    low, high = level.min(axis=0), level.max(axis=0)
    center = axes @ (low + high) / 2 + 0.5
    return np.array([*center, max(_MARGIN * float((high - low).max()), 1.0), turn])


def cut(image: Image, square: Floats, size_px: int) -> Image:
    """Cut a square out of a picture.

    Where it reaches outside, the picture's edge goes on: on 100 faces that the edge cuts off, the
    mesh moves by 2.9 % of the distance between the eyes that way, and by 4.0 % with black.

    Args:
        image: (h, w, 3) uint8 RGB.
        square: (4,).
        size_px: Side of the crop.

    Returns:
        (size_px, size_px, 3) uint8 RGB.
    """
    center, side, turn = square[:2], float(square[2]), float(square[3])
    axes = _axes(turn)
    reach = side / 2 * np.abs(axes).sum(axis=1) + 2 + side / size_px
    part, origin = _window(image, center - reach, center + reach)
    # Whole steps only: OpenCV averages them many times faster.
    step = min(int(side / size_px), *part.shape[:2])
    if step >= _SHRINK_FROM:
        high, wide = part.shape[0] // step, part.shape[1] // step
        even = part[: high * step, : wide * step]
        part = np.asarray(cv2.resize(even, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)
    else:
        step = 1
    linear = side / size_px * axes
    shift = center - origin + linear @ np.full(2, 0.5 - size_px / 2)
    matrix = np.column_stack([linear, shift]) / step - [[0, 0, 0.5]]
    crop = cv2.warpAffine(
        part,
        matrix,
        (size_px, size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(crop, dtype=np.uint8)


def to_picture(points: Floats, square: Floats, size_px: int) -> NDArray[np.float64]:
    """Map (n, 2) xy of a crop, 0 to `size_px` from edge to edge, to landmarks of the picture."""
    axes = _axes(float(square[3]))
    away = (points - size_px / 2) * (square[2] / size_px)
    mapped: NDArray[np.float64] = away @ axes.T + square[:2] - 0.5
    return mapped


def _axes(turn: float) -> NDArray[np.float64]:
    """(2, 2), in columns: right and down of a square that leans by `turn`."""
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([[cos, -sin], [sin, cos]])


def _window(image: Image, low: Floats, high: Floats) -> tuple[Image, NDArray[np.float64]]:
    """The part of a picture between two corners, at least one pixel, and its first pixel's xy."""
    last = np.array(image.shape[1::-1]) - 1
    first = np.clip(np.floor(low), 0, last).astype(int)
    end = np.clip(np.ceil(high), first + 1, last + 1).astype(int)
    return image[first[1] : end[1], first[0] : end[0]], first.astype(np.float64)
