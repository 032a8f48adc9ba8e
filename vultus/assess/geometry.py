"""How large a face is, and how much of it lies inside the picture."""

from __future__ import annotations

import numpy as np

from vultus.assess._aligned import FACE, TEMPLATE, box_points, similarity
from vultus.types import Face

__all__ = ["completeness", "face_px", "inter_eye_px"]


def face_px(face: Face) -> float:
    """The shorter side of the face's box, in pixels."""
    return min(face.box.width_px, face.box.height_px)


def inter_eye_px(face: Face) -> float | None:
    """Distance between the eyes' centres, in pixels; ``None`` without landmarks.

    ISO/IEC 19794-5 and ICAO Doc 9303 measure a portrait's resolution by it.
    """
    if face.landmarks is None:
        return None
    left, right = face.landmarks.points[:2].astype(np.float64)
    return float(np.hypot(*(right - left)))


def completeness(face: Face) -> float:
    """Part of the face that lies inside the picture, in [0, 1].

    Looked at is an ellipse from hairline to chin laid over the landmarks, not the box: detectors
    draw boxes wider or narrower than the face, and cut them at the picture's edge or not.

    Raises:
        DegenerateLandmarksError: The landmarks coincide.
    """
    matrix = similarity(TEMPLATE, box_points(face))
    down, across = np.nonzero(FACE)
    places = np.column_stack([across, down]) @ matrix[:, :2].T + matrix[:, 2]
    low, high = -0.5, np.array([face.frame.width_px, face.frame.height_px]) - 0.5
    return float(((places >= low) & (places <= high)).all(axis=1).mean())
