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
from vultus.types import Attributes, Reading


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


# -- what is told of a face besides its box -----------------------------------------------------


@pytest.fixture
def astronaut(photos: Path) -> Path:
    return photos / "astronaut.png"


class TestLandmarks:
    @pytest.mark.parametrize(
        ("count", "scheme"),
        [("68", "ibug-68"), ("72", "vultus-72"), ("468", "mesh-468"), ("478", "mesh-478")],
    )
    def test_schemes(self, vultus, astronaut: Path, count, scheme):
        (row,) = _rows(vultus("detect", astronaut, "--landmarks", count, "--json").out)
        assert list(row) == ["image", "width", "height", "faces", "error"]
        (face,) = row["faces"]
        assert list(face) == ["box", "score", "landmarks", "landmarks_dense"]
        dense = face["landmarks_dense"]
        assert list(dense) == ["scheme", "points", "presence"]
        assert dense["scheme"] == scheme
        assert dense["presence"] > 0.9
        points = np.array(dense["points"])
        assert points.shape == (int(count), 2)
        x1, y1, x2, y2 = face["box"]
        middle = points.mean(axis=0)
        assert x1 < middle[0] < x2
        assert y1 < middle[1] < y2

    def test_numbers_are_those_of_the_library(self, vultus, recognizer, photos: Path):
        from vultus.assess.landmarks import MeshLandmarker
        from vultus.assess.schemes import to_scheme
        from vultus.models import Registry, Store

        wall = photos / "wall.jpg"
        (row,) = _rows(vultus("detect", wall, "--landmarks", "68", "--json").out)
        mesh = MeshLandmarker.from_card(Registry().get("facemesh"), Store())
        found = mesh.locate(recognizer.detect(wall))
        for said, points in zip(row["faces"], found, strict=True):
            expected = to_scheme(points, "ibug-68").points
            np.testing.assert_allclose(said["landmarks_dense"]["points"], expected, atol=0.02)

    def test_another_count_is_wrong_usage(self, vultus, astronaut: Path):
        ended = vultus("detect", astronaut, "--landmarks", "5")
        assert ended.code == 2
        assert "'68', '72', '468', '478'" in " ".join(ended.err.replace("│", " ").split())

    def test_drawn_points_change_the_face_only(self, vultus, astronaut: Path, tmp_path: Path):
        for name, *more in (("plain",), ("dense", "--landmarks", "468")):
            assert vultus("detect", astronaut, "--draw", tmp_path / name, *more).code == 0
        plain, dense = (
            load_image(tmp_path / name / "astronaut.jpg").astype(int) for name in ("plain", "dense")
        )
        changed = np.abs(plain - dense).max(axis=2) > 60
        assert changed[60:172, 180:268].mean() > 0.05
        changed[30:200, 150:300] = False
        assert not changed.any()


