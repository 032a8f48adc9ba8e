"""Reduces a TIFF to the tags its pixels need, so that other tags cannot spoil the picture."""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["strip_tiff"]

# Tags that say how pixels are laid out, and which way is up. TIFF 6.0; BigTIFF; TIFF Technical
# Notes 1 (Predictor … SampleFormat) and 2 (JPEGTables).
_ORIENTATION = 274
_SINGLE = frozenset({256, 257, 259, 262, 266, _ORIENTATION, 277, 278, 284, 317})  # one value each
_NEEDED = _SINGLE | frozenset(
    {
        258,  # BitsPerSample
        273, 279, 322, 323, 324, 325,  # strips and tiles
        292, 293, 347,  # options and tables of the codecs
        320, 338, 339,  # ColorMap, ExtraSamples, SampleFormat
        332, 529, 530, 531, 532,  # CMYK and YCbCr
        512, 513, 514, 515, 519, 520, 521,  # JPEG before Technical Note 2
    }
)  # fmt: skip

# Bytes per value of each field type. TIFF 6.0, section 2; 13 is IFD, 16 to 18 are BigTIFF's.
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_WIDTHS |= {16: 8, 17: 8, 18: 8}


class _Layout(NamedTuple):
    """How a directory is written: classic TIFF with 32-bit offsets, BigTIFF with 64-bit ones."""

    start_at: int
    offset: str
    entry_count: str
    entry_bytes: int
    inline_bytes: int


_CLASSIC = _Layout(start_at=4, offset="L", entry_count="H", entry_bytes=12, inline_bytes=4)
_BIG = _Layout(start_at=8, offset="Q", entry_count="Q", entry_bytes=20, inline_bytes=8)


def strip_tiff(data: bytes) -> bytes:
    """A copy of a TIFF whose first directory is its only one and holds no metadata.

    Pillow reads every tag, warns about damaged ones and gives up on damaged EXIF inside; with
    the tags emptied, neither happens.

    Args:
        data: A file that begins as TIFF or BigTIFF.

    Raises:
        ValueError: The directory, or a value that the pixels need, lies beyond the file.
    """
    order = "<" if data[:2] == b"II" else ">"
    layout = _BIG if 43 in data[2:4] else _CLASSIC
    copy = bytearray(data)
    try:
        (start,) = struct.unpack_from(order + layout.offset, data, layout.start_at)
        (count,) = struct.unpack_from(order + layout.entry_count, data, start)
    except (struct.error, OverflowError) as error:
        raise ValueError("its directory lies beyond the file") from error
    first = start + struct.calcsize(order + layout.entry_count)
    end = first + count * layout.entry_bytes
    if end > len(data):
        raise ValueError("its directory is cut short")
    spent_bytes = 0
    for at in range(first, end, layout.entry_bytes):
        size = _needed_bytes(data, at, order, layout)
        if size == 0:
            struct.pack_into(order + layout.offset, copy, at + 4, 0)  # no values: skipped
        spent_bytes += size
    if spent_bytes > len(data):
        raise ValueError("its tags claim more bytes than the file has")
    copy[end : end + layout.inline_bytes] = bytes(layout.inline_bytes)  # no next directory
    return bytes(copy)


def _needed_bytes(data: bytes, at: int, order: str, layout: _Layout) -> int:
    """Bytes of the value of the entry at `at`; 0 when it is to be ignored."""
    tag, kind, count = struct.unpack_from(f"{order}HH{layout.offset}", data, at)
    if tag not in _NEEDED:
        return 0
    size = int(_WIDTHS.get(kind, 0) * count)
    fits = size <= layout.inline_bytes
    if not fits:
        value_at = at + layout.entry_bytes - layout.inline_bytes
        (offset,) = struct.unpack_from(order + layout.offset, data, value_at)
        fits = offset + size <= len(data)
    if fits and (count == 1 or tag not in _SINGLE):
        return size
    if tag == _ORIENTATION:
        return 0
    raise ValueError(f"its tag {tag} is damaged")
