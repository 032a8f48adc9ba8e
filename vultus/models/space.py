"""The identity of an embedder's output: what may be compared with what."""

from __future__ import annotations

import hashlib

from vultus.errors import CardError
from vultus.models.card import ModelCard
from vultus.types import EmbeddingSpace

__all__ = ["space_of"]


def space_of(card: ModelCard, *, mirror: bool) -> EmbeddingSpace:
    """The embedding space of `card`.

    Args:
        card: An embedder's card.
        mirror: Whether the embedding is the mean over the face and its mirror image.

    Returns:
        Model, digest of its weight (of all digests, for several weights), dimension and
        preprocessing: the card's alignment, and ``+mirror`` when `mirror` is set.

    Raises:
        CardError: The card is no embedder's, or a weight has no digest yet.
    """
    if card.embedding is None:
        raise CardError(
            f"{card.name} is a model of kind {card.kind}, not an embedder",
            remedy="choose one of `vultus models list --kind embedder`",
        )
    digests = [weight.sha256 for weight in card.weights]
    if "" in digests:
        raise CardError(
            f"{card.name} has a weight without SHA-256, so its embeddings have no identity",
            remedy=f"run `vultus models pull {card.name} --sha256 DIGEST`",
        )
    joined = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    return EmbeddingSpace(
        model=card.name,
        digest=digests[0] if len(digests) == 1 else joined,
        dimension=card.embedding.dimension,
        preprocessing=card.embedding.alignment + ("+mirror" if mirror else ""),
    )
