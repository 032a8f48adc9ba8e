"""The EXIF orientation: all eight values, every format that has one, exactly once."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from vultus.sources import load_image
from vultus.sources._pixels import exif_orientation

# Where the first row and the first column of the stored picture lie in the upright one.
# Exif 2.32, 4.6.4 A, Orientation.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def turned(stored: np.ndarray, orientation: int) -> np.ndarray:
    row_side, column_side = SIDES[orientation]
    if row_side in {"left", "right"}:  # stored rows are upright columns
        stored = stored.transpose(1, 0, 2)
        row_side, column_side = column_side, row_side
    if row_side == "bottom":
        stored = stored[::-1]
    return stored[:, ::-1] if column_side == "right" else stored


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x0131] = "made by a test"
    return tags.tobytes()


FORMATS = [
    ("JPEG", {}),
    ("PNG", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"big_tiff": True}),
    ("WEBP", {"lossless": True}),
    pytest.param(
        "AVIF",
        {"quality": 100, "subsampling": "4:4:4"},
        marks=pytest.mark.skipif(
            "avif" not in features.get_supported(), reason="no AVIF in this Pillow"
        ),
    ),
]


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize(("form", "options"), FORMATS)
def test_each_orientation_of_each_format(encode, noise, form, options, orientation):
    stored = load_image(encode(noise, form, **options))
    data = encode(noise, form, exif=exif(orientation), **options)
    expected = turned(stored, orientation)
    np.testing.assert_array_equal(load_image(data), expected)
    # A Pillow picture: fresh, decoded, copied, or already turned by the caller.
    with Image.open(io.BytesIO(data)) as picture:
        np.testing.assert_array_equal(load_image(picture), expected)
        np.testing.assert_array_equal(load_image(picture), expected)
        np.testing.assert_array_equal(load_image(picture.copy()), expected)
        np.testing.assert_array_equal(load_image(ImageOps.exif_transpose(picture)), expected)


@pytest.mark.parametrize("orientation", SIDES)
def test_deep_grey_turns_too(encode, orientation):
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4) * 257
    expected = turned(np.dstack([np.arange(12, dtype=np.uint8).reshape(3, 4)] * 3), orientation)
    for form in ("PNG", "TIFF"):
        data = encode(pixels, form, exif=exif(orientation))
        np.testing.assert_array_equal(load_image(data), expected)


@pytest.mark.parametrize("orientation", SIDES)
def test_heic_turns_once(noise, orientation):
    pillow_heif = pytest.importorskip(
        "pillow_heif", reason="the extra heic (pillow-heif) is not installed"
    )
    stored = np.kron(noise[:2, :3], np.ones((32, 32, 1), np.uint8))
    stream = io.BytesIO()
    options = {"quality": -1, "chroma": 444, "exif": exif(orientation)}
    try:  # writes the turn both as HEIF's own boxes and as EXIF: only one may count
        pillow_heif.encode("RGB", (96, 64), stored.tobytes(), stream, **options)
    except RuntimeError:
        pytest.skip("this pillow-heif has no HEVC encoder to make the test picture")
    image = load_image(stream.getvalue())
    expected = turned(stored, orientation)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= 4
    with pillow_heif.HeifImageFile(stream) as picture:
        np.testing.assert_array_equal(load_image(picture), image)


def test_old_png_profile_of_imagemagick(encode, noise):
    from PIL.PngImagePlugin import PngInfo

    block = exif(6)
    text = PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    np.testing.assert_array_equal(load_image(encode(noise, "PNG", pnginfo=text)), turned(noise, 6))
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n  4\nno hex digits\n")
    np.testing.assert_array_equal(load_image(encode(noise, "PNG", pnginfo=text)), noise)


def test_arrays_are_taken_as_upright(noise):
    np.testing.assert_array_equal(load_image(noise), noise)


def entry(order: str, tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack(f"{order}HHLL", tag, kind, count, value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\x00\x00", b"Exif\x00\x00" * 2])
def test_exif_block_in_both_byte_orders(order, prefix):
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(f"{order}LH", 8, 2)
    short = struct.pack(f"{order}HHLHH", 0x0112, 3, 1, 8, 0)
    other = entry(order, 0x0100, 4, 1, 5)
    assert exif_orientation(prefix + head + other + short) == 8
    long = entry(order, 0x0112, 4, 1, 5)
    assert exif_orientation(prefix + head + other + long) == 5


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\x00\x00",
        b"Exif\x00\x00garbage",
        b"II*\x00",
        b"II*\x00\xff\xff\xff\xff",
        b"II*\x00\x08\x00\x00\x00\xff\xff",
        b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00",
        b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x00\x00\x00\x00",
        b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x09\x00\x00\x00",
        b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\xff\xff\x00\x00",
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_costs_nothing(encode, noise, form, block):
    # Warnings are errors here: Pillow must not get to see the block.
    assert exif_orientation(block) == 1
    options = {"lossless": True} if form == "WEBP" else {}
    stored = load_image(encode(noise, form, **options))
    image = load_image(encode(noise, form, exif=block, **options))
    np.testing.assert_array_equal(image, stored)


def test_damaged_metadata_of_a_tiff_costs_nothing(encode, noise):
    tags = Image.Exif()
    tags[0x0112] = 6
    tags[0x0131] = "software with a long name"
    tags.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    data = bytearray(encode(noise, "TIFF", exif=tags))
    start = struct.unpack_from("<L", data, 4)[0]
    for at in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
        if struct.unpack_from("<H", data, at)[0] in {0x0131, 0x8769}:  # text, EXIF directory
            data[at + 4 : at + 12] = b"\xf0" * 8
    np.testing.assert_array_equal(load_image(bytes(data)), turned(noise, 6))
