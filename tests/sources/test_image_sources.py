"""Where a picture may come from, and the named refusal for everything else."""

from __future__ import annotations

import base64
import io
import os
import pickle
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.errors import (
    DtypeError,
    ImageEmptyError,
    ImageFormatError,
    ImageNotFoundError,
    ShapeError,
)
from vultus.sources import load_frame, load_image
from vultus.types import Frame


@pytest.fixture
def png(encode, noise):
    return encode(noise, "PNG")


@pytest.fixture
def photo(tmp_path, png):
    path = tmp_path / "photo.png"
    path.write_bytes(png)
    return path


class TestEverySourceGivesTheSamePicture:
    @pytest.fixture(
        params=[
            "str",
            "path",
            "bytes",
            "bytearray",
            "memoryview",
            "stream",
            "file",
            "uri",
            "pillow",
        ]
    )
    def source(self, request, photo, png):
        sources = {
            "str": str(photo),
            "path": photo,
            "bytes": png,
            "bytearray": bytearray(png),
            "memoryview": memoryview(bytearray(png)),
            "stream": io.BytesIO(png),
            "uri": "data:image/png;base64," + base64.b64encode(png).decode(),
        }
        if request.param == "file":
            with photo.open("rb") as file:
                yield file
        elif request.param == "pillow":
            with Image.open(photo) as picture:
                yield picture
        else:
            yield sources[request.param]

    def test_it(self, source, noise):
        np.testing.assert_array_equal(load_image(source), noise)


def test_a_directory_entry_and_a_link_are_paths(photo, noise):
    (photo.parent / "link").symlink_to(photo)
    for entry in os.scandir(photo.parent):
        np.testing.assert_array_equal(load_image(entry), noise)


def test_contents_decide_not_the_name(tmp_path, png, noise):
    path = tmp_path / "really.jpg"
    path.write_bytes(png)
    np.testing.assert_array_equal(load_image(path), noise)


def test_a_stream_is_read_from_where_it_stands(png, noise):
    stream = io.BytesIO(b"head" + png)
    stream.seek(4)
    np.testing.assert_array_equal(load_image(stream), noise)


def test_a_stream_may_give_little_at_a_time(png, noise):
    class Dripping(io.RawIOBase):
        rest = png

        def read(self, size=-1, /):
            chunk, self.rest = self.rest[: min(size, 7)], self.rest[min(size, 7) :]
            return chunk

    np.testing.assert_array_equal(load_image(Dripping()), noise)


class TestFrames:
    def test_names_where_the_picture_came_from(self, photo, png, noise):
        assert load_frame(photo).source == str(photo)
        assert load_frame(str(photo)).source == str(photo)
        assert load_frame(png).source is None
        assert load_frame(noise).source is None
        assert load_frame(photo, label="upload 7").source == "upload 7"
        with photo.open("rb") as file:
            assert load_frame(file).source == str(photo)
        with Image.open(photo) as picture:
            assert load_frame(picture).source == str(photo)
        uri = "data:image/png;base64," + base64.b64encode(png).decode()
        assert load_frame(uri).source == "data URI"

    def test_a_frame_passes_through(self, noise):
        frame = Frame(noise, "here")
        assert load_frame(frame) is frame
        assert load_image(frame) is noise
        renamed = load_frame(frame, label="there")
        assert renamed.source == "there"
        assert renamed.image is noise

    def test_the_label_is_in_the_error(self):
        with pytest.raises(ImageEmptyError, match="upload 7 has no bytes") as caught:
            load_frame(b"", label="upload 7")
        assert caught.value.fields["path"] == "upload 7"