class TestPoseQualityAndGate:
    def test_keys_are_there_when_asked_for(self, vultus, astronaut: Path):
        ended = vultus("detect", astronaut, "--pose", "--quality", "--gate", "normal", "--json")
        ((face,),) = [row["faces"] for row in _rows(ended.out)]
        assert list(face) == ["box", "score", "landmarks", "pose", "quality", "gate"]
        assert list(face["pose"]) == ["yaw", "pitch", "roll", "method"]
        assert face["pose"]["method"] == "mesh"
        assert list(face["quality"]) == [
            "score", "blur", "illumination", "contrast", "face_px", "inter_eye_px",
            "completeness", "occlusion",
        ]  # fmt: skip
        assert list(face["quality"]["occlusion"]) == [
            "left_eye", "right_eye", "nose", "mouth", "left_cheek", "right_cheek", "chin",
        ]  # fmt: skip
        assert face["quality"]["face_px"] == pytest.approx(88.07, abs=1)
        assert face["quality"]["inter_eye_px"] == pytest.approx(41.5, abs=1)
        assert face["quality"]["completeness"] == 1.0
        assert face["gate"] == {"policy": "normal", "accepted": True, "reasons": []}

    def test_a_gate_refuses_with_reasons(self, vultus, astronaut: Path):
        ended = vultus("detect", astronaut, "--gate", "high", "--json")
        assert ended.code == 0  # refused is a result
        ((face,),) = [row["faces"] for row in _rows(ended.out)]
        assert list(face) == ["box", "score", "landmarks", "gate"]
        reasons = {reason["code"]: reason for reason in face["gate"]["reasons"]}
        assert not face["gate"]["accepted"]
        assert reasons["too-small"]["limit"] == 100.0
        assert reasons["too-small"]["value"] == pytest.approx(88.07, abs=1)
        assert "come closer" in reasons["too-small"]["remedy"]

    def test_the_pose_of_a_turned_head(self, vultus, shared_data: Path):
        turns = {
            "left_face.jpeg": ("yaw", -1),
            "right_face.png": ("yaw", 1),
            "rise_face.jpeg": ("pitch", -1),
            "lower_face.jpeg": ("pitch", 1),
            "left_wryneck.png": ("roll", -1),
            "right_wryneck.png": ("roll", 1),
        }
        for name, (angle, sign) in turns.items():
            path = shared_data / "pose" / name
            (row,) = _rows(vultus("detect", path, "--pose", "--json", "--largest").out)
            assert sign * row["faces"][0]["pose"][angle] > 8, name

    def test_for_people(self, vultus, astronaut: Path):
        options = ("--landmarks", "68", "--pose", "--quality", "--gate")
        good = vultus("detect", astronaut, *options, "normal").out.splitlines()[1]
        assert good.startswith("    88×111  at (180, 61)  score 1.000  68 points  yaw ")
        assert good.endswith("accepted")
        assert "  quality 0." in good
        bad = vultus("detect", astronaut, *options, "high").out.splitlines()[1]
        assert "refused, come closer: face 88 px, limit 100 px" in bad

    def test_columns_when_asked_for(self, vultus, mixed: Path):
        ended = vultus("detect", mixed, "--pose", "--quality", "--gate", "high", "--csv")
        rows = list(csv.DictReader(io.StringIO(ended.out)))
        assert list(rows[0]) == [
            "image", "x1", "y1", "x2", "y2", "score",
            "yaw", "pitch", "roll", "quality", "accepted", "error",
        ]  # fmt: skip
        assert (rows[0]["accepted"], rows[0]["error"]) == ("no", "")
        assert 0.5 < float(rows[0]["quality"]) <= 1
        assert (rows[1]["quality"], rows[1]["error"]) == ("", "image-empty")

    def test_a_gate_nobody_knows(self, vultus, astronaut: Path):
        ended = vultus("detect", astronaut, "--gate", "strict")
        assert ended.code == 4
        assert "a gate must be one of off, low, normal, high, got 'strict'" in ended.err

    def test_nothing_is_measured_that_is_not_asked_for(self, vultus, astronaut, monkeypatch):
        from vultus.assess import landmarks, quality

        def forbidden(*_: object) -> None:
            raise AssertionError("not asked for")

        monkeypatch.setattr(landmarks.MeshLandmarker, "locate", forbidden)
        monkeypatch.setattr(quality.QualityAssessor, "assess", forbidden)
        assert vultus("detect", astronaut, "--json").code == 0

    def test_jobs_change_nothing(self, vultus, photos: Path):
        options = ("--landmarks", "72", "--pose", "--quality", "--gate", "low", "--json", "--jobs")
        assert (
            vultus("detect", photos, *options, "4").out
            == vultus("detect", photos, *options, "1").out
        )


