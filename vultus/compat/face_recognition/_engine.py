"""The models behind the façade, loaded at first use: detectors, landmarks, embedder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vultus.align import eye_mouth_square
from vultus.compat.face_recognition._chips import (
    ShapePredictor5,
    face_chip,
    five_of_68,
    jittered,
)
from vultus.compat.face_recognition._frontal import FrontalTemplates
from vultus.compat.face_recognition._shapes import FullObjectDetection, MmodRectangle, Rectangle
from vultus.detect.base import DetectorOptions
from vultus.detect.mtcnn import Mtcnn, MtcnnOptions
from vultus.embed import OnnxEmbedder
from vultus.errors import RangeError
from vultus.models import Registry, Store
from vultus.runtime import Session, SessionOptions, default_threads
from vultus.types import Box, Face, Frame, Image

if TYPE_CHECKING:
    from vultus.assess.landmarks import MeshLandmarker

__all__ = ["Engine", "engine"]

_WINDOW_PX = 80  # the smallest face that dlib's detectors know, in a picture as it is
# MTCNN's box is higher than dlib's: 1.18 times in the median, 1.03 times and more for 95 of 100.
_HIGHER = 1.1
_SMALLEST_PX = 12  # that MTCNN knows
_MOST_DOUBLINGS = 8
# Where dlib's templates know the face (score from 0), their window is the box.
_KNOWN = 0.0
# What they do not know needs this score of the detector. On 396 pictures of LFW it then finds 13
# faces that dlib does not, all of them real: in profile, covered in part, blurred. Below it there
# were 9 more, small and blurred, and on a partial face of face_recognition's own tests one (0.93)
# that was none.
_SURE = 0.95


class Engine:
    """Everything that face_recognition does with models. Thread-safe; one per process.

    Args:
        threads: CPU threads within one call; 1 when calls run in parallel.
    """

    def __init__(self, threads: int) -> None:
        self._options = SessionOptions(threads=threads)
        self._registry, self._store = Registry(), Store()
        self._mtcnn: dict[int, Mtcnn] = {}

    @cached_property
    def _templates(self) -> FrontalTemplates:
        return FrontalTemplates.shipped()

    @cached_property
    def _mmod(self) -> Session:
        card = self._registry.get("dlib-mmod")
        return Session(self._store.read(card), card.name, self._options)

    @cached_property
    def _predictor(self) -> ShapePredictor5:
        weight = self._store.read(self._registry.get("dlib-five-points"))
        return ShapePredictor5.from_bytes(weight)

    @cached_property
    def _mesh(self) -> MeshLandmarker:
        from vultus.assess.landmarks import MeshLandmarker

        return MeshLandmarker.from_card(self._registry.get("facemesh"), self._store, self._options)

    @cached_property
    def _embedder(self) -> OnnxEmbedder:
        card = self._registry.get("dlib-resnet-v1")
        return OnnxEmbedder.from_card(card, self._store, self._options, mirror=False)

    def _detector(self, doublings: int) -> Mtcnn:
        found = self._mtcnn.get(doublings)
        if found is None:
            options = MtcnnOptions(
                min_face_px=max(_HIGHER * _WINDOW_PX / 2**doublings, _SMALLEST_PX)
            )
            card = self._registry.get("mtcnn")
            found = Mtcnn.from_card(card, self._store, self._options, options)
            self._mtcnn[doublings] = found
        return found

    def hog(self, image: Image, doublings: int) -> list[Rectangle]:
        """Faces of the default detector, in the boxes that dlib's HOG detector would give them.

        Args:
            image: (h, w, 3) uint8 RGB.
            doublings: How often dlib would double the picture.

        Returns:
            First those that dlib's templates know, by their falling confidence as in dlib; then
            the others by the detector's falling score, each in a square around its points.

        Raises:
            RangeError: `doublings` is above 8.
        """
        _check_doublings(doublings)
        faces = self._detector(doublings).detect(Frame(image))
        if not faces:
            return []
        squares = eye_mouth_square(np.stack([face.points for face in faces]))
        windows = self._templates.best(image, squares, doublings)
        known: dict[tuple[int, int, int, int], float] = {}
        others: list[tuple[int, int, int, int]] = []
        for face, window, square in zip(faces, windows, squares, strict=True):
            if window and window.score >= _KNOWN and window.rect not in known:
                known[window.rect] = window.score
            elif face.score >= _SURE:
                others.append(_whole(square))
        first = sorted(known, key=lambda rect: -known[rect])
        return [Rectangle(*rect) for rect in (*first, *others)]

    def cnn(self, image: Image, doublings: int) -> list[MmodRectangle]:
        """Faces of dlib's MMOD detector, most confident first.

        Raises:
            RangeError: `doublings` is above 4, or the doubled picture too large.
        """
        from vultus.detect.mmod import Mmod

        card = self._registry.get("dlib-mmod")
        detector = Mmod(self._mmod, card, DetectorOptions(), upsample=doublings)
        found: list[MmodRectangle] = []
        for face in detector.detect(Frame(image)):
            left, top, right, bottom = (round(edge) for edge in face.box.xyxy)
            found.append(MmodRectangle(Rectangle(left, top, right - 1, bottom - 1), face.score))
        return found

    def five_points(self, image: Image, rects: Sequence[Rectangle]) -> list[FullObjectDetection]:
        """Dlib's five landmarks of each box."""
        if not rects:
            return []
        boxes = np.array([_corners(rect) for rect in rects], np.float64)
        found = self._predictor(image, boxes)
        return [FullObjectDetection.of(r, p) for r, p in zip(rects, found, strict=True)]

    def points_68(self, image: Image, rects: Sequence[Rectangle]) -> list[FullObjectDetection]:
        """IBUG's 68 landmarks of each box, read from the face mesh."""
        from vultus.assess.schemes import to_scheme

        frame = Frame(image)
        faces = [Face(_box(rect), 1.0, None, frame) for rect in rects]
        return [
            FullObjectDetection.of(rect, to_scheme(mesh, "ibug-68").points)
            for rect, mesh in zip(rects, self._mesh.locate(faces), strict=True)
        ]

    def encode(
        self, image: Image, shapes: Sequence[FullObjectDetection], jitters: int
    ) -> list[NDArray[np.float64]]:
        """Dlib's encodings: the network's output as it is.

        Args:
            image: (h, w, 3) uint8 RGB.
            shapes: Landmarks of the faces, 5 or 68 each.
            jitters: Above 1: the mean over so many random distortions of each chip.

        Raises:
            DegenerateLandmarksError: Landmarks coincide.
        """
        chips = [face_chip(image, _five(shape)) for shape in shapes]
        if jitters <= 1:
            return list(self._embedder.raw(chips).astype(np.float64))
        random = np.random.default_rng()
        return [
            self._embedder.raw([jittered(chip, random) for _ in range(jitters)])
            .mean(axis=0)
            .astype(np.float64)
            for chip in chips
        ]


