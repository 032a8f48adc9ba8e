"""Who looks like whom: the ranking, what is left out, the choice of models, the picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.errors import EmptyGalleryError, ImageNotFoundError, NoFaceError, RangeError
from vultus.lookalike import (
    DETECTORS,
    EMBEDDERS,
    best_detector,
    best_embedder,
    draw_lookalikes,
    find_lookalikes,
)
from vultus.models import Registry, Store
from vultus.pipeline import load


@pytest.fixture
def folder(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VULTUS_CACHE", str(tmp_path / "cache"))
    known = tmp_path / "known"
    (known / "Ann").mkdir(parents=True)
    shutil.copy(samples / "known" / "Joe Biden.jpg", known / "Ann" / "a.jpg")
    shutil.copy(samples / "photos" / "obama2.jpg", known / "Ann" / "b.jpg")
    shutil.copy(samples / "known" / "Joe Biden.jpg", known / "Bob.jpg")
    return known


def test_each_person_counts_by_the_picture_most_alike(folder: Path, samples: Path) -> None:
    photo = samples / "known" / "Barack Obama.jpg"
    found = find_lookalikes(photo, folder)
    assert [(m.name, m.path.name, m.pictures) for m in found.matches] == [
        ("Ann", "b.jpg", 2),
        ("Bob", "Bob.jpg", 1),
    ]
    assert (found.people, found.pictures, found.left_out, found.faces) == (2, 3, (), 1)
    v = load(mirror=False)
    faces = [v.detect(p, largest=True)[0] for p in (photo, folder / "Ann" / "b.jpg")]
    first, second = v.embed(faces)
    assert found.matches[0].similarity == pytest.approx(first.similarity(second), abs=1e-5)
    assert found.space == first.space
    assert found.matches[0].same is True
    assert found.matches[1].same is False
    assert found.matches[0].fmr is not None
    assert found.matches[0].fmr.value < 1e-4 < found.matches[1].fmr.value  # type: ignore[union-attr]
    assert len(find_lookalikes(photo, folder, top=1).matches) == 1


def test_flip_is_the_mirror_mean(folder: Path, samples: Path) -> None:
    photo = samples / "known" / "Barack Obama.jpg"
    found = find_lookalikes(photo, folder, flip=True)
    v = load()
    faces = [v.detect(p, largest=True)[0] for p in (photo, folder / "Ann" / "b.jpg")]
    first, second = v.embed(faces)
    assert found.matches[0].similarity == pytest.approx(first.similarity(second), abs=1e-5)
    assert found.space.preprocessing.endswith("+mirror")


def test_the_photo_itself_is_left_out(folder: Path) -> None:
    found = find_lookalikes(folder / "Ann" / "b.jpg", folder)
    (left,) = found.left_out
    assert (left.path, left.code) == (folder / "Ann" / "b.jpg", "same-picture")
    assert [(m.path.name, m.pictures) for m in found.matches] == [("a.jpg", 1), ("Bob.jpg", 1)]
    assert found.matches[0].similarity == found.matches[1].similarity  # equal ones by name


def test_pictures_that_cannot_be_compared(folder: Path, samples: Path) -> None:
    Image.new("RGB", (90, 90)).save(folder / "black.png")
    (folder / "damaged.jpg").write_bytes(b"no picture")
    found = find_lookalikes(samples / "known" / "Barack Obama.jpg", folder)
    assert [(left.path.name, left.code) for left in found.left_out] == [
        ("black.png", "no-face"),
        ("damaged.jpg", "image-format"),
    ]
    assert found.people == 2


def test_the_folder_is_embedded_once(folder: Path, samples: Path, tmp_path: Path) -> None:
    photo = samples / "known" / "Barack Obama.jpg"
    assert find_lookalikes(photo, folder).cached == 0
    shutil.copytree(folder, tmp_path / "moved")  # by content, not by name
    told: list[int] = []
    found = find_lookalikes(
        photo, tmp_path / "moved", progress=lambda state: told.append(state.done)
    )
    assert (found.cached, told) == (2, [])  # two of the three pictures are one
    assert find_lookalikes(photo, folder, use_cache=False).cached == 0


def test_failures(folder: Path, samples: Path, tmp_path: Path) -> None:
    photo = samples / "known" / "Barack Obama.jpg"
    with pytest.raises(RangeError, match="top must be at least 1, got 0"):
        find_lookalikes(photo, folder, top=0)
    with pytest.raises(NoFaceError, match=r"rocket\.jpg must show a face"):
        find_lookalikes(samples / "photos" / "rocket.jpg", folder)
    with pytest.raises(ImageNotFoundError):
        find_lookalikes(tmp_path / "gone.jpg", folder)
    faceless = tmp_path / "faceless"
    faceless.mkdir()
    with pytest.raises(EmptyGalleryError, match="holds no pictures of people"):
        find_lookalikes(photo, faceless)
    shutil.copy(samples / "photos" / "rocket.jpg", faceless)
    with pytest.raises(EmptyGalleryError, match="shows a face that could be compared"):
        find_lookalikes(photo, faceless)


def test_the_picture(folder: Path, samples: Path) -> None:
    shutil.move(folder / "Bob.jpg", folder / "Zoë Ø.jpg")
    found = find_lookalikes(samples / "known" / "Barack Obama.jpg", folder)
    picture = draw_lookalikes(found, thumb_px=100)
    assert picture.dtype == np.uint8
    height, width = picture.shape[:2]
    assert width == 6 + 3 * 106
    assert 100 < height < 220
    same = draw_lookalikes(found, thumb_px=100)
    assert (picture == same).all()
    face, paper = picture[6:106, 6:106], picture[:, :4]
    assert face.std() > 20
    assert (paper == 255).all()
    with pytest.raises(RangeError, match="thumb_px must be at least 32, got 8"):
        draw_lookalikes(found, thumb_px=8)


# -- which models -------------------------------------------------------------------------------


class _Held(Store):
    """A store that holds what it is told."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = {*names}

    def has(self, card) -> bool:
        return bool(card.composite) or card.name in self.names


