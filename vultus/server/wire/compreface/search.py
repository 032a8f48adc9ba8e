"""The stored examples most like a face: CompreFace counts examples, a gallery people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus.errors import SpaceMismatchError, UnknownPersonError, UnknownSampleError
from vultus.gallery import Gallery
from vultus.types import Embedding, Match

__all__ = ["MOST_EXAMPLES", "Example", "best_examples", "samples_of"]

MOST_EXAMPLES = 1000
"""Most examples that are told per face, whatever `prediction_count` asks for."""

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Example:
    """A stored face and how alike it is.

    Attributes:
        subject: Whose it is.
        cosine: In [-1, 1].
        number: Of the sample.
    """

    subject: str
    cosine: float
    number: int


def best_examples(
    gallery: Gallery, embeddings: Sequence[Embedding], count: int
) -> list[list[Example]]:
    """For each embedding the `count` stored examples most like it, best first.

    The n best examples belong to people who are among the n best by their best example: whoever
    comes before such a person has an example that comes before theirs. So the gallery's search,
    which is per person, names everybody in question, and only their examples are looked at.

    Args:
        gallery: Where to look.
        embeddings: In the active space.
        count: At most so many examples per embedding, and no more than `MOST_EXAMPLES`.
    """
    if not embeddings or gallery.space is None:
        return [[] for _ in embeddings]
    count = min(count, MOST_EXAMPLES)
    every = gallery.search_many(embeddings, count)
    if count == 1:
        return [[_best(match) for match in matches] for matches in every]
    stored: dict[str, tuple[list[int], NDArray[np.float64]]] = {}
    return [
        _expanded(gallery, embedding, matches, count, stored)
        for embedding, matches in zip(embeddings, every, strict=True)
    ]


def _best(match: Match) -> Example:
    return Example(match.person, match.similarity, match.sample)


def _expanded(
    gallery: Gallery,
    embedding: Embedding,
    matches: Sequence[Match],
    count: int,
    stored: dict[str, tuple[list[int], NDArray[np.float64]]],
) -> list[Example]:
    """The best examples of the people found, whose order is that of their best ones."""
    found: list[Example] = []
    vector = embedding.vector.astype(np.float64)
    for match in matches:
        if len(found) >= count and found[count - 1].cosine >= match.similarity:
            break  # nobody after them has an example that is better
        if match.person not in stored:
            stored[match.person] = _vectors(gallery, match.person)
        numbers, vectors = stored[match.person]
        cosines = np.clip(vectors @ vector, -1.0, 1.0).tolist() if numbers else []
        found += [
            Example(match.person, cosine, number)
            for number, cosine in zip(numbers, cosines, strict=True)
        ]
        found.sort(key=lambda example: (-example.cosine, example.subject, example.number))
        del found[count:]
    return found


def _vectors(gallery: Gallery, person: str) -> tuple[list[int], NDArray[np.float64]]:
    """The numbers of a person's samples and their (n, d) embeddings in the active space."""
    numbers: list[int] = []
    vectors: list[NDArray[np.float32]] = []
    with suppress(UnknownPersonError):  # erased meanwhile
        for number in samples_of(gallery, person):
            try:
                vectors.append(gallery.embedding(number).vector)
            except (UnknownSampleError, SpaceMismatchError):
                continue  # erased meanwhile, or not moved to the active space yet
            numbers.append(number)
    return numbers, np.array(vectors, np.float64)


def samples_of(gallery: Gallery, person: str | None) -> Iterator[int]:
    """The numbers of a person's samples, or of everybody's."""
    after = 0
    while page := gallery.samples(person=person, after=after, limit=_PAGE):
        yield from (sample.number for sample in page)
        after = page[-1].number
