"""MTCNN: three small networks that propose, refine and finish, on ONNX Runtime.

Source: Zhang et al. 2016, "Joint Face Detection and Alignment using Multi-task Cascaded
Convolutional Networks"; numbers as in David Sandberg's and Tim Esler's implementations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.detect._area import AreaSampler
from vultus.detect._nms import nms_iou, nms_min_area
from vultus.detect.base import DetectorOptions
from vultus.errors import RangeError
from vultus.models import DetectorSpec, ModelCard, Store
from vultus.runtime import Session, SessionOptions
from vultus.types import Box, Face, Frame, Image, Landmarks

__all__ = ["Mtcnn", "MtcnnOptions"]

Floats = NDArray[np.floating[Any]]

_WINDOW_PX = 12  # what one cell of the proposal net sees
_STRIDE_PX = 2  # between neighbouring cells
_REFINE_PX = 24
_FINISH_PX = 48
# Crops per call of the refining nets, so few that what lies between their layers stays in the cache
# and is not handed back to the system after each call: 9 MB for 48 px. One of 256 takes twice as
# long per crop.
_BATCH = 32
_WORKING_PX = 16_000_000


@dataclass(frozen=True, slots=True)
class MtcnnOptions:
    """What to look for.

    Attributes:
        min_face_px: Smallest face side to look for, ≥ 12. Twice as small costs four times the
            time of the first net. The default, 40 px, is also the smallest face that dlib's HOG
            detector finds after one upsampling, and about the smallest worth recognising.
        thresholds: Scores that pass the three nets, in [0, 1] (0.6, 0.7, 0.7 as published).
        overlap: Of two finished faces that share more than this part of the smaller one, the
            better is kept; in (0, 1] (0.7 as published).
        factor: Step between the scales searched, in (0, 1) (0.709 ≈ √½ as published).

    Raises:
        RangeError: A value is outside its range.
    """

    min_face_px: float = 40.0
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7)
    overlap: float = 0.7
    factor: float = 0.709

    def __post_init__(self) -> None:
        if not _WINDOW_PX <= self.min_face_px < np.inf:
            raise RangeError(
                f"min_face_px must be finite and at least {_WINDOW_PX}, got {self.min_face_px}",
                remedy="enlarge the picture to find smaller faces",
            )
        if len(self.thresholds) != 3 or not all(0.0 <= t <= 1.0 for t in self.thresholds):
            raise RangeError(f"thresholds must be three values in [0, 1], got {self.thresholds}")
        if not 0.0 < self.overlap <= 1.0:
            raise RangeError(f"overlap must lie in (0, 1], got {self.overlap}")
        if not 0.1 <= self.factor <= 0.95:
            raise RangeError(f"factor must lie in [0.1, 0.95], got {self.factor}")

    @classmethod
    def of(cls, asked: DetectorOptions | None, spec: DetectorSpec | None = None) -> Self:
        """Read what is asked of any detector as what it means to MTCNN.

        The score threshold is that of the last net and `nms_iou` the last net's overlap; where
        nothing is asked, the card decides. `max_side_px` is not used: the smallest face wanted
        decides how large a picture the nets see.

        Args:
            asked: What is asked of any detector.
            spec: The card's part on detection.

        Raises:
            RangeError: An input of fixed size, or a value that MTCNN cannot take.
        """
        asked = asked or DetectorOptions()
        if asked.size_wh is not None:
            raise RangeError(
                f"mtcnn takes pictures of any size, got size_wh {asked.size_wh}",
                remedy="leave size_wh out",
            )
        usual = cls()
        score, overlap = usual.thresholds[2], usual.overlap
        if spec is not None:
            score, overlap = spec.score_threshold, spec.nms_iou
        return cls(
            min_face_px=usual.min_face_px if asked.min_face_px is None else asked.min_face_px,
            thresholds=(
                *usual.thresholds[:2],
                score if asked.score_threshold is None else asked.score_threshold,
            ),
            overlap=overlap if asked.nms_iou is None else asked.nms_iou,
        )


class Mtcnn:
    """The cascade. Thread-safe: it keeps no state between calls.

    Args:
        proposal: The first net, over whole pictures.
        refine: The second, over 24 px crops.
        finish: The third, over 48 px crops.
        options: What to look for.
        name: That of its card.
    """

    def __init__(
        self,
        proposal: Session,
        refine: Session,
        finish: Session,
        options: MtcnnOptions | None = None,
        name: str = "mtcnn",
    ) -> None:
        self.name = name
        self.options = options or MtcnnOptions()
        self._proposal, self._refine, self._finish = proposal, refine, finish

    @classmethod
    def from_card(
        cls,
        card: ModelCard,
        store: Store,
        session_options: SessionOptions | None = None,
        options: MtcnnOptions | None = None,
    ) -> Self:
        """Load the three nets that `card` names from `store`."""
        nets = [
            Session(store.read(card, role), f"{card.name}/{role}", session_options)
            for role in ("pnet", "rnet", "onet")
        ]
        return cls(nets[0], nets[1], nets[2], options, card.name)

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of one picture.

        Args:
            frame: Any size; a picture smaller than 12 px has no room for a face.

        Returns:
            Faces by falling score, boxes and landmarks in pixels of the frame. The boxes are
            those of the reference implementation, to the pixel: it counts pixels from 1, so
            they lie one pixel right of and below what is seen.
        """
        image, shrink = _working_picture(frame.image, self.options.min_face_px)
        picture = AreaSampler(image)
        found = self._proposed(picture, self.options.min_face_px / shrink)
        found = self._refined(picture, found)
        boxes, points = self._finished(picture, found)
        corners = (boxes[:, :4] * shrink).tolist()
        scores = np.minimum(boxes[:, 4], 1.0).tolist()
        # Points are pixel centres, boxes edges.
        fives = (points * shrink + (shrink - 1) / 2).astype(np.float32)
        return [
            Face(Box(*corner), score, Landmarks(five), frame)
            for corner, score, five in zip(corners, scores, fives, strict=True)
        ]

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Find the faces of several pictures, one after the other: each makes its own pyramid."""
        return [self.detect(frame) for frame in frames]

    def _proposed(self, picture: AreaSampler, min_face_px: float) -> Floats:
        """(n, 5) square candidate boxes and scores from all scales."""
        limit = self.options.thresholds[0]
        found = [
            _candidates(self._proposal.run({"input": level}, ("reg", "prob")), scale, limit)
            for scale, level in _pyramid(picture, min_face_px, self.options.factor)
        ]
        if not found:
            return np.zeros((0, 5))
        every = np.concatenate(found)
        every = every[nms_iou(every[:, :4], every[:, 4], 0.7)]
        size = np.tile(every[:, 2:4] - every[:, :2], 2)
        moved = every[:, :4] + every[:, 5:9] * size
        return _square(np.concatenate([moved, every[:, 4:5]], axis=1))

    def _refined(self, picture: AreaSampler, found: Floats) -> Floats:
        found, inside = _clip(found, picture)
        if len(found) == 0:
            return np.zeros((0, 5))
        shift, prob = _run_batched(self._refine, picture, inside, _REFINE_PX, ("reg", "prob"))
        passed = prob[:, 1] > self.options.thresholds[1]
        boxes = np.concatenate([found[passed, :4], prob[passed, 1:2]], axis=1)
        kept = nms_iou(boxes[:, :4], boxes[:, 4], 0.7)
        return _square(_shift(boxes[kept], shift[passed][kept]))

    def _finished(self, picture: AreaSampler, found: Floats) -> tuple[Floats, Floats]:
        found, inside = _clip(found, picture)
        if len(found) == 0:
            return np.zeros((0, 5)), np.zeros((0, 5, 2))
        shift, points, prob = _run_batched(
            self._finish, picture, inside, _FINISH_PX, ("reg", "pts", "prob")
        )
        passed = prob[:, 1] > self.options.thresholds[2]
        boxes = np.concatenate([found[passed, :4], prob[passed, 1:2]], axis=1)
        size = boxes[:, 2:4] - boxes[:, :2] + 1
        unit = np.stack([points[passed, :5], points[passed, 5:]], axis=2)
        five = boxes[:, None, :2] + unit * size[:, None, :] - 1
        boxes = _shift(boxes, shift[passed])
        kept = nms_min_area(boxes[:, :4], boxes[:, 4], self.options.overlap)
        boxes, five = boxes[kept], five[kept]
        real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return boxes[real], five[real]


def _working_picture(image: Image, min_face_px: float) -> tuple[Image, float]:
    """Halve a huge picture while the smallest face wanted still fills the first net's window.

    The summed-area table takes 12 bytes per pixel; this bounds it on pictures no one looks at
    in full size.
    """
    shrink = 1.0
    while image.shape[0] * image.shape[1] > _WORKING_PX and min_face_px / shrink >= 40:
        size_wh = (max(1, image.shape[1] // 2), max(1, image.shape[0] // 2))
        image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        shrink *= 2
    return image, shrink


def _pyramid(
    picture: AreaSampler, min_face_px: float, factor: float
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """The scaled pictures the first net looks at, largest first."""
    scale = _WINDOW_PX / min_face_px
    while min(picture.height_px, picture.width_px) * scale >= _WINDOW_PX:
        size_wh = (int(picture.width_px * scale + 1), int(picture.height_px * scale + 1))
        yield scale, picture.resize(size_wh)
        scale *= factor


def _candidates(outputs: list[NDArray[np.float32]], scale: float, limit: float) -> Floats:
    """(n, 9) box, score and predicted shift of the cells of one scale that pass."""
    shift, prob = outputs
    score = prob[0, 1]
    rows, columns = np.nonzero(score >= limit)
    corner = np.stack([columns, rows], axis=1) * _STRIDE_PX
    corners = np.concatenate([corner + 1, corner + _WINDOW_PX], axis=1).astype(np.float32)
    # Single precision decides which whole pixel a quotient falls to, as in the reference.
    boxes = np.floor(corners / np.float32(scale))
    scores = score[rows, columns]
    kept = nms_iou(boxes, scores, 0.5)
    offsets = shift[0][:, rows[kept], columns[kept]].T
    return np.concatenate([boxes[kept], scores[kept, None], offsets], axis=1)


def _run_batched(
    net: Session, picture: AreaSampler, boxes: Floats, size_px: int, outputs: tuple[str, ...]
) -> list[NDArray[np.float32]]:
    parts = [
        net.run({"input": picture.crop(boxes[i : i + _BATCH], size_px)}, outputs)
        for i in range(0, len(boxes), _BATCH)
    ]
    return [np.concatenate(p) for p in zip(*parts, strict=True)]


def _square(boxes: Floats) -> Floats:
    """Grow the shorter side about the centre; columns beyond the fourth are kept."""
    size = boxes[:, 2:4] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True)
    out = boxes.copy()
    out[:, :2] += (size - side) / 2
    out[:, 2:4] = out[:, :2] + side
    return out


def _shift(boxes: Floats, offsets: Floats) -> Floats:
    """Move each side by its predicted fraction of the box (inclusive pixels)."""
    size = np.tile(boxes[:, 2:4] - boxes[:, :2] + 1, 2)
    return np.concatenate([boxes[:, :4] + offsets * size, boxes[:, 4:5]], axis=1)


def _clip(boxes: Floats, picture: AreaSampler) -> tuple[Floats, Floats]:
    """Boxes that touch the picture, and their part inside it with exclusive right and bottom."""
    whole = np.trunc(boxes[:, :4])
    inside = np.stack(
        [
            np.maximum(whole[:, 0], 1) - 1,
            np.maximum(whole[:, 1], 1) - 1,
            np.minimum(whole[:, 2], picture.width_px),
            np.minimum(whole[:, 3], picture.height_px),
        ],
        axis=1,
    )
    touches = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    return boxes[touches], inside[touches]
