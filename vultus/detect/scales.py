"""Look at a picture at several scales, so that huge and tiny faces are both found.

A network sees faces well from about ten to some hundred pixels of its input. Measured on 50 crops
of LFW that a face fills by 70 to 95 %: SCRFD misses none at 320 px, 3 at 480 px, 48 at 640 px and
all beyond; YuNet and RetinaFace miss none up to 640 px, but soon after they also take parts of a
face for faces (YuNet 1 at 720 px and 2 at 800 px, RetinaFace 8 and 18). So a picture that is larger
than its network sees whole is looked at again at 320 px, which takes two fifths of the time of a
look at 640 × 480 and five per cent of one at 1920 × 1080 (SCRFD-500M, one core, shrinking
included).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.detect._nms import nms_iou
from vultus.detect._single_shot import SingleShot
from vultus.detect.tiles import Tile, tiles_of
from vultus.errors import RangeError
from vultus.types import Box, Face, Frame, Landmarks

__all__ = ["EveryScale"]

_SMALLEST_SIDE_PX = 320  # of the last look: see above
# A face above this in the input of one look is left to the next, coarser one; it then has at
# least 40 px there, which all networks here find.
_LARGE_PX = 256.0
_UNSHRUNK_PX = 2048  # more than any tile has
_STEP = 6.4  # the longest way between two looks: 256 px become 40
# Parts of a face that a network took for faces had at least 0.3 of its side (YuNet and RetinaFace,
# the crops above) and scored less than the whole; what is smaller may be somebody before it, and
# what scores more is not put aside for a doubtful large face.
_PART_SIDE = 0.25
_PART_INSIDE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One part of the picture at one scale."""

    level: int
    scale: float  # pixels of the look's input per pixel of the picture, along the longer side
    tile: Tile
    part: Frame


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Faces of one picture in its pixels, and the look that saw each."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    points: list[NDArray[np.float64] | None]
    levels: NDArray[np.intp]


class EveryScale:
    """A single-shot detector, several looks at each picture.

    Without tiles there are two looks: in the picture's own size, up to ``max_side_px``, and at
    320 px; one, where the network sees a face that fills the picture at the first. With tiles,
    pictures over 2,000 px are looked at in their own size whatever that is, tile by tile, with as
    many coarser looks as it takes to come down to 320 px.

    Args:
        detector: Any that takes inputs of any size.
        tiled: Whether to use tiles rather than shrink.

    Raises:
        RangeError: The detector takes inputs of one size only.
    """

    def __init__(self, detector: SingleShot, *, tiled: bool = False) -> None:
        if detector.fixed_size_wh is not None:
            raise RangeError(
                f"{detector.name} takes inputs of {detector.fixed_size_wh} px only, which makes "
                "every look the same",
                remedy="use scales='one', or another detector",
            )
        self.name = detector.name
        self.options = detector.options
        self.sure_score = detector.sure_score
        self.tiled = tiled
        # A face's size counts in pixels of the picture, so it is judged after the looks; and a tile
        # is never shrunk.
        plain = replace(detector.options, min_face_px=None)
        if tiled:
            plain = replace(plain, max_side_px=_UNSHRUNK_PX)
        self._plain = detector.with_options(plain)

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of one picture; see `Detector`."""
        return self.detect_many([frame])[0]

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Find the faces of several pictures; see `Detector`."""
        looks = [list(self._looks(frame)) for frame in frames]
        found = iter(self._plain.detect_many([look.part for every in looks for look in every]))
        return [
            self._merged(frame, [(look, next(found)) for look in every])
            for frame, every in zip(frames, looks, strict=True)
        ]

    def _looks(self, frame: Frame) -> Iterator[_Look]:
        picture_wh = (frame.width_px, frame.height_px)
        limit = None if self.tiled else self.options.max_side_px
        sides = sides_of(max(picture_wh), limit, self._plain.whole_px)
        for level, side in enumerate(sides):
            image = frame.image
            if self.tiled or level > 0:
                image = _shrunk(image, side)
            size_wh = (image.shape[1], image.shape[0])
            tiles = tiles_of(size_wh) if self.tiled else [Tile((0, 0), size_wh, size_wh)]
            for tile in tiles:
                whole = image is frame.image and tile.size_wh == picture_wh
                part = frame if whole else Frame(tile.view(image), frame.source)
                yield _Look(level, side / max(picture_wh), tile, part)

    def _merged(self, frame: Frame, found: list[tuple[_Look, list[Face]]]) -> list[Face]:
        least = self.options.min_face_px or 0.0
        (look, faces), *others = found
        if look.part is frame and not others:
            return [face for face in faces if min(face.box.width_px, face.box.height_px) >= least]
        if sum(len(faces) for _, faces in found) == 0:
            return []
        scales = [1.0] * (1 + max(look.level for look, _ in found))
        for look, _ in found:
            scales[look.level] = look.scale
        seen = _joined(frame, found)
        kept = _best(seen, np.array(scales), self._plain.nms_iou)
        faces = []
        for i in kept.tolist():
            box = Box(*seen.boxes[i].tolist())
            if min(box.width_px, box.height_px) >= least:
                points = seen.points[i]
                landmarks = None if points is None else Landmarks(points.astype(np.float32))
                faces.append(Face(box, float(seen.scores[i]), landmarks, frame))
        return faces