class TestAttributes:
    READ = Attributes(
        Reading(33.4, None, "mean error 5 years", "toy"), Reading("female", 0.91, "9 of 10", "toy")
    )

    @pytest.fixture
    def _model(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from vultus.assess import attributes

        class Reader:
            def read(self, faces):
                return [TestAttributes.READ] * len(faces)

        monkeypatch.setattr(attributes.AttributeReader, "from_card", lambda *_: Reader())

    @pytest.mark.usefixtures("_model")
    def test_with_what_they_are_worth(self, vultus, astronaut: Path):
        ended = vultus("detect", "--attributes", "--json", astronaut)
        (face,) = _rows(ended.out)[0]["faces"]
        assert face["attributes"] == {
            "age": {
                "value": 33.4,
                "confidence": None,
                "quality": "mean error 5 years",
                "model": "toy",
            },
            "sex": {"value": "female", "confidence": 0.91, "quality": "9 of 10", "model": "toy"},
        }

    @pytest.mark.usefixtures("_model")
    def test_for_people_once_what_they_are_worth(self, vultus, astronaut: Path, rocket: Path):
        ended = vultus("detect", "--attributes", astronaut, astronaut, rocket)
        assert ended.out.count("age 33  sex female 0.91\n") == 2
        assert ended.out.endswith("age: mean error 5 years (toy)\nsex: 9 of 10 (toy)\n")
        assert "mean error" not in vultus("detect", "--attributes", rocket).out  # no face

    @pytest.mark.usefixtures("_model")
    def test_csv(self, vultus, astronaut: Path):
        head, row = vultus("detect", "--attributes", "--csv", astronaut).out.splitlines()
        assert head == "image,x1,y1,x2,y2,score,age,sex,error"
        assert row.endswith(",33,female,")

    @pytest.mark.usefixtures("_model")
    def test_off_unless_asked_for(self, vultus, astronaut: Path):
        (face,) = _rows(vultus("detect", "--json", astronaut).out)[0]["faces"]
        assert "attributes" not in face

    def test_without_a_model_nothing_is_guessed(self, vultus, rocket: Path):
        ended = vultus("detect", "--attributes", rocket)
        assert (ended.code, ended.out) == (4, "")
        assert "error model-missing: faceres-deep needs faceres_deep.onnx" in ended.err
        assert "vultus models add" in ended.err


class TestDetectors:
    def test_auto_says_what_it_picked(self, vultus, mixed: Path):
        rows = _rows(vultus("detect", mixed, "--detector", "auto", "--json").out)
        assert list(rows[0]) == ["image", "width", "height", "detector", "faces", "error"]
        assert [row["detector"] for row in rows] == ["mtcnn", None, None, None, "mtcnn"]
        ended = vultus("detect", mixed / "a.png", "--detector", "auto")
        assert ended.out.splitlines()[0] == f"{mixed / 'a.png'}  1 face  mtcnn"

    def test_auto_picks_another_detector_that_is_here(
        self, vultus, astronaut: Path, shared_models: Path, tmp_path: Path, monkeypatch
    ):
        monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "home"))
        assert vultus("models", "add", shared_models / "yunet_n_dynamic.onnx").code == 0
        (row,) = _rows(vultus("detect", astronaut, "--detector", "auto", "--json").out)
        assert row["detector"] == "yunet"
        assert len(row["faces"]) == 1

    def test_boxes_alone_become_faces_with_five_points(self, vultus, astronaut: Path):
        ended = vultus(
            "detect", astronaut, "--detector", "blazeface-full", "--gate", "low", "--json"
        )
        ((face,),) = [row["faces"] for row in _rows(ended.out)]
        usual = [[205.4, 101.5], [246.9, 103.1], [225.1, 129.3], [201.2, 139.6], [245.1, 141.1]]
        np.testing.assert_allclose(face["landmarks"], usual, atol=8)
        assert face["gate"]["accepted"]

    @pytest.mark.parametrize(
        ("name", "code"), [("nobody", "model-unknown"), ("dlib-resnet-v1", "card-invalid")]
    )
    def test_no_such_detector(self, vultus, astronaut: Path, name, code):
        ended = vultus("detect", astronaut, "--detector", name)
        assert ended.code == 4
        assert f"error {code}: " in ended.err

    def test_two_looks_find_a_huge_face(
        self, vultus, astronaut: Path, shared_models: Path, tmp_path: Path, monkeypatch
    ):
        monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "home"))
        assert vultus("models", "add", shared_models / "scrfd_500m_bnkps.onnx").code == 0
        close = Image.fromarray(load_image(astronaut)[50:190, 155:295]).resize((1000, 1000))
        close.save(tmp_path / "close.png")
        found = {}
        for scales in ("one", "two"):
            ended = vultus(
                "detect", tmp_path / "close.png", "--detector", "scrfd-500m", "--scales", scales,
                "--json",
            )  # fmt: skip
            found[scales] = len(_rows(ended.out)[0]["faces"])
        assert found == {"one": 0, "two": 1}

    def test_the_words_for_scales_are_those_of_the_library(self):
        from typing import get_args

        from vultus.cli.detect import Scales as Written
        from vultus.detect import Scales

        assert get_args(Written) == get_args(Scales)


