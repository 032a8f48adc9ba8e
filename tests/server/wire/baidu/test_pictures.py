from __future__ import annotations

import base64
import io
from collections.abc import Callable

import pytest
from PIL import Image

from vultus.errors import (
    ImageDamagedError,
    ImageEmptyError,
    ImageFormatError,
    ImageTooLargeError,
)
from vultus.server.wire.baidu.pictures import V2_LIMITS, V3_LIMITS, decode_picture, decode_text

DATA = bytes(range(250, 256)) * 3 + b"\x00"  # its base64 has + and /
TEXT = base64.b64encode(DATA).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("+", " "),
        TEXT.rstrip("="),
        "\r\n".join([TEXT[:8], TEXT[8:16], TEXT[16:], ""]),
        "data:image/jpeg;base64," + TEXT,
        " data:image/png;charset=utf-8;base64," + TEXT,
    ],
    ids=["plain", "lost-plus", "no-padding", "lines", "data-uri", "data-uri-2"],
)
def test_base64_as_clients_really_send_it(text: str):
    assert "+" in TEXT
    assert "/" in TEXT
    assert decode_text(text, 1000) == DATA


@pytest.mark.parametrize("text", ["!!!!", "YWJj?", "组", "A", "YWJj\x00"])
def test_no_base64(text: str):
    with pytest.raises(ImageFormatError) as caught:
        decode_text(text, 100)
    assert caught.value.fields["reason"] == "base64"


def test_nothing_and_too_much():
    with pytest.raises(ImageEmptyError):
        decode_text("data:image/png;base64,", 100)
    with pytest.raises(ImageTooLargeError, match="at most 8 characters, got 12"):
        decode_text("YWJj" * 3, 8)
    assert decode_text("YWJj" * 2, 8) == b"abcabc"


def picture(size: tuple[int, int], kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_formats_that_are_read(kind: str):
    frame = decode_picture(picture((20, 15), kind), V2_LIMITS, 10**6)
    assert frame.image.shape == (15, 20, 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_formats_that_are_not(kind: str):
    with pytest.raises(ImageFormatError, match="JPEG, PNG or BMP"):
        decode_picture(picture((20, 20), kind), V2_LIMITS, 10**6)


def test_a_cut_file_is_damaged():
    with pytest.raises(ImageDamagedError):
        decode_picture(picture((64, 64), "JPEG")[:300], V2_LIMITS, 10**6)


@pytest.mark.parametrize(
    ("size", "v2", "v3"),
    [
        ((14, 100), False, True),
        ((15, 4096), True, True),
        ((15, 4097), False, True),
        ((6000, 20), False, True),
        ((6001, 20), False, False),
        ((1, 1), False, True),
    ],
)
def test_sides(size: tuple[int, int], v2: bool, v3: bool):
    data = picture(size, "PNG")
    for limits, allowed in ((V2_LIMITS, v2), (V3_LIMITS, v3)):
        if allowed:
            assert decode_picture(data, limits, 10**8).width_px == size[0]
        else:
            with pytest.raises(ImageTooLargeError):
                decode_picture(data, limits, 10**8)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch):
    data = picture((3000, 3000), "PNG")
    load: Callable[..., object] = lambda *_: pytest.fail("was decoded")  # noqa: E731
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(ImageTooLargeError):
        decode_picture(data, V2_LIMITS, 1_000_000)
