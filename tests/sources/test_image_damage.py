"""Files that are cut, lie, or explode: always a named error, never a hang or a made-up picture."""

from __future__ import annotations

import gc
import struct
import threading
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image, ImageFile

from vultus.errors import (
    ImageDamagedError,
    ImageError,
    ImageFormatError,
    ImageTooLargeError,
)
from vultus.sources import Limits, load_image

# Formats of whose file the last bytes may miss although every pixel is there: the closing PNG
# chunk, the GIF trailer, what follows the pixels in a TIFF. The number is how many at most.
TOLERANT = {"png": 20, "png-palette": 20, "gif": 2, "tiff-lzw": 32}


def test_cut_at_every_byte(every_format):
    for name, data in every_format.items():
        whole = load_image(data)
        for length in range(1, len(data)):
            try:
                image = load_image(data[:length])
            except (ImageDamagedError, ImageFormatError):
                continue
            else:
                assert len(data) - length <= TOLERANT.get(name, 0), (name, length)
                np.testing.assert_array_equal(image, whole)


def test_cut_though_another_library_told_pillow_not_to_care(every_format, monkeypatch):
    # face_recognition does this, for the whole process, when it is imported.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for name, data in every_format.items():
        whole = load_image(data)
        for length in range(1, len(data), 3):
            try:
                image = load_image(data[:length])
            except ImageError:
                continue
            assert len(data) - length <= TOLERANT.get(name, 0), (name, length)
            np.testing.assert_array_equal(image, whole)


def test_cut_large_jpeg(encode):
    pixels = np.random.default_rng(1).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    data = encode(pixels, "JPEG", quality=95)
    assert len(data) > 5 * 65536  # several reads of Pillow
    for share in (0.1, 0.5, 0.9, 0.999):
        with pytest.raises(ImageDamagedError, match=r"the picture begins as JPEG.*truncated"):
            load_image(data[: int(len(data) * share)])
    assert load_image(data + b"trailing bytes do no harm").shape == (600, 800, 3)


def test_the_message_names_the_file(tmp_path, encode, noise):
    path = tmp_path / "half.png"
    data = encode(noise, "PNG")
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageDamagedError, match=r"half.png begins as PNG and cannot be") as caught:
        load_image(path)
    assert caught.value.code == "image-damaged"
    assert caught.value.fields == {"path": str(path)}
    assert caught.value.remedy == "copy the picture again from its source"
    assert caught.value.__cause__ is not None


def test_a_kind_of_jpeg_that_pillow_cannot_decode(encode, noise):
    data = encode(noise, "JPEG")
    at = data.index(b"\xff\xc0") + 4  # sample precision
    with pytest.raises(ImageFormatError, match=r"kind of JPEG that cannot be decoded: .*12-bit"):
        load_image(data[:at] + b"\x0c" + data[at + 1 :])


def bomb(form: str, width: int, height: int, raw_png) -> bytes:
    """A few bytes that announce width x height pixels."""
    if form == "png":
        return raw_png(width, height, 8, 2, b"\x00" * 50)
    if form == "gif":
        return (
            b"GIF89a" + struct.pack("<HH", width, height) + b"\x00\x00\x00,\x00\x00\x00\x00"
            b"\x01\x00\x01\x00\x00\x02\x02\x4c\x01\x00;"
        )
    if form == "bmp":
        return (
            b"BM"
            + struct.pack("<LHHL", 100, 0, 0, 54)
            + struct.pack("<LllHHLLllLL", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        )
    if form == "jpeg":
        frame = struct.pack(">HBHHB", 17, 8, height, width, 3)
        return (
            b"\xff\xd8\xff\xc0" + frame + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00"
            b"\xff\xda\x00\x0c\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00"
        )
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    entries += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, 100)]
    return (
        b"II*\x00"
        + struct.pack("<LH", 8, len(entries))
        + b"".join(struct.pack("<HHLL", tag, kind, 1, value) for tag, kind, value in entries)
        + b"\x00" * 4
    )


@pytest.mark.parametrize("form", ["png", "gif", "bmp", "jpeg", "tiff"])
@pytest.mark.parametrize(
    ("width", "height"),
    [
        (30000, 30000),  # Pillow would raise
        (10000, 12000),  # Pillow would warn, which is an error here
        (8945, 8945),  # just above our own limit
    ],
)
def test_bombs_are_refused_unopened(raw_png, form, width, height):
    data = bomb(form, width, height, raw_png)
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ImageTooLargeError) as caught:
        load_image(data)
    spent_s = time.perf_counter() - start
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert f"{width} x {height} pixels, and 80000000 are allowed" in str(caught.value)
    assert caught.value.fields["actual"] == width * height
    assert peak_bytes < 5_000_000
    assert spent_s < 1
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


