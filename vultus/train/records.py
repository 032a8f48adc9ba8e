"""MXNet's record files (``.rec`` with ``.idx``), read without MXNet.

A file is a chain of parts: the number 0xced7230a, a word whose upper three bits tell a part's
place in its record (0: whole, 1: first, 2: between, 3: last) and whose lower 29 its length, the
bytes, and zeros up to a multiple of four. A record was cut where its bytes held that number, which
is left out and put back between parts. Everything is little-endian. A record of a picture begins
with a header: flag, label, id and a second id (``IfQQ``); a flag above zero is how many float32
labels follow in place of the one.

Source: dmlc-core ``recordio.h`` and ``src/recordio.cc``; MXNet ``python/mxnet/recordio.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from vultus.errors import DataFileError, RangeError

__all__ = ["Record", "RecordFile", "write_records"]

_MAGIC = 0xCED7230A
_PART = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
_MOST_BYTES = 64 << 20  # of a record; pictures of training sets take some thousand
_MOST_LABELS = 1 << 16
_MOST_LINE = 256  # of an index: two numbers


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of a record file.

    Attributes:
        labels: One, or as many as the flag says.
        flag: 0 for a single label in the header itself.
        id: The entry's own number.
        data: What follows the header: an encoded picture, or nothing.
    """

    labels: tuple[float, ...]
    flag: int
    id: int
    data: bytes = field(repr=False)


