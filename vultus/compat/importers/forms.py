"""The shapes in which scripts store names and encodings, all brought to pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.compat.importers.files import unwrapped
from vultus.errors import DataFileError

__all__ = ["Pair", "Total", "is_bare", "pairs", "vector_of"]

_ENCODINGS = (
    "encodings", "encoding", "known_face_encodings", "known_encodings", "face_encodings",
    "known_faces", "embeddings", "embedding", "vectors", "vector", "descriptors", "descriptor",
    "arr_0",
)  # fmt: skip
_NAMES = (
    "names", "name", "known_face_names", "known_names", "face_names", "labels", "label",
    "ids", "id", "people", "person", "persons",
)  # fmt: skip
_MOST_PAIRS = 500_000  # of 128 numbers: as many as a file of the largest size holds
_MOST_NUMBERS = 128 * _MOST_PAIRS
_LONGEST = 8192  # the longest embeddings known, DeepFace's VGG-Face, have 4096 numbers


class Pair(NamedTuple):
    """A name and what may be an encoding.

    Attributes:
        name: As the source has it.
        value: `vector_of` says whether it is one.
        where: Its place in the source.
    """

    name: Any
    value: Any
    where: str


class Total:
    """Counts numbers: a small pickle may name one long list a million times.

    Args:
        path: For the message.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._numbers = 0

    def add(self, vector: NDArray[np.float64]) -> None:
        """Count a vector.

        Raises:
            DataFileError: There are too many by now.
        """
        self._numbers += len(vector)
        if self._numbers > _MOST_NUMBERS:
            raise DataFileError(
                f"{self._path}: its embeddings add up to more than {_MOST_NUMBERS:,} numbers",
                remedy="split it",
                path=self._path,
            )


def vector_of(value: Any) -> NDArray[np.float64] | None:
    """One vector from an array of numbers, (d,) or (1, d), or a list of them; else ``None``.

    Also ``None`` for one of more than 8,192 numbers.
    """
    value = unwrapped(value)
    if isinstance(value, (list, tuple)):
        if len(value) == 1 and not _is_number(value[0]):  # face_encodings() without its [0]
            inner = unwrapped(value[0])
            return None if isinstance(inner, (list, tuple)) and _nested(inner) else vector_of(inner)
        if not 2 <= len(value) <= _LONGEST or not all(map(_is_number, value)):
            return None
        return np.array(value, np.float64)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        return None
    if value.ndim == 2 and len(value) == 1:
        value = value[0]
    fits = value.ndim == 1 and 2 <= len(value) <= _LONGEST
    return value.astype(np.float64) if fits else None


def pairs(content: Any, path: str, names: Sequence[Any] | None) -> list[Pair]:
    """Names with their encodings, from whatever form a script stored them in.

    Known are: a mapping with a list of encodings and a list of names; a mapping of a name to one
    encoding or several; a pair of both lists, in either order; a list of mappings or of pairs of
    name and encoding; and a bare list or matrix with the names from elsewhere.

    Args:
        content: From `contents`.
        path: For messages.
        names: Of a bare list, row by row.

    Raises:
        DataFileError: None of these, or lists of different lengths.
    """
    content = unwrapped(content)
    if names is not None:
        return _zipped(names, _bare(content), path)
    if isinstance(content, dict):
        found = _of_mapping(content, path)
    elif isinstance(content, (list, tuple)) and len(content):
        found = _of_list(content, path)
    else:
        found = None
    if found is None:
        raise DataFileError(
            f"{path} must hold names and encodings in a form that is known",
            remedy="the documentation lists the forms; names may lie beside: --names FILE",
            path=path,
        )
    return found


def is_bare(content: Any) -> bool:
    """Whether there are encodings, and no place where names could be."""
    content = unwrapped(content)
    if isinstance(content, dict):
        keys = {key.lower() for key in content if isinstance(key, str)}
        return bool(keys & set(_ENCODINGS)) and not keys & set(_NAMES)
    if isinstance(content, (list, tuple)):
        return bool(content) and all(vector_of(item) is not None for item in content)
    return isinstance(content, np.ndarray)


def _of_mapping(content: dict[Any, Any], path: str) -> list[Pair] | None:
    encodings, names = _held(content, _ENCODINGS), _held(content, _NAMES)
    if encodings is None:
        return list(_bounded(_each_of_mapping(content, path), path))
    if names is None:
        return None
    return _zipped(_listed(names), _bare(encodings), path)


