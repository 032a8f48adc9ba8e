"""What every alignment offers, and which one a model card asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vultus.align.dlib_chip import DlibAligner
from vultus.align.five_points import FivePointRegressor
from vultus.align.similarity import ARCFACE_112, SimilarityAligner
from vultus.errors import CardError
from vultus.models import Registry, Store
from vultus.types import Face, Image

__all__ = ["Aligner", "aligner_for"]


class Aligner(Protocol):
    """Turns detected faces into the crops an embedder expects."""

    @property
    def name(self) -> str:
        """Part of the embedding space's identity, for example ``dlib-10``."""
        ...

    @property
    def size_px(self) -> int:
        """Side of the crops."""
        ...

    def align(self, faces: Sequence[Face]) -> list[Image]:
        """One (size_px, size_px, 3) uint8 RGB crop per face, in order."""
        ...


def aligner_for(alignment: str, registry: Registry, store: Store) -> Aligner:
    """Build the aligner a card names.

    Raises:
        CardError: No such alignment.
    """
    if alignment in {"dlib-5", "dlib-10"}:
        weight = store.read(registry.get("dlib-five-points"))
        regressor = FivePointRegressor.from_bytes(weight)
        return DlibAligner(regressor, ten_points=alignment == "dlib-10")
    if alignment == "arcface-112":
        return SimilarityAligner(ARCFACE_112, 112, "arcface-112")
    raise CardError(
        f"alignment must be 'dlib-5', 'dlib-10' or 'arcface-112', got {alignment!r}",
        actual=alignment,
    )
