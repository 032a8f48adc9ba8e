from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus import load_image, open_gallery
from vultus.draw import MADE_BY


@pytest.fixture
def photos(samples: Path) -> Path:
    return samples / "photos"


@pytest.fixture
def known(samples: Path) -> Path:
    return samples / "known"


def _rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def _part(path: Path, box: list[float]) -> np.ndarray:
    left, top, right, bottom = (round(v) for v in box)
    return load_image(path)[top:bottom, left:right].astype(int)


class TestEveryFace:
    def test_a_picture(self, vultus, photos: Path, tmp_path: Path):
        ended = vultus("blur", photos / "astronaut.png", "--out", tmp_path / "out", "--json")
        assert (ended.code, ended.err) == (0, "")
        (row,) = _rows(ended.out)
        assert list(row) == ["image", "copy", "faces", "error"]
        copy = tmp_path / "out" / "astronaut.jpg"
        assert (row["copy"], row["error"]) == (str(copy), None)
        (face,) = row["faces"]
        assert list(face) == ["box", "score", "name", "hidden"]
        assert (face["name"], face["hidden"]) == (None, True)
        original = _part(photos / "astronaut.png", face["box"])
        hidden = _part(copy, face["box"])
        assert np.abs(np.diff(original, axis=1)).mean() > 4 * np.abs(np.diff(hidden, axis=1)).mean()
        before, after = load_image(photos / "astronaut.png"), load_image(copy)
        assert before.shape == after.shape
        assert np.abs(before[300:].astype(int) - after[300:]).mean() < 3  # JPEG, else untouched

    def test_a_folder_in_words(self, vultus, photos: Path, tmp_path: Path):
        ended = vultus("blur", photos, "-o", tmp_path / "out")
        assert ended.code == 0
        lines = ended.out.splitlines()
        assert lines[0].endswith("astronaut.png  1 face hidden")
        assert lines[3].endswith("rocket.jpg  no faces hidden")
        assert lines[4].endswith("wall.jpg  3 faces hidden")
        assert lines[5].startswith("5 pictures: 6 faces hidden, 0 failed.")
        assert len(list((tmp_path / "out").iterdir())) == 5  # those without faces too

    @pytest.mark.parametrize(("style", "most"), [("mask", 0), ("pixelate", 60)])
    def test_styles(self, vultus, photos: Path, tmp_path: Path, style: str, most: int):
        out = tmp_path / "out"
        ended = vultus("blur", photos / "astronaut.png", "--out", out, "--style", style, "--json")
        (row,) = _rows(ended.out)
        part = _part(out / "astronaut.jpg", row["faces"][0]["box"])
        sudden = (np.abs(np.diff(part, axis=1)).max(axis=(0, 2)) > 12).sum()
        assert sudden <= most
        assert (style == "mask") == (sudden == 0)

    def test_nothing_of_the_file_but_the_pixels_goes_along(
        self, vultus, photos: Path, tmp_path: Path
    ):
        picture = Image.open(photos / "astronaut.png").convert("RGB")
        exif = picture.getexif()
        exif[0x010E] = "taken at home"
        picture.save(tmp_path / "a.jpg", exif=exif)
        vultus("blur", tmp_path / "a.jpg", "--out", tmp_path / "out")
        written = (tmp_path / "out" / "a.jpg").read_bytes()
        assert b"taken at home" not in written
        assert MADE_BY in written

    def test_smaller_faces_are_looked_for_than_elsewhere(
        self, vultus, photos: Path, tmp_path: Path
    ):
        picture = Image.open(photos / "astronaut.png").convert("RGB")
        picture.resize((116, 116), Image.Resampling.LANCZOS).save(tmp_path / "small.png")
        arguments = ("--out", tmp_path / "out", "--json")
        (row,) = _rows(vultus("blur", tmp_path / "small.png", *arguments).out)
        assert len(row["faces"]) == 1
        (row,) = _rows(vultus("detect", tmp_path / "small.png", "--json").out)
        assert row["faces"] == []