class RecordFile:
    """Access to the records of a file by their keys.

    It holds no open file: it may be copied to other processes and used by several threads.

    Args:
        path: The ``.rec`` file.
        index: The ``.idx`` file, lines ``key<TAB>offset``; the one of the same name beside the
            file when left out. Without one the file is walked through once, and keys count
            from 0.

    Raises:
        DataFileError: A file cannot be read; an index that contradicts itself or its file.
    """

    def __init__(self, path: Path, index: Path | None = None) -> None:
        self.path = Path(path)
        beside = self.path.with_suffix(".idx")
        try:
            self._size = self.path.stat().st_size
            if index is None and not beside.is_file():
                self._offsets = dict(enumerate(self._walk()))
            else:
                self._offsets = self._read_index(beside if index is None else Path(index))
        except OSError as error:
            raise self._bad(f"cannot be read: {error}") from error

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._offsets)

    def __contains__(self, key: object) -> bool:
        """Whether a record has this key."""
        return key in self._offsets

    @property
    def keys(self) -> tuple[int, ...]:
        """All keys, in the order of the index."""
        return tuple(self._offsets)

    def read(self, key: int) -> Record:
        """One record.

        Raises:
            RangeError: No record has this key.
            DataFileError: The record is damaged, cut short or too large.
        """
        return next(self.read_all([key]))

    def read_all(self, keys: Sequence[int], *, data: bool = True) -> Iterator[Record]:
        """Several records, the file being opened once.

        Args:
            keys: Which, in any order.
            data: Whether their data is wanted; without it only their beginnings are read.

        Raises:
            RangeError: No record has one of the keys.
            DataFileError: A record is damaged, cut short or too large.
        """
        try:
            with self.path.open("rb", buffering=8192 if data else 256) as file:
                for key in keys:
                    if key not in self._offsets:
                        raise RangeError(f"{self.path} has no record {key}", actual=key)
                    yield self._record(file, self._offsets[key], data=data)
        except OSError as error:
            raise self._bad(f"cannot be read: {error}") from error

    def _record(self, file: BinaryIO, offset: int, *, data: bool) -> Record:
        place, length = self._part(file, offset)
        if place not in (0, 1):
            raise self._bad(f"has no record's beginning at {offset}")
        if place == 0 and not data:
            head = file.read(min(length, _HEADER.size))
            more = _HEADER.unpack(head)[0] if len(head) == _HEADER.size else 0
            head += file.read(min(4 * more, length - len(head), 4 * _MOST_LABELS))
            return self._parsed(head, offset, data=False)
        return self._parsed(self._joined(file, offset, place, length), offset, data=data)

    def _joined(self, file: BinaryIO, offset: int, place: int, length: int) -> bytes:
        """A record's bytes, of all its parts."""
        parts, total, at = [file.read(length)], length, offset
        while place not in (0, 3):
            at += _PART.size + length + -length % 4
            place, length = self._part(file, at)
            if place not in (2, 3):
                raise self._bad(f"has a record at {offset} that does not end")
            total += length + 4
            if total > _MOST_BYTES:
                raise self._bad(f"has a record at {offset} of more than {_MOST_BYTES} bytes")
            parts.append(file.read(length))
        return struct.pack("<I", _MAGIC).join(parts)

    def _part(self, file: BinaryIO, offset: int) -> tuple[int, int]:
        """Place and length of the part that begins here; the file then stands at its bytes."""
        if not 0 <= offset <= self._size - _PART.size or offset % 4:
            raise self._bad(f"has no record at {offset}: it has {self._size} bytes")
        file.seek(offset)
        head = file.read(_PART.size)
        if len(head) < _PART.size:
            raise self._bad("was cut short while it was read")
        magic, word = _PART.unpack(head)
        length = word & (1 << 29) - 1
        if magic != _MAGIC:
            raise self._bad(f"has no record at {offset}: it begins with {magic:#010x}")
        if length > min(_MOST_BYTES, self._size - offset - _PART.size):
            raise self._bad(
                f"has a record at {offset} that claims {length} bytes; there are "
                f"{self._size - offset - _PART.size}, and {_MOST_BYTES} are the most"
            )
        return word >> 29, length

    def _parsed(self, content: bytes, offset: int, *, data: bool) -> Record:
        if len(content) < _HEADER.size:
            raise self._bad(f"has a record at {offset} without a header: {len(content)} bytes")
        flag, label, number, _ = _HEADER.unpack_from(content)
        if flag == 0:
            rest = content[_HEADER.size :] if data else b""
            return Record((label,), 0, number, rest)
        end = _HEADER.size + 4 * flag
        if flag > _MOST_LABELS or end > len(content):
            raise self._bad(f"has a record at {offset} that claims {flag} labels")
        labels = struct.unpack_from(f"<{flag}f", content, _HEADER.size)
        return Record(labels, flag, number, content[end:] if data else b"")

    def _walk(self) -> Iterator[int]:
        """Offsets of all records, from the file itself."""
        with self.path.open("rb", buffering=256) as file:
            offset, inside = 0, False
            while offset < self._size:
                place, length = self._part(file, offset)
                if inside != (place in (2, 3)):
                    raise self._bad(f"has parts out of order at {offset}")
                if not inside:
                    yield offset
                inside = place in (1, 2)
                offset += _PART.size + length + -length % 4
            if inside:
                raise self._bad("ends within a record")

    def _read_index(self, path: Path) -> dict[int, int]:
        offsets: dict[int, int] = {}
        most = self._size // _PART.size
        with path.open("rb") as file:
            for number, line in enumerate(islice(_lines(file), most + 1), 1):
                words = line.split()
                if len(words) != 2 or not all(w.isdigit() and len(w) < 20 for w in words):
                    raise _bad_index(path, f"line {number} is not 'key<TAB>offset'")
                key, offset = int(words[0]), int(words[1])
                if key in offsets:
                    raise _bad_index(path, f"line {number} repeats the key {key}")
                if offset > self._size - _PART.size:
                    raise _bad_index(path, f"line {number} points behind the end of {self.path}")
                offsets[key] = offset
        if len(offsets) > most:
            raise _bad_index(path, f"it has more lines than {self.path} can have records")
        return offsets

    def _bad(self, what: str) -> DataFileError:
        return DataFileError(
            f"the record file {self.path} {what}",
            remedy="copy it again from its source, with its .idx file",
            path=str(self.path),
        )


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write a record file and its index, keys counting from 0.

    Args:
        path: The ``.rec`` file; the ``.idx`` file takes its name.
        records: What to write.
    """
    lines, mark = [], struct.pack("<I", _MAGIC)
    with path.open("wb") as file:
        for key, record in enumerate(records):
            label = record.labels[0] if record.flag == 0 else 0.0
            more = b"" if record.flag == 0 else struct.pack(f"<{record.flag}f", *record.labels)
            content = _HEADER.pack(record.flag, label, record.id, 0) + more + record.data
            lines.append(f"{key}\t{file.tell()}\n")
            parts = _cut(content, mark)
            for i, part in enumerate(parts):
                last = i == len(parts) - 1
                place = (0 if last else 1) if i == 0 else (3 if last else 2)
                file.write(_PART.pack(_MAGIC, place << 29 | len(part)))
                file.write(part + bytes(-len(part) % 4))
    path.with_suffix(".idx").write_text("".join(lines), encoding="ascii")


def _cut(content: bytes, mark: bytes) -> list[bytes]:
    """Parts between the marks that lie at multiples of four, as dmlc-core cuts."""
    parts, start = [], 0
    at = content.find(mark)
    while at >= 0:
        if at % 4 == 0:
            parts.append(content[start:at])
            start = at + 4
            at = content.find(mark, start)
        else:
            at = content.find(mark, at + 1)
    return [*parts, content[start:]]


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(_MOST_LINE):
        yield line


def _bad_index(path: Path, what: str) -> DataFileError:
    return DataFileError(f"the index {path} is damaged: {what}", path=str(path))
