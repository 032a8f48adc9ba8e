"""What CompreFace's requests carry: pictures as multipart or base64, or JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pydantic_core
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from vultus.server.wire.compreface.errors import (
    CompreFaceError,
    bad_value,
    empty_field,
    malformed,
    missing_part,
    not_base64,
)

__all__ = ["EXTENSIONS", "Picture", "embeddings", "picture_bytes", "read_json", "read_pictures"]

Picture: TypeAlias = bytes | str
"""A picture as it came: encoded, or the base64 of that, which a worker decodes."""

EXTENSIONS = frozenset({"tif", "tiff", "jpg", "jpeg", "png", "bmp", "ico", "gif", "webp"})
"""Endings of file names that CompreFace takes."""

_LARGE_BYTES = 256 * 1024  # parsing more than this would hold up other requests
_MAX_FIELDS = 100
_MOST_EMBEDDINGS = 10_000  # five seconds of search in a gallery of 10,000


async def read_pictures(request: Request, *names: str) -> list[Picture]:
    """The pictures of these names, out of multipart parts or JSON fields.

    Raises:
        CompreFaceError: A part (34) or field (5) is missing, a file's name has another ending
            (21), or the body is neither (0).
    """
    kind = _kind(request)
    if kind == "multipart/form-data":
        return await _from_form(request, names)
    if kind == "application/json":
        fields = await read_json(request)
        return [_base64_field(fields, name) for name in names]
    raise _unsupported(kind)


async def read_json(request: Request) -> Any:
    """The body as JSON; an object unless something else is there.

    Raises:
        CompreFaceError: It is no JSON in UTF-8, or says to be something else (0).
    """
    kind = _kind(request)
    if kind != "application/json":
        raise _unsupported(kind)
    body = await request.body()
    if len(body) > _LARGE_BYTES:
        return await run_in_threadpool(_parsed, body)
    return _parsed(body)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(kind: str) -> CompreFaceError:
    """As the framework's own handler answers, but with a body that clients can read."""
    return CompreFaceError(415, 0, f"Content type '{kind[:100]}' not supported")


def _parsed(body: bytes) -> Any:
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise malformed() from error


def _base64_field(fields: Any, name: str) -> str:
    if not isinstance(fields, dict):
        raise malformed()
    value = fields.get(name)
    if value is None or value == "":
        raise empty_field(name)
    if not isinstance(value, str):
        raise not_base64()
    return value


async def _from_form(request: Request, names: Sequence[str]) -> list[Picture]:
    try:
        form = await request.form(max_files=len(names) + 1, max_fields=_MAX_FIELDS)
    except HTTPException as error:
        raise malformed() from error
    try:
        files = [_file(form, name) for name in names]
        return [await file.read() for file in files]
    finally:
        await form.close()


def _file(form: FormData, name: str) -> UploadFile:
    file = form.get(name)
    if not isinstance(file, UploadFile):
        raise missing_part(name)
    called = file.filename or ""
    if called.rpartition(".")[2].lower() not in EXTENSIONS or "." not in called:
        raise CompreFaceError(400, 21, f"File [{called}] has an unavailable extension")
    return file


def picture_bytes(picture: Picture) -> bytes:
    """A picture's encoded bytes; base64 as Java's basic decoder takes it, padding optional.

    Raises:
        CompreFaceError: The text is no base64 (21).
    """
    if isinstance(picture, bytes):
        return picture
    try:
        padded = picture.encode("ascii") + b"=" * (-len(picture) % 4)
        return base64.b64decode(padded, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise not_base64() from error


def embeddings(rows: object, name: str, dimension: int) -> NDArray[np.float64]:
    """Embeddings out of a JSON body as unit vectors.

    Args:
        rows: A list of lists of numbers.
        name: Of the field.
        dimension: How many numbers each must have.

    Returns:
        (n, dimension), n ≥ 1.

    Raises:
        CompreFaceError: There are none (5), they are no lists of numbers (0), or they are too
            many or no directions of this dimension (26).
    """
    if rows is None or rows == []:
        raise empty_field(name)
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise malformed()
    if len(rows) > _MOST_EMBEDDINGS:
        raise bad_value(f"There must be at most {_MOST_EMBEDDINGS} embeddings")
    if any(len(row) != dimension for row in rows):
        raise bad_value(f"Each embedding must have {dimension} numbers")
    if not all(type(value) in {int, float} for row in rows for value in row):
        raise malformed()
    try:
        vectors = np.array(rows, np.float64)
    except OverflowError as error:
        raise bad_value("An embedding must hold finite numbers") from error
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    if not np.isfinite(largest).all() or not largest.all():
        raise bad_value("An embedding must hold finite numbers, and not zeros alone")
    vectors /= largest  # so that no square overflows
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
