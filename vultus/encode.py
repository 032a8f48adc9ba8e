"""Face to embedding: cut out as an embedder was trained to see it, through one or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vultus.align import Aligner, aligner_for
from vultus.embed import Embedder, OnnxEmbedder
from vultus.errors import CardError
from vultus.models import ModelCard, Registry, Store, space_in
from vultus.runtime import SessionOptions
from vultus.types import Embedding, EmbeddingSpace, Face

__all__ = ["AlignedEmbedder", "CompositeEmbedder", "FaceEmbedder", "face_embedder_for"]


class FaceEmbedder(Protocol):
    """Maps faces to unit vectors; safe to call from many threads at once."""

    @property
    def space(self) -> EmbeddingSpace:
        """What the embeddings may be compared with."""
        ...

    def embed(self, faces: Sequence[Face]) -> list[Embedding]:
        """One embedding per face, in order; an empty list for none.

        Raises:
            NoLandmarksError: A face has no landmarks.
            DegenerateLandmarksError: The landmarks of a face coincide.
        """
        ...


class AlignedEmbedder:
    """An embedder with the aligner it was trained with.

    Args:
        aligner: Cuts the crops.
        embedder: Embeds them.
    """

    def __init__(self, aligner: Aligner, embedder: Embedder) -> None:
        self.aligner = aligner
        self.embedder = embedder

    @property
    def space(self) -> EmbeddingSpace:
        """That of the embedder."""
        return self.embedder.space

    def embed(self, faces: Sequence[Face]) -> list[Embedding]:
        """Align, then embed; see `FaceEmbedder.embed`."""
        return self.embedder.embed(self.aligner.align(faces)) if faces else []


class CompositeEmbedder:
    """Several embedders as one, whose cosine is the weighted mean of theirs.

    The unit vectors a, b of the parts are joined as [√w·a, √(1−w)·b], likewise for more than two:
    a unit vector again, and (√w·a)·(√w·a') + … = w·cos(a, a') + (1−w)·cos(b, b').

    Args:
        parts: Embedders and their weights, which add up to 1.
        space: The identity of the joint embeddings.
    """

    def __init__(self, parts: Sequence[tuple[FaceEmbedder, float]], space: EmbeddingSpace) -> None:
        self.parts = tuple(parts)
        self.space = space

    def embed(self, faces: Sequence[Face]) -> list[Embedding]:
        """Embed with every part and join; `raw_norm` is 1. See `FaceEmbedder.embed`."""
        if not faces:
            return []
        every = [
            np.sqrt(weight) * np.stack([e.vector for e in part.embed(faces)])
            for part, weight in self.parts
        ]
        joined = np.concatenate(every, axis=1)
        joined /= np.linalg.norm(joined, axis=1, keepdims=True)  # of rounding only
        return [Embedding(vector, self.space) for vector in joined]


def face_embedder_for(
    card: ModelCard,
    registry: Registry,
    store: Store,
    options: SessionOptions | None = None,
    *,
    mirror: bool = True,
) -> FaceEmbedder:
    """Load what an embedder's card describes, a composite's parts included.

    Args:
        card: An embedder's card.
        registry: Where the cards of a composite's parts are found.
        store: Where weights lie.
        options: Threads and providers.
        mirror: Whether to average with the mirror image.

    Raises:
        CardError: The card is no embedder's.
        ModelMissingError: A weight is not on this machine.
        WeightDamagedError: A digest is not the card's.
    """
    if card.composite:
        parts = [
            (
                face_embedder_for(
                    registry.get(part.model), registry, store, options, mirror=mirror
                ),
                part.weight,
            )
            for part in card.composite
        ]
        return CompositeEmbedder(parts, space_in(registry, card, mirror=mirror))
    if card.embedding is None:
        raise CardError(f"the card of {card.name!r} lacks an [embedding] table")
    return AlignedEmbedder(
        aligner_for(card.embedding.alignment, registry, store),
        OnnxEmbedder.from_card(card, store, options, mirror=mirror),
    )
