from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vultus import MemoryGallery, open_gallery


@pytest.fixture
def photos(samples: Path) -> Path:
    return samples / "photos"


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    return tmp_path / "family.vultus"


def _people(path: Path) -> list[tuple[str, int]]:
    with open_gallery(path, create=False) as opened:
        return [(person.name, person.samples) for person in opened.people()]


def _rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_for_people(vultus, gallery: Path, photos: Path):
    ended = vultus("enroll", gallery, "Obama", photos / "obama2.jpg", photos / "obama3.jpg")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"Obama: 2 of 2 pictures enrolled, 2 in the gallery {gallery}\n"
    ended = vultus("enroll", gallery, "Eileen", photos / "astronaut.png")
    assert ended.out == f"Eileen: 1 of 1 pictures enrolled, 1 in the gallery {gallery}\n"
    assert _people(gallery) == [("Eileen", 1), ("Obama", 2)]


def test_json(vultus, gallery: Path, photos: Path):
    ended = vultus("enroll", gallery, "Someone", photos, "--json")
    assert (ended.code, ended.err) == (3, "")
    rows = _rows(ended.out)
    assert all(list(row) == ["image", "name", "sample", "error"] for row in rows)
    assert {row["name"] for row in rows} == {"Someone"}
    said = [
        (Path(row["image"]).name, row["sample"], row["error"] and row["error"]["code"])
        for row in rows
    ]
    assert said == [
        ("astronaut.png", 1, None),
        ("obama2.jpg", 2, None),
        ("obama3.jpg", 3, None),
        ("rocket.jpg", None, "no-face"),
        ("wall.jpg", None, "several-faces"),
    ]
    assert _people(gallery) == [("Someone", 3)]


def test_the_same_picture_again(vultus, gallery: Path, photos: Path, tmp_path: Path):
    shutil.copy(photos / "obama2.jpg", tmp_path / "copy.jpg")
    vultus("enroll", gallery, "Obama", photos / "obama2.jpg")
    ended = vultus("enroll", gallery, "Obama", tmp_path / "copy.jpg")
    assert ended.code == 4
    assert ended.err.startswith("error sample-duplicate: 'Obama' already holds a sample")
    assert "0 of 1 pictures enrolled, 1 in the gallery" in ended.out
    ended = vultus("enroll", gallery, "Obama", tmp_path / "copy.jpg", "--allow-duplicates")
    assert ended.code == 0
    assert "1 of 1 pictures enrolled, 2 in the gallery" in ended.out


def test_several_faces(vultus, gallery: Path, photos: Path):
    wall = photos / "wall.jpg"
    ended = vultus("enroll", gallery, "Obama", wall)
    assert ended.code == 4
    assert ended.err.startswith(f"error several-faces: {wall} must show one face, 3 were found")
    assert vultus("enroll", gallery, "Obama", wall, "--largest").code == 0
    ended = vultus("verify", gallery, "Obama", photos / "obama2.jpg", "--json")
    assert json.loads(ended.out)["same"] is True


def test_names_are_shown_as_they_are(vultus, gallery: Path, photos: Path):
    ended = vultus("enroll", gallery, "[bold]Ann[/bold] :smile:", photos / "astronaut.png")
    assert ended.out.startswith("[bold]Ann[/bold] :smile:: 1 of 1 pictures enrolled, 1 in")


def test_decomposed_names_count_as_composed(vultus, gallery: Path, photos: Path):
    ended = vultus("enroll", gallery, " Rene\u0301 ", photos / "astronaut.png")
    assert "1 in the gallery" in ended.out
    assert _people(gallery) == [("Ren\u00e9", 1)]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 300])
def test_a_name_nobody_can_have(vultus, gallery: Path, photos: Path, name):
    ended = vultus("enroll", gallery, name, photos / "astronaut.png", "--json")
    assert ended.code == 4
    (row,) = _rows(ended.out)
    assert row["error"]["code"] == "value-range"
    assert _people(gallery) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("family.jpg", "a new gallery's file must end in"),
        ("no/such/folder/g.db", "has no folder to lie in"),
        (".", "is a folder"),
    ],
)
def test_a_place_for_no_gallery(vultus, tmp_path: Path, photos: Path, name, message):
    ended = vultus("enroll", tmp_path / name, "A", photos / "astronaut.png", "--json")
    assert ended.code == 4
    error = json.loads(ended.out)["error"]
    assert error["code"] == "gallery-file"
    assert message in error["message"]


def test_a_file_that_is_no_gallery(vultus, gallery: Path, photos: Path):
    shutil.copy(photos / "rocket.jpg", gallery)
    before = gallery.read_bytes()
    ended = vultus("enroll", gallery, "A", photos / "astronaut.png")
    assert ended.code == 4
    assert ended.err.startswith("error gallery-file: ")
    assert gallery.read_bytes() == before