def test_the_best_on_this_machine() -> None:
    registry = Registry()
    assert best_detector(registry, _Held()) == "mtcnn"
    assert best_embedder(registry, _Held()) == "dlib-resnet-v1"
    assert best_detector(registry, _Held("scrfd-500m", "scrfd-2.5g")) == "scrfd-2.5g"
    assert best_embedder(registry, _Held("mobilefacenet")) == "mobilefacenet"
    both = _Held("mobilefacenet", "dlib-resnet-v1")
    assert best_embedder(registry, both) == "dlib-mobilefacenet"
    assert best_embedder(registry, _Held("arcface-r50", "adaface-ir101")) == "adaface-ir101"


def test_every_candidate_has_a_card() -> None:
    registry = Registry()
    assert {registry.get(name).kind for name in DETECTORS} == {"detector"}
    assert {registry.get(name).kind for name in EMBEDDERS} == {"embedder"}
    families = {registry.get(name).detector.family for name in DETECTORS}  # type: ignore[union-attr]
    assert families == {"scrfd", "retinaface"}


def test_with_scrfd_and_mobilefacenet(
    folder: Path, samples: Path, shared_models: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "home"))
    for name in ("scrfd_500m_bnkps.onnx", "mobilefacenet_foamliu.onnx"):
        Store().add(shared_models / name)
    found = find_lookalikes(samples / "known" / "Barack Obama.jpg", folder)
    assert (found.detector, found.space.model) == ("scrfd-500m", "dlib-mobilefacenet")
    assert [m.name for m in found.matches] == ["Ann", "Bob"]
    assert found.matches[0].similarity > 0.8 > found.matches[1].similarity
