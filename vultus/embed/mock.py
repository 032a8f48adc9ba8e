"""A deterministic embedder without weights, for tests of everything behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from vultus.types import Embedding, EmbeddingSpace, Image

__all__ = ["MockEmbedder"]


class MockEmbedder:
    """Equal crops get equal vectors, different crops almost orthogonal ones.

    Args:
        dimension: Length of the vectors.
    """

    def __init__(self, dimension: int = 128) -> None:
        self.space = EmbeddingSpace("mock", "0" * 64, dimension, "none")

    def embed(self, crops: Sequence[Image]) -> list[Embedding]:
        """One embedding per crop, drawn from a generator seeded by the crop's bytes."""
        return [self._one(crop) for crop in crops]

    def _one(self, crop: Image) -> Embedding:
        seed = hashlib.sha256(np.ascontiguousarray(crop).tobytes()).digest()
        vector = np.random.default_rng(list(seed)).normal(size=self.space.dimension)
        return Embedding((vector / np.linalg.norm(vector)).astype(np.float32), self.space)
