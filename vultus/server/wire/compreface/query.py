"""Query parameters as CompreFace reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vultus.server.wire.compreface.errors import (
    bad_values,
    malformed,
    missing_parameter,
    no_face,
)

__all__ = [
    "ADD",
    "DETECT",
    "PLUGINS",
    "RECOGNIZE",
    "Options",
    "Page",
    "read_count",
    "read_options",
    "read_page",
    "read_subject",
]

PLUGINS = frozenset({"age", "gender", "landmarks", "calculator", "mask", "pose", "landmarks2d106"})
"""What `face_plugins` may name."""

ADD = frozenset({"det_prob_threshold"})
"""The options of adding an example."""

DETECT = ADD | {"limit", "face_plugins", "status"}
"""The options of detection and of both verifications."""

RECOGNIZE = DETECT | {"prediction_count", "detect_faces"}
"""The options of recognition."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,10}")
_JAVA_INTEGERS = range(-(2**31), 2**31)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_TRUE = frozenset({"true", "on", "yes", "1"})  # as Spring's StringToBooleanConverter
_FALSE = frozenset({"false", "off", "no", "0"})
_PAGE_SIZE, _MAX_PAGE_SIZE = 20, 2000  # the latter as Spring Data limits it


@dataclass(frozen=True, slots=True)
class Options:
    """What a client may ask of a picture's faces.

    Attributes:
        limit: Only so many of the largest faces; 0: all.
        prediction_count: So many examples per face.
        det_prob_threshold: Only faces with a higher score; ``None``: all that the detector gives.
        plugins: What to tell of each face.
        status: Whether to tell how long it took, and what did it.
        detect_faces: Whether to look for faces; else the whole picture is one.
    """

    limit: int
    prediction_count: int
    det_prob_threshold: float | None
    plugins: frozenset[str]
    status: bool
    detect_faces: bool


def read_options(query: Mapping[str, str], names: Collection[str] = RECOGNIZE) -> Options:
    """The options of a request.

    Args:
        query: Its parameters.
        names: Those that this call knows; what else is there is passed over.

    Raises:
        CompreFaceError: A value is of the wrong kind (0), outside its range (26), or one that
            CompreFace's face core refuses (28).
    """
    query = {name: query[name] for name in names if name in query}
    limit = _integer(query, "limit", 0)
    count = _integer(query, "prediction_count", 1)
    broken = []
    if limit < 0:
        broken.append("Limit should be equal or greater than 0")
    if count < 1:
        broken.append("prediction_count should be equal or greater than 1")
    if broken:
        raise bad_values(broken)
    status = _boolean(query, "status", default=False)
    detect_faces = _boolean(query, "detect_faces", default=True)
    threshold = _threshold(query)
    asked = (name.strip() for name in query.get("face_plugins", "").split(","))
    plugins = frozenset(name for name in asked if name)
    if not plugins <= PLUGINS:
        raise no_face()
    return Options(limit, count, threshold, plugins, status, detect_faces)


def read_count(query: Mapping[str, str]) -> int:
    """The query parameter `prediction_count` on its own.

    Raises:
        CompreFaceError: It is no integer (0), or below one (26).
    """
    return read_options(query, {"prediction_count"}).prediction_count


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted.

    Attributes:
        number: Counts from 0.
        size: Most entries of a page.
    """

    number: int
    size: int


def read_page(query: Mapping[str, str]) -> Page:
    """The page of a request; impossible ones are the first, or of the default size.

    Raises:
        CompreFaceError: A value is no integer (0).
    """
    number, size = _integer(query, "page", 0), _integer(query, "size", _PAGE_SIZE)
    return Page(max(0, number), min(size, _MAX_PAGE_SIZE) if size >= 1 else _PAGE_SIZE)


def read_subject(query: Mapping[str, str]) -> str:
    """The query parameter `subject`, which must be there.

    Raises:
        CompreFaceError: It is missing (33) or blank (26).
    """
    subject = query.get("subject")
    if subject is None:
        raise missing_parameter("subject")
    if not subject.strip():
        raise bad_values(["Subject name is empty"])
    return subject


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "").strip()
    if not text:
        return default
    if not _INTEGER.fullmatch(text) or int(text) not in _JAVA_INTEGERS:
        raise malformed()
    return int(text)


def _boolean(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = query.get(name, "").strip().lower()
    if not text:
        return default
    if text not in _TRUE | _FALSE:
        raise malformed()
    return text in _TRUE


def _threshold(query: Mapping[str, str]) -> float | None:
    text = query.get("det_prob_threshold", "").strip()
    if not text:
        return None
    if text in {"NaN", "Infinity", "+Infinity", "-Infinity"}:  # numbers to Java
        raise no_face()
    if not _NUMBER.fullmatch(text):
        raise malformed()
    value = float(text)
    if not math.isfinite(value) or not 0.0 <= value <= 1.0:
        raise no_face()
    return value