class TestArrays:
    def test_rgb_is_not_copied(self, noise):
        assert load_image(noise) is noise

    def test_rgb_of_any_layout_becomes_contiguous(self, noise):
        for view in (noise[..., ::-1], noise[::2], np.asfortranarray(noise)):
            image = load_image(view)
            assert image.flags.c_contiguous
            np.testing.assert_array_equal(image, view)

    def test_grey(self):
        grey = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
        np.testing.assert_array_equal(load_image(grey), np.dstack([grey] * 3))
        np.testing.assert_array_equal(load_image(grey[..., None]), np.dstack([grey] * 3))
        np.testing.assert_array_equal(load_image(grey[:, ::2]), np.dstack([grey[:, ::2]] * 3))
        np.testing.assert_array_equal(load_image(grey[:1, :1]), [[[1, 1, 1]]])

    def test_rgba(self):
        rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
        expected = [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]
        np.testing.assert_array_equal(load_image(rgba), expected)
        np.testing.assert_array_equal(load_image(rgba[:, ::-1]), [expected[0][::-1]])

    @pytest.mark.parametrize(
        ("dtype", "remedy"),
        [
            (np.float32, "if it holds 0..1, use (array * 255).round()"),
            (np.float64, "if it holds 0..1, use (array * 255).round()"),
            (np.int64, "if it holds 0..255, use array.astype('uint8')"),
            (np.int8, "if it holds 0..255, use array.astype('uint8')"),
            (np.uint16, "if it holds 0..65535, use (array / 257).round()"),
            (bool, "use array.astype('uint8') * 255"),
            (object, "if it holds 0..255"),
        ],
    )
    def test_other_dtypes_are_refused(self, dtype, remedy):
        with pytest.raises(DtypeError, match=r"must be uint8 in 0\.\.255, got ") as caught:
            load_image(np.zeros((4, 4, 3), dtype))
        assert remedy in caught.value.remedy
        assert caught.value.fields["expected"] == "uint8"

    @pytest.mark.parametrize(
        ("shape", "remedy"),
        [
            ((), "convert it to RGB"),
            ((4,), "convert it to RGB"),
            ((4, 4, 2), "convert it to RGB"),
            ((4, 4, 5), "convert it to RGB"),
            ((3, 40, 40), "array.transpose(1, 2, 0)"),
            ((1, 4, 4, 3), "pass one picture of the batch at a time"),
            ((0, 4, 3), "it has no pixels"),
            ((4, 0, 3), "it has no pixels"),
            ((4, 0), "it has no pixels"),
            ((4, 4, 0), "it has no pixels"),
        ],
    )
    def test_other_shapes_are_refused(self, shape, remedy):
        with pytest.raises(ShapeError, match=r"must be \(h, w\), ") as caught:
            load_image(np.zeros(shape, np.uint8))
        assert remedy in caught.value.remedy
        assert caught.value.fields["actual"] == shape


@pytest.mark.parametrize("source", [None, 5, [1, 2], {"a": 1}, object()])
def test_no_source_at_all(source):
    with pytest.raises(DtypeError, match=f"got {type(source).__name__}"):
        load_image(source)


