"""What every face detector offers, and what may be asked of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

import numpy as np

from vultus.errors import RangeError
from vultus.types import Face, Frame

__all__ = ["Detector", "DetectorOptions", "Scales"]

Scales: TypeAlias = Literal["one", "two", "tiled"]
"""How often a single-shot network looks at a picture: once; again at 320 px, for huge faces, where
it would miss them otherwise; or at every scale, large pictures tile by tile, for tiny faces as
well. See `vultus.detect.scales`."""

# Sides of a network's input beyond this are refused: 16,384² pixels in single precision take 3 GB.
_LARGEST_SIDE_PX = 16_384


class Detector(Protocol):
    """Finds faces, with five landmarks where it can; safe to call from many threads at once."""

    @property
    def name(self) -> str:
        """Name of the detector's card."""
        ...

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of one picture.

        Returns:
            Faces by falling score, in pixels of `frame`; an empty list when there is none.
        """
        ...

    def detect_many(self, frames: Sequence[Frame]) -> list[list[Face]]:
        """Find the faces of several pictures, of any sizes.

        Pictures that make inputs of one size go through the network together where it allows
        that.

        Returns:
            What `detect` gives for each frame, in their order; empty for no frames.
        """
        ...


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """What is asked of any detector.

    Attributes:
        min_face_px: Faces whose box has a shorter side below this are left out, > 0; ``None``:
            the detector's own limit (40 px for MTCNN, whose time it decides; none for the others).
        score_threshold: Score in [0, 1] from which a face is kept; ``None``: the card's.
        nms_iou: Overlap in [0, 1] from which the weaker of two faces is dropped; ``None``: the
            card's.
        size_wh: Every picture is fitted, shrunk or enlarged, into an input of this width and
            height, as the published accuracy of some networks demands (640 × 640 for SCRFD).
            ``None``: the picture's own size, padded.
        max_side_px: A picture whose longer side is above this is shrunk to it before the
            network sees it; bounds time and memory. Not used with `size_wh`, nor with tiles.
        scales: How often a network of one shot looks at a picture. Detectors that search all
            scales themselves (MTCNN, MMOD, Haar) take no notice.

    Raises:
        RangeError: A value is outside its range.
    """

    min_face_px: float | None = None
    score_threshold: float | None = None
    nms_iou: float | None = None
    size_wh: tuple[int, int] | None = None
    max_side_px: int = 2048
    scales: Scales = "one"

    def __post_init__(self) -> None:
        if self.min_face_px is not None and not 0.0 < self.min_face_px < np.inf:
            raise RangeError(f"min_face_px must be finite and above 0, got {self.min_face_px}")
        for name, value in (
            ("score_threshold", self.score_threshold),
            ("nms_iou", self.nms_iou),
        ):
            if value is not None and not 0.0 <= value <= 1.0:
                raise RangeError(f"{name} must lie in [0, 1], got {value}")
        sides = (self.max_side_px, *(self.size_wh or ()))
        if not all(32 <= side <= _LARGEST_SIDE_PX for side in sides):
            raise RangeError(
                f"max_side_px and size_wh must lie in 32..{_LARGEST_SIDE_PX}, "
                f"got {self.max_side_px} and {self.size_wh}"
            )
        if self.scales not in get_args(Scales):
            raise RangeError(f"scales must be one of {get_args(Scales)}, got {self.scales!r}")
        if self.scales != "one" and self.size_wh is not None:
            raise RangeError(
                f"an input of fixed size {self.size_wh} has one scale, got scales={self.scales!r}",
                remedy="leave size_wh or scales out",
            )
