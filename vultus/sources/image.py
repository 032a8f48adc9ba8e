"""The door for pictures: whatever comes in leaves as upright (h, w, 3) uint8 RGB."""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from vultus.errors import DtypeError, ImageFormatError, RangeError, ShapeError
from vultus.sources._decode import decode_bytes, decode_picture
from vultus.sources._pixels import rgb_array
from vultus.sources._read import check_byte_count, describe, read_path, read_stream
from vultus.types import Frame, Image

__all__ = [
    "DEFAULT_LIMITS",
    "ImageSource",
    "Limits",
    "decode_base64",
    "load_frame",
    "load_image",
]

ImageSource: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | NDArray[Any]
    | PilImage.Image
    | Frame
)
"""A path, a ``data:image/…;base64,`` URI, encoded bytes, a binary file object, or pixels."""

_DATA_URI = re.compile(r"data:image/[^,;]*(;[^,;]*)*;base64,", re.IGNORECASE)
_DATA_URI_LABEL = "data URI"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one picture may ask of the machine.

    Attributes:
        max_bytes: Most encoded bytes, checked before they are read. 64 MiB holds any photo of
            today's cameras.
        max_pixels: Most pixels, checked before they are decoded. 80 million is below the size
            at which Pillow itself suspects a decompression bomb (89 million), and needs about
            600 MB while decoding (7 bytes a pixel), 900 MB when it must also be turned.

    Raises:
        RangeError: A limit is below one.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 80_000_000

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels"):
            if getattr(self, name) < 1:
                raise RangeError(f"Limits.{name} must be at least 1, got {getattr(self, name)}")


DEFAULT_LIMITS = Limits()


def load_image(source: ImageSource, *, limits: Limits = DEFAULT_LIMITS) -> Image:
    """Load a picture from wherever it is.

    Reads JPEG, PNG, WebP, BMP, TIFF and GIF, AVIF where Pillow was built with it, and HEIC with
    the extra ``heic``; of several frames the first. The EXIF orientation is applied, once.
    Transparency is laid over white. 16-bit grey becomes round(v / 257); Pillow keeps the high
    byte of 16-bit colour. Embedded colour profiles are not applied.

    Convention:
        source: A path; a ``data:image/…;base64,`` URI; encoded bytes; a binary file object,
            read from where it stands; a uint8 array, (h, w) or (h, w, 1) grey, (h, w, 3) RGB or
            (h, w, 4) RGBA, taken as upright; a Pillow picture; a `Frame`. Plain base64 text
            goes through `decode_base64` first.
        returns: (h, w, 3) uint8, RGB, upright, C-contiguous. A contiguous (h, w, 3) array is
            returned as it is, without a copy, and is not held against `limits`: its memory is
            already spent.

    Raises:
        ImageNotFoundError: No such file, not a regular file, or not readable.
        ImageEmptyError: No bytes or no pixels.
        ImageFormatError: Not a picture, or of a kind that cannot be read.
        ImageDamagedError: Cut short, or contradicting itself.
        ImageTooLargeError: Beyond `limits`.
        MissingExtraError: HEIC without the extra.
        ShapeError: An array of another shape.
        DtypeError: An array that is not uint8, or no source at all.

    Damage in metadata does not matter, except that Pillow gives up on an AVIF with damaged EXIF.
    In rare cases (a PNG or AVIF with such damage) Pillow warns; a program that turns warnings
    into errors gets ImageDamagedError for it. When another library has set
    ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES``, cut JPEG, PNG, GIF and BMP files are still refused;
    damage in the midst of a file is then up to Pillow.
    """
    return load_frame(source, limits=limits).image


def load_frame(
    source: ImageSource, *, limits: Limits = DEFAULT_LIMITS, label: str | None = None
) -> Frame:
    """Load a picture as `load_image` does, and keep where it came from.

    Args:
        source: As for `load_image`; a `Frame` is returned as it is.
        limits: Bounds on bytes and pixels.
        label: What to call it in messages and in `Frame.source`; without one the path, or the
            name of the file object.

    Raises:
        ImageError: As for `load_image`.
        ShapeError: As for `load_image`.
        DtypeError: As for `load_image`.
        MissingExtraError: HEIC without the extra.
    """
    if isinstance(source, Frame):
        return source if label is None else Frame(source.image, label)
    name = _name_of(source) if label is None else label
    return Frame(_load(source, limits, name), name)


