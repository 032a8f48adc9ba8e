from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from vultus import load_image, open_gallery
from vultus.samples import EXPECTED


@pytest.fixture
def photos(samples: Path) -> Path:
    return samples / "photos"


@pytest.fixture
def known(samples: Path) -> Path:
    return samples / "known"


def _rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


class TestJson:
    def test_the_sample_photos(self, vultus, recognizer, known: Path, photos: Path):
        ended = vultus("identify", known, photos, "--json")
        assert (ended.code, ended.err) == (0, "")
        rows = _rows(ended.out)
        assert [Path(row["image"]).name for row in rows] == sorted(EXPECTED)
        for row in rows:
            assert list(row) == ["image", "width", "height", "faces", "error"]
            assert row["error"] is None
            faces = sorted(row["faces"], key=lambda face: face["box"][0])
            names = tuple(face["name"] for face in faces)
            assert names == EXPECTED[Path(row["image"]).name]
            for face in faces:
                assert list(face) == [
                    "box", "score", "landmarks", "name", "similarity", "threshold", "fmr", "margin",
                    "gate", "nearest",
                ]  # fmt: skip
                assert face["gate"] is None  # none was asked
                assert len(face["box"]) == 4
                assert len(face["landmarks"]) == 5
                assert face["threshold"] == recognizer.threshold.value
                assert face["similarity"] == face["nearest"][0]["similarity"]
                assert (face["similarity"] >= face["threshold"]) == (face["name"] is not None)
                assert {one["name"] for one in face["nearest"]} == {"Barack Obama", "Joe Biden"}

    def test_jobs_do_not_matter(self, vultus, known: Path, photos: Path):
        outs = [
            [(row["image"], [f["name"] for f in row["faces"]]) for row in _rows(ended.out)]
            for ended in (
                vultus("identify", known, photos, "--json", "--jobs", jobs) for jobs in "124"
            )
        ]
        assert outs[0] == outs[1] == outs[2]

    def test_a_gallery_gives_what_its_folder_gives(
        self, vultus, known: Path, photos: Path, tmp_path: Path
    ):
        gallery = tmp_path / "g.vultus"
        for picture in sorted(known.iterdir()):
            assert vultus("enroll", gallery, picture.stem, picture).code == 0
        one = _rows(vultus("identify", known, photos, "--json", "--jobs", "1").out)
        other = _rows(vultus("identify", gallery, photos, "--json", "--jobs", "1").out)
        for a, b in zip(one, other, strict=True):
            assert [f["name"] for f in a["faces"]] == [f["name"] for f in b["faces"]]
            for face, same in zip(a["faces"], b["faces"], strict=True):
                assert face["similarity"] == pytest.approx(same["similarity"], abs=1e-4)

    def test_a_folder_per_person(self, vultus, known: Path, photos: Path, tmp_path: Path):
        for number, person in enumerate(["Ann Alias", "Bob"]):
            (tmp_path / "tree" / person / "deep").mkdir(parents=True)
            source = sorted(known.iterdir())[number]
            shutil.copy(source, tmp_path / "tree" / person / "deep" / "x.jpg")
        ended = vultus("identify", tmp_path / "tree", photos / "wall.jpg", "--json")
        (row,) = _rows(ended.out)
        names = sorted(face["name"] or "" for face in row["faces"])
        assert names == ["", "Ann Alias", "Bob"]

    def test_a_bad_photo_among_good_ones(self, vultus, known: Path, photos: Path, tmp_path: Path):
        (tmp_path / "bad.jpg").write_bytes(b"hello")
        ended = vultus(
            "identify", known, tmp_path, photos / "obama2.jpg", tmp_path / "gone", "--json"
        )
        assert ended.code == 3
        bad, good, gone = _rows(ended.out)
        assert bad["error"]["code"] == "image-format"
        assert bad["faces"] == []
        assert good["faces"][0]["name"] == "Barack Obama"
        assert gone["error"]["code"] == "image-not-found"

    def test_every_photo_is_bad(self, vultus, known: Path, tmp_path: Path):
        (tmp_path / "bad.jpg").write_bytes(b"hello")
        assert vultus("identify", known, tmp_path, "--json").code == 4

    def test_threshold(self, vultus, known: Path, photos: Path):
        for number, name in (("0.5", "Joe Biden"), ("1", None)):
            ended = vultus(
                "identify", known, photos / "astronaut.png", "--threshold", number, "--json"
            )
            ((face,),) = [row["faces"] for row in _rows(ended.out)]
            assert (face["name"], face["threshold"]) == (name, float(number))


