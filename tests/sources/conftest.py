"""Tiny pictures, made where they are needed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, features

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def encode() -> Encode:
    """`encode(array or picture, format, **options)` -> bytes."""

    def _encode(picture: object, form: str, **options: object) -> bytes:
        if isinstance(picture, np.ndarray):
            picture = Image.fromarray(picture)
        assert isinstance(picture, Image.Image)
        stream = io.BytesIO()
        picture.save(stream, form, **options)
        return stream.getvalue()

    return _encode


@pytest.fixture(scope="session")
def raw_png() -> Callable[..., bytes]:
    """`raw_png(width, height, depth, colour type, rows)` -> bytes, whatever the header claims."""

    def _chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    def _raw_png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(rows))
            + _chunk(b"IEND", b"")
        )

    return _raw_png


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """(5, 7, 3) uint8, every pixel different."""
    return np.random.default_rng(7).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def every_format(encode: Encode) -> dict[str, bytes]:
    """A valid (24, 32) file of every format and codec that this Pillow can write."""
    pixels = np.random.default_rng(3).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x0131] = "software with a long name"
    files = {
        "jpeg": encode(picture, "JPEG", exif=exif),
        "jpeg-progressive": encode(picture, "JPEG", progressive=True),
        "jpeg-cmyk": encode(picture.convert("CMYK"), "JPEG"),
        "png": encode(picture, "PNG", exif=exif),
        "png-palette": encode(picture.convert("P"), "PNG", transparency=3),
        "webp": encode(picture, "WEBP", exif=exif),
        "webp-lossless": encode(picture.convert("RGBA"), "WEBP", lossless=True),
        "bmp": encode(picture, "BMP"),
        "gif": encode(picture, "GIF"),
        "tiff": encode(picture, "TIFF", exif=exif),
        "tiff-lzw": encode(picture, "TIFF", exif=exif, compression="tiff_lzw"),
        "tiff-jpeg": encode(picture, "TIFF", compression="jpeg"),
    }
    if "avif" in features.get_supported():
        files["avif"] = encode(picture, "AVIF")
    return files