def test_missing_pictures_make_no_gallery(vultus, gallery: Path, photos: Path, tmp_path: Path):
    ended = vultus("enroll", gallery, "A", photos / "astronaut.png", tmp_path / "gone.jpg")
    assert ended.code == 4
    assert ended.err.startswith("error image-not-found: ")
    assert not gallery.exists()


def test_a_missing_model_makes_no_gallery(vultus, gallery: Path, photos: Path):
    ended = vultus("enroll", gallery, "A", photos, "--embedder", "sface")
    assert ended.code == 4
    assert ended.err.startswith("error model-missing: sface needs ")
    assert ended.err.count("error ") == 1
    assert not gallery.exists()


def test_a_gallery_of_another_space(vultus, gallery: Path, photos: Path):
    vultus("enroll", gallery, "A", photos / "astronaut.png")
    ended = vultus("enroll", gallery, "A", photos, "--no-mirror")
    assert ended.code == 4
    assert ended.err.count("error space-mismatch: ") == 1
    assert _people(gallery) == [("A", 1)]


def test_nothing_is_kept_in_memory_only(vultus, photos: Path, monkeypatch, tmp_path: Path):
    """`:memory:` is for the library; on the command line it would be gone at once."""
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_gallery(":memory:"), MemoryGallery)
    ended = vultus("enroll", ":memory:", "A", photos / "astronaut.png")
    assert ended.code == 4
    assert ended.err.startswith("error gallery-file: ")


def test_groups(vultus, gallery: Path, photos: Path):
    one, two, three = photos / "obama2.jpg", photos / "obama3.jpg", photos / "astronaut.png"
    assert vultus("enroll", gallery, "Obama", one, "--group", "press").code == 0
    assert vultus("enroll", gallery, "Obama", two, "--only-in", "late").code == 0
    assert vultus("enroll", gallery, "Eileen", three).code == 0
    with open_gallery(gallery, create=False) as opened:
        assert [(p.id, p.groups) for p in opened.people()] == [
            ("Eileen", ()),
            ("Obama", ("late", "press")),
        ]
        assert [(s.number, s.group) for s in opened.samples()] == [
            (1, None), (2, "late"), (3, None),
        ]  # fmt: skip


def test_nobody_joins_a_group_without_a_face(vultus, gallery: Path, photos: Path):
    ended = vultus("enroll", gallery, "Obama", photos / "rocket.jpg", "--group", "press")
    assert ended.code == 4
    with open_gallery(gallery, create=False) as opened:
        assert (opened.people(), opened.groups()) == ([], [])


def test_the_gate(vultus, gallery: Path, photos: Path):
    ended = vultus("enroll", gallery, "A", photos / "astronaut.png", "--gate", "high", "--json")
    assert ended.code == 4
    (row,) = _rows(ended.out)
    assert (row["sample"], row["error"]["code"]) == (None, "face-refused")
    assert vultus("enroll", gallery, "A", photos / "astronaut.png", "--gate", "low").code == 0
    with open_gallery(gallery, create=False) as opened:
        (sample,) = opened.samples()
    assert sample.quality is not None
    assert 0.0 <= sample.quality["score"] <= 1.0


def test_crops(vultus, gallery: Path, photos: Path, monkeypatch):
    pytest.importorskip("cryptography", reason="install cryptography: pip install 'vultus[crops]'")
    from vultus.gallery.crops import KEY_VARIABLE, new_key, parse_key, unpack_crop

    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    photo = photos / "astronaut.png"
    ended = vultus("enroll", gallery, "A", photo, "--keep-crop")
    assert ended.code == 4
    assert ended.err.startswith("error input: kept crops are encrypted; VULTUS_GALLERY_KEY must")
    assert not gallery.exists()
    monkeypatch.setenv(KEY_VARIABLE, key := new_key())
    assert vultus("enroll", gallery, "A", photo, "--keep-crop").code == 0
    with open_gallery(gallery, create=False) as opened:
        sealed = opened.crop(1)
    assert sealed is not None
    assert unpack_crop(sealed, parse_key(key)).landmarks is not None
    ended = vultus("enroll", gallery, "B", photo)
    with open_gallery(gallery, create=False) as opened:
        assert [sample.has_crop for sample in opened.samples()] == [True, False]


def test_another_detector(vultus, gallery: Path, photos: Path):
    photo = photos / "obama2.jpg"
    assert vultus("enroll", gallery, "A", photo, "--detector", "blazeface-back").code == 0
    ended = vultus("enroll", gallery, "B", photo, "--detector", "nope", "--json")
    assert (ended.code, json.loads(ended.out)["error"]["code"]) == (4, "model-unknown")
    assert _people(gallery) == [("A", 1)]
