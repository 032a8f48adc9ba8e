"""What every face detector offers."""

from __future__ import annotations

from typing import Protocol

from vultus.types import Face, Frame

__all__ = ["Detector"]


class Detector(Protocol):
    """Finds faces with five landmarks; safe to call from many threads at once."""

    @property
    def name(self) -> str:
        """Name of the detector's card."""
        ...

    def detect(self, frame: Frame) -> list[Face]:
        """Find the faces of one picture.

        Returns:
            Faces by falling score; an empty list when there is none.
        """
        ...