class TestCsv:
    def test_rows(self, vultus, known: Path, photos: Path, tmp_path: Path):
        (tmp_path / "bad.jpg").write_bytes(b"")
        ended = vultus("identify", known, photos, tmp_path / "bad.jpg", "--csv")
        assert ended.code == 3
        rows = list(csv.DictReader(io.StringIO(ended.out)))
        assert list(rows[0]) == ["image", "name", "similarity", "x1", "y1", "x2", "y2", "error"]
        said = [(Path(row["image"]).name, row["name"], row["error"]) for row in rows]
        assert said[:3] == [
            ("astronaut.png", "", ""),
            ("obama2.jpg", "Barack Obama", ""),
            ("obama3.jpg", "Barack Obama", ""),
        ]
        assert sorted(said[3:6]) == [
            ("wall.jpg", "", ""), ("wall.jpg", "Barack Obama", ""), ("wall.jpg", "Joe Biden", ""),
        ]  # fmt: skip
        assert said[6] == ("bad.jpg", "", "image-empty")
        assert 0.9 < float(rows[1]["similarity"]) < 1
        assert float(rows[1]["x1"]) < float(rows[1]["x2"])


class TestForPeople:
    def test_lines_and_summary(self, vultus, recognizer, known: Path, photos: Path):
        ended = vultus("identify", known, photos)
        assert (ended.code, ended.err) == (0, "")
        lines = ended.out.splitlines()
        assert lines[0] == f"{photos / 'astronaut.png'}  unknown"
        assert re.fullmatch(
            re.escape(f"{photos / 'obama2.jpg'}  ") + r"Barack Obama, 0\.9\d\d; a stranger scores "
            r"this high less than 1 time in [\d,]+",
            lines[1],
        )
        assert lines[3] == f"{photos / 'rocket.jpg'}  no face"
        assert lines[4] == str(photos / "wall.jpg")
        assert {line.strip().split(", 0.")[0] for line in lines[5:8]} == {
            "Joe Biden", "Barack Obama", "unknown",
        }  # fmt: skip
        threshold = recognizer.threshold
        assert lines[8] == (
            "5 pictures: Barack Obama in 3, Joe Biden in 1; 2 unknown faces, 0 failed. "
            f"Threshold {threshold.value:.4f}: {threshold.fmr:.2%} of pairs of strangers pass "
            f"({threshold.policy})."
        )

    def test_a_threshold_of_ones_own(self, vultus, known: Path, photos: Path):
        ended = vultus("identify", known, photos / "rocket.jpg", "--threshold", "0.5")
        assert ended.out.splitlines()[-1].endswith(
            "Threshold 0.5000: given by you, its error rates are unknown."
        )

    def test_a_person_twice_on_one_photo_counts_once(
        self, vultus, known: Path, photos: Path, tmp_path: Path
    ):
        from PIL import Image

        one = load_image(photos / "obama2.jpg")
        Image.fromarray(np.hstack([one, one])).save(tmp_path / "twice.png")
        ended = vultus("identify", known, tmp_path / "twice.png")
        assert ended.out.count("Barack Obama, 0.9") == 2
        assert "1 pictures: Barack Obama in 1; 0 unknown faces" in ended.out

    def test_nobody_known(self, vultus, known: Path, photos: Path):
        ended = vultus("identify", known, photos / "rocket.jpg")
        assert "1 pictures: nobody known; 0 unknown faces, 0 failed." in ended.out


class TestDraw:
    def test_pictures_are_written(self, vultus, known: Path, photos: Path, tmp_path: Path):
        drawn = tmp_path / "drawn"
        ended = vultus("identify", known, photos, "--draw", drawn)
        assert ended.code == 0
        names = sorted(path.name for path in drawn.iterdir())
        assert names == ["astronaut.jpg", "obama2.jpg", "obama3.jpg", "rocket.jpg", "wall.jpg"]
        before, after = load_image(photos / "wall.jpg"), load_image(drawn / "wall.jpg")
        assert after.shape == before.shape
        assert np.abs(after.astype(int) - before).max() > 100

    def test_not_over_the_photos(self, vultus, known: Path, photos: Path, tmp_path: Path):
        shutil.copy(photos / "obama2.jpg", tmp_path)
        before = (tmp_path / "obama2.jpg").read_bytes()
        ended = vultus("identify", known, tmp_path / "obama2.jpg", "--draw", tmp_path)
        assert ended.code == 4
        assert "error output-failed: " in ended.err
        assert (tmp_path / "obama2.jpg").read_bytes() == before