class TestPaths:
    def refusal(self, path, match):
        with pytest.raises(ImageNotFoundError, match=match) as caught:
            load_image(path)
        assert caught.value.code == "image-not-found"
        assert caught.value.fields["path"] == os.fspath(path)
        pickle.loads(pickle.dumps(caught.value))  # noqa: S301
        return caught.value

    def test_missing(self, tmp_path):
        path = tmp_path / "nobody.jpg"
        error = self.refusal(path, "nobody.jpg cannot be opened: No such file or directory")
        assert isinstance(error.__cause__, FileNotFoundError)

    def test_empty_path(self):
        self.refusal("", "the picture cannot be opened")

    def test_folder(self, tmp_path):
        self.refusal(tmp_path, "is a folder.*walk_images")

    def test_file_taken_for_a_folder(self, photo):
        self.refusal(photo / "more.jpg", "Not a directory")

    def test_broken_link_and_link_to_itself(self, tmp_path):
        (tmp_path / "broken").symlink_to(tmp_path / "nothing")
        self.refusal(tmp_path / "broken", "No such file")
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        self.refusal(tmp_path / "loop", "symbolic links")

    def test_pipe_does_not_hang(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.jpg")
        self.refusal(tmp_path / "pipe.jpg", "pipe, socket or device")

    def test_socket(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)  # the name of a socket must be short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("s.jpg")
            self.refusal(Path("s.jpg"), "pipe, socket or device")

    def test_device(self):
        self.refusal("/dev/zero", "pipe, socket or device")

    @pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read everything")
    def test_unreadable(self, photo):
        photo.chmod(0)
        self.refusal(photo, "Permission denied")

    def test_names_no_system_allows(self):
        self.refusal("a\x00b.jpg", "null (byte|character)")
        self.refusal("a\ud800b.jpg", "surrogates")
        self.refusal("a" * 5000 + ".jpg", "File name too long")

    def test_an_address_is_no_path(self):
        error = self.refusal("https://example.org/a.jpg", "cannot be opened")
        assert error.remedy == "download it first: vultus reads local files only"

    def test_base64_without_its_prefix_is_no_path(self, png):
        text = base64.b64encode(png * 3).decode()
        error = self.refusal(text, "…")
        assert "decode_base64" in error.remedy
        assert len(str(error)) < 400

    def test_data_uri_lookalikes_are_paths(self, tmp_path, monkeypatch, png, noise):
        monkeypatch.chdir(tmp_path)
        Path("data:x.png").write_bytes(png)
        np.testing.assert_array_equal(load_image("data:x.png"), noise)


class TestContents:
    @pytest.mark.parametrize("kind", ["path", "bytes", "stream"])
    def test_no_bytes(self, tmp_path, kind):
        path = tmp_path / "empty.jpg"
        path.touch()
        source = {"path": path, "bytes": b"", "stream": io.BytesIO()}[kind]
        with pytest.raises(ImageEmptyError, match="has no bytes"):
            load_image(source)

    def test_a_read_stream_has_nothing_left(self, png):
        stream = io.BytesIO(png)
        load_image(stream)
        with pytest.raises(ImageEmptyError, match=r"rewind the file object with \.seek\(0\)"):
            load_image(stream)

    def test_a_pillow_picture_without_pixels(self):
        with pytest.raises(ImageEmptyError, match="has no pixels"):
            load_image(Image.new("RGB", (0, 5)))

    @pytest.mark.parametrize(
        ("data", "guess"),
        [
            (b"hello", ""),
            (b"\x00" * 100, ""),
            (b"\xff\xd8", ""),
            (b"\n <!DOCTYPE html><title>404</title>", "; it looks like a web page"),
            (b"\xef\xbb\xbf<svg xmlns=''/>", "; it looks like an SVG drawing"),
            (b"%PDF-1.7", "; it looks like a PDF document"),
            (b"PK\x03\x04....", "; it looks like a ZIP archive"),
            (b"version https://git-lfs.github.com/spec/v1", "; it looks like a Git LFS pointer"),
            (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "; it looks like JPEG 2000"),
            (b"\x00\x00\x00\x18ftypisom", ""),
            (b"RIFF\x00\x00\x00\x00AVI ", ""),
        ],
    )
    def test_no_picture(self, tmp_path, data, guess):
        path = tmp_path / "notes.jpg"
        path.write_bytes(data)
        with pytest.raises(ImageFormatError) as caught:
            load_image(path)
        message = f"{path} is no picture that vultus reads{guess}"
        assert caught.value.message.startswith(message)
        assert "use JPEG, PNG, WebP, BMP, TIFF or GIF" in str(caught.value)

    def test_formats_of_pillow_that_are_not_ours(self, encode, noise):
        for form in ("PPM", "TGA", "ICO", "PCX", "DDS", "PDF"):
            with pytest.raises(ImageFormatError):
                load_image(encode(noise, form))

    def test_text_stream(self):
        with pytest.raises(ImageFormatError, match=r"text stream.*'rb'"):
            load_image(io.StringIO("text"))

    def test_streams_that_cannot_be_read(self, png, tmp_path):
        closed = io.BytesIO(png)
        closed.close()
        with pytest.raises(ImageNotFoundError, match="closed file"):
            load_image(closed)
        with (tmp_path / "out").open("wb") as file, pytest.raises(ImageNotFoundError):
            load_image(file)


def test_a_file_that_may_not_be_read(photo, monkeypatch):
    def _open(_path, _flags):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", _open)
    with pytest.raises(ImageNotFoundError, match=r"photo.png cannot be opened: Permission denied"):
        load_image(photo)


def test_a_pipe_put_in_place_after_the_check(tmp_path, monkeypatch, photo):
    os.mkfifo(tmp_path / "pipe.png")
    facts = photo.stat()
    monkeypatch.setattr(os, "stat", lambda _path: facts)
    with pytest.raises(ImageNotFoundError, match="pipe, socket or device"):
        load_image(str(tmp_path / "pipe.png"))
