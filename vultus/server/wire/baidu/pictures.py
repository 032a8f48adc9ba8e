"""A picture out of a call: base64 as clients really send it, within Baidu's limits."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from vultus.errors import ImageEmptyError, ImageFormatError, ImageTooLargeError
from vultus.sources import Limits, load_frame
from vultus.types import Frame

__all__ = ["V2_LIMITS", "V3_LIMITS", "PictureLimits", "decode_picture", "decode_text"]

_MIB = 1024 * 1024
_PREFIX = re.compile(r"\s*data:[\w/+.-]*(?:;[\w=.-]+)*;base64,", re.ASCII | re.IGNORECASE)
# JPEG, PNG and BMP; what else vultus reads is no format of theirs.
_FORMATS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What one picture may be. Source: Baidu's documentation of Face V2 and V3, 2018.

    Attributes:
        max_characters: Of the base64 text.
        min_side_px: Of the shorter side.
        max_side_px: Of the longer side.
    """

    max_characters: int
    min_side_px: int
    max_side_px: int


V2_LIMITS = PictureLimits(4 * _MIB, 15, 4096)
V3_LIMITS = PictureLimits(2 * _MIB, 1, 6000)


def decode_text(text: str, max_characters: int) -> bytes:
    """The bytes that base64 text stands for.

    Tolerated are a data URI's head, line breaks, a ``+`` that a form turned into a blank, and
    missing padding.

    Raises:
        ImageEmptyError: It stands for no bytes.
        ImageTooLargeError: It has more than `max_characters`.
        ImageFormatError: It is no base64.
    """
    head = _PREFIX.match(text[:200])
    plain = text[head.end() :] if head else text
    plain = plain.replace("\r", "").replace("\n", "").replace("\t", "")
    if len(plain) > max_characters:
        raise ImageTooLargeError(
            f"base64 of a picture must have at most {max_characters} characters, got {len(plain)}"
        )
    data = _decoded(plain.replace(" ", "+"))
    if data is None:
        raise ImageFormatError("a picture must be base64", remedy="", reason="base64")
    if not data:
        raise ImageEmptyError("a picture must have bytes")
    return data


def _decoded(text: str) -> bytes | None:
    padded = text.rstrip("=")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None


def decode_picture(data: bytes, limits: PictureLimits, max_pixels: int) -> Frame:
    """The upright picture.

    Args:
        data: Encoded bytes.
        limits: Of the interface.
        max_pixels: Of the server; decides where it is stricter.

    Raises:
        ImageFormatError: Not a JPEG, PNG or BMP file.
        ImageDamagedError: Cut short, or contradicting itself.
        ImageTooLargeError: A side is too short or too long.
    """
    if not data.startswith(_FORMATS):
        raise ImageFormatError("a picture must be a JPEG, PNG or BMP file", remedy="")
    pixels = min(max_pixels, limits.max_side_px**2)
    frame = load_frame(data, limits=Limits(max_bytes=len(data), max_pixels=pixels))
    sides = sorted((frame.width_px, frame.height_px))
    if sides[0] < limits.min_side_px or sides[1] > limits.max_side_px:
        raise ImageTooLargeError(
            f"a picture's sides must have {limits.min_side_px} to {limits.max_side_px} px, "
            f"got {frame.width_px}x{frame.height_px}"
        )
    return frame
