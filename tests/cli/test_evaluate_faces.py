"""``vultus evaluate detect | landmarks | pose | attributes``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("VULTUS_HOME", str(folder))
    return folder


@pytest.fixture
def annotated(samples: Path, tmp_path: Path) -> tuple[Path, Path]:
    """FDDB's layout: the astronaut, marked where its face is, a rocket, and one that is absent."""
    images = tmp_path / "images"
    (images / "2002").mkdir(parents=True)
    Image.open(samples / "photos" / "astronaut.png").convert("RGB").save(images / "2002/a.jpg")
    shutil.copy(samples / "photos" / "rocket.jpg", images / "2002" / "b.jpg")
    lists = tmp_path / "FDDB-fold-01-ellipseList.txt"
    lists.write_text(
        "2002/a\n1\n62.0 45.0 1.5708 224.0 115.0  1\n2002/b\n0\n2002/gone\n1\n10 10 0 50 50 1\n"
    )
    return images, lists


# -- detect -------------------------------------------------------------------------------------


def test_fddb(vultus: Run, annotated: tuple[Path, Path]) -> None:
    images, lists = annotated
    command = ("evaluate", "detect", "--fddb", images, "--lists", lists, "--score", "0.7")
    ended = vultus(*command, "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    assert (found["detector"], found["score"], found["size"]) == ("mtcnn", 0.7, None)
    assert (found["faces"], found["pictures"], found["missing"]) == (1, 2, ["2002/gone"])
    assert found["discrete"][-1] == 1.0
    assert 0.6 < found["continuous"][-1] < 1.0
    assert "1 of the annotated pictures are not here" in ended.err
    shown = vultus(*command).out
    assert "at most 100 false    discrete 100.00 %" in shown
    assert "2, 1 not here, 0 unreadable" in shown


def test_an_unreadable_picture_is_named_and_counts(
    vultus: Run, annotated: tuple[Path, Path]
) -> None:
    images, lists = annotated
    (images / "2002" / "a.jpg").write_bytes(b"no picture")
    ended = vultus("evaluate", "detect", "--fddb", images, "--lists", lists, "--json")
    assert ended.code == 3
    found = json.loads(ended.out)
    assert found["faces"] == 1
    assert not any(found["discrete"])
    assert "unreadable: 2002/a: " in ended.err


def test_wider_agrees_with_the_protocol(
    vultus: Run, shared_data: Path, shared_models: Path, home: Path, tmp_path: Path
) -> None:
    from vultus.detect import DetectorOptions, detector_for
    from vultus.evaluate.protocols.wider import evaluate_wider
    from vultus.models import Registry, Store
    from vultus.sources import load_frame

    root = tmp_path / "wider"
    shutil.copytree(shared_data / "wider" / "ground_truth", root / "ground_truth")
    pictures = sorted((shared_data / "wider" / "images").glob("*/*.jpg"))[::22]
    for path in pictures:
        target = root / "images" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert vultus("models", "add", shared_models / "scrfd_500m_bnkps.onnx").code == 0
    command = ("evaluate", "detect", "--wider", root, "--detector", "scrfd-500m")
    ended = vultus(*command, "--size", "640x640", "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    options = DetectorOptions(score_threshold=0.02, size_wh=(640, 640))
    detector = detector_for(Registry().get("scrfd-500m"), Store(), None, options)
    expected = evaluate_wider(root, lambda path: detector.detect(load_frame(path)))
    for name in ("easy", "medium", "hard"):
        assert found[name] == pytest.approx(getattr(expected, name), abs=1e-9)
    assert found["pictures"] == len(pictures)
    assert found["easy"] > 0.8


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give --wider or --fddb"),
        (["--wider", ".", "--fddb", "."], 2, "give --wider or --fddb"),
        (["--fddb", "."], 2, "--fddb and --lists go together"),
        (["--wider", ".", "--lists", "x"], 2, "--fddb and --lists go together"),
        (["--wider", ".", "--size", "640"], 2, "640x640"),
        (["--wider", ".", "--score", "2"], 2, "score"),
        (["--wider", ".", "--size", "640x640"], 4, "mtcnn takes pictures of any size"),
        (["--wider", ".", "--detector", "nobody"], 4, "model-unknown"),
        (["--wider", ".", "--detector", "facemesh"], 4, "card-invalid"),
        (["--wider", "."], 4, "error data-file: "),
    ],
)
def test_detect_refusals(
    vultus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, code, said
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = vultus("evaluate", "detect", *arguments)
    assert ended.code == code
    assert said in " ".join(ended.err.replace("│", " ").split())


# -- landmarks ----------------------------------------------------------------------------------


@pytest.fixture
def marked(samples: Path, recognizer, tmp_path: Path) -> Path:
    """One picture whose annotation is what the mesh says, one that shows no face."""
    from vultus.assess.landmarks import MeshLandmarker
    from vultus.assess.schemes import to_scheme
    from vultus.models import Registry, Store

    folder = tmp_path / "marked"
    folder.mkdir()
    shutil.copy(samples / "photos" / "astronaut.png", folder / "a.png")
    mesh = MeshLandmarker.from_card(Registry().get("facemesh"), Store())
    (found,) = mesh.locate(recognizer.detect(folder / "a.png"))
    points = to_scheme(found, "ibug-68").points + 1.0
    _write_pts(folder / "a.pts", points)
    return folder


def _write_pts(path: Path, points: Any) -> None:
    lines = "\n".join(f"{x:.4f} {y:.4f}" for x, y in np.asarray(points).tolist())
    path.write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")


def test_landmarks(vultus: Run, marked: Path) -> None:
    ended = vultus("evaluate", "landmarks", marked, "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert (found["landmarker"], found["detector"]) == ("facemesh", "mtcnn")
    assert (found["faces"], found["found"]) == (1, 1)
    assert found["nme"] < 0.001  # the annotation is its own answer
    shown = vultus("evaluate", "landmarks", marked, "--detector", "none").out
    assert "facemesh, boxes made of the annotations" in shown
    assert "1, 1 found, 0 without a picture" in shown


def test_a_face_that_is_not_found_is_named(vultus: Run, marked: Path, samples: Path) -> None:
    shutil.copy(samples / "photos" / "rocket.jpg", marked / "b.jpg")
    shutil.copy(marked / "a.pts", marked / "b.pts")
    ended = vultus("evaluate", "landmarks", marked, "--json")
    assert ended.code == 3
    found = json.loads(ended.out)
    assert (found["faces"], found["found"], found["failures_at_8"]) == (2, 1, 0.5)
    assert "no face: " in ended.err
    assert "b.jpg: the detector found no such face" in ended.err


def test_landmarkers(vultus: Run, marked: Path, shared_models: Path, home: Path) -> None:
    command = ("evaluate", "landmarks", marked, "--json", "--landmarker")
    attention = json.loads(vultus(*command, "facemesh-attention").out)
    assert attention["landmarker"] == "facemesh-attention"
    assert 0 < attention["nme"] < 0.05
    assert vultus(*command, "pfld-68").code == 4  # not on this machine
    assert vultus("models", "add", shared_models / "pfld.onnx").code == 0
    assert 0 < json.loads(vultus(*command, "pfld-68").out)["nme"] < 0.1
    assert vultus(*command, "dlib").code == 2


def test_no_annotation_is_an_error(vultus: Run, tmp_path: Path) -> None:
    for command in ("landmarks", "pose"):
        ended = vultus("evaluate", command, tmp_path)
        assert ended.code == 4
        assert "error data-file: " in ended.err


# -- pose ---------------------------------------------------------------------------------------


@pytest.fixture
def turned(samples: Path, recognizer, tmp_path: Path) -> Path:
    """One picture whose annotated pose is what the mesh says."""
    from scipy.io import savemat

    from vultus.assess.landmarks import MeshLandmarker
    from vultus.assess.pose import LandmarkPose, aflw_of_rotation, rotation_of_pose
    from vultus.assess.schemes import to_scheme
    from vultus.models import Registry, Store

    folder = tmp_path / "turned"
    folder.mkdir()
    shutil.copy(samples / "photos" / "astronaut.png", folder / "a.png")
    mesh = MeshLandmarker.from_card(Registry().get("facemesh"), Store())
    faces = recognizer.detect(folder / "a.png")
    yaw, pitch, roll = aflw_of_rotation(rotation_of_pose(LandmarkPose(mesh).estimate(faces)[0]))
    points = to_scheme(mesh.locate(faces)[0], "ibug-68").points
    para = np.zeros((1, 7))
    para[0, :3] = np.radians([pitch, yaw, roll])
    space = np.vstack([points.T, np.zeros(68)]).astype(np.float64)
    savemat(folder / "a.mat", {"Pose_Para": para, "pt3d_68": space})
    return folder


def test_pose(vultus: Run, turned: Path) -> None:
    ended = vultus("evaluate", "pose", turned, "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert (found["estimator"], found["detector"]) == ("facemesh", "mtcnn")
    assert found["mean_deg"] < 0.05  # the annotation is its own answer
    five = json.loads(vultus("evaluate", "pose", turned, "--method", "five", "--json").out)
    assert five["estimator"] == "five-points"
    assert 0.05 < five["mean_deg"] < 20
    shown = vultus("evaluate", "pose", turned, "--detector", "none").out
    assert "1, 1 found, 0 beyond 99°, 0 without a picture" in shown
    assert "yaw error" in shown


def test_pose_by_fsanet(vultus: Run, turned: Path, shared_models: Path, home: Path) -> None:
    command = ("evaluate", "pose", turned, "--method", "fsanet", "--json")
    ended = vultus(*command)
    assert ended.code == 4
    assert json.loads(ended.out)["error"]["code"] == "model-missing"
    for name in ("fsanet-1x1-iter-688590.onnx", "fsanet-var-iter-688590.onnx"):
        assert vultus("models", "add", shared_models / name).code == 0
    assert json.loads(vultus(*command).out)["mean_deg"] < 15


def test_five_points_take_a_detector(vultus: Run, turned: Path) -> None:
    ended = vultus("evaluate", "pose", turned, "--method", "five", "--detector", "none")
    assert ended.code == 2
    assert "--method five takes the points of a detector" in ended.err


# -- attributes ---------------------------------------------------------------------------------


class _FixedReader:
    """Reads everybody as a woman of 40."""

    name = "fixed"

    @classmethod
    def from_card(cls, *_: object) -> _FixedReader:
        return cls()

    def read(self, faces):
        from vultus.types import Attributes, Reading

        woman = Attributes(
            age=Reading(40.0, None, "none", "fixed"), sex=Reading("female", 0.9, "none", "fixed")
        )
        return [woman for _ in faces]


def test_attributes(vultus: Run, samples: Path, tmp_path: Path, monkeypatch) -> None:
    from vultus.assess import attributes

    monkeypatch.setattr(attributes, "AttributeReader", _FixedReader)
    folder = tmp_path / "faces"
    folder.mkdir()
    portrait = Image.open(samples / "photos" / "astronaut.png").convert("RGB")
    portrait.save(folder / "37_1_0_20170116171048641.jpg")
    Image.new("RGB", (90, 90)).save(folder / "20_0_0_20170116171048642.jpg")
    portrait.save(folder / "nobody.jpg")
    ended = vultus("evaluate", "attributes", folder, "--json")
    assert ended.code == 3
    found = json.loads(ended.out)
    assert found["model"] == "fixed"
    assert found["pictures"] == 2
    assert found["unlabelled"] == ["nobody.jpg"]
    assert found["all_ages"]["age"]["mean_years"] == 3.0
    assert found["all_ages"]["sex"]["value"] == 1.0
    assert "no face: 20_0_0_20170116171048642.jpg: the detector found no face" in ended.err
    shown = vultus("evaluate", "attributes", folder).out
    assert "age off by 3.0 years (bias +3.0)" in shown


def test_attributes_without_the_model(vultus: Run, tmp_path: Path, home: Path) -> None:
    ended = vultus("evaluate", "attributes", tmp_path)
    assert ended.code == 4
    assert "error model-missing: faceres-deep needs faceres_deep.onnx" in ended.err
    assert vultus("evaluate", "attributes", tmp_path, "--model", "mtcnn").code == 4