class TestCrops:
    def test_one_file_per_face(self, vultus, photos: Path, tmp_path: Path):
        folder = tmp_path / "crops"
        ended = vultus(
            "detect", photos / "wall.jpg", photos / "rocket.jpg", "--crops", folder, "--json"
        )
        wall, rocket = _rows(ended.out)
        assert [face["crop"] for face in wall["faces"]] == [
            str(folder / name) for name in ("wall.jpg", "wall-2.jpg", "wall-3.jpg")
        ]
        assert rocket["faces"] == []
        assert len(list(folder.iterdir())) == 3
        picture = load_image(photos / "wall.jpg").astype(int)
        for face in wall["faces"]:
            x1, y1, x2, y2 = face["box"]
            crop = load_image(face["crop"]).astype(int)
            left, top = round(x1 - 0.2 * (x2 - x1)), round(y1 - 0.2 * (y2 - y1))
            height, width = crop.shape[:2]
            assert width == pytest.approx(1.4 * (x2 - x1), abs=2)
            assert height == pytest.approx(1.4 * (y2 - y1), abs=2)
            same = picture[top : top + height, left : left + width]
            assert np.abs(same - crop).mean() < 6  # a JPEG's loss, and no pixel moved

    def test_the_margin_ends_at_the_edge(self, vultus, astronaut: Path, tmp_path: Path):
        Image.fromarray(load_image(astronaut)[:, 185:]).save(tmp_path / "cut.png")
        ended = vultus("detect", tmp_path / "cut.png", "--crops", tmp_path / "out", "--json")
        ((face,),) = [row["faces"] for row in _rows(ended.out)]
        x1, _, x2, _ = face["box"]
        width = load_image(face["crop"]).shape[1]
        assert width == pytest.approx(x2 + 0.2 * (x2 - x1), abs=1)

    def test_files_of_others_are_never_replaced(self, vultus, astronaut: Path, tmp_path: Path):
        folder = tmp_path / "out"
        folder.mkdir()
        other = _written(folder / "astronaut.jpg", b"not ours")
        for _ in range(2):
            assert vultus("detect", astronaut, "--crops", folder).code == 0
        assert other.read_bytes() == b"not ours"
        assert sorted(p.name for p in folder.iterdir()) == ["astronaut-2.jpg", "astronaut.jpg"]

    def test_drawings_and_crops_in_one_folder(self, vultus, astronaut: Path, tmp_path: Path):
        for _ in range(2):
            ended = vultus("detect", astronaut, "--crops", tmp_path, "--draw", tmp_path, "--json")
        ((face,),) = [row["faces"] for row in _rows(ended.out)]
        assert face["crop"] == str(tmp_path / "astronaut-2.jpg")
        assert load_image(tmp_path / "astronaut.jpg").shape == (512, 512, 3)
        assert len(list(tmp_path.iterdir())) == 2

    def test_folders_among_the_photos_are_left_out(self, vultus, mixed: Path):
        for _ in range(2):
            ended = vultus("detect", mixed, "--draw", mixed / "d", "--crops", mixed / "c", "--json")
            assert len(_rows(ended.out)) == 5
        assert [p.name for p in (mixed / "c").iterdir()] == ["a.jpg"]
