"""What every embedder offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vultus.types import Embedding, EmbeddingSpace, Image

__all__ = ["Embedder"]


class Embedder(Protocol):
    """Maps aligned crops to unit vectors; safe to call from many threads at once."""

    @property
    def space(self) -> EmbeddingSpace:
        """What the embeddings may be compared with."""
        ...

    def embed(self, crops: Sequence[Image]) -> list[Embedding]:
        """One embedding per crop, in order; an empty list for none."""
        ...
