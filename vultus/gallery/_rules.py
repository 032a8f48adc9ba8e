"""The rules for what goes into a gallery: texts, numbers, and the arguments of its methods."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Iterable, Mapping

from vultus.errors import (
    DtypeError,
    RangeError,
    SpaceMismatchError,
)
from vultus.gallery._errors import unknown_sample_error
from vultus.types import Embedding, EmbeddingSpace

__all__ = [
    "NOTE_MAX_BYTES",
    "check_crop",
    "check_embedding",
    "check_k",
    "check_of_person",
    "check_orphans",
    "check_page",
    "check_search",
    "check_space",
    "check_spaces",
    "clean_digest",
    "clean_group",
    "clean_groups",
    "clean_name",
    "clean_number",
    "clean_numbers",
    "clean_quality",
    "clean_source",
    "clean_text",
    "name_or_none",
]

_NAME_MAX_BYTES = 256
_DIGEST_MAX_BYTES = 256
_TEXT_MAX_BYTES = 256  # of a consent reference, or what is noted with a membership
NOTE_MAX_BYTES = 1024
_CROP_MAX_BYTES = 8 * 1024 * 1024  # a 112 px crop takes 40 KB uncompressed
_QUALITY_MAX_FIELDS = 64
_SOURCE_MAX_BYTES = 4096  # PATH_MAX of Linux: every path fits
# Unicode general categories: control, surrogate, line and paragraph separator.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Bidirectional embeddings, overrides and isolates (Unicode UAX #9) let one name look like another.
_FORBIDDEN_CHARACTERS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NUMBER_MAX = 2**63 - 1  # what SQLite and PostgreSQL store


# -- texts --------------------------------------------------------------------------------------


def clean_name(name: str, what: str = "a name") -> str:
    """The form in which an id or name is stored and looked up: trimmed, composed (NFC).

    Raises:
        RangeError: Empty, over 256 bytes of UTF-8, or with control characters, lone surrogates,
            line separators or bidirectional overrides.
        DtypeError: Not a string.
    """
    clean = _composed(name, what)
    _check_text(clean, what, _NAME_MAX_BYTES)
    return clean


def clean_group(name: str) -> str:
    """`clean_name` for the name of a group."""
    return clean_name(name, "a group's name")


def name_or_none(name: object) -> str | None:
    """`clean_name`, or ``None`` for what cannot be a name."""
    if not isinstance(name, str):
        return None
    try:
        return clean_name(name)
    except RangeError:
        return None


def clean_text(text: str, what: str, limit_bytes: int = _TEXT_MAX_BYTES) -> str:
    """A text that may be empty: trimmed, composed (NFC), without control characters.

    Raises:
        RangeError: Too long, or with forbidden characters.
        DtypeError: Not a string.
    """
    clean = _composed(text, what)
    _check_text(clean, what, limit_bytes, least_bytes=0)
    return clean


def clean_digest(digest: str | None) -> str | None:
    """A source digest as it is stored: 1 to 256 bytes, no control characters."""
    if digest is not None:
        _check_text(digest, "a source digest", _DIGEST_MAX_BYTES)
    return digest


def clean_source(source: str | None) -> str | None:
    """A source as it is stored: at most 4096 bytes, what cannot be encoded written out."""
    if source is None:
        return None
    if not isinstance(source, str):
        raise DtypeError(f"a source must be a string, got {type(source).__name__}")
    # A path with undecodable bytes holds lone surrogates, which no database stores. NUL neither.
    clean = source.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
    if len(clean.encode("utf-8")) > _SOURCE_MAX_BYTES:
        raise RangeError(f"a source must be at most {_SOURCE_MAX_BYTES} bytes of UTF-8")
    return clean


def _composed(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise DtypeError(f"{what} must be a string, got {type(text).__name__}")
    return unicodedata.normalize("NFC", text).strip()


def _check_text(text: str, what: str, limit_bytes: int, least_bytes: int = 1) -> None:
    if not isinstance(text, str):
        raise DtypeError(f"{what} must be a string, got {type(text).__name__}")
    if not (text.isascii() and text.isprintable()):  # plain text needs no second look
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
    if not least_bytes <= size_bytes <= limit_bytes:
        raise RangeError(
            f"{what} must have {least_bytes} to {limit_bytes} bytes of UTF-8, got {size_bytes}",
            expected=limit_bytes,
            actual=size_bytes,
        )


# -- other parts of a sample --------------------------------------------------------------------


def check_embedding(embedding: object) -> None:
    """Require an `Embedding`.

    Raises:
        DtypeError: It is none.
    """
    if not isinstance(embedding, Embedding):
        raise DtypeError(
            f"a gallery takes a vultus.Embedding, got {type(embedding).__name__}",
            remedy="wrap the vector: Embedding(vector, space)",
        )


def check_crop(crop: bytes | None) -> None:
    """Require a crop to be bytes of a bounded number.

    Raises:
        DtypeError: Not bytes.
        RangeError: Over 8 MiB.
    """
    if crop is None:
        return
    if not isinstance(crop, bytes):
        raise DtypeError(f"a crop must be bytes, got {type(crop).__name__}")
    if len(crop) > _CROP_MAX_BYTES:
        raise RangeError(f"a crop must be at most {_CROP_MAX_BYTES} bytes, got {len(crop)}")


def clean_quality(values: Mapping[str, float | None]) -> dict[str, float]:
    """A quality record as it is stored: finite numbers by name; what is ``None`` is left out.

    Raises:
        RangeError: A value is not finite, a name is empty or too long, or there are too many.
        DtypeError: A value is no number.
    """
    clean: dict[str, float] = {}
    for name, value in values.items():
        if value is None:
            continue
        _check_text(name, "a quality's name", _NAME_MAX_BYTES)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DtypeError(f"quality {name!r} must be a number, got {type(value).__name__}")
        if not math.isfinite(value):
            raise RangeError(f"quality {name!r} must be finite, got {value}")
        clean[name] = float(value)
    if len(clean) > _QUALITY_MAX_FIELDS:
        raise RangeError(f"a quality record must have at most {_QUALITY_MAX_FIELDS} numbers")
    return clean


# -- arguments ----------------------------------------------------------------------------------


def check_k(k: int) -> None:
    """Require a number of matches to be at least 1.

    Raises:
        RangeError: It is not.
    """
    if k < 1:
        raise RangeError(f"k must be at least 1, got {k}")


def check_page(after: int, limit: int | None) -> None:
    """Require a page of a listing to be one.

    Raises:
        RangeError: `after` is negative or `limit` below 1.
    """
    if after < 0:
        raise RangeError(f"after must be at least 0, got {after}")
    if limit is not None and limit < 1:
        raise RangeError(f"limit must be at least 1, got {limit}")


def check_search(k: int, min_similarity: float | None, template: str) -> None:
    """Require the arguments of a search to make sense.

    Raises:
        RangeError: `k` is below 1, `min_similarity` no cosine, or the template unknown.
    """
    check_k(k)
    if min_similarity is not None and not -1.0 <= min_similarity <= 1.0:
        raise RangeError(f"min_similarity is a cosine in [-1, 1], got {min_similarity}")
    if template not in ("best", "fused"):
        raise RangeError(f"a template is 'best' or 'fused', got {template!r}")


def check_of_person(
    person: str, group: str | None, owners: Iterable[tuple[str, str | None]]
) -> None:
    """Require the samples that replace others to be of the same person and scope.

    Raises:
        RangeError: One is not.
    """
    for owner, scope in owners:
        if owner != person or (group is not None and scope != group):
            raise RangeError(
                f"every sample must be of {person!r} in the scope {group!r},"
                f" got one of {owner!r} in {scope!r}",
                expected=[person, group],
                actual=[owner, scope],
            )


def check_orphans(people: str) -> None:
    """Require what becomes of a group's people to be one of the choices.

    Raises:
        RangeError: It is not.
    """
    if people not in ("keep", "remove-orphans"):
        raise RangeError(f"people must be 'keep' or 'remove-orphans', got {people!r}")


def clean_groups(groups: Collection[str] | None) -> list[str] | None:
    """Names of groups, each once, in the order given; ``None`` stays.

    Raises:
        RangeError: None at all, or one cannot be a name.
        DtypeError: A single string, or not strings.
    """
    if groups is None:
        return None
    if isinstance(groups, str):
        raise DtypeError(f"groups must be several names, got {groups!r}; pass [{groups!r}]")
    names = list(dict.fromkeys(clean_group(group) for group in groups))
    if not names:
        raise RangeError("groups must name at least one group; pass None to search everybody")
    return names


def clean_number(number: int) -> int:
    """A sample number.

    Raises:
        UnknownSampleError: It can belong to no sample.
        DtypeError: It is no whole number.
    """
    return clean_numbers([number])[0]


def clean_numbers(numbers: Iterable[int]) -> list[int]:
    """Sample numbers, each once, ascending.

    Raises:
        UnknownSampleError: One can belong to no sample.
        DtypeError: One is no whole number.
    """
    found = set()
    for number in numbers:
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            raise DtypeError(f"a sample's number must be an int, got {type(number).__name__}")
        found.add(int(number))
    if found and not 1 <= min(found) <= max(found) <= _NUMBER_MAX:
        raise unknown_sample_error(min(found) if min(found) < 1 else max(found))
    return sorted(found)


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
        check_embedding(embedding)
        if space is None:
            space = embedding.space
        check_space(space, embedding.space)
