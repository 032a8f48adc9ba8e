"""What every gallery can do, and the rules for what goes into one."""

from __future__ import annotations

import difflib
import itertools
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from vultus.errors import (
    DtypeError,
    DuplicateSampleError,
    GalleryError,
    RangeError,
    SpaceMismatchError,
    UnknownPersonError,
)
from vultus.types import Embedding, EmbeddingSpace, Match

__all__ = [
    "Gallery",
    "NewSample",
    "Person",
    "check_k",
    "check_space",
    "check_spaces",
    "clean_name",
    "closed_error",
    "duplicate_error",
    "name_or_none",
    "unknown_person_error",
]

_NAME_MAX_BYTES = 256
_DIGEST_MAX_BYTES = 256
_SOURCE_MAX_BYTES = 4096  # PATH_MAX of Linux: every path fits
# Unicode general categories: control, surrogate, line and paragraph separator.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Bidirectional embeddings, overrides and isolates (Unicode UAX #9) let one name look like another.
_FORBIDDEN_CHARACTERS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SUGGESTION_POOL = 5_000  # names looked at for "did you mean": keeps the error under 0.1 s


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody enrolled.

    Attributes:
        name: Unique in the gallery.
        samples: Number of faces enrolled.
    """

    name: str
    samples: int


@dataclass(frozen=True, slots=True, eq=False)
class NewSample:
    """One face on its way into a gallery.

    Attributes:
        name: The person; trimmed and brought to Unicode's composed form (NFC).
        embedding: The face.
        source_digest: What identifies the picture, usually its SHA-256. A person holds each
            digest once. ``None``: unknown, never a duplicate.
        source: Where the picture came from, for people to read; never interpreted.

    Raises:
        RangeError: The name, digest or source is empty, too long or holds forbidden characters,
            or the embedding's raw norm is not a positive number.
        DtypeError: An argument has the wrong type.
    """

    name: str
    embedding: Embedding
    source_digest: str | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", clean_name(self.name))
        _check_embedding(self.embedding)
        raw_norm = self.embedding.raw_norm
        if not (math.isfinite(raw_norm) and raw_norm > 0.0):
            raise RangeError(f"an embedding's raw norm must be finite and positive, got {raw_norm}")
        if self.source_digest is not None:
            _check_text(self.source_digest, "a source digest", _DIGEST_MAX_BYTES)
        if self.source is not None:
            # A path with undecodable bytes holds lone surrogates, which no database stores.
            source = self.source.encode("utf-8", "backslashreplace").decode("utf-8")
            if len(source.encode("utf-8")) > _SOURCE_MAX_BYTES:
                raise RangeError(f"a source must be at most {_SOURCE_MAX_BYTES} bytes of UTF-8")
            object.__setattr__(self, "source", source)


class Gallery(Protocol):
    """Known people and their faces.

    All backends give the same answers: `search` is exact, similarities are computed in double
    precision from the stored float32 vectors, and sample numbers count up from 1 and are never
    used again. Every method may be called from several threads; each change is made wholly or
    not at all. Used after `close`, every method raises `GalleryError`.
    """

    @property
    def space(self) -> EmbeddingSpace | None:
        """The one space all embeddings live in; ``None`` until the first sample fixes it.

        It stays fixed when everybody has been removed.
        """
        ...

    def add(
        self,
        name: str,
        embedding: Embedding,
        *,
        source_digest: str | None = None,
        source: str | None = None,
    ) -> int:
        """Enrol one face; the person is made when new.

        Args:
            name: The person, 1 to 256 bytes of UTF-8 after trimming, no control characters.
            embedding: The face.
            source_digest: What identifies the picture, usually its SHA-256.
            source: Where the picture came from, at most 4096 bytes.

        Returns:
            The number of the new sample.

        Raises:
            RangeError: The name, digest or source cannot be stored.
            SpaceMismatchError: The embedding lives in another space than the gallery.
            DuplicateSampleError: The person holds a sample of this `source_digest` already.
            GalleryFileError: The store cannot be written; nothing was changed.
        """
        return self.add_many([NewSample(name, embedding, source_digest, source)])[0]

    def add_many(self, items: Iterable[NewSample]) -> list[int]:
        """Enrol many faces in one change: all of them, or none.

        Returns:
            The numbers of the new samples, in the order of `items`.

        Raises:
            SpaceMismatchError: An embedding lives in another space than the gallery or the first.
            DuplicateSampleError: An item repeats a digest of its person.
            GalleryFileError: The store cannot be written; nothing was changed.
        """
        ...

    def people(self) -> list[Person]:
        """Everybody enrolled, in the order of their names' code points."""
        ...

    def remove(self, name: str) -> int:
        """Erase a person and all their samples.

        Returns:
            How many samples were erased.

        Raises:
            UnknownPersonError: Nobody has this name.
            GalleryFileError: The store cannot be written; nothing was changed.
        """
        ...

    def search(self, embedding: Embedding, k: int = 5) -> list[Match]:
        """Find the `k` people most like `embedding`.

        Returns:
            At most `k` matches, one per person (their best sample, the older one on a tie), best
            first, equal similarities in the order of names. Empty for an empty gallery.

        Raises:
            RangeError: `k` is below 1.
            SpaceMismatchError: The embedding lives in another space than the gallery.
            GalleryFileError: The store cannot be read or is damaged.
        """
        return self.search_many([embedding], k)[0]

    def search_many(self, embeddings: Sequence[Embedding], k: int = 5) -> list[list[Match]]:
        """Search for several faces at once; far cheaper per face than `search`.

        Returns:
            For each embedding what `search` returns for it.

        Raises:
            RangeError: `k` is below 1.
            SpaceMismatchError: An embedding lives in another space than the gallery.
            GalleryFileError: The store cannot be read or is damaged.
        """
        ...

    def __len__(self) -> int:
        """Number of samples; an empty gallery is therefore falsy."""
        ...

    def __contains__(self, name: object) -> bool:
        """Whether a person of this name is enrolled."""
        ...

    def close(self) -> None:
        """Let the store go; a second call does nothing."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def clean_name(name: str) -> str:
    """The form in which a name is stored and looked up: trimmed, composed (NFC).

    Raises:
        RangeError: Empty, over 256 bytes of UTF-8, or with control characters, lone surrogates,
            line separators or bidirectional overrides.
        DtypeError: Not a string.
    """
    if not isinstance(name, str):
        raise DtypeError(f"a name must be a string, got {type(name).__name__}")
    clean = unicodedata.normalize("NFC", name).strip()
    _check_text(clean, "a name", _NAME_MAX_BYTES)
    return clean


def name_or_none(name: object) -> str | None:
    """`clean_name`, or ``None`` for what cannot be a name."""
    if not isinstance(name, str):
        return None
    try:
        return clean_name(name)
    except RangeError:
        return None


def _check_text(text: str, what: str, limit_bytes: int) -> None:
    if not isinstance(text, str):
        raise DtypeError(f"{what} must be a string, got {type(text).__name__}")
    for character in text:
        if (
            unicodedata.category(character) in _FORBIDDEN_CATEGORIES
            or character in _FORBIDDEN_CHARACTERS
        ):
            raise RangeError(
                f"{what} must hold no control characters, got U+{ord(character):04X}",
                remedy="remove that character",
                actual=f"U+{ord(character):04X}",
            )
    size_bytes = len(text.encode("utf-8"))
    if not 1 <= size_bytes <= limit_bytes:
        raise RangeError(
            f"{what} must have 1 to {limit_bytes} bytes of UTF-8, got {size_bytes}",
            expected=limit_bytes,
            actual=size_bytes,
        )


def _check_embedding(embedding: object) -> None:
    if not isinstance(embedding, Embedding):
        raise DtypeError(
            f"a gallery takes a vultus.Embedding, got {type(embedding).__name__}",
            remedy="wrap the vector: Embedding(vector, space)",
        )


def check_k(k: int) -> None:
    """Require a number of matches to be at least 1.

    Raises:
        RangeError: It is not.
    """
    if k < 1:
        raise RangeError(f"k must be at least 1, got {k}")


def check_space(expected: EmbeddingSpace, actual: EmbeddingSpace) -> None:
    """Require an embedding's space to be the gallery's.

    Raises:
        SpaceMismatchError: It is not.
    """
    if actual != expected:
        raise SpaceMismatchError(
            f"this gallery holds embeddings of {expected}, got one of {actual}",
            remedy="embed with the gallery's model, or use a gallery of its own",
            expected=expected.id,
            actual=actual.id,
        )


def check_spaces(space: EmbeddingSpace | None, embeddings: Iterable[Embedding]) -> None:
    """Require all embeddings to live in `space`, or in the first one's when it is ``None``.

    Raises:
        SpaceMismatchError: One does not.
        DtypeError: One is no embedding.
    """
    for embedding in embeddings:
        _check_embedding(embedding)
        if space is None:
            space = embedding.space
        check_space(space, embedding.space)


def closed_error() -> GalleryError:
    """The error for a gallery used after `close`."""
    return GalleryError("this gallery is closed", remedy="open it again")


def duplicate_error(item: NewSample, position: int) -> DuplicateSampleError:
    """The error for the item at `position` of a batch that repeats a digest of its person."""
    return DuplicateSampleError(
        f"{item.name!r} already holds a sample of this picture",
        remedy="leave the picture out",
        name=item.name,
        source_digest=item.source_digest,
        position=position,
    )


def unknown_person_error(name: str, names: Iterable[str]) -> UnknownPersonError:
    """The error for a name nobody has, with up to three close ones of `names` as a suggestion."""
    folded = {known.casefold(): known for known in itertools.islice(names, _SUGGESTION_POOL)}
    close = [folded[f] for f in difflib.get_close_matches(name.casefold(), folded, n=3)]
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "list the people first"
    return UnknownPersonError(
        f"nobody in this gallery is called {name!r}", remedy=hint, name=name, close=close
    )