def decode_base64(text: str | bytes, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Turn base64 text, or a ``data:…;base64,`` URI, into the bytes it stands for.

    White space is ignored; anything else outside the standard alphabet (RFC 4648, section 4) is
    refused, as is missing padding.

    Raises:
        ImageFormatError: Not base64.
        ImageEmptyError: It stands for no bytes.
        ImageTooLargeError: It stands for more than ``limits.max_bytes``, checked beforehand.
    """
    label = None
    try:
        encoded = text.encode("ascii") if isinstance(text, str) else bytes(text)
        if encoded[:5].lower() == b"data:":
            label = _DATA_URI_LABEL
            head, comma, encoded = encoded.partition(b",")
            if not comma or not head.lower().endswith(b";base64"):
                raise ValueError("the data URI is not marked ;base64,")
        encoded = encoded.translate(None, b" \t\r\n\v\f")
        least = len(encoded) // 4 * 3 - 2  # bytes it stands for, at least
        if least > limits.max_bytes:
            check_byte_count(least, limits.max_bytes, label)
        data = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:  # UnicodeEncodeError is a ValueError
        raise ImageFormatError(
            f"{describe(label)} is not base64: {error}",
            remedy="use the standard alphabet (A-Z a-z 0-9 + /) with = padding",
            path=label,
        ) from error
    check_byte_count(len(data), limits.max_bytes, label)
    return data


def _load(source: object, limits: Limits, label: str | None) -> Image:
    if isinstance(source, np.ndarray):
        return _from_array(source, label)
    if isinstance(source, PilImage.Image):
        return decode_picture(source, limits.max_pixels, label)
    return decode_bytes(_bytes_of(source, limits, label), limits.max_pixels, label)


def _bytes_of(source: object, limits: Limits, label: str | None) -> bytes:
    if isinstance(source, str) and _DATA_URI.match(source[:256]):
        return decode_base64(source, limits)
    if isinstance(source, (str, os.PathLike)):
        return read_path(os.fsdecode(source), limits.max_bytes, label)
    if isinstance(source, (bytes, bytearray, memoryview)):
        count = source.nbytes if isinstance(source, memoryview) else len(source)
        check_byte_count(count, limits.max_bytes, label)
        return bytes(source)
    if callable(getattr(source, "read", None)):
        return read_stream(cast("IO[bytes]", source), limits.max_bytes, label)
    raise DtypeError(
        "a picture must be a path, bytes, a binary file object, a NumPy array, a Pillow image or "
        f"a Frame, got {type(source).__name__}",
        remedy="convert pixels with numpy.asarray(pixels, dtype='uint8')",
        actual=type(source).__name__,
    )


def _from_array(array: NDArray[Any], label: str | None) -> Image:
    if array.dtype != np.uint8:
        raise DtypeError(
            f"a picture's array must be uint8 in 0..255, got {array.dtype}",
            remedy=_dtype_remedy(array.dtype),
            path=label,
            expected="uint8",
            actual=str(array.dtype),
        )
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in {2, 3} or channels not in {1, 3, 4} or array.size == 0:
        raise ShapeError(
            "a picture's array must be (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) with h, w ≥ 1, "
            f"got {array.shape}",
            remedy=_shape_remedy(array.shape),
            path=label,
            expected="(h, w, 3)",
            actual=array.shape,
        )
    plain = np.ascontiguousarray(array)
    if channels == 3:
        return plain
    if channels == 1:
        plain = plain.reshape(plain.shape[:2])
    return rgb_array(PilImage.fromarray(plain), label)


def _dtype_remedy(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return "if it holds 0..1, use (array * 255).round().astype('uint8')"
    if dtype.kind == "b":
        return "use array.astype('uint8') * 255"
    if dtype == np.uint16:
        return "if it holds 0..65535, use (array / 257).round().astype('uint8')"
    return "if it holds 0..255, use array.astype('uint8')"


def _shape_remedy(shape: tuple[int, ...]) -> str:
    if 0 in shape:
        return "check the crop that made it: it has no pixels"
    if len(shape) == 3 and shape[0] in {1, 3, 4} and min(shape[1:]) > shape[0]:
        return "move the channels last with array.transpose(1, 2, 0)"
    if len(shape) == 4:
        return "pass one picture of the batch at a time"
    return "convert it to RGB"


def _name_of(source: object) -> str | None:
    if isinstance(source, str) and _DATA_URI.match(source[:256]):
        return _DATA_URI_LABEL
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    name = getattr(source, "filename" if isinstance(source, PilImage.Image) else "name", None)
    return name if isinstance(name, str) and name else None
