"""Another model for a gallery without enrolling anybody again: its kept crops, embedded anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vultus.encode import FaceEmbedder
from vultus.errors import UnknownSampleError
from vultus.gallery import Gallery, Sample
from vultus.gallery.crops import unpack_crop
from vultus.types import Embedding, EmbeddingSpace

__all__ = ["UpgradeReport", "embed_anew"]

_BATCH = 32  # faces embedded, and written, at a time: what an interruption can lose


@dataclass(frozen=True, slots=True)
class UpgradeReport:
    """What became of a gallery's samples.

    Attributes:
        space: The space that was filled.
        embedded: Samples embedded by this call.
        without_crop: Numbers of samples that keep no crop: they must be enrolled again.
    """

    space: EmbeddingSpace
    embedded: int
    without_crop: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether every sample has an embedding in the new space."""
        return not self.without_crop


def embed_anew(
    gallery: Gallery,
    embedder: FaceEmbedder,
    key: bytes,
    progress: Callable[[int], None] | None = None,
) -> UpgradeReport:
    """Give every sample an embedding in another space, beside those it has.

    The gallery goes on working in its active space meanwhile; others may search and change it.
    What is done is written every 32 faces, so an interrupted run goes on where it stopped.
    Afterwards `Gallery.activate` switches over in one step, and switches back as well.

    Args:
        gallery: Must keep crops, see `vultus.gallery.crops`.
        embedder: Of the new space.
        key: The key the crops were encrypted with.
        progress: Called with the number of samples looked at so far.

    Raises:
        GalleryError: A crop cannot be decrypted with this key, or the gallery cannot be changed.
        MissingExtraError: The package ``cryptography`` is not installed.
    """
    gallery.add_space(embedder.space)
    embedded = seen = 0
    lacking: list[int] = []
    for batch in _pending(gallery, embedder.space):
        crops = [(sample.number, _crop(gallery, sample.number)) for sample in batch]
        lacking += [number for number, crop in crops if crop is None]
        kept = [(number, unpack_crop(crop, key)) for number, crop in crops if crop]
        found = embedder.embed([face for _, face in kept])
        numbers = [number for number, _ in kept]
        embedded += _put(gallery, embedder.space, list(zip(numbers, found, strict=True)))
        seen += len(batch)
        if progress is not None:
            progress(seen)
    return UpgradeReport(embedder.space, embedded, tuple(lacking))


def _crop(gallery: Gallery, number: int) -> bytes | None:
    """A sample's crop; ``None`` when it keeps none, empty when the sample was erased just now."""
    try:
        return gallery.crop(number)
    except UnknownSampleError:
        return b""


def _put(gallery: Gallery, space: EmbeddingSpace, items: list[tuple[int, Embedding]]) -> int:
    """Write embeddings, without those whose samples were erased meanwhile; how many."""
    try:
        gallery.put_embeddings(space, items)
        return len(items)
    except UnknownSampleError:
        if len(items) == 1:
            return 0
    return sum(_put(gallery, space, [item]) for item in items)


def _pending(gallery: Gallery, space: EmbeddingSpace) -> Iterator[list[Sample]]:
    """Samples without an embedding in `space`, in batches, each once."""
    after = 0
    while batch := gallery.pending(space, after=after, limit=_BATCH):
        yield batch
        after = batch[-1].number