def engine() -> Engine:
    """The engine of this process, with all the threads it may use.

    A process made by ``fork`` gets its own: threads do not come along.
    """
    return _engine_of(os.getpid())


@cache
def _engine_of(_process: int) -> Engine:
    return Engine(default_threads())


def _check_doublings(doublings: int) -> None:
    if doublings > _MOST_DOUBLINGS:
        raise RangeError(
            f"number_of_times_to_upsample must be at most {_MOST_DOUBLINGS}, got {doublings}",
            remedy="three times finds the smallest faces that can be found",
        )


def _five(shape: FullObjectDetection) -> NDArray[np.float64]:
    points = np.array([(point.x, point.y) for point in shape.parts()], np.float64)
    return five_of_68(points) if len(points) == 68 else points


def _corners(rect: Rectangle) -> tuple[int, int, int, int]:
    return rect.left(), rect.top(), rect.right(), rect.bottom()


def _box(rect: Rectangle) -> Box:
    """The rectangle's edges; one of no area, which has no box, counts as a pixel."""
    left, top, right, bottom = _corners(rect)
    return Box(left, top, max(right, left) + 1, max(bottom, top) + 1)


def _whole(square: NDArray[np.floating[Any]]) -> tuple[int, int, int, int]:
    """A square in whole pixels, the last ones inside it."""
    left, top = (int(np.floor(edge + 0.5)) for edge in square[:2])
    side = max(1, int(np.floor(square[2] - square[0] + 0.5)))
    return left, top, left + side - 1, top + side - 1