def sides_of(longer_px: int, limit_px: int | None, whole_px: int = _SMALLEST_SIDE_PX) -> list[int]:
    """Longer sides of the picture at each look, the finest first.

    Args:
        longer_px: The picture's longer side.
        limit_px: The finest look is shrunk to this; ``None``: it has the picture's own size.
        whole_px: Up to here one look is enough; 320 at least.
    """
    first = longer_px if limit_px is None else min(longer_px, limit_px)
    if first <= whole_px:
        return [first]
    steps = max(1, math.ceil(math.log(first / _SMALLEST_SIDE_PX) / math.log(_STEP) - 1e-9))
    ratio = (_SMALLEST_SIDE_PX / first) ** (1 / steps)
    return [round(first * ratio**i) for i in range(steps + 1)]


def _shrunk(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if max(height, width) <= side:
        return image
    scale = side / max(height, width)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _joined(frame: Frame, found: list[tuple[_Look, list[Face]]]) -> _Seen:
    """All faces in pixels of the picture, without those that a seam cut off."""
    boxes, scores, levels = [np.zeros((0, 4))], [], []
    points: list[NDArray[np.float64] | None] = []
    for look, faces in found:
        if not faces:
            continue
        own = np.array([face.box.xyxy for face in faces])
        # The true factor of each axis, which rounding to whole pixels makes differ.
        per_input = np.array((frame.width_px, frame.height_px)) / look.tile.picture_wh
        for i in np.flatnonzero(look.tile.whole(own)).tolist():
            boxes.append(((own[i].reshape(2, 2) + look.tile.corner_xy) * per_input).reshape(1, 4))
            marks = faces[i].landmarks
            points.append(
                None if marks is None else (marks.points + look.tile.corner_xy) * per_input
            )
            scores.append(faces[i].score)
            levels.append(look.level)
    return _Seen(np.concatenate(boxes), np.array(scores), points, np.array(levels, np.intp))


def _best(seen: _Seen, scales: NDArray[np.float64], limit: float) -> NDArray[np.intp]:
    """Which faces stay: each from the look that sees it best, by falling score."""
    side = (seen.boxes[:, 2:] - seen.boxes[:, :2]).max(axis=1)
    coarse = seen.levels > 0
    finer = side * scales[np.maximum(seen.levels - 1, 0)]  # in the input of the look before
    owner = coarse & (finer > _LARGE_PX)
    # Half of that leaves room for looks that disagree on a size.
    alive = ~coarse | (finer > _LARGE_PX / 2)
    for i in np.flatnonzero(owner & alive).tolist():  # once per large face
        shared = np.minimum(seen.boxes[:, 2:], seen.boxes[i, 2:]) - np.maximum(
            seen.boxes[:, :2], seen.boxes[i, :2]
        )
        inside = np.clip(shared, 0, None).prod(axis=1)
        inside /= (seen.boxes[:, 2:] - seen.boxes[:, :2]).prod(axis=1)
        part = (seen.levels < seen.levels[i]) & (inside > _PART_INSIDE)
        part &= (side > _PART_SIDE * side[i]) & (seen.scores <= seen.scores[i])
        alive &= ~part
    rows = np.flatnonzero(alive)
    return rows[nms_iou(seen.boxes[rows], seen.scores[rows], limit)]
