"""Choose the detector for each picture, by its size and by what is on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import NamedTuple

from vultus.detect.base import Detector, DetectorOptions, Scales
from vultus.detect.make import detector_for
from vultus.errors import RangeError
from vultus.models import Registry, Store
from vultus.runtime import SessionOptions
from vultus.types import Face, Frame

__all__ = ["AutoDetector", "Pick"]

# By accuracy, best first. Average precision, easy / medium / hard, on the 220 pictures of WIDER
# FACE val at hand, two looks, score threshold 0.02: SCRFD-2.5G 93.0 / 92.1 / 87.1, SCRFD-500M
# 91.0 / 90.2 / 83.9, YuNet 89.3 / 89.8 / 83.4, its export of May 2026 88.8 / 88.6 / 77.7, MTCNN
# (its own thresholds) 78.9 / 77.5 / 46.0. SCRFD-10G as published. MTCNN ships with vultus, so there
# always is one.
_ACCURATE = (
    "scrfd-10g",
    "scrfd-2.5g",
    "scrfd-500m",
    "yunet",
    "yunet-2026may",
    "mtcnn",
)
# Those that take less than 60 ms per megapixel on one core, in the same order; MTCNN 28 to 56 ms on
# photos of one to five faces, more in a crowd.
_FAST = ("scrfd-500m", "yunet", "yunet-2026may", "mtcnn")
# Up to here even SCRFD-2.5G takes less than a sixth of a second on one core (157 ms measured).
_SMALL_PX = 1_000_000
_SHRUNK_SIDE_PX = 2048  # `DetectorOptions.max_side_px`
_LEAST_FACE_PX = 16.0  # smaller faces are lost when a picture is shrunk
_TILED_SIDE_PX = 2000


class Pick(NamedTuple):
    """What was chosen for a picture, and why.

    Attributes:
        detector: The detector; its ``name`` is that of its card.
        reason: For people: "scrfd-500m, two looks: …".
    """

    detector: Detector
    reason: str


class AutoDetector:
    """A detector that leaves each picture to the one that suits it. Thread-safe.

    Args:
        registry: The known models.
        store: Where weights lie; what is not there is not chosen, and nothing is downloaded.
        session_options: Threads and providers.
        options: What is asked of whatever is chosen; how many looks it takes is chosen here.

    Raises:
        RangeError: `options` ask for an input of fixed size.
    """

    name = "auto"

    def __init__(
        self,
        registry: Registry,
        store: Store,
        session_options: SessionOptions | None = None,
        options: DetectorOptions | None = None,
    ) -> None:
        self.options = options or DetectorOptions()
        if self.options.size_wh is not None:
            raise RangeError(
                f"auto chooses the size of the input, got size_wh {self.options.size_wh}",
                remedy="leave size_wh out, or name a detector",
            )
        self._registry, self._store, self._session_options = registry, store, session_options
        self._made: dict[tuple[str, Scales], Detector] = {}
        self._lock = Lock()

    def pick(self, frame: Frame) -> Pick:
        """The detector for `frame`, loaded, and why it was chosen."""
        width, height = frame.width_px, frame.height_px
        small = width * height <= _SMALL_PX
        name = next(n for n in (_ACCURATE if small else _FAST) if self._has(n))
        scales: Scales = "tiled" if self._needs_tiles(max(width, height)) else "two"
        detector = self._detector(name, scales)
        why = "the most accurate" if small else "the most accurate of the fast ones"
        looks = {
            "one": "one look",
            "two": "a second look at 320 px for huge faces",
            "tiled": "tile by tile for tiny faces",
        }
        if name == "mtcnn":  # it searches all scales whatever it is asked
            return Pick(detector, f"mtcnn for {width} × {height} px: {why} on this machine")
        return Pick(
            detector,
            f"{name} for {width} × {height} px: {why} on this machine; {looks[scales]}",
        )

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of one picture; see `Detector`."""
        return self.pick(frame).detector.detect(frame)

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Find the faces of several pictures; see `Detector`."""
        chosen: dict[int, tuple[Detector, list[int]]] = {}
        for i, frame in enumerate(frames):
            detector = self.pick(frame).detector
            chosen.setdefault(id(detector), (detector, []))[1].append(i)
        found: list[list[Face]] = [[] for _ in frames]
        for detector, numbers in chosen.values():
            own = detector.detect_many([frames[i] for i in numbers])
            for i, faces in zip(numbers, own, strict=True):
                found[i] = faces
        return found

    def _needs_tiles(self, longer_px: int) -> bool:
        """Whether faces that are wanted would be lost if the picture were shrunk."""
        wanted = self.options.min_face_px or 0.0
        return longer_px > _TILED_SIDE_PX and wanted * _SHRUNK_SIDE_PX / longer_px < _LEAST_FACE_PX

    def _has(self, name: str) -> bool:
        return self._store.has(self._registry.get(name))

    def _detector(self, name: str, scales: Scales) -> Detector:
        with self._lock:
            if (name, scales) not in self._made:
                options = replace(self.options, scales=scales)
                self._made[name, scales] = detector_for(
                    self._registry.get(name), self._store, self._session_options, options
                )
            return self._made[name, scales]
