"""Decodes encoded pictures with Pillow, within bounds, and names every way that can fail."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL import Image as PilImage

from vultus.errors import (
    ImageDamagedError,
    ImageFormatError,
    ImageTooLargeError,
    MissingExtraError,
)
from vultus.sources._pixels import rgb_array, upright
from vultus.sources._read import describe
from vultus.sources._tiff import strip_tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vultus.types import Image

__all__ = ["decode_bytes", "decode_picture", "sniff"]

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),  # BigTIFF
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
)
# ISO/IEC 23008-12 (HEIF) annex B, and the AVIF 1.1 specification, section 6.
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

# What people hand in by mistake; only to say so.
_NOT_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"%pdf", "a PDF document"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"\x00\x00\x00\x0cjp  ", "JPEG 2000"),
    (b"8bps", "a Photoshop file"),
)

# Everything Pillow and libheif were seen to raise for damaged files: fuzzing in
# tests/sources/test_image_fuzz.py holds the list complete. A Warning comes as an exception when
# the program asked for that.
_DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
    zlib.error,
)
# Pillow's words for a sound file of a kind it cannot decode.
_UNSUPPORTED = (
    "cannot handle",
    "unsupported",
    "not installed",
    "unknown pixel mode",
    "unknown data organization",
)


# Pillow walks through segments, chunks and junk in Python, a few bytes at a time: 25 MB of tiny
# ones would hold a thread for half a minute. A picture of 80 million pixels in strips of one line
# takes some 40,000 reads.
_MOST_READS = 250_000


class _Bytes(io.BytesIO):
    """Bytes that remember whether the decoder asked for more than there are.

    A decoder that asks without end is told that the picture is damaged.
    """

    starved = False
    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        self.reads += 1
        if not chunk and size is not None and size > 0:
            self.starved = True
        if self.reads > _MOST_READS:
            raise SyntaxError("it consists of too many parts")
        return chunk


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """JPEG whose EXIF Pillow leaves alone: it reads the resolution and warns about damage."""

    def getexif(self) -> PilImage.Exif:
        return PilImage.Exif()


def sniff(data: bytes) -> str | None:
    """The format the first bytes announce (``"JPEG"``, ``"PNG"`` …), or None."""
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        length = min(int.from_bytes(data[:4], "big"), 256)
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, length, 4))]
        if data[8:12] in _AVIF_BRANDS:
            return "AVIF"
        if data[8:12] in _HEIC_BRANDS:  # mif1 and msf1 leave the codec to the other brands
            general = data[8:12] in {b"mif1", b"msf1"}
            return "AVIF" if general and not _AVIF_BRANDS.isdisjoint(brands) else "HEIC"
    return None


def decode_bytes(data: bytes, max_pixels: int, label: str | None) -> Image:
    """Decode an encoded picture (its first frame) to upright RGB.

    Pillow's format plugins are called directly: `PIL.Image.open` would warn about large
    pictures, load foreign formats, and let other code's plugins in.

    Raises:
        ImageFormatError: No supported format.
        ImageTooLargeError: The header states more than `max_pixels`; nothing was decoded.
        ImageDamagedError: Cut short, or contradicting itself.
        MissingExtraError: HEIC without the extra.
    """
    kind = sniff(data)
    if kind is None:
        raise ImageFormatError(
            f"{describe(label)} is no picture that vultus reads{_guess(data)}", path=label
        )
    with _translated(kind, label):
        if kind == "HEIC":
            # libheif turns the picture by its own boxes, which is all HEIF asks for.
            return rgb_array(_decode_heic(data, max_pixels, label), label)
        stream = _Bytes(strip_tiff(data) if kind == "TIFF" else data)
        picture = _open(kind, stream, label)
        _check_pixels(picture.size, max_pixels, label)
        picture.load()
        # Another library may have told Pillow to fill cut pictures with grey, for the whole
        # process (face_recognition does so when imported). We still refuse them.
        if ImageFile.LOAD_TRUNCATED_IMAGES and stream.starved:
            raise OSError("image file is truncated")
        # Pillow has already turned a TIFF, whose orientation is no EXIF block: `upright` sees none.
        return rgb_array(upright(picture), label)


def decode_picture(picture: PilImage.Image, max_pixels: int, label: str | None) -> Image:
    """Turn a Pillow picture, decoded or not, into upright RGB.

    Raises:
        ImageEmptyError: No pixels.
        ImageFormatError: Its mode states no range.
        ImageTooLargeError: More than `max_pixels`.
        ImageDamagedError: It was opened lazily and cannot be decoded, or is closed.
    """
    with _translated(picture.format or "pixels", label):
        _check_pixels(picture.size, max_pixels, label)
        picture.load()
        return rgb_array(upright(picture), label)


def _open(kind: str, stream: _Bytes, label: str | None) -> ImageFile.ImageFile:
    if kind == "AVIF":
        try:
            from PIL import AvifImagePlugin
        except ImportError as error:
            raise ImageFormatError(
                f"{describe(label)} is AVIF, which Pillow reads since version 11.3",
                remedy="pip install --upgrade pillow, or save the picture as JPEG or PNG",
                path=label,
            ) from error
        return AvifImagePlugin.AvifImageFile(stream)
    plugins: dict[str, type[ImageFile.ImageFile]] = {
        "JPEG": _Jpeg,
        "PNG": PngImagePlugin.PngImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "GIF": GifImagePlugin.GifImageFile,
    }
    return plugins[kind](stream)


def _decode_heic(data: bytes, max_pixels: int, label: str | None) -> PilImage.Image:
    try:
        import pillow_heif
    except ImportError as error:
        raise MissingExtraError(
            f"{describe(label)} is HEIC, which needs the library pillow-heif",
            remedy="pip install 'vultus[heic]'",
            path=label,
            extra="heic",
        ) from error
    # Not registered with Pillow: that would change the whole process.
    container = pillow_heif.open_heif(data)
    _check_pixels(container.size, max_pixels, label)
    picture: PilImage.Image = container.to_pillow()
    _check_pixels(picture.size, max_pixels, label)  # decoding may correct the size
    return picture


def _check_pixels(size_wh: tuple[int, int], max_pixels: int, label: str | None) -> None:
    width, height = size_wh
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{describe(label)} has {width} x {height} pixels, and {max_pixels} are allowed",
            remedy="shrink the picture, or, in Python, raise Limits.max_pixels on purpose",
            path=label,
            expected=max_pixels,
            actual=width * height,
        )


@contextmanager
def _translated(kind: str, label: str | None) -> Iterator[None]:
    """Give every failure of a decoder its vultus name."""
    try:
        yield
    except (PilImage.DecompressionBombError, PilImage.DecompressionBombWarning) as error:
        raise ImageTooLargeError(
            f"{describe(label)} is larger than Pillow allows: {error}",
            remedy="shrink the picture, or raise PIL.Image.MAX_IMAGE_PIXELS on purpose as well",
            path=label,
        ) from error
    except MemoryError as error:
        raise ImageTooLargeError(
            f"{describe(label)} does not fit into memory", path=label
        ) from error
    except _DECODER_ERRORS as error:
        text = str(error) or type(error).__name__
        if any(words in text.lower() for words in _UNSUPPORTED):
            raise ImageFormatError(
                f"{describe(label)} is a kind of {kind} that cannot be decoded: {text}",
                remedy="save the picture as an ordinary JPEG or PNG",
                path=label,
            ) from error
        raise ImageDamagedError(
            f"{describe(label)} begins as {kind} and cannot be decoded: {text}", path=label
        ) from error


def _guess(data: bytes) -> str:
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for magic, name in _NOT_PICTURES:
        if start.startswith(magic):
            return f"; it looks like {name}"
    return ""
