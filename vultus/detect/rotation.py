"""Look again at quarter turns when a picture lies on its side without saying so."""

from __future__ import annotations

import numpy as np

from vultus.detect.base import Detector
from vultus.types import Box, Face, Frame, Landmarks

__all__ = ["detect_any_turn"]


def detect_any_turn(detector: Detector, frame: Frame) -> list[Face]:
    """Detect upright faces; when there are none, try the picture turned by 90, 180 and 270°.

    Args:
        detector: Any detector.
        frame: The picture as it is.

    Returns:
        Faces in pixels of `frame` itself. Of the turns, the one with the largest sum of scores
        wins. Landmarks keep their roles: the left eye is the viewer's left once the face is
        turned upright.
    """
    faces = detector.detect(frame)
    if faces:
        return faces
    best: list[Face] = []
    for turns in (1, 2, 3):
        turned = Frame(np.ascontiguousarray(np.rot90(frame.image, turns)), frame.source)
        found = [_turn_back(face, frame, turns) for face in detector.detect(turned)]
        if sum(f.score for f in found) > sum(f.score for f in best):
            best = found
    return best


def _turn_back(face: Face, frame: Frame, turns: int) -> Face:
    """Map a face found in ``np.rot90(image, turns)`` back to `frame`."""
    corners = np.array([face.box.xyxy[:2], face.box.xyxy[2:]], dtype=np.float64)
    corners = _unturn(corners, frame, turns)
    (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
    points = _unturn(face.landmarks.points.astype(np.float64), frame, turns)
    return Face(
        Box(float(x1), float(y1), float(x2), float(y2)),
        face.score,
        Landmarks(points.astype(np.float32)),
        frame,
    )


def _unturn(
    points: np.ndarray[tuple[int, ...], np.dtype[np.float64]], frame: Frame, turns: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    x, y = points[:, 0], points[:, 1]
    width, height = frame.width_px, frame.height_px
    if turns == 1:  # counter-clockwise: (x, y) of the turned picture came from (w - y, x)
        return np.stack([width - y, x], axis=1)
    if turns == 2:
        return np.stack([width - x, height - y], axis=1)
    return np.stack([y, height - x], axis=1)
