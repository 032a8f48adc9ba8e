"""Whatever bytes come in, what comes out is a picture or an error of ours."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vultus.errors import (
    DtypeError,
    ImageEmptyError,
    ImageError,
    ImageFormatError,
    MissingExtraError,
    ShapeError,
)
from vultus.sources import Limits, decode_base64, load_image
from vultus.sources._pixels import exif_orientation

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)
FUZZ = settings(
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
NAMES = [
    "jpeg", "jpeg-progressive", "jpeg-cmyk", "png", "png-palette", "webp", "webp-lossless", "bmp",
    "gif", "tiff", "tiff-lzw", "tiff-jpeg", "avif", "heic",
]  # fmt: skip
HEADS = [
    b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\x00\x08\x00\x00\x00", b"MM\x00*",
    b"II+\x00\x08\x00\x00\x00", b"BM", b"RIFF\x40\x00\x00\x00WEBPVP8X", b"data:image/png;base64,",
    b"\x00\x00\x00\x18ftypheic", b"\x00\x00\x00\x18ftypavif", b"\x00\x00\x00\x18ftypmif1",
]  # fmt: skip


def check(data: bytes) -> bool:
    """Whether `data` is a picture; fails the test when it is neither that nor refused."""
    try:
        image = load_image(data, limits=LIMITS)
    except (ImageError, MissingExtraError):
        return False
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.size > 0
    assert image.flags.c_contiguous
    return True


@pytest.fixture(scope="session")
def corpus(every_format):
    files = dict(every_format)
    try:
        import pillow_heif

        stream = io.BytesIO()
        pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red")).save(stream)
        files["heic"] = stream.getvalue()
    except (ImportError, RuntimeError):
        pass
    return files


@settings(FUZZ, max_examples=400)
@given(head=st.sampled_from(HEADS), tail=st.binary(max_size=200))
def test_random_bytes(head, tail):
    check(head + tail)


edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.booleans(), st.integers(0, 255)),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("name", NAMES)
@settings(FUZZ, max_examples=120)
@given(edits=edits, keep=st.one_of(st.just(1.0), st.floats(0, 1)))
def test_damaged_files(corpus, name, edits, keep):
    if name not in corpus:
        pytest.skip(f"nothing here writes {name} files")
    data = bytearray(corpus[name])
    for place, early, value in edits:  # half of the edits go into the first 100 bytes
        data[int(place * (min(100, len(data)) if early else len(data)))] = value
    check(bytes(data[: int(keep * len(data))]))


@pytest.mark.parametrize("name", NAMES)
def test_every_bit_of_the_header(corpus, name):
    if name not in corpus:
        pytest.skip(f"nothing here writes {name} files")
    data = corpus[name]
    assert check(data)
    for at in range(min(80, len(data))):
        for bit in range(8):
            check(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])


@settings(FUZZ, max_examples=100)
@given(text=st.one_of(st.text(max_size=50), st.binary(max_size=50)))
def test_base64(text):
    with contextlib.suppress(ImageEmptyError, ImageFormatError):
        assert decode_base64(text, LIMITS)


@settings(FUZZ, max_examples=200)
@given(
    head=st.sampled_from([b"II*\x00", b"MM\x00*", b"Exif\x00\x00II*\x00", b""]), tail=st.binary()
)
def test_exif_blocks(head, tail):
    assert 1 <= exif_orientation(head + tail) <= 8


@settings(FUZZ, max_examples=150)
@given(
    shape=st.lists(st.integers(0, 5), max_size=4).map(tuple),
    dtype=st.sampled_from(["u1", "u2", "i8", "f4", "f8", "?", "c8", "U1", "O"]),
)
def test_arrays(shape, dtype):
    try:
        image = load_image(np.zeros(shape, dtype))
    except (DtypeError, ShapeError):
        return
    assert dtype == "u1"
    assert image.shape == (*shape[:2], 3)
