"""The upright crop of one size that every quality measure looks at, and the face in it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import DegenerateLandmarksError
from vultus.types import Face, Image

__all__ = [
    "FACE",
    "INTER_EYE_PX",
    "SIZE_PX",
    "TEMPLATE",
    "box_points",
    "ellipse",
    "face_crop",
    "luma",
    "similarity",
]

Floats = NDArray[np.floating[Any]]

SIZE_PX = 112
"""Side of the crop."""
INTER_EYE_PX = 32.0
"""Between the eyes in it. ArcFace's embedders see 35 px, dlib's 50: what is finer than this crop
hardly counts for recognition."""

# Viewer's left eye, right eye, nose, mouth corners: ArcFace's five points (Deng et al. 2019) scaled
# to 32 px between the eyes, moved so that forehead, chin and cheeks lie in the crop.
TEMPLATE = np.array([[39.4, 35.3], [71.4, 35.1], [55.5, 53.5], [42.4, 72.2], [68.8, 72.1]])
TEMPLATE.flags.writeable = False

# The five points in a detector's box, as parts of its width and height: for a face without
# landmarks. Means over MTCNN's boxes of the 4,992 pictures of LFW View 1, made symmetric.
_BOX_POINTS = np.array([[0.28, 0.39], [0.72, 0.39], [0.50, 0.58], [0.30, 0.75], [0.70, 0.75]])

_REMAP_LIMIT_PX = 32_766  # OpenCV's warpAffine addresses with 16 bits


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> NDArray[np.bool_]:
    """(SIZE_PX, SIZE_PX) mask of an upright ellipse in the crop, all in its pixels."""
    down, across = np.mgrid[:SIZE_PX, :SIZE_PX]
    inside: NDArray[np.bool_] = ((across - x) / radius_x) ** 2 + ((down - y) / radius_y) ** 2 <= 1.0
    return inside


FACE = ellipse(55.5, 58.0, 34.0, 46.0)
"""Hairline to chin, ear to ear, of a face that looks straight: read off the mean crop of LFW."""
FACE.flags.writeable = False


def similarity(source: Floats, target: Floats) -> NDArray[np.float64]:
    """(2, 3) least-squares rotation, scale and shift of `source` onto `target` (Umeyama 1991).

    Raises:
        DegenerateLandmarksError: The source points coincide, or admit no rotation.
    """
    s, t = ((p - p.mean(axis=0)).astype(np.float64) @ (1, 1j) for p in (source, target))
    spread = float((np.abs(s) ** 2).sum())
    z = complex((np.conj(s) * t).sum() / spread) if spread > 1e-12 else 0j
    if abs(z) < 1e-12:
        raise DegenerateLandmarksError(
            "landmarks must not coincide", remedy="drop this face; its landmarks are unusable"
        )
    linear = np.array([[z.real, -z.imag], [z.imag, z.real]])
    return np.column_stack([linear, target.mean(axis=0) - linear @ source.mean(axis=0)])


def box_points(face: Face) -> NDArray[np.float64]:
    """(5, 2) landmarks in pixels of the frame; where the face has none, guessed from its box."""
    if face.landmarks is not None:
        return face.landmarks.points.astype(np.float64)
    corner = np.array([face.box.x1, face.box.y1])
    return corner + _BOX_POINTS * (face.box.width_px, face.box.height_px)


def face_crop(face: Face) -> Image:
    """Turn a face upright and to 32 px between the eyes.

    Shrinking averages areas, so that nothing aliases and noise does not pass for detail. Beyond
    the picture its edge is repeated.

    Returns:
        (SIZE_PX, SIZE_PX, 3) uint8 RGB.

    Raises:
        DegenerateLandmarksError: The landmarks coincide.
    """
    image, points = face.frame.image, box_points(face)
    back = similarity(TEMPLATE, points)
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * (SIZE_PX - 1.0)
    reached = corners @ back[:, :2].T + back[:, 2]
    scale = 1.0 / float(np.hypot(back[0, 0], back[1, 0]))
    margin = 2.0 + 2.0 / scale
    last = np.array(image.shape[1::-1]) - 1
    low = np.clip(np.floor(reached.min(axis=0) - margin), 0, last).astype(int)
    high = np.clip(np.ceil(reached.max(axis=0) + margin), 0, last).astype(int) + 1
    part = image[low[1] : high[1], low[0] : high[0]]
    points = points - low
    if scale < 1.0 or max(part.shape[:2]) > _REMAP_LIMIT_PX:
        wide, high_px = part.shape[1::-1]
        size_wh = (max(1, round(wide * scale)), max(1, round(high_px * scale)))
        part = np.asarray(cv2.resize(part, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        points = (points + 0.5) * (size_wh[0] / wide, size_wh[1] / high_px) - 0.5
    matrix = similarity(points, TEMPLATE)
    crop = cv2.warpAffine(
        part,
        matrix,
        (SIZE_PX, SIZE_PX),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(crop, np.uint8)


def luma(crop: Image) -> NDArray[np.float32]:
    """(h, w) float32 in 0..255, as ITU-R BT.601 weighs red, green and blue."""
    return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