class TestKnownPeople:
    def test_what_cannot_be_used_is_told_and_left_out(
        self, vultus, known: Path, photos: Path, tmp_path: Path
    ):
        for picture in known.iterdir():
            shutil.copy(picture, tmp_path)
        (tmp_path / "Zero.jpg").write_bytes(b"")
        shutil.copy(photos / "rocket.jpg", tmp_path / "Rocket.jpg")
        shutil.copy(photos / "wall.jpg", tmp_path / "Wall.jpg")
        ended = vultus("identify", tmp_path, photos / "obama2.jpg", "--json")
        assert ended.code == 3  # the photo is done, two of the known are left out
        assert sorted(ended.err.splitlines()) == [
            f"warning: Rocket: {tmp_path}/Rocket.jpg shows no face [no-face]; "
            "this picture is left out",
            f"warning: Wall: {tmp_path}/Wall.jpg shows 3 faces; the largest is taken",
            f"warning: Zero: {tmp_path}/Zero.jpg has no bytes [image-empty]; "
            "this picture is left out",
        ]
        (row,) = _rows(ended.out)
        nearest = [one["name"] for one in row["faces"][0]["nearest"]]
        assert set(nearest) == {"Barack Obama", "Joe Biden", "Wall"}

    def test_the_same_picture_twice(self, vultus, known: Path, photos: Path, tmp_path: Path):
        (tmp_path / "Joe").mkdir()
        for name in ("a.jpg", "b.jpg"):
            shutil.copy(known / "Joe Biden.jpg", tmp_path / "Joe" / name)
        ended = vultus("identify", tmp_path, photos / "rocket.jpg")
        assert ended.code == 0
        assert ended.err == (
            f"warning: Joe: {tmp_path}/Joe/b.jpg is the same picture as another; it is left out\n"
        )

    @pytest.mark.skipif(os.name != "posix", reason="such names exist on POSIX systems only")
    def test_a_folder_s_name_that_no_person_can_have(
        self, vultus, known: Path, photos: Path, tmp_path: Path
    ):
        (tmp_path / "two\nlines").mkdir()
        shutil.copy(known / "Joe Biden.jpg", tmp_path / "two\nlines" / "a.jpg")
        shutil.copy(known / "Barack Obama.jpg", tmp_path)
        ended = vultus("identify", tmp_path, photos / "obama2.jpg", "--json")
        assert ended.code == 3
        (line,) = ended.err.splitlines()
        assert line.startswith("warning: two\ufffdlines: ")
        assert "[value-range]; this picture is left out" in line
        (row,) = _rows(ended.out)
        assert row["faces"][0]["name"] == "Barack Obama"

    def test_nobody_could_be_enrolled(self, vultus, photos: Path, tmp_path: Path):
        shutil.copy(photos / "rocket.jpg", tmp_path / "Rocket.jpg")
        ended = vultus("identify", tmp_path, photos, "--json")
        assert ended.code == 4
        error = json.loads(ended.out)["error"]
        assert error["code"] == "gallery-empty"
        assert error["message"].startswith(f"no picture in {tmp_path} could be enrolled; ")
        assert "warning: Rocket: " in ended.err

    @pytest.mark.parametrize(
        ("make", "code", "message"),
        [
            (lambda p: p / "gone", "gallery-file", "does not exist"),
            (lambda p: _folder(p / "empty"), "gallery-empty", "holds no pictures of people"),
            (lambda p: _file(p / "a.db", b"hello"), "gallery-file", "is no gallery"),
            (lambda p: _file(p / "b.db", b"hello" * 999), "gallery-file", "is no"),
            (lambda p: _gallery(p / "c.db"), "gallery-empty", "nobody is enrolled in"),
        ],
        ids=["missing", "empty-folder", "small-file", "file", "empty-gallery"],
    )
    def test_no_known_people(self, vultus, photos: Path, tmp_path: Path, make, code, message):
        path = make(tmp_path)
        before = sorted(tmp_path.iterdir())
        ended = vultus("identify", path, photos, "--json")
        assert ended.code == 4
        (line,) = ended.out.splitlines()
        error = json.loads(line)["error"]
        assert error["code"] == code
        assert message in error["message"]
        assert sorted(tmp_path.iterdir()) == before

    def test_a_photo_instead_of_a_gallery(self, vultus, photos: Path):
        ended = vultus("identify", photos / "wall.jpg", photos)
        assert ended.code == 4
        assert ended.err.startswith("error gallery-file: ")

    def test_another_space_is_told_once(self, vultus, photos: Path, tmp_path: Path):
        gallery = tmp_path / "g.db"
        vultus("enroll", gallery, "Obama", photos / "obama2.jpg")
        ended = vultus("identify", gallery, photos, "--no-mirror", "--threshold", "0.9")
        assert ended.code == 4
        assert ended.out == ""
        assert ended.err.count("error space-mismatch: ") == 1


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _gallery(path: Path) -> Path:
    open_gallery(path).close()
    return path


