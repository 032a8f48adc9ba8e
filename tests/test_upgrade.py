"""A gallery's faces embedded anew: all of them, resumable, and back again."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import GalleryError
from vultus.gallery import MemoryGallery, NewSample
from vultus.gallery.crops import pack_crop
from vultus.types import Box, Embedding, EmbeddingSpace, Face, Frame
from vultus.upgrade import embed_anew

pytest.importorskip("cryptography", reason="the extra 'crops' is not installed")

KEY = bytes(32)
OLD = EmbeddingSpace("old", "0" * 64, 4, "none")
NEW = EmbeddingSpace("new", "1" * 64, 3, "none")


class ByColour:
    """The mean colour of the box as a direction."""

    space = NEW

    def __init__(self, fail_after: int = 10**9) -> None:
        self.left = fail_after

    def embed(self, faces: list[Face]) -> list[Embedding]:
        self.left -= len(faces)
        if self.left < 0:
            raise KeyboardInterrupt
        return [_of(face) for face in faces]


def _of(face: Face) -> Embedding:
    x1, y1, x2, y2 = map(int, face.box.xyxy)
    colour = face.frame.image[y1:y2, x1:x2].mean(axis=(0, 1)) + 1.0
    return Embedding(colour / np.linalg.norm(colour), NEW)


def _face(seed: int) -> Face:
    colour = np.random.default_rng(seed).integers(0, 256, 3, np.uint8)
    picture = np.broadcast_to(colour, (40, 40, 3)).copy()
    return Face(Box(10, 10, 30, 30), 0.9, None, Frame(picture))


def _gallery(count: int, without: tuple[int, ...] = ()) -> MemoryGallery:
    gallery = MemoryGallery()
    vectors = np.eye(4, dtype=np.float32)
    gallery.add_many(
        NewSample(
            f"p{i}",
            Embedding(vectors[i % 4], OLD),
            crop=None if i in without else pack_crop(_face(i), KEY),
        )
        for i in range(count)
    )
    return gallery


def test_every_face_gets_its_embedding_and_the_switch_goes_both_ways():
    gallery, seen = _gallery(40), []
    report = embed_anew(gallery, ByColour(), KEY, seen.append)
    assert (report.embedded, report.complete, report.space) == (40, True, NEW)
    assert seen == [32, 40]
    assert gallery.space == OLD  # nothing is switched by itself
    gallery.activate(NEW)
    assert gallery.search(_of(_face(7)))[0].person == "p7"
    gallery.activate(OLD)
    assert gallery.search(Embedding(np.eye(4)[1], OLD), 1)[0].person == "p1"


def test_faces_without_a_crop_are_named_and_stand_in_the_way():
    gallery = _gallery(5, without=(1, 3))
    report = embed_anew(gallery, ByColour(), KEY)
    assert (report.embedded, report.without_crop, report.complete) == (3, (2, 4), False)
    with pytest.raises(GalleryError):
        gallery.activate(NEW)
    gallery.activate(NEW, allow_missing=True)
    assert len(gallery.search(_of(_face(0)), 10)) == 3


def test_an_interrupted_run_goes_on_where_it_stopped():
    gallery = _gallery(70)
    with pytest.raises(KeyboardInterrupt):
        embed_anew(gallery, ByColour(fail_after=40), KEY)
    assert {info.space: info.samples for info in gallery.spaces()} == {OLD: 70, NEW: 32}
    assert embed_anew(gallery, ByColour(), KEY).embedded == 38
    assert embed_anew(gallery, ByColour(), KEY).embedded == 0


def test_people_erased_meanwhile_are_passed_over():
    gallery = _gallery(6)

    class Eraser(ByColour):
        def embed(self, faces: list[Face]) -> list[Embedding]:
            if "p2" in gallery:
                gallery.remove("p2")
            return super().embed(faces)

    report = embed_anew(gallery, Eraser(), KEY)
    assert (report.embedded, report.complete) == (5, True)


def test_another_key_changes_nothing():
    gallery = _gallery(3)
    with pytest.raises(GalleryError, match="another key"):
        embed_anew(gallery, ByColour(), bytes([1] * 32))
    assert gallery.space == OLD
