"""Brings a picture's bytes into memory, from a path or a stream, never more than allowed."""

from __future__ import annotations

import os
import stat
from typing import IO

from vultus.errors import (
    ImageEmptyError,
    ImageFormatError,
    ImageNotFoundError,
    ImageTooLargeError,
)

__all__ = ["check_byte_count", "describe", "read_path", "read_stream"]

_CHUNK_BYTES = 1 << 20
_LABEL_LENGTH = 200  # longer than any sensible file name, short enough for a terminal


def describe(label: str | None) -> str:
    """How messages call a picture: its label, cut when endless, or "the picture"."""
    if not label:
        return "the picture"
    return label if len(label) <= _LABEL_LENGTH else f"{label[:_LABEL_LENGTH]}…"


def check_byte_count(count: int, max_bytes: int, label: str | None) -> None:
    """Require 1 to `max_bytes` bytes.

    Raises:
        ImageEmptyError: There are none.
        ImageTooLargeError: There are more than `max_bytes`.
    """
    if count == 0:
        raise ImageEmptyError(f"{describe(label)} has no bytes", path=label)
    if count > max_bytes:
        raise ImageTooLargeError(
            f"{describe(label)} has more than the allowed {max_bytes} bytes",
            remedy="shrink the picture, or, in Python, raise Limits.max_bytes on purpose",
            path=label,
            expected=max_bytes,
            actual=count,
        )


def read_path(path: str, max_bytes: int, label: str | None) -> bytes:
    """Read one regular file. Folders, pipes and devices are refused before they are opened.

    Raises:
        ImageNotFoundError: No such file, not a regular one, or not readable.
        ImageEmptyError: It has no bytes.
        ImageTooLargeError: It has more than `max_bytes`, which is checked before reading.
    """
    try:
        _check_regular(os.stat(path).st_mode, label)  # noqa: PTH116 - pathlib turns "" into "."
        # O_NONBLOCK: a pipe put there since the check must not stall us (POSIX open(2)).
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            facts = os.fstat(file.fileno())
            _check_regular(facts.st_mode, label)
            if facts.st_size > max_bytes:
                check_byte_count(facts.st_size, max_bytes, label)
            data = file.read(min(facts.st_size, max_bytes) + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL or a lone surrogate in the name
        raise _not_found(path, label, error) from error
    check_byte_count(len(data), max_bytes, label)
    return data


def read_stream(stream: IO[bytes], max_bytes: int, label: str | None) -> bytes:
    """Read a binary file object from where it stands to its end.

    Raises:
        ImageNotFoundError: It cannot be read (closed, write-only, failing).
        ImageFormatError: It is a text stream.
        ImageEmptyError: Nothing is left in it.
        ImageTooLargeError: More than `max_bytes` are left; reading stops there.
    """
    chunks: list[bytes] = []
    count = 0
    while count <= max_bytes:
        try:
            chunk: object = stream.read(min(_CHUNK_BYTES, max_bytes + 1 - count))
        except (OSError, ValueError) as error:
            raise ImageNotFoundError(
                f"{describe(label)} cannot be read: {error}",
                remedy="pass a file object that is open for reading in binary mode",
                path=label,
            ) from error
        if isinstance(chunk, str):
            raise ImageFormatError(
                f"{describe(label)} is a text stream, and pictures are bytes",
                remedy="open the file in binary mode: open(path, 'rb')",
                path=label,
            )
        if not isinstance(chunk, (bytes, bytearray, memoryview)) or not chunk:
            break
        chunks.append(bytes(chunk))
        count += len(chunks[-1])
    if count == 0:
        raise ImageEmptyError(
            f"{describe(label)} has no bytes left to read",
            remedy="rewind the file object with .seek(0), or copy the picture again",
            path=label,
        )
    check_byte_count(count, max_bytes, label)
    return b"".join(chunks)


def _check_regular(mode: int, label: str | None) -> None:
    if stat.S_ISDIR(mode):
        raise ImageNotFoundError(
            f"{describe(label)} is a folder, and one picture was asked for",
            remedy="list its pictures with vultus.sources.walk_images",
            path=label,
        )
    if not stat.S_ISREG(mode):
        raise ImageNotFoundError(
            f"{describe(label)} is a pipe, socket or device, and a regular file is needed",
            remedy="save it to a file first, or pass an open binary file object",
            path=label,
        )


def _not_found(path: str, label: str | None, error: Exception) -> ImageNotFoundError:
    remedy = None
    if "://" in path:
        remedy = "download it first: vultus reads local files only"
    elif len(path) > _LABEL_LENGTH and "." not in path:
        remedy = "if this is base64 text, turn it into bytes with vultus.sources.decode_base64"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ImageNotFoundError(
        f"{describe(label)} cannot be opened: {reason}", remedy=remedy, path=label
    )