class TestKeep:
    def test_known_people_stay(self, vultus, photos: Path, known: Path, tmp_path: Path):
        out = tmp_path / "out"
        ended = vultus("blur", photos / "wall.jpg", "--out", out, "--keep", known, "--json")
        assert ended.code == 0
        faces = {face["name"]: face for face in _rows(ended.out)[0]["faces"]}
        assert {name: face["hidden"] for name, face in faces.items()} == {
            "Barack Obama": False,
            "Joe Biden": False,
            None: True,
        }
        for name, face in faces.items():
            before = _part(photos / "wall.jpg", face["box"])
            change = np.abs(before - _part(out / "wall.jpg", face["box"])).mean()
            assert (change > 8) == (name is None)

    def test_of_these_only_some(self, vultus, photos: Path, known: Path, tmp_path: Path):
        out = tmp_path / "out"
        options = ("--out", out, "--keep", known, "--only", "Joe Biden")
        ended = vultus("blur", photos / "wall.jpg", *options, "--json")
        hidden = {face["name"]: face["hidden"] for face in _rows(ended.out)[0]["faces"]}
        assert hidden == {"Barack Obama": True, "Joe Biden": False, None: True}
        ended = vultus("blur", photos / "wall.jpg", *options)
        assert ended.out.splitlines()[0].endswith("wall.jpg  2 faces hidden, kept Joe Biden")
        assert "2 faces hidden, 1 kept, 0 failed" in ended.out

    def test_a_gallery(self, vultus, recognizer, photos: Path, known: Path, tmp_path: Path):
        with open_gallery(tmp_path / "people.vultus") as gallery:
            recognizer.enroll(gallery, "Ann", known / "Joe Biden.jpg", largest=True)
        options = ("--out", tmp_path / "out", "--keep", tmp_path / "people.vultus", "--only", "Ann")
        (row,) = _rows(vultus("blur", photos / "wall.jpg", *options, "--json").out)
        assert sorted(face["hidden"] for face in row["faces"]) == [False, True, True]

    def test_a_name_nobody_has(self, vultus, photos: Path, known: Path, tmp_path: Path):
        options = ("--out", tmp_path / "out", "--keep", known, "--only", "Joe Bidden")
        ended = vultus("blur", photos / "wall.jpg", *options)
        assert ended.code == 4
        assert "person-unknown" in ended.err
        assert "Joe Biden" in ended.err
        assert not list((tmp_path / "out").iterdir())

    def test_only_without_keep(self, vultus, photos: Path, tmp_path: Path):
        ended = vultus("blur", photos, "--out", tmp_path / "out", "--only", "Ann")
        assert ended.code == 2
        assert "--only names people of --keep" in ended.err


class TestBadPictures:
    def test_one_of_them(self, vultus, photos: Path, tmp_path: Path):
        folder = tmp_path / "in"
        folder.mkdir()
        shutil.copy(photos / "astronaut.png", folder)
        (folder / "b.jpg").write_bytes(b"")
        ended = vultus("blur", folder, "--out", tmp_path / "out", "--json")
        assert ended.code == 3
        good, bad = _rows(ended.out)
        assert good["error"] is None
        assert (bad["copy"], bad["faces"], bad["error"]["code"]) == (None, [], "image-empty")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["astronaut.jpg"]

    def test_the_originals_are_never_written_over(self, vultus, photos: Path, tmp_path: Path):
        shutil.copy(photos / "obama2.jpg", tmp_path / "x.jpg")
        before = (tmp_path / "x.jpg").read_bytes()
        assert vultus("blur", tmp_path, "--out", tmp_path).code == 4
        ended = vultus("blur", tmp_path / "x.jpg", "--out", tmp_path, "--json")
        assert ended.code == 4
        (row,) = _rows(ended.out)
        assert (row["copy"], row["error"]["code"]) == (None, "output-failed")
        assert (tmp_path / "x.jpg").read_bytes() == before

    def test_an_unknown_style(self, vultus, photos: Path, tmp_path: Path):
        assert vultus("blur", photos, "--out", tmp_path / "o", "--style", "fog").code == 2