@pytest.mark.parametrize("form", ["png", "gif", "bmp", "jpeg", "tiff"])
def test_lying_headers_within_the_limit(raw_png, form):
    data = bomb(form, 1000, 900, raw_png)
    if form == "gif":  # a small frame on a large screen is no lie
        assert load_image(data).shape == (900, 1000, 3)
        return
    with pytest.raises(ImageDamagedError):
        load_image(data)


def test_pillows_own_limit_has_our_name(encode, monkeypatch):
    data = encode(np.zeros((20, 20), np.uint8), "TIFF")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageTooLargeError, match=r"larger than Pillow allows.*MAX_IMAGE_PIXELS"):
        load_image(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # a warning, and an error here
    with pytest.raises(ImageTooLargeError, match="larger than Pillow allows"):
        load_image(data)


def test_no_memory_has_our_name(encode, noise, monkeypatch):
    def _load(_self):
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", _load)
    with pytest.raises(ImageTooLargeError, match="does not fit into memory"):
        load_image(encode(noise, "PNG"))


def test_a_closed_pillow_picture(encode, noise, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(noise, "PNG"))
    picture = Image.open(path)
    picture.close()
    with pytest.raises(ImageDamagedError, match=r"a.png begins as PNG"):
        load_image(picture)


def test_a_cut_pillow_picture(encode, noise, tmp_path):
    path = tmp_path / "a.bmp"
    path.write_bytes(encode(noise, "BMP")[:-20])
    with Image.open(path) as picture, pytest.raises(ImageDamagedError, match="truncated"):
        load_image(picture)


@pytest.mark.parametrize(
    ("tag", "kind", "count", "value"),
    [
        (256, 4, 1, 0),  # no width
        (258, 3, 2**31, 0),  # far too many values
        (259, 3, 2, 1),  # two where one must be
        (259, 3, 1, 60000),  # no such compression
        (273, 4, 1, 2**32 - 1),  # pixels beyond the file
        (277, 3, 1, 60000),  # samples per pixel
    ],
)
def test_damaged_tiff_tags(tag, kind, count, value):
    entries = {256: (4, 1, 2), 257: (4, 1, 2), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    entries |= {273: (4, 1, 8), 277: (3, 1, 1), 278: (4, 1, 2), 279: (4, 1, 4)}

    def build(entries):
        body = b"".join(struct.pack("<HHLL", key, *entries[key]) for key in sorted(entries))
        return b"II*\x00" + struct.pack("<LLH", 12, 0x04030201, len(entries)) + body

    image = load_image(build(entries))  # complete but for the pointer to the next directory
    np.testing.assert_array_equal(image[..., 0], [[1, 2], [3, 4]])
    with pytest.raises(ImageError):
        load_image(build(entries | {tag: (kind, count, value)}))


@pytest.mark.parametrize("head", [b"II*\x00", b"MM\x00*", b"II+\x00\x08\x00\x00\x00", b"MM\x00+"])
@pytest.mark.parametrize("rest", [b"", b"\x08", b"\xff" * 8, b"\x00" * 8, b"\x08" + b"\xff" * 40])
def test_tiff_without_a_directory(head, rest):
    with pytest.raises(ImageDamagedError, match="begins as TIFF"):
        load_image(head + rest)


def test_many_threads_at_once(every_format):
    expected = {name: load_image(data) for name, data in every_format.items()}
    wrong = []

    def work():
        for name, data in every_format.items():
            try:
                load_image(data[: len(data) // 2])
            except ImageError:
                pass
            else:
                wrong.append(name)
            if not np.array_equal(load_image(data), expected[name]):
                wrong.append(name)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_is_left_open(every_format, tmp_path):
    # An unclosed file would be a ResourceWarning, which is an error here.
    for name, data in every_format.items():
        path = tmp_path / name
        path.write_bytes(data)
        load_image(path)
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(ImageError):
            load_image(path)
    gc.collect()


def test_a_wide_and_a_tall_picture(encode):
    for shape in ((1, 60000), (60000, 1)):
        pixels = (np.arange(60000) % 251).astype(np.uint8).reshape(shape)
        image = load_image(encode(pixels, "PNG"), limits=Limits(max_pixels=60000))
        np.testing.assert_array_equal(image[..., 2], pixels)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff" + bytes(2_000_000),
        b"\xff\xd8" + b"\xff\xe9\x00\x02" * 500_000,
        b"GIF89a\x10\0\x10\0\x80\0\0" + bytes(2_000_000),
    ],
    ids=["junk", "segments", "GIF"],
)
def test_a_picture_of_countless_parts_is_damaged(data: bytes) -> None:
    with pytest.raises(ImageDamagedError, match="too many parts"):
        load_image(data)
