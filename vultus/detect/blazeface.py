"""BlazeFace: MediaPipe's small detectors of close faces, one for each size of input.

Source: Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs";
anchors, decoding and suppression as in MediaPipe, `modules/face_detection/*.pbtxt` with
`calculators/tflite/ssd_anchors_calculator.cc`,
`calculators/tensor/tensors_to_detections_calculator.cc` and
`calculators/util/non_max_suppression_calculator.cc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.detect._faces import Candidates, faces_in, passing
from vultus.detect._letterbox import Letterbox, fit_fixed, to_tensor
from vultus.detect._nms import nms_weighted
from vultus.detect._single_shot import SingleShot
from vultus.detect.base import DetectorOptions
from vultus.errors import CardError, InferenceError
from vultus.models import ModelCard
from vultus.runtime import Session
from vultus.types import Face, Frame

__all__ = ["BlazeFace"]

# score_clipping_thresh: keeps the exponential of the sigmoid within single precision.
_LARGEST_LOGIT = 100.0
_KEYPOINTS = 6


class BlazeFace(SingleShot):
    """BlazeFace in the size its card states; arguments as `SingleShot`.

    The network gives ``scores`` (anchors,) before the sigmoid and ``boxes`` (anchors, 16): centre,
    width and height, then six points, in pixels of the input and relative to the anchor's centre.

    Its points are the eyes, the tip of the nose, the middle of the mouth and the ears. The corners
    of the mouth are not among them, so its faces have no landmarks: what needs five points must
    find them in the box. `detect_with_keypoints` gives the six.

    Raises:
        CardError: The card lacks the size of its input, or strides.
    """

    def __init__(
        self, session: Session, card: ModelCard, options: DetectorOptions | None = None
    ) -> None:
        super().__init__(session, card, options)
        if self._input.size_wh is None or not self._spec.strides:
            raise CardError(
                f"the card of {card.name} must state size_wh and strides", path=card.name
            )
        self.size_wh = self._input.size_wh
        self._centres = _anchor_centres(
            self.size_wh, self._spec.strides, self._spec.anchors_per_cell
        )

    def detect_with_keypoints(self, frame: Frame) -> list[tuple[Face, NDArray[np.float64]]]:
        """As `detect`, each face with the six points, whose eyes tell the roll.

        Returns:
            Faces by falling score, each with (6, 2) float64, xy in pixels of `frame`: left eye,
            right eye, tip of the nose, middle of the mouth, left ear, right ear, as the viewer
            sees them.
        """
        fit = self._fit((frame.width_px, frame.height_px))
        tensor = to_tensor([frame.image], [fit], self._input, pad=self._pad)
        outputs = self._session.run({self._session.input_names[0]: tensor})
        found = self._blend(self._read([output[0] for output in outputs], fit.size_wh))
        pairs = []
        for row in np.arange(len(found.scores))[:, None]:
            one = found.take(row)
            box = Candidates(one.boxes, one.scores)
            faces = faces_in(box, fit, frame, self.name, self.options.min_face_px)
            if faces and one.points is not None:
                pairs.append((faces[0], fit.to_picture(one.points[0])))
        return pairs

    def _decode(self, outputs: list[NDArray[Any]], size_wh: tuple[int, int]) -> Candidates:
        logits, codes = outputs
        if len(logits) != len(self._centres):
            raise InferenceError(
                f"{self.name} must give {len(self._centres)} predictions, got {len(logits)}",
                remedy="the strides and anchors of its card are not those of its weights",
                expected=len(self._centres),
                actual=len(logits),
            )
        scores = _sigmoid(logits)
        rows = passing(scores, self._threshold, self.name)
        centre = self._centres[rows]
        middle = centre + codes[rows, :2]
        half = codes[rows, 2:4] / 2
        points = centre[:, None] + codes[rows, 4:].reshape(-1, _KEYPOINTS, 2)
        boxes = np.concatenate([middle - half, middle + half], axis=1)
        return Candidates(boxes, scores[rows], points)

    def _blend(self, found: Candidates) -> Candidates:
        """One box and its points of each group that overlaps, weighted by score."""
        points = np.zeros((0, _KEYPOINTS, 2)) if found.points is None else found.points
        values = np.concatenate([found.boxes, points.reshape(-1, 2 * _KEYPOINTS)], axis=1)
        blended, scores = nms_weighted(values, found.scores, self.nms_iou)
        return Candidates(blended[:, :4], scores, blended[:, 4:].reshape(-1, _KEYPOINTS, 2))

    def _suppress(self, found: Candidates) -> Candidates:
        blended = self._blend(found)
        return Candidates(blended.boxes, blended.scores)  # six points are not five landmarks

    def _fit(self, picture_wh: tuple[int, int]) -> Letterbox:
        return fit_fixed(picture_wh, self.size_wh, center=True)


def _anchor_centres(
    size_wh: tuple[int, int], strides: Sequence[int], per_layer: int
) -> NDArray[np.float64]:
    """Centres of all anchors, (n, 2) xy in pixels of the input; each anchor is as large as that.

    Args:
        size_wh: Of the input.
        strides: One per layer; layers of equal stride share a grid, anchor by anchor.
        per_layer: Anchors that a layer has in each cell.
    """
    grids = []
    for stride, layers in groupby(strides):
        columns, rows = (-(-side // stride) for side in size_wh)
        y, x = np.divmod(np.arange(rows * columns), columns)
        cells = (np.stack([x, y], axis=1) + 0.5) * stride
        grids.append(np.repeat(cells, per_layer * len(list(layers)), axis=0))
    return np.concatenate(grids)


def _sigmoid(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    clipped = np.clip(logits.astype(np.float64), -_LARGEST_LOGIT, _LARGEST_LOGIT)
    values: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-clipped))
    return values