def _each_of_mapping(content: dict[Any, Any], path: str) -> Iterator[Pair]:
    for name, held in content.items():
        value = _encoding_in(held) if isinstance(held, dict) else unwrapped(held)
        if vector_of(value) is not None or not isinstance(value, (list, tuple, np.ndarray)):
            yield Pair(name, value, path)
        elif len(value) == 0:
            yield Pair(name, None, path)
        else:
            for number, one in enumerate(value):
                yield Pair(name, one, f"{path}[{number}]")


def _of_list(content: Sequence[Any], path: str) -> list[Pair] | None:
    first = unwrapped(content[0])
    if all(isinstance(item, dict) for item in content):
        return list(
            _bounded(
                (
                    Pair(_named_in(item), _encoding_in(item), f"{path}[{n}]")
                    for n, item in enumerate(content)
                ),
                path,
            )
        )
    if isinstance(first, str | bytes):
        return None
    if len(content) == 2:
        one, other = _listed(content[0]), _listed(content[1])
        if _are_names(one) and not _are_names(other):
            return _zipped(one, _bare(content[1]), path)
        if _are_names(other) and not _are_names(one):
            return _zipped(other, _bare(content[0]), path)
    if all(isinstance(item, (list, tuple)) and len(item) == 2 for item in content):
        return _of_pairs(content, path)
    return None


def _of_pairs(content: Sequence[Any], path: str) -> list[Pair] | None:
    found = []
    for number, (one, other) in enumerate(content):
        name, value = (one, other) if isinstance(one, str | bytes) else (other, one)
        if not isinstance(name, str | bytes):
            return None
        found.append(Pair(name, value, f"{path}[{number}]"))
    return found


def _zipped(names: Sequence[Any], values: Sequence[Any], path: str) -> list[Pair]:
    if len(names) != len(values):
        raise DataFileError(
            f"{path} must have a name per encoding, got {len(names)} names and "
            f"{len(values)} encodings",
            path=path,
            expected=len(values),
            actual=len(names),
        )
    both = zip(names, values, strict=True)
    found = (Pair(name, value, f"{path}[{n}]") for n, (name, value) in enumerate(both))
    return list(_bounded(found, path))


def _bare(content: Any) -> Sequence[Any]:
    """Encodings one by one: rows of a matrix, items of a list, the one vector there is."""
    content = unwrapped(content)
    if isinstance(content, dict):
        content = _encoding_in(content)
    if isinstance(content, np.ndarray) and content.ndim == 1 and content.dtype.kind == "f":
        return [content]
    if isinstance(content, (list, tuple)) and content and all(map(_is_number, content)):
        return [content]
    if isinstance(content, (list, tuple)):
        return content
    return list(content) if isinstance(content, np.ndarray) and content.ndim == 2 else []


def _listed(value: Any) -> Sequence[Any]:
    """A list; an array of one dimension as one; nothing else is."""
    value = unwrapped(value)
    if isinstance(value, np.ndarray) and value.ndim == 1:
        listed: list[Any] = value.tolist()
        return listed
    return value if isinstance(value, (list, tuple)) else []


def _are_names(values: Sequence[Any]) -> bool:
    return bool(values) and all(
        isinstance(value, str | bytes | int) and not isinstance(value, bool) for value in values
    )


def _encoding_in(item: dict[Any, Any]) -> Any:
    return unwrapped(_held(item, _ENCODINGS))


def _named_in(item: dict[Any, Any]) -> Any:
    return _held(item, _NAMES)


def _held(item: dict[Any, Any], keys: Sequence[str]) -> Any:
    """What a mapping holds under the first of some keys, whatever their case."""
    own = {key.lower(): key for key in item if isinstance(key, str)}
    return next((item[own[key]] for key in keys if key in own), None)


def _is_number(value: Any) -> bool:
    return type(value) is float or type(value) is int


def _nested(value: Sequence[Any]) -> bool:
    return len(value) == 1 and not _is_number(value[0])


def _bounded(found: Iterator[Pair], path: str) -> Iterator[Pair]:
    for count, pair in enumerate(found):
        if count >= _MOST_PAIRS:
            raise DataFileError(f"{path} names more than {_MOST_PAIRS:,} encodings", path=path)
        yield pair
