"""What an importer hands on: faces with their embeddings, names without, and what was left."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DtypeError, RangeError
from vultus.gallery import NewSample
from vultus.gallery.base import clean_name
from vultus.types import Embedding, EmbeddingSpace

__all__ = ["ForeignFace", "ForeignPeople", "Left", "face_of", "length_of", "person_of", "shown"]

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Left:
    """Something that was not converted.

    Attributes:
        where: Its place in the source: ``encodings.pickle[3]``.
        reason: Why.
        person: Whose it is, as far as the source says.
    """

    where: str
    reason: str
    person: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ForeignFace:
    """One face as another system stored it.

    Attributes:
        person: Id, as a gallery keeps it.
        embedding: Scaled to unit length; `raw_norm` is the length it had.
        source: Where it came from, for people to read.
        digest: SHA-256 of the numbers as they were stored: the same face is the same digest.
    """

    person: str
    embedding: Embedding
    source: str
    digest: str

    def sample(self) -> NewSample:
        """The face on its way into a gallery."""
        return NewSample(self.person, self.embedding, self.digest, self.source)


@dataclass(frozen=True, slots=True, eq=False)
class ForeignPeople:
    """What a source holds.

    Attributes:
        format: ``face_recognition``, ``deepface`` or ``facenet``.
        source: The file.
        space: Where the faces' embeddings live; ``None`` without faces.
        faces: In the order of the source.
        people: Everybody named, in the order of first mention, also those without a face.
        left: What was not converted.
        notes: What changes for whoever imports this; for people to read.
    """

    format: str
    source: str
    space: EmbeddingSpace | None
    faces: tuple[ForeignFace, ...] = field(repr=False)
    people: tuple[str, ...] = field(repr=False)
    left: tuple[Left, ...] = ()
    notes: tuple[str, ...] = ()


def face_of(
    person: str, vector: NDArray[np.float64], space: EmbeddingSpace, source: str
) -> ForeignFace:
    """A face from its stored numbers.

    Args:
        person: A name that a gallery takes.
        vector: (d,) finite, of some length.
        space: Where it lives; its dimension is d.
        source: Where it came from.

    Raises:
        RangeError: The vector is zero, NaN or infinite.
        ShapeError: It is not of the space's dimension.
    """
    norm = length_of(vector)
    if not (np.isfinite(norm) and norm > 0):
        raise RangeError("an embedding must be finite and of some length")
    digest = hashlib.sha256(vector.astype("<f8").tobytes()).hexdigest()
    embedding = Embedding((vector / norm).astype(np.float32), space, norm)
    return ForeignFace(person, embedding, source, digest)


def length_of(vector: NDArray[np.float64]) -> float:
    """A vector's Euclidean length; infinite or NaN where a number is, or they are too large."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.linalg.norm(vector))


def person_of(value: object) -> str:
    """A person's id from what a source has for a name: text, bytes of UTF-8, a whole number.

    Raises:
        RangeError: Nobody can have this name.
        DtypeError: It is none of these.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise DtypeError(f"a name must be text or a whole number, got {type(value).__name__}")
    return clean_name(value)


def shown(value: object) -> str | None:
    """A name as a message can hold it; ``None`` for what is no name."""
    if isinstance(value, bytes):
        value = value[:_SHOWN].decode("utf-8", "backslashreplace")
    if isinstance(value, int):
        value = f"{value:.3g}" if abs(value) > 10**12 else str(value)
    return value[:_SHOWN] if isinstance(value, str) else None
