"""Reads files of embeddings as plain Python: pickles, JSON, NPY, NPZ, lists of names."""

from __future__ import annotations

import io
import json
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import DataFileError
from vultus.sources.pickles import EMBEDDINGS, InertArray, Vocabulary, read_inert_all, values_of

__all__ = ["contents", "names_in", "read_bytes", "unwrapped"]

MAX_BYTES = 512 * 1024**2  # 200,000 encodings of face_recognition have 210 MB as a pickle
_MAX_NAMES_BYTES = 64 * 1024**2
_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_MOST_MEMBERS = 1_000_000
# What NumPy and zipfile raise for damaged files.
_BAD_HEADER = (
    ValueError, TypeError, SyntaxError, RecursionError, MemoryError, EOFError, tokenize.TokenError
)  # fmt: skip
_BAD_ARCHIVE = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, NotImplementedError, RuntimeError,
    EOFError, OSError,
)  # fmt: skip


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """A whole file.

    Raises:
        DataFileError: It cannot be read, is empty, or has more bytes than `max_bytes`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise DataFileError(f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    if len(data) > max_bytes:
        raise DataFileError(
            f"{path} has more than the {max_bytes:,} bytes that are opened",
            remedy="split it",
            path=str(path),
            expected=max_bytes,
        )
    if not data:
        raise DataFileError(f"{path} is empty", path=str(path))
    return data


def contents(data: bytes, path: str, vocabulary: Vocabulary = EMBEDDINGS) -> Any:
    """What a file holds, whatever of the four formats it is in; nothing in it is run.

    Args:
        data: The whole file.
        path: For messages.
        vocabulary: What a pickle may hold.

    Returns:
        Lists, tuples, dictionaries, text, bytes, numbers, booleans, ``None``, `InertArray` and
        NumPy arrays of numbers or text. Of several pickles in one file, a tuple.

    Raises:
        DataFileError: The file is damaged, or holds anything else; see `read_inert`.
    """
    if data.startswith(_NPY):
        return _npy(data, path)
    if data.startswith(_ZIP):
        return _npz(data, path)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}:  # no opcode of a pickle
        return _json(data, path)
    values = read_inert_all(data, path, vocabulary)
    return values[0] if len(values) == 1 else tuple(values)


def unwrapped(value: Any) -> Any:
    """`value`, or the array that stands for it."""
    return value.values if isinstance(value, InertArray) else value


def names_in(path: Path) -> list[Any]:
    """Names from a file beside the embeddings: a list in one of the four formats, or lines.

    Raises:
        DataFileError: It cannot be read, or holds no list.
    """
    data = read_bytes(path, _MAX_NAMES_BYTES)
    if path.suffix.lower() in {".txt", ".csv", ".names", ""}:
        try:
            return [line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            raise DataFileError(f"{path} must be text in UTF-8", path=str(path)) from error
    found = unwrapped(contents(data, str(path)))
    if isinstance(found, np.ndarray) and found.ndim == 1:
        return list(found.tolist())
    if not isinstance(found, (list, tuple)):
        raise DataFileError(f"{path} must hold a list of names", path=str(path))
    return list(found)


def _json(data: bytes, path: str) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise DataFileError(f"{path} is no readable JSON: {why}", path=path) from error


def _npy(data: bytes, path: str) -> NDArray[Any]:
    """An array of numbers or text: the header is read, and held against the file's size."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, columns_first, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"its version is {version}")
    except _BAD_HEADER as error:
        raise DataFileError(f"{path} is no readable NPY file: {error}", path=path) from error
    if dtype.kind not in "fiubUS" or (dtype.itemsize > 8 and dtype.kind in "fiu"):
        raise DataFileError(
            f"{path} is refused: an array of {dtype} holds more than numbers or text",
            remedy="save it with the program that made it, as a plain list of numbers",
            path=path,
            refused=str(dtype),
        )
    body = memoryview(data)[file.tell() :]
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != len(body):
        raise DataFileError(
            f"{path} must hold {' × '.join(map(str, shape))} values of {dtype}, it has "
            f"{len(body):,} bytes",
            path=path,
        )
    if not len(body):
        return np.zeros(0, dtype)  # whatever its sides: nobody shall count to 10**18
    try:
        values = values_of(body, dtype)
    except ValueError as error:
        raise DataFileError(f"{path} is no readable NPY file: {error}", path=path) from error
    return values.reshape(shape, order="F" if columns_first else "C")


def _npz(data: bytes, path: str) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if any(member.filename == "manifest.json" for member in members):
                raise DataFileError(
                    f"{path} is an archive of a gallery",
                    remedy="`vultus gallery import` brings it back",
                    path=path,
                )
            # Before anything is unpacked: of a bomb the sizes alone are looked at.
            if len(members) > _MOST_MEMBERS or sum(m.file_size for m in members) > MAX_BYTES:
                raise DataFileError(
                    f"{path} would unpack to more than {MAX_BYTES:,} bytes", path=path
                )
            return {
                member.filename.removesuffix(".npy"): _npy(
                    _member(archive, member, path), f"{path}: {member.filename}"
                )
                for member in members
            }
    except _BAD_ARCHIVE as error:
        raise DataFileError(f"{path} is no readable NPZ file: {error}", path=path) from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str) -> bytes:
    with archive.open(member) as file:
        data = file.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise DataFileError(f"{path} is damaged: the size of {member.filename!r}", path=path)
    return data
