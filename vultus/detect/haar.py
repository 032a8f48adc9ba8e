"""Viola and Jones's cascade as OpenCV ships it: the classical baseline, boxes only.

Source: Viola and Jones 2001; Lienhart, Kuranov and Pisarevsky 2003 (the cascade file).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from vultus.detect._faces import Candidates, faces_in
from vultus.detect._letterbox import fit_native
from vultus.detect.base import DetectorOptions
from vultus.errors import CardError, ModelMissingError, RangeError
from vultus.models import ModelCard, Store
from vultus.runtime import SessionOptions
from vultus.types import Face, Frame

__all__ = ["Haar"]

_CASCADE = "haarcascade_frontalface_default.xml"
_WINDOW_PX = 24  # as the file states
# Step between scales and neighbours a face needs: the defaults of OpenCV's detectMultiScale.
_SCALE_STEP = 1.1
_NEIGHBOURS = 3
# Where a level weight means even odds, and the weight that changes the odds by e: a logistic fit to
# the 806 boxes found in 220 pictures of WIDER FACE val, 361 of which lie on a face (IoU >= 0.3).
_EVEN_WEIGHT = 4.2
_WEIGHT_SCALE = 1.5


class Haar:
    """Frontal faces by OpenCV's cascade. Thread-safe: each thread has a classifier of its own.

    The score is ``1 / (1 + exp(-(w - 4.2) / 1.5))`` of the cascade's level weight w: fitted so that
    on WIDER FACE it is the part of boxes of this weight that lie on a face.

    Args:
        cascade: The cascade file.
        card: Its card.
        options: What is asked of it. A box is found where at least three windows agree, so
            `nms_iou` has nothing to do and is not used.

    Raises:
        CardError: The card has no [detector] table.
        ModelMissingError: The file is absent or no cascade.
        RangeError: `options` ask for an input of fixed size.
    """

    def __init__(
        self, cascade: Path, card: ModelCard, options: DetectorOptions | None = None
    ) -> None:
        if card.detector is None:
            raise CardError(f"{card.name} is no detector", path=card.name)
        self.name = card.name
        self.options = options or DetectorOptions()
        if self.options.size_wh is not None:
            raise RangeError(
                f"{card.name} takes pictures of any size, got size_wh {self.options.size_wh}",
                remedy="leave size_wh out",
            )
        asked = self.options.score_threshold
        self._threshold = card.detector.score_threshold if asked is None else asked
        self._cascade = cascade
        self._own = threading.local()
        self._classifier()  # so that a missing file is told here, not at the first picture

    @classmethod
    def from_card(
        cls,
        card: ModelCard,
        store: Store | None = None,
        session_options: SessionOptions | None = None,
        options: DetectorOptions | None = None,
    ) -> Self:
        """Load the cascade of the installed OpenCV; `store` and `session_options` are not used."""
        folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
        return cls(Path(folder) / _CASCADE, card, options)

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of one picture; see `Detector`."""
        fit = fit_native((frame.width_px, frame.height_px), 1, self.options.max_side_px)
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        if fit.inner_wh != fit.picture_wh:
            grey = cv2.resize(grey, fit.inner_wh, interpolation=cv2.INTER_AREA)
        smallest = (self.options.min_face_px or 0.0) * min(fit.scale_xy)
        side = max(_WINDOW_PX, int(smallest))
        if min(grey.shape) < side:
            return []
        boxes, _, weights = self._classifier().detectMultiScale3(
            cv2.equalizeHist(grey), _SCALE_STEP, _NEIGHBOURS, 0, (side, side), (0, 0), True
        )
        xywh = np.asarray(boxes, np.float64).reshape(-1, 4)
        weight = np.asarray(weights, np.float64).reshape(-1)
        scores = 1.0 / (1.0 + np.exp(-(weight - _EVEN_WEIGHT) / _WEIGHT_SCALE))
        xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= self._threshold]
        found = Candidates(xyxy[order], scores[order])
        return faces_in(found, fit, frame, self.name, self.options.min_face_px)

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Find the faces of several pictures; see `Detector`."""
        return [self.detect(frame) for frame in frames]

    def _classifier(self) -> cv2.CascadeClassifier:
        """This thread's classifier: one keeps the picture it works on."""
        own: cv2.CascadeClassifier | None = getattr(self._own, "classifier", None)
        if own is None:
            own = self._own.classifier = _loaded(self._cascade)
        return own


def _loaded(cascade: Path) -> cv2.CascadeClassifier:
    classifier, reason = cv2.CascadeClassifier(), None
    try:
        if cascade.is_file() and classifier.load(str(cascade)):
            return classifier
    except cv2.error as error:
        reason = error
    raise ModelMissingError(
        f"OpenCV's cascade {cascade} is absent or damaged",
        remedy="install opencv-python-headless 4 again",
        path=str(cascade),
    ) from reason
