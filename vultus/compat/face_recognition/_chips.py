"""dlib's landmarks and face chips, to the pixel: what its embedder is fed for a given box.

`vultus.align` follows dlib closely enough for good embeddings; stored encodings of face_recognition
ask for more. The leaves of the regression trees are added up in dlib's order, as the last bit of
a sum decides which pixel a tree looks at next, landmarks are whole pixels, and a chip is black
wherever dlib's interpolation would need a pixel outside the picture.

Source: dlib 20.0 (King), `dlib/image_processing/shape_predictor.h`,
`dlib/image_transforms/interpolation.h`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.align import FivePointRegressor, dlib_chip, similarity_transform
from vultus.types import Image

__all__ = ["ShapePredictor5", "face_chip", "five_of_68", "jittered"]

Floats = NDArray[np.floating[Any]]

_SIZE_PX = 150
_PADDING = 0.25
# A chip reaches no further from the landmarks' mean than so many times their extent: half its
# diagonal is 1.44 times the eyes' outer distance, and the mean lies off its centre.
_REACH = 2.5

# Where dlib's mean face has the five points, in the order the five-point model gives them.
_FIVE = np.array(
    [
        (0.8595674595992, 0.2134981538014), (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848), (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    ]
)  # fmt: skip
# Which of iBUG's 68 points dlib places a chip by (nose, eyes, upper lip), and where its mean face
# has them, in units of the unpadded chip. Source: get_face_chip_details in interpolation.h.
_USED = (*range(27, 55), *range(60, 65))
_MEAN_X = (
    0.490127, 0.490127, 0.490127, 0.490127, 0.36688, 0.426036, 0.490127, 0.554217, 0.613373,
    0.121737, 0.187122, 0.265825, 0.334606, 0.260918, 0.182743, 0.645647, 0.714428, 0.793132,
    0.858516, 0.79751, 0.719335, 0.254149, 0.340985, 0.428858, 0.490127, 0.551395, 0.639268,
    0.726104, 0.290379, 0.428096, 0.490127, 0.552157, 0.689874,
)  # fmt: skip
_MEAN_Y = (
    0.203352, 0.307009, 0.409805, 0.515625, 0.587326, 0.609345, 0.628106, 0.609345, 0.587326,
    0.216423, 0.178758, 0.179852, 0.231733, 0.245099, 0.244077, 0.231733, 0.179852, 0.178758,
    0.216423, 0.244077, 0.245099, 0.780233, 0.745405, 0.727388, 0.742578, 0.727388, 0.745405,
    0.780233, 0.784792, 0.778746, 0.785343, 0.778746, 0.784792,
)  # fmt: skip

# How far dlib::jitter_image moves, turns and shrinks what it cuts out of a chip.
_JITTER_MARGIN_PX = 3
_JITTER_SHIFT = 0.02
_JITTER_HEIGHT = (0.97, 0.99999)
_JITTER_DEG = 3.0


class ShapePredictor5(FivePointRegressor):
    """The five-point regressor with the leaves added to the shape one by one, as in dlib."""

    def _step(
        self, image: Image, origin: Floats, axes: Floats, shape: Floats, stage: int
    ) -> NDArray[Any]:
        # float64 holds the difference of two float32 exactly, and so gives the sum back exactly.
        before = shape.astype(np.float32)
        leaves = self._chosen(image, origin, axes, before, stage)
        leaves[:, 0] += before
        after = np.cumsum(leaves, axis=1)[:, -1]
        return after.astype(np.float64) - before


def face_chip(image: Image, points: Floats) -> Image:
    """Cut dlib's chip, with its black edge.

    Args:
        image: (h, w, 3) uint8 RGB.
        points: (5, 2) in the order of the five-point model.

    Returns:
        (150, 150, 3) uint8 RGB.

    Raises:
        DegenerateLandmarksError: The points coincide.
    """
    chip = dlib_chip(image, points)
    center = points.mean(axis=0)
    reach = _REACH * float(np.ptp(points, axis=0).max())
    last = np.array([image.shape[1], image.shape[0]]) - 1
    if (center - reach >= 0).all() and (center + reach <= last).all():
        return chip
    inside = dlib_chip(np.full_like(image, 255), points)[..., :1] == 255
    return np.asarray(chip * inside, np.uint8)


def five_of_68(points: Floats) -> NDArray[np.float64]:
    """The five points that give the same chip as dlib's from 68.

    Args:
        points: (68, 2) in iBUG's order.

    Raises:
        DegenerateLandmarksError: They coincide.
    """
    mean = np.column_stack([_MEAN_X, _MEAN_Y])
    matrix = similarity_transform(_on_chip(mean), points[list(_USED)].astype(np.float64))
    five: NDArray[np.float64] = _on_chip(_FIVE) @ matrix[:, :2].T + matrix[:, 2]
    return five


def _on_chip(places: Floats) -> NDArray[np.float64]:
    return np.asarray((_PADDING + places) / (2 * _PADDING + 1) * _SIZE_PX, np.float64)


def jittered(chip: Image, random: np.random.Generator) -> Image:
    """A chip moved, turned, enlarged and perhaps mirrored at random, as dlib's `jitter_image`.

    Args:
        chip: (150, 150, 3) uint8 RGB.
        random: Where chance comes from.
    """
    low, high = _JITTER_MARGIN_PX, _SIZE_PX - 1 - _JITTER_MARGIN_PX
    side = high - low + 1
    shift = np.floor(random.uniform(-_JITTER_SHIFT, _JITTER_SHIFT, 2) * side + 0.5)
    size = int(side / random.uniform(*_JITTER_HEIGHT))
    angle = np.radians(random.uniform(-_JITTER_DEG, _JITTER_DEG))
    corner = (low + high + 1) // 2 + shift - size // 2
    center = corner + (size - 1) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn * (size - 1) / (_SIZE_PX - 1)
    matrix = np.column_stack([linear, center + turn @ (corner - center)])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    out_wh = (_SIZE_PX, _SIZE_PX)
    moved = cv2.warpAffine(chip, matrix, out_wh, flags=flags)
    inside = cv2.warpAffine(np.full_like(chip[..., 0], 255), matrix, out_wh, flags=flags) == 255
    result = np.asarray(moved * inside[..., None], np.uint8)
    return result[:, ::-1] if random.random() > 0.5 else result
