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
# Where MTCNN sees left eye, right eye, nose, left and right mouth corner in that chip, in pixels:
# the median over the 2,132 people's pictures of LFW's pairsDevTrain.txt, made symmetric.
_DETECTOR_TEMPLATE_PX = np.array(
    [[46.88, 46.53], [101.12, 46.53], [74.0, 78.73], [50.23, 106.03], [97.77, 106.03]]
)
# How much one of these counts beside one of the regressor's five. Measured with mirroring on LFW
# View 1, TAR at FMR 1e-3 among devTrain / devTest people: 95.5 / 95.2 % for weight 0, 95.4 / 95.8
# for 0.5, 95.3 / 96.1 for 1; in one pass 94.1 / 93.6, 94.3 / 94.7, 93.8 / 94.9.
_DETECTOR_WEIGHT = 0.5
# The trees were trained on upright faces. On pictures turned against the face their points
# differed from the mean over 68 frames by 0.8 px of the chip up to 10°, 0.9 at 20°, 1.5 at 30°,
# 4 at 45° and 14 at 60° (250 faces of LFW View 1), so a face leaning more gets a leaning square.
_UPRIGHT_DEG = 25.0
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
        ten_points: Place the chip by the regressor's points and the detector's together
            (alignment ``dlib-10``) instead of by the regressor's alone (``dlib-5``, as dlib
            does). Two observers err less than one; the template is that of MTCNN's landmarks.
    """

    size_px = _SIZE_PX

    def __init__(self, regressor: FivePointRegressor, *, ten_points: bool = False) -> None:
        self.name = "dlib-10" if ten_points else "dlib-5"
        self._regressor = regressor
        self._ten_points = ten_points

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
            landmarks = np.stack([faces[i].points for i in indices])
            points = self.points(image, landmarks)
            for i, five in zip(indices, points, strict=True):
                chips[i] = dlib_chip(image, five)
        return [chip for chip in chips if chip is not None]

    def points(self, image: Image, landmarks: Floats) -> NDArray[np.float64]:
        """Where dlib's five points belong, in pixels of the picture.

        Args:
            image: (h, w, 3) uint8 RGB.
            landmarks: (n, 5, 2) from a detector.

        Returns:
            (n, 5, 2) in dlib's order.
        """
        eyes = (landmarks[:, 1] - landmarks[:, 0]).astype(np.float64)
        tilt = np.arctan2(eyes[:, 1], eyes[:, 0])
        tilt[np.abs(np.rad2deg(tilt)) <= _UPRIGHT_DEG] = 0.0
        five = self._regressor(image, eye_mouth_square(landmarks), tilt)
        if not self._ten_points:
            return five
        return np.stack([_joint_fit(*both) for both in zip(five, landmarks, strict=True)])


def _joint_fit(five: Floats, landmarks: Floats) -> NDArray[np.float64]:
    """Lay dlib's template over both sets of points, by one weighted similarity."""
    target = (_PADDING + _TEMPLATE) / (2 * _PADDING + 1) * _SIZE_PX
    weights = np.repeat([1.0, _DETECTOR_WEIGHT], 5)
    matrix = similarity_transform(
        np.concatenate([target, _DETECTOR_TEMPLATE_PX]),
        np.concatenate([five, landmarks]),
        weights,
    )
    return np.asarray(target @ matrix[:, :2].T + matrix[:, 2], dtype=np.float64)
