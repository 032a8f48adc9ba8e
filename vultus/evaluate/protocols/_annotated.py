"""Pictures with one annotated face each: which detection is that face, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.detect import Detector
from vultus.errors import ImageError
from vultus.sources import load_frame
from vultus.types import Box, Face

__all__ = ["NO_FACE", "annotated_face", "picture_of"]

NO_FACE = "the detector found no such face"

_ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".PNG")

# Overlap of a detection with the annotated face's box from which it is taken for that face.
_SAME_FACE_IOU = 0.3

# A detector's box begins above the brows, where the 68 points begin: by this part of their height.
# Median of MTCNN's boxes over 500 pictures of LFW.
_FOREHEAD = 0.31


def annotated_face(
    picture: Path, points: NDArray[np.float64], detector: Detector | None
) -> Face | str:
    """The face of a picture that somebody annotated, or why there is none.

    Args:
        picture: The file.
        points: (n, 2) xy of iBUG's 68 points.
        detector: Finds the face; ``None`` takes the box that the points themselves make.
    """
    try:
        frame = load_frame(picture)
    except ImageError as error:
        return str(error)
    truth = _box_of(points)
    if detector is None:
        return Face(truth, 1.0, None, frame)
    return _best(detector.detect(frame), truth)


def picture_of(annotation: Path) -> Path | None:
    """The picture beside an annotation, of the same name."""
    for ending in _ENDINGS:
        picture = annotation.with_suffix(ending)
        if picture.is_file():
            return picture
    return None


def _best(faces: Sequence[Face], truth: Box) -> Face | str:
    best = max(faces, key=lambda face: face.box.iou(truth), default=None)
    return best if best is not None and best.box.iou(truth) >= _SAME_FACE_IOU else NO_FACE


def _box_of(points: NDArray[np.float64]) -> Box:
    (left, top), (right, bottom) = points.min(axis=0) + 0.5, points.max(axis=0) + 0.5
    return Box(float(left), float(top - _FOREHEAD * (bottom - top)), float(right), float(bottom))
