"""Bounds on bytes and pixels, and base64 text."""

from __future__ import annotations

import base64
import io
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from PIL import Image

from vultus.errors import (
    ImageEmptyError,
    ImageFormatError,
    ImageTooLargeError,
    RangeError,
)
from vultus.sources import DEFAULT_LIMITS, Limits, decode_base64, load_image


@pytest.fixture
def png(encode, noise):
    return encode(noise, "PNG")


@pytest.fixture
def photo(tmp_path, png):
    path = tmp_path / "photo.png"
    path.write_bytes(png)
    return path


class TestLimits:
    def test_defaults(self):
        assert Limits() == DEFAULT_LIMITS
        assert DEFAULT_LIMITS.max_bytes == 64 * 1024 * 1024
        assert DEFAULT_LIMITS.max_pixels == 80_000_000
        with pytest.raises(FrozenInstanceError):
            DEFAULT_LIMITS.max_bytes = 1

    @pytest.mark.parametrize("options", [{"max_bytes": 0}, {"max_pixels": -1}])
    def test_must_be_positive(self, options):
        with pytest.raises(RangeError, match="must be at least 1"):
            Limits(**options)

    def test_bytes_exactly(self, photo, png, noise):
        uri = "data:image/png;base64," + base64.b64encode(png).decode()
        for source in (photo, png, bytearray(png), memoryview(png), io.BytesIO(png), uri):
            fits = load_image(source, limits=Limits(max_bytes=len(png)))
            np.testing.assert_array_equal(fits, noise)
        for source in (photo, png, bytearray(png), memoryview(png), io.BytesIO(png), uri):
            with pytest.raises(ImageTooLargeError, match=f"allowed {len(png) - 1} bytes") as caught:
                load_image(source, limits=Limits(max_bytes=len(png) - 1))
            assert caught.value.fields["expected"] == len(png) - 1
            assert caught.value.fields["actual"] == len(png)

    def test_a_huge_file_is_not_read(self, tmp_path):
        path = tmp_path / "huge.png"
        with path.open("wb") as file:
            file.truncate(1 << 40)  # sparse
        with pytest.raises(ImageTooLargeError, match=r"huge.png has more than the allowed"):
            load_image(path)

    def test_an_endless_stream_is_read_up_to_the_limit(self):
        class Endless(io.RawIOBase):
            given = 0

            def read(self, size=-1, /):
                assert size > 0
                self.given += size
                return b"\x00" * size

        stream = Endless()
        with pytest.raises(ImageTooLargeError):
            load_image(stream, limits=Limits(max_bytes=3_000_000))
        assert stream.given == 3_000_001

    @pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP"])
    def test_pixels_exactly(self, encode, noise, form):
        data = encode(noise, form)
        assert load_image(data, limits=Limits(max_pixels=35)).shape == (5, 7, 3)
        with pytest.raises(ImageTooLargeError, match="has 7 x 5 pixels, and 34 are allowed"):
            load_image(data, limits=Limits(max_pixels=34))
        with (
            Image.open(io.BytesIO(data)) as picture,
            pytest.raises(ImageTooLargeError, match="7 x 5"),
        ):
            load_image(picture, limits=Limits(max_pixels=34))

    def test_arrays_are_exempt(self, noise):
        assert load_image(noise, limits=Limits(max_bytes=1, max_pixels=1)) is noise


class TestBase64:
    def test_plain_text_bytes_and_uri(self, png):
        text = base64.b64encode(png).decode()
        for form in (text, text.encode(), f"data:image/png;base64,{text}"):
            assert decode_base64(form) == png
        assert decode_base64(f"DATA:application/octet-stream;BASE64,{text}") == png
        assert decode_base64(f"data:;base64,{text}") == png

    def test_lines_and_spaces_are_fine(self, png):
        text = base64.encodebytes(png).decode()
        assert "\n" in text
        assert decode_base64(f" {text}\r\n\t") == png

    @pytest.mark.parametrize(
        "text", ["abc", "a", "ab=c", "====", "no base64!", "aé==", "YQ==YQ==", "_-_-", b"\xff\xfe"]
    )
    def test_anything_else_is_refused(self, text):
        with pytest.raises(ImageFormatError, match=r"is not base64.*standard alphabet") as caught:
            decode_base64(text)
        assert caught.value.code == "image-format"

    @pytest.mark.parametrize("uri", ["data:image/png,abc", "data:image/png;base64", "data:"])
    def test_other_data_uris_are_refused(self, uri):
        with pytest.raises(ImageFormatError, match=r"data URI is not base64: .*not marked"):
            decode_base64(uri)

    @pytest.mark.parametrize("text", ["", "  \n", "data:image/png;base64,"])
    def test_nothing(self, text):
        with pytest.raises(ImageEmptyError):
            decode_base64(text)

    def test_limit_holds_before_and_after_decoding(self):
        for size in (5, 6, 7, 600):
            text = base64.b64encode(b"x" * size).decode()
            assert decode_base64(text, Limits(max_bytes=size)) == b"x" * size
            with pytest.raises(ImageTooLargeError):
                decode_base64(text, Limits(max_bytes=size - 1))

    def test_the_picture_in_a_uri_is_checked_like_any(self):
        with pytest.raises(ImageFormatError, match="data URI is no picture"):
            load_image("data:image/jpeg;base64,aGVsbG8=")
        with pytest.raises(ImageFormatError, match="data URI is not base64"):
            load_image("data:image/jpeg;charset=x;base64,?")