class TestGate:
    def test_a_refused_face_is_no_unknown_one(self, vultus, known: Path, photos: Path):
        photo = photos / "astronaut.png"
        ended = vultus("identify", known, photo, "--gate", "high", "--json")
        assert ended.code == 0
        ((face,),) = [row["faces"] for row in _rows(ended.out)]
        assert (face["name"], face["similarity"], face["threshold"], face["fmr"]) == (None,) * 4
        assert face["nearest"] == []
        assert (face["gate"]["policy"], face["gate"]["accepted"]) == ("high", False)
        for reason in face["gate"]["reasons"]:
            assert list(reason) == ["code", "message", "remedy", "value", "limit"]
        lines = vultus("identify", known, photo, "--gate", "high").out.splitlines()
        assert lines[0].startswith(f"{photo}  refused, ")
        assert lines[1].startswith("1 pictures: nobody known; 0 unknown faces, 1 refused, 0 failed")

    def test_an_accepted_one(self, vultus, known: Path, photos: Path):
        ended = vultus("identify", known, photos / "obama2.jpg", "--gate", "low", "--json")
        ((face,),) = [row["faces"] for row in _rows(ended.out)]
        assert face["name"] == "Barack Obama"
        assert face["gate"] == {"policy": "low", "accepted": True, "reasons": []}

    def test_an_unknown_one(self, vultus, known: Path, photos: Path):
        ended = vultus("identify", known, photos / "obama2.jpg", "--gate", "nope", "--json")
        assert (ended.code, json.loads(ended.out)["error"]["code"]) == (4, "value-range")


class TestOnce:
    def test_nobody_is_on_one_picture_twice(self, vultus, known: Path, photos: Path):
        wall = (photos / "wall.jpg", "--threshold", "0.8", "--json")

        def names(*options: str) -> list[str | None]:
            ((row),) = _rows(vultus("identify", known, *wall, *options).out)
            return [f["name"] for f in sorted(row["faces"], key=lambda face: face["box"][0])]

        # The face in the middle is a stranger's, who resembles Joe Biden with 0.84.
        assert names() == ["Joe Biden", "Joe Biden", "Barack Obama"]
        assert names("--once") == ["Joe Biden", None, "Barack Obama"]


class TestGroups:
    @pytest.fixture
    def gallery(self, recognizer, known: Path, tmp_path: Path) -> Path:
        path = tmp_path / "g.db"
        with open_gallery(path) as opened:
            for name, group in (("Barack Obama", "past"), ("Joe Biden", "late")):
                recognizer.enroll(opened, name, known / f"{name}.jpg")
                opened.add_group(group)
                opened.join(name, group)
        return path

    @pytest.mark.parametrize(
        ("groups", "name", "nearest"),
        [
            (["past"], "Barack Obama", ["Barack Obama"]),
            (["late"], None, ["Joe Biden"]),
            (["late", "past"], "Barack Obama", ["Barack Obama", "Joe Biden"]),
        ],
    )
    def test_members_only(self, vultus, gallery: Path, photos: Path, groups, name, nearest):
        options = [word for group in groups for word in ("--group", group)]
        ended = vultus("identify", gallery, photos / "obama2.jpg", *options, "--json")
        ((face,),) = [row["faces"] for row in _rows(ended.out)]
        assert (face["name"], [match["name"] for match in face["nearest"]]) == (name, nearest)
        assert (face["margin"] is None) == (len(nearest) == 1)

    def test_unknown(self, vultus, gallery: Path, photos: Path):
        words = ("identify", gallery, photos / "obama2.jpg", "--group", "lost", "--json")
        ended = vultus(*words)
        assert ended.code == 4
        assert "group-unknown" in ended.out


class TestParts:
    def test_another_detector(self, vultus, known: Path, photos: Path):
        photo = photos / "obama2.jpg"
        ended = vultus("identify", known, photo, "--detector", "blazeface-back", "--json")
        ((face,),) = [row["faces"] for row in _rows(ended.out)]
        assert face["name"] == "Barack Obama"
        ended = vultus("identify", known, photo, "--detector", "nope", "--json")
        assert (ended.code, json.loads(ended.out)["error"]["code"]) == (4, "model-unknown")

    def test_no_calibration(self, vultus, known: Path, photos: Path, tmp_path: Path):
        words = ("identify", known, photos, "--calibration", tmp_path / "none.json", "--json")
        ended = vultus(*words)
        assert (ended.code, json.loads(ended.out)["error"]["code"]) == (4, "calibration-invalid")


def test_normalised(vultus, known: Path, photos: Path):
    picture = (photos / "obama2.jpg", "--json")
    (usual,) = _rows(vultus("identify", known, *picture).out)
    (other,) = _rows(vultus("identify", known, *picture, "--normalise").out)
    assert usual["faces"][0]["name"] == other["faces"][0]["name"] == "Barack Obama"
    assert usual["faces"][0]["similarity"] != other["faces"][0]["similarity"]
