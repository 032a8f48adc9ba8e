"""The identity of an embedder's output: what may be compared with what."""

from __future__ import annotations

import hashlib

from vultus.errors import CardError
from vultus.models.card import COMPOSITE, ModelCard
from vultus.models.registry import Registry
from vultus.types import EmbeddingSpace

__all__ = ["space_in", "space_of"]


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


def space_in(registry: Registry, card: ModelCard, *, mirror: bool) -> EmbeddingSpace:
    """The embedding space of any embedder's card, a composite's as well.

    A composite's digest covers its parts' spaces, in order, and their weights; its dimension is
    the sum of theirs.

    Args:
        registry: Where the cards of the parts are found.
        card: An embedder's card.
        mirror: As in `space_of`.

    Raises:
        CardError: As in `space_of`; also when a part is a composite itself.
        UnknownModelError: A part has no card.
    """
    if not card.composite:
        return space_of(card, mirror=mirror)
    cards = [registry.get(part.model) for part in card.composite]
    if any(part.composite for part in cards):
        raise CardError(f"{card.name} must join embedders, not other composites")
    spaces = [space_of(part, mirror=mirror) for part in cards]
    described = "\n".join(
        f"{space.model} {space.digest} {space.dimension} {space.preprocessing} {part.weight!r}"
        for space, part in zip(spaces, card.composite, strict=True)
    )
    return EmbeddingSpace(
        model=card.name,
        digest=hashlib.sha256(described.encode()).hexdigest(),
        dimension=sum(space.dimension for space in spaces),
        preprocessing=COMPOSITE + ("+mirror" if mirror else ""),
    )
