from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus import load_image


@pytest.fixture
def photos(samples: Path) -> Path:
    return samples / "photos"


@pytest.fixture
def rocket(photos: Path) -> Path:
    return photos / "rocket.jpg"


@pytest.fixture
def mixed(photos: Path, tmp_path: Path) -> Path:
    """Good and bad pictures in one folder."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(photos / "astronaut.png", folder / "a.png")
    (folder / "b-empty.jpg").write_bytes(b"")
    (folder / "c-text.jpg").write_text("hello\n")
    (folder / "d-cut.jpg").write_bytes((photos / "obama2.jpg").read_bytes()[:9000])
    shutil.copy(photos / "rocket.jpg", folder / "e.jpg")
    (folder / "notes.txt").write_text("no picture, and not named like one")
    return folder


def _rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


class TestJson:
    def test_one_object_per_picture(self, vultus, photos: Path):
        ended = vultus("detect", photos / "astronaut.png", photos / "rocket.jpg", "--json")
        assert (ended.code, ended.err) == (0, "")
        astronaut, rocket = _rows(ended.out)
        assert list(astronaut) == ["image", "width", "height", "faces", "error"]
        assert astronaut["image"] == str(photos / "astronaut.png")
        assert (astronaut["width"], astronaut["height"]) == (512, 512)
        assert astronaut["error"] is None
        (face,) = astronaut["faces"]
        assert list(face) == ["box", "score", "landmarks"]
        np.testing.assert_allclose(face["box"], [180.3, 60.7, 268.4, 172.2], atol=1)
        assert 0.99 < face["score"] <= 1.0
        assert np.array(face["landmarks"]).shape == (5, 2)
        assert rocket == {
            "image": str(photos / "rocket.jpg"),
            "width": 640,
            "height": 427,
            "faces": [],
            "error": None,
        }

    def test_numbers_are_those_of_the_library(self, vultus, recognizer, photos: Path):
        (row,) = _rows(vultus("detect", photos / "wall.jpg", "--json").out)
        faces = recognizer.detect(photos / "wall.jpg")
        for said, face in zip(row["faces"], faces, strict=True):
            np.testing.assert_allclose(said["box"], face.box.xyxy, atol=0.0051)
            np.testing.assert_allclose(said["landmarks"], face.landmarks.points, atol=0.0051)

    def test_a_folder_with_bad_pictures(self, vultus, mixed: Path):
        ended = vultus("detect", mixed, "--json")
        assert ended.code == 3
        assert ended.err == ""
        rows = _rows(ended.out)
        found = [(Path(row["image"]).name, len(row["faces"]), row["error"]) for row in rows]
        codes = [(name, count, error and error["code"]) for name, count, error in found]
        assert codes == [
            ("a.png", 1, None),
            ("b-empty.jpg", 0, "image-empty"),
            ("c-text.jpg", 0, "image-format"),
            ("d-cut.jpg", 0, "image-damaged"),
            ("e.jpg", 0, None),
        ]
        for row in rows[1:4]:
            assert row["width"] is None
            assert row["height"] is None
            assert set(row["error"]) == {"code", "message"}
            assert row["image"] in row["error"]["message"]

    @pytest.mark.parametrize("jobs", ["2", "8"])
    def test_jobs_keep_the_order(self, vultus, photos: Path, mixed: Path, jobs):
        one = vultus("detect", mixed, photos, "--json", "--jobs", "1")
        many = vultus("detect", mixed, photos, "--json", "--jobs", jobs)
        assert many.out == one.out
        assert len(_rows(many.out)) == 10

    @pytest.mark.parametrize(
        ("make", "code"),
        [
            (lambda folder: folder / "missing.jpg", "image-not-found"),
            (lambda folder: folder / "*.tif", "image-not-found"),
            (lambda folder: _written(folder / "zero.jpg", b""), "image-empty"),
            (lambda folder: _written(folder / "text.png", b"hello"), "image-format"),
        ],
        ids=["missing", "pattern", "zero", "text"],
    )
    def test_the_only_picture_fails(self, vultus, tmp_path: Path, make, code):
        path = make(tmp_path)
        ended = vultus("detect", path, "--json")
        assert ended.code == 4
        (row,) = _rows(ended.out)
        assert row["error"]["code"] == code
        assert row["faces"] == []

    def test_an_argument_that_names_nothing_does_not_stop_the_others(
        self, vultus, photos: Path, tmp_path: Path
    ):
        ended = vultus(
            "detect", photos / "astronaut.png", tmp_path / "gone", photos / "wall.jpg", "--json"
        )
        assert ended.code == 3
        rows = _rows(ended.out)
        assert [len(row["faces"]) for row in rows] == [1, 0, 3]
        assert rows[1]["image"] == str(tmp_path / "gone")
        assert rows[1]["error"]["code"] == "image-not-found"

    def test_an_empty_folder(self, vultus, tmp_path: Path):
        assert vultus("detect", tmp_path, "--json") == (0, "", "")

    def test_largest(self, vultus, photos: Path):
        (row,) = _rows(vultus("detect", photos / "wall.jpg", "--largest", "--json").out)
        ((x1, *_),) = [face["box"] for face in row["faces"]]
        assert x1 == pytest.approx(1171, abs=3)

    def test_min_face(self, vultus, photos: Path):
        for min_face, count in (("40", 3), ("600", 0)):
            ended = vultus("detect", photos / "wall.jpg", "--min-face", min_face, "--json")
            (row,) = _rows(ended.out)
            assert len(row["faces"]) == count

    def test_any_turn(self, vultus, photos: Path, tmp_path: Path):
        lying = tmp_path / "lying.png"
        Image.fromarray(np.rot90(load_image(photos / "astronaut.png")[:400], 1)).save(lying)
        (plain,) = _rows(vultus("detect", lying, "--json").out)
        (turned,) = _rows(vultus("detect", lying, "--json", "--any-turn").out)
        assert plain["faces"] == []
        (face,) = turned["faces"]
        assert face["landmarks"][0][1] > face["landmarks"][1][1] + 30

    def test_exif_is_applied(self, vultus, photos: Path, tmp_path: Path):
        picture = Image.open(photos / "astronaut.png").convert("RGB").rotate(90, expand=True)
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(tmp_path / "turned.png", exif=exif)
        picture.close()
        (row,) = _rows(vultus("detect", tmp_path / "turned.png", "--json").out)
        assert len(row["faces"]) == 1


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


class TestCsv:
    def test_rows(self, vultus, mixed: Path):
        ended = vultus("detect", mixed, "--csv")
        assert ended.code == 3
        rows = list(csv.DictReader(io.StringIO(ended.out)))
        assert list(rows[0]) == ["image", "x1", "y1", "x2", "y2", "score", "error"]
        assert [Path(row["image"]).name for row in rows] == [
            "a.png", "b-empty.jpg", "c-text.jpg", "d-cut.jpg",
        ]  # fmt: skip
        assert float(rows[0]["x1"]) == pytest.approx(180.3, abs=1)
        assert [row["error"] for row in rows] == [
            "", "image-empty", "image-format", "image-damaged",
        ]  # fmt: skip

    def test_names_are_quoted(self, vultus, rocket: Path, tmp_path: Path):
        odd = tmp_path / 'a, "b".jpg'
        odd.write_bytes(b"")
        ended = vultus("detect", odd, "--csv")
        (row,) = csv.DictReader(io.StringIO(ended.out))
        assert row["image"] == str(odd)


class TestForPeople:
    def test_one_picture(self, vultus, photos: Path):
        ended = vultus("detect", photos / "astronaut.png")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.splitlines() == [
            f"{photos / 'astronaut.png'}  1 face",
            "    88×111  at (180, 61)  score 1.000",
        ]

    def test_a_folder(self, vultus, mixed: Path):
        ended = vultus("detect", mixed)
        assert ended.code == 3
        assert ended.out.splitlines()[-1] == "5 pictures, 1 faces, 3 failed"
        assert f"{mixed / 'e.jpg'}  no faces" in ended.out
        errors = [line for line in ended.err.splitlines() if line.startswith("error ")]
        assert len(errors) == 3  # one line each, and a remedy
        assert errors[0] == f"error image-empty: {mixed / 'b-empty.jpg'} has no bytes"
        assert len(ended.err.splitlines()) == 6

    def test_an_empty_folder(self, vultus, tmp_path: Path):
        assert vultus("detect", tmp_path).out == "0 pictures, 0 faces, 0 failed\n"


@pytest.mark.skipif(os.name != "posix", reason="such names exist on POSIX systems only")
class TestOddNames:
    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("a b.jpg", "a b.jpg"),
            ("[bold]x.jpg", "[bold]x.jpg"),
            ("[red]x[bold].jpg", "[red]x[bold].jpg"),
            ("x\\[link=y].jpg", "x\\[link=y].jpg"),
            (":smile:.jpg", ":smile:.jpg"),
            ("red\x1b[31m.jpg", "red\ufffd[31m.jpg"),
            ("two\nlines.jpg", "two\ufffdlines.jpg"),
            ("left\u202eright.jpg", "left\ufffdright.jpg"),
            ("né.jpg", "né.jpg"),
            ("-x.jpg", "-x.jpg"),
        ],
        ids=ascii,
    )
    def test_for_people_and_programs(self, vultus, rocket: Path, tmp_path: Path, name, shown):
        path = tmp_path / "photos" / name
        path.parent.mkdir()
        shutil.copy(rocket, path)
        ended = vultus("detect", path)
        assert ended.out == f"{path.parent / shown}  no faces\n"
        (row,) = _rows(vultus("detect", path.parent, "--json").out)
        assert row["image"] == str(path)

    def test_in_errors(self, vultus, tmp_path: Path):
        path = tmp_path / "[bold]\x1b[31m.jpg"
        path.write_bytes(b"")
        ended = vultus("detect", path)
        assert ended.err.splitlines()[0] == (
            f"error image-empty: {tmp_path}/[bold]\ufffd[31m.jpg has no bytes"
        )

    def test_bytes_that_are_no_text(self, vultus, rocket: Path, tmp_path: Path):
        folder = tmp_path / "photos"
        folder.mkdir()
        try:
            shutil.copy(rocket, os.fsencode(folder) + b"/\xff\xfe.jpg")
        except OSError:
            pytest.skip("this file system takes no such name")
        (row,) = _rows(vultus("detect", folder, "--json").out)
        assert row["image"] == f"{folder}/\\udcff\\udcfe.jpg"
        assert row["error"] is None
        assert vultus("detect", folder).out == f"{folder}/\ufffd\ufffd.jpg  no faces\n"
        assert vultus("detect", folder, "--csv").code == 0

    def test_a_leading_dash_after_two(self, vultus, rocket: Path, tmp_path: Path, monkeypatch):
        shutil.copy(rocket, tmp_path / "--json.jpg")
        monkeypatch.chdir(tmp_path)
        assert vultus("detect", "--", "--json.jpg").out == "--json.jpg  no faces\n"


class TestDraw:
    def test_pictures_are_written(self, vultus, mixed: Path, tmp_path: Path):
        drawn = tmp_path / "new" / "drawn"
        ended = vultus("detect", mixed, "--draw", drawn, "--json")
        assert ended.code == 3
        assert sorted(path.name for path in drawn.iterdir()) == ["a.jpg", "e.jpg"]
        before = load_image(mixed / "a.png").astype(int)
        after = load_image(drawn / "a.jpg").astype(int)
        assert after.shape == before.shape
        changed = np.abs(after - before).max(axis=2) > 90
        assert changed[40:200, 160:290].sum() > 100
        assert changed[300:].sum() < 50

    def test_equal_names_do_not_collide(self, vultus, rocket: Path, tmp_path: Path):
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            shutil.copy(rocket, tmp_path / folder / "a.jpg")
        vultus("detect", tmp_path / "one", tmp_path / "two", "--draw", tmp_path / "out")
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a-2.jpg", "a.jpg"]

    def test_the_photos_are_never_overwritten(self, vultus, mixed: Path):
        before = {path.name: path.read_bytes() for path in mixed.iterdir()}
        ended = vultus("detect", mixed, "--draw", mixed)
        assert ended.code == 4
        assert "error output-failed: " in ended.err
        assert "draw into another folder" in ended.err
        assert {path.name: path.read_bytes() for path in mixed.iterdir()} == before

    def test_a_folder_among_the_photos_is_left_out(self, vultus, mixed: Path):
        for _ in range(2):
            ended = vultus("detect", mixed, "--draw", mixed / "drawn", "--json")
            assert ended.code == 3
            assert len(_rows(ended.out)) == 5
        assert sorted(p.name for p in (mixed / "drawn").iterdir()) == ["a.jpg", "e.jpg"]

    def test_a_file_where_the_folder_should_be(self, vultus, rocket: Path, tmp_path: Path):
        file = _written(tmp_path / "file", b"keep me")
        ended = vultus("detect", rocket, "--draw", file)
        assert ended.code == 4
        assert "error output-failed: cannot make the folder" in ended.err
        assert file.read_bytes() == b"keep me"

    def test_a_write_that_fails_leaves_no_half_of_a_file(
        self, vultus, rocket: Path, tmp_path: Path, monkeypatch
    ):
        def full(self: Image.Image, file: io.BufferedWriter, **_: object) -> None:
            file.write(b"half a picture")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Image.Image, "save", full)
        ended = vultus("detect", rocket, "--draw", tmp_path / "out")
        assert ended.code == 4
        assert "cannot be written: No space left on device" in ended.err
        assert list((tmp_path / "out").iterdir()) == []


def test_drawing_never_replaces_a_file_that_is_not_its_own(vultus, samples: Path, tmp_path: Path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        shutil.copy(samples / "photos" / "obama2.jpg", folder / "x.jpg")
    original = (second / "x.jpg").read_bytes()
    ended = vultus("detect", first, second, "--draw", second, "--json")
    assert json.loads(ended.out)["error"]["code"] == "output-failed"
    assert ended.code == 4
    for _ in range(2):  # the second run replaces what the first drew
        assert vultus("detect", first, "--draw", second, "--json").code == 0
        assert sorted(path.name for path in second.iterdir()) == ["x-2.jpg", "x.jpg"]
        assert (second / "x.jpg").read_bytes() == original
