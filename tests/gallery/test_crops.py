"""Encrypted crops: what comes back, and what does not come back without the key."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from vultus.errors import GalleryError, InputError
from vultus.gallery.crops import (
    KEY_VARIABLE,
    key_from_environment,
    new_key,
    pack_crop,
    parse_key,
    unpack_crop,
)
from vultus.types import Box, Face, Frame, Landmarks

pytest.importorskip("cryptography", reason="the extra 'crops' is not installed")

KEY = bytes(range(32))
FIVE = np.array([[110, 90], [150, 90], [130, 115], [114, 140], [146, 140]], np.float32)


def _face(scale: float = 1.0, landmarks: bool = True) -> Face:
    picture = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    picture = np.kron(picture, np.ones((int(scale), int(scale), 1), np.uint8))
    return Face(
        Box(100 * scale, 70 * scale, 160 * scale, 150 * scale),
        0.9,
        Landmarks(FIVE * scale) if landmarks else None,
        Frame(picture, "a.png"),
    )


def test_a_small_face_comes_back_to_the_pixel():
    face = _face()
    again = unpack_crop(pack_crop(face, KEY), KEY)
    # 0.8 of the 80 px on each side: from (36, 6) to (224, 214).
    assert again.frame.image.shape == (208, 188, 3)
    assert np.array_equal(again.frame.image, face.frame.image[6:214, 36:224])
    assert again.box == Box(64, 64, 124, 144)
    assert again.points == pytest.approx(FIVE - [36, 6])
    assert again.score == 0.9
    assert again.frame.source is None


def test_a_large_face_is_shrunk_with_its_points():
    again = unpack_crop(pack_crop(_face(8.0), KEY), KEY)
    assert max(again.box.width_px, again.box.height_px) == pytest.approx(320, abs=1)
    first = unpack_crop(pack_crop(_face(), KEY), KEY)
    assert (again.points + 0.5) / 4 - 0.5 == pytest.approx(first.points, abs=0.6)


def test_a_face_at_the_edge_keeps_what_is_inside():
    picture = Frame(np.full((60, 60, 3), 7, np.uint8))
    again = unpack_crop(pack_crop(Face(Box(-20, 30, 30, 90), 0.5, None, picture), KEY), KEY)
    assert again.frame.image.shape == (60, 60, 3)
    assert again.box == Box(-20, 30, 30, 90)
    assert again.landmarks is None


def test_a_face_outside_is_refused():
    picture = Frame(np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(GalleryError, match="outside its picture"):
        pack_crop(Face(Box(100, 100, 110, 110), 0.5, None, picture), KEY)


def test_the_picture_cannot_be_read_without_the_key():
    sealed = pack_crop(_face(), KEY)
    assert b"PNG" not in sealed
    assert b"box" not in sealed
    with pytest.raises(GalleryError, match="another key"):
        unpack_crop(sealed, bytes(32))


def test_two_crops_of_one_face_differ():
    assert pack_crop(_face(), KEY) != pack_crop(_face(), KEY)


@pytest.mark.parametrize("at", [0, 5, 20, -1])
def test_a_changed_byte_is_noticed(at):
    sealed = bytearray(pack_crop(_face(landmarks=False), KEY))
    sealed[at] ^= 1
    with pytest.raises(GalleryError, match=r"changed|must be one that vultus encrypted"):
        unpack_crop(bytes(sealed), KEY)


@pytest.mark.parametrize("data", [b"", b"VCR1", b"VCR1" + bytes(20)])
def test_cut_short(data):
    with pytest.raises(GalleryError):
        unpack_crop(data, KEY)


class TestKeys:
    def test_new_keys_are_32_random_bytes(self):
        assert len(parse_key(new_key())) == 32
        assert new_key() != new_key()

    @pytest.mark.parametrize("text", ["", "short", base64.b64encode(bytes(31)).decode(), "ä" * 44])
    def test_no_key_and_the_message_keeps_it_to_itself(self, text):
        with pytest.raises(InputError) as caught:
            parse_key(text)
        assert text == "" or text not in str(caught.value)

    def test_from_the_environment(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv(KEY_VARIABLE, raising=False)
        assert key_from_environment() is None
        monkeypatch.setenv(KEY_VARIABLE, base64.urlsafe_b64encode(KEY).decode())
        assert key_from_environment() == KEY
