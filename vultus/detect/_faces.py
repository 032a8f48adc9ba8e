"""From a network's raw detections to faces of the picture: suppress, carry back, check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.detect._letterbox import Letterbox
from vultus.detect._nms import nms_iou
from vultus.errors import InferenceError
from vultus.types import Box, Face, Frame, Landmarks

__all__ = ["Candidates", "faces_in", "joined", "passing", "suppressed"]

Floats = NDArray[np.floating[Any]]

# Candidates by falling score that reach the suppression: bounds its time when a threshold near 0
# lets everything pass. As in biubug6's RetinaFace and OpenCV's FaceDetectorYN (top_k = 5000).
_TOP_K = 5000


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What a network says about one input before anything is suppressed.

    Attributes:
        boxes: (n, 4) xyxy in pixels of the input.
        scores: (n,) in [0, 1].
        points: (n, 5, 2) xy in pixels of the input; ``None`` where the network gives none.
    """

    boxes: Floats
    scores: Floats
    points: Floats | None = None

    def take(self, rows: NDArray[np.intp]) -> Candidates:
        """Some of them, in the order of `rows`."""
        points = None if self.points is None else self.points[rows]
        return Candidates(self.boxes[rows], self.scores[rows], points)


def joined(parts: Sequence[Candidates]) -> Candidates:
    """The candidates of several levels as one; all have landmarks, or none has."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Candidates(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))
    points = [part.points for part in parts if part.points is not None]
    return Candidates(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate(points) if points else None,
    )


def passing(scores: Floats, threshold: float, name: str) -> NDArray[np.intp]:
    """Which cells score at least `threshold` and above 0.

    Args:
        scores: (n,).
        threshold: In [0, 1].
        name: The network, for the message.

    Returns:
        Rising numbers of cells.

    Raises:
        InferenceError: A score is not a number.
    """
    best = scores.max(initial=0.0)  # the maximum of anything with NaN is NaN
    if best != best:  # noqa: PLR0124 - faster than isnan, cold
        raise InferenceError(
            f"{name} gave scores that are not numbers",
            remedy="`vultus models verify` tells whether the file is damaged; "
            "with an accelerator, try the CPU",
            model=name,
        )
    return np.flatnonzero(scores >= threshold if threshold > 0.0 else scores > 0.0)


def suppressed(found: Candidates, limit: float) -> Candidates:
    """Drop what overlaps something better by more than `limit`; the rest by falling score.

    Of more than 5,000 candidates, only the best 5,000 are looked at.
    """
    if len(found.scores) > _TOP_K:
        found = found.take(np.argsort(-found.scores, kind="stable")[:_TOP_K])
    return found.take(nms_iou(found.boxes, found.scores, limit))


def faces_in(
    found: Candidates, fit: Letterbox, frame: Frame, name: str, min_face_px: float | None = None
) -> list[Face]:
    """Make faces of `frame` from detections in the input it was fitted into.

    Boxes without area, wholly outside the picture, or with a shorter side below `min_face_px`
    are left out.

    Args:
        found: What remained, in pixels of the input.
        fit: How the frame lies in the input.
        frame: The picture.
        name: The network, for the message.
        min_face_px: Smallest face wanted, in pixels of the picture.

    Raises:
        InferenceError: A coordinate is not finite.
    """
    if not len(found.scores):
        return []
    boxes = fit.to_picture(found.boxes)
    points = None if found.points is None else fit.to_picture(found.points)
    if not _finite(boxes) or not (points is None or _finite(points)):
        raise InferenceError(
            f"{name} gave coordinates that are not finite",
            remedy="`vultus models verify` tells whether the file is damaged",
            model=name,
        )
    if points is not None:
        with np.errstate(over="ignore"):  # what is beyond float32 is told by `Landmarks`
            points = points.astype(np.float32)  # at once, which is cheaper than one by one
    least, (width, height) = min_face_px or 0.0, fit.picture_wh
    faces = []
    for i, ((x1, y1, x2, y2), score) in enumerate(
        zip(boxes.tolist(), found.scores.tolist(), strict=True)
    ):
        side = min(x2 - x1, y2 - y1)
        if side > 0.0 and side >= least and x2 > 0 and y2 > 0 and x1 < width and y1 < height:
            landmarks = None if points is None else Landmarks(points[i])
            faces.append(Face(Box(x1, y1, x2, y2), min(max(score, 0.0), 1.0), landmarks, frame))
    return faces


def _finite(values: Floats) -> bool:
    return bool(np.count_nonzero(np.isfinite(values)) == values.size)  # twice as fast as all()
