"""dlib's face chip without dlib: the crop the default embedder was trained on.

Source: dlib's ``get_face_chip_details`` and ``extract_image_chips`` (King, image_transforms).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.align._window import window
from vultus.align.five_points import FivePointRegressor
from vultus.align.similarity import similarity_transform
from vultus.errors import DegenerateLandmarksError
from vultus.types import Face, Image

__all__ = ["DlibAligner", "dlib_chip", "eye_mouth_square"]

Floats = NDArray[np.floating[Any]]

# Where dlib's mean face has the five points, in units of the unpadded chip: viewer's right eye
# outer and inner corner, left eye outer and inner corner, base of the nose.
_TEMPLATE = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
_SIZE_PX = 150
_PADDING = 0.25
# Side of the square around the face over the larger of eye distance and eye-mouth distance:
# measured so that the square resembles the boxes the point regressor was trained with.
_SQUARE_FACTOR = 2.24


def eye_mouth_square(landmarks: Floats) -> NDArray[np.float64]:
    """The square that the five-point regressor expects, from a detector's five landmarks.

    Args:
        landmarks: (n, 5, 2) left eye, right eye, nose, left and right mouth corner.

    Returns:
        (n, 4) left, top, right, bottom; side 2.24 × the larger of the eyes' distance and the
        distance from between the eyes to between the mouth corners, centred between both.
    """
    points = landmarks.astype(np.float64)
    eyes = points[:, :2].mean(axis=1)
    mouth = points[:, 3:].mean(axis=1)
    across = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    along = np.linalg.norm(mouth - eyes, axis=1)
    half = (_SQUARE_FACTOR * np.maximum(across, along) / 2)[:, None]
    center = (eyes + mouth) / 2
    return np.concatenate([center - half, center + half], axis=1)


def dlib_chip(image: Image, points: Floats) -> Image:
    """Cut the 150 px chip, padding 0.25, exactly where and how dlib does.

    The rectangle's corners are pixel centres (size - 1 between them), and a large face is halved
    by dlib's 2x pyramid first, whose levels are offset by one pixel.

    Args:
        image: (h, w, 3) uint8 RGB.
        points: (5, 2) in dlib's order.

    Returns:
        (150, 150, 3) uint8 RGB; pixels outside the picture are 0.

    Raises:
        DegenerateLandmarksError: The points coincide, or are not finite.
    """
    target = (_PADDING + _TEMPLATE) / (2 * _PADDING + 1) * _SIZE_PX
    if not np.isfinite(points).all():
        raise DegenerateLandmarksError("landmarks must be finite")
    matrix = similarity_transform(target, points)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    rotation = matrix[:, :2] / scale
    center = matrix @ (_SIZE_PX / 2, _SIZE_PX / 2, 1)
    half = (_SIZE_PX * scale - 1) / 2
    top_left, bottom_right = center - half, center + half
    source, origin, depth = _surroundings(image, top_left, bottom_right, rotation)
    top_left, bottom_right = top_left - origin, bottom_right - origin
    for _ in range(depth):
        height, width = source.shape[:2]
        halved = cv2.pyrDown(source)[1 : 1 + (height - 3) // 2, 1 : 1 + (width - 3) // 2]
        source = np.ascontiguousarray(halved, dtype=np.uint8)
        top_left, bottom_right = _down(top_left), _down(bottom_right)
    to_source = _chip_to_source(top_left, bottom_right, rotation)
    chip = cv2.warpAffine(
        source,
        to_source,
        (_SIZE_PX, _SIZE_PX),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.asarray(chip, dtype=np.uint8)


def _down(point: Floats) -> NDArray[np.float64]:
    """A point's place one pyramid level down (dlib's ``pyramid_down<2>::point_down``)."""
    return np.asarray(point / 2 - (1.25, 0.75), dtype=np.float64)


def _surroundings(
    image: Image, top_left: Floats, bottom_right: Floats, rotation: Floats
) -> tuple[Image, NDArray[np.float64], int]:
    """The part of the picture the chip needs, where it begins, and how often to halve it."""
    depth, margin = 0, 2.0
    a, b = _down(top_left), _down(bottom_right)
    while float((b - a + 1).prod()) > _SIZE_PX * _SIZE_PX:
        a, b = _down(a), _down(b)
        depth += 1
        margin = margin * 2 + 2
    center = (top_left + bottom_right) / 2
    corners = np.array(
        [[x, y] for x in (top_left[0], bottom_right[0]) for y in (top_left[1], bottom_right[1])]
    )
    turned = (corners - center) @ rotation.T + center
    part, origin = window(image, turned.min(axis=0) - margin, turned.max(axis=0) + margin)
    while depth and min(part.shape[:2]) < 2 ** (depth + 2):  # a sliver at the picture's edge
        depth -= 1
    return part, origin, depth


def _chip_to_source(
    top_left: Floats, bottom_right: Floats, rotation: Floats
) -> NDArray[np.float64]:
    center = (top_left + bottom_right) / 2

    def place(x: float, y: float) -> NDArray[np.float64]:
        return np.asarray(rotation @ (np.array([x, y]) - center) + center, dtype=np.float64)

    origin = place(top_left[0], top_left[1])
    along_x = (place(bottom_right[0], top_left[1]) - origin) / (_SIZE_PX - 1)
    along_y = (place(top_left[0], bottom_right[1]) - origin) / (_SIZE_PX - 1)
    return np.column_stack([along_x, along_y, origin])


class DlibAligner:
    """Detector landmarks -> square -> five-point regressor -> chip.

    Args:
        regressor: The five-point regressor.
    """

    name = "dlib-5"
    size_px = _SIZE_PX

    def __init__(self, regressor: FivePointRegressor) -> None:
        self._regressor = regressor

    def align(self, faces: Sequence[Face]) -> list[Image]:
        """One (150, 150, 3) uint8 RGB chip per face; pixels outside the picture are 0.

        Raises:
            DegenerateLandmarksError: Landmarks of a face coincide.
        """
        chips: list[Image | None] = [None] * len(faces)
        by_frame: dict[int, list[int]] = {}
        for i, face in enumerate(faces):
            by_frame.setdefault(id(face.frame), []).append(i)
        for indices in by_frame.values():
            image = faces[indices[0]].frame.image
            landmarks = np.stack([faces[i].landmarks.points for i in indices])
            points = self.points(image, landmarks)
            for i, five in zip(indices, points, strict=True):
                chips[i] = dlib_chip(image, five)
        return [chip for chip in chips if chip is not None]

    def points(self, image: Image, landmarks: Floats) -> NDArray[np.float64]:
        """(n, 5, 2) dlib points, from (n, 5, 2) detector landmarks."""
        return self._regressor(image, eye_mouth_square(landmarks))
