"""The faces of a gallery as material for reports and calibrations: nothing is embedded anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import EmptyGalleryError
from vultus.evaluate.embeddings import EmbeddedPictures
from vultus.gallery import EmbeddingRecord, Gallery, SampleRecord

__all__ = ["EnrolledFaces", "enrolled_faces"]


@dataclass(frozen=True, slots=True, eq=False)
class EnrolledFaces:
    """Every face of a gallery that has an embedding in its active space.

    Attributes:
        embedded: Their embeddings, in the order of their numbers.
        people: (n,) whose each is.
        names: (n,) where the picture came from, or ``sample 7`` where that is not known.
        quality: (n,) `Quality.score` as measured when it was enrolled; NaN where it was not.
    """

    embedded: EmbeddedPictures
    people: tuple[str, ...]
    names: tuple[Path, ...] = field(repr=False)
    quality: NDArray[np.float64] = field(repr=False)


def enrolled_faces(gallery: Gallery) -> EnrolledFaces:
    """Read the faces of a gallery, as of one moment.

    Args:
        gallery: Any open gallery.

    Raises:
        EmptyGalleryError: It holds no face.
    """
    space = gallery.space
    samples: dict[int, SampleRecord] = {}
    vectors: dict[int, NDArray[np.float32]] = {}
    for record in gallery.dump() if space is not None else ():
        if isinstance(record, SampleRecord):
            samples[record.number] = record
        elif isinstance(record, EmbeddingRecord) and record.embedding.space == space:
            vectors[record.number] = record.embedding.vector
    if space is None or not vectors:
        location = gallery.info().location
        raise EmptyGalleryError(f"nobody is enrolled in {location}", path=location)
    numbers = sorted(vectors)
    count = len(numbers)
    kept = [samples[number] for number in numbers]
    embedded = EmbeddedPictures(
        vectors=np.stack([vectors[number] for number in numbers]),
        found=np.ones(count, bool),
        raw_norms=np.ones(count, np.float32),
        faces=np.ones(count, np.intp),
        digests=tuple(sample.source_digest or f"sample {sample.number}" for sample in kept),
        failures=(),
        space=space,
        cached=count,
        seconds=0.0,
    )
    return EnrolledFaces(
        embedded,
        tuple(sample.person for sample in kept),
        tuple(Path(sample.source or f"sample {sample.number}") for sample in kept),
        np.array([(sample.quality or {}).get("score", np.nan) for sample in kept], np.float64),
    )
