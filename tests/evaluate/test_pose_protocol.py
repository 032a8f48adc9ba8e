from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest

from vultus.assess.pose import pose_of_rotation, rotation_of_aflw
from vultus.draw import write_image
from vultus.errors import DataFileError, MissingExtraError
from vultus.evaluate.protocols.pose import angle_errors, evaluate_pose, read_aflw2000
from vultus.types import Box, Face, Frame, Pose

savemat = pytest.importorskip("scipy.io", reason="SciPy writes the test's files").savemat

SQUARE = np.array([[100.0, 120.0], [200.0, 120.0], [200.0, 220.0], [100.0, 220.0]] * 17)


class Turned:
    """Says the same pose of every face, in AFLW2000's angles."""

    name = "turned"

    def __init__(self, yaw: float, pitch: float, roll: float) -> None:
        self.pose = pose_of_rotation(rotation_of_aflw(yaw, pitch, roll), "turned")
        self.boxes: list[Box] = []

    def estimate(self, faces: list[Face]) -> list[Pose]:
        self.boxes += [face.box for face in faces]
        return [self.pose] * len(faces)


class Finds:
    """A detector that finds what it is told to."""

    name = "finds"

    def __init__(self, *boxes: Box) -> None:
        self.boxes = boxes

    def detect(self, frame: Frame) -> list[Face]:
        return [Face(box, 1.0, None, frame) for box in self.boxes]


def _add(folder: Path, name: str, yaw: float, pitch: float, roll: float, *, picture: bool = True):
    para = np.zeros((1, 7))
    para[0, :3] = np.radians((pitch, yaw, roll))
    points = np.concatenate([SQUARE.T, np.zeros((1, 68))])
    savemat(folder / f"{name}.mat", {"Pose_Para": para, "pt3d_68": points})
    if picture:
        write_image(np.zeros((300, 300, 3), np.uint8), folder / f"{name}.jpg")


def test_errors_of_each_angle(tmp_path):
    _add(tmp_path, "a", 10, 20, 30)
    _add(tmp_path, "b", -10, 0, 0)
    result = evaluate_pose(tmp_path, Turned(10, 0, 0))
    assert result.yaw_deg == pytest.approx((0 + 20) / 2)
    assert result.pitch_deg == pytest.approx((20 + 0) / 2)
    assert result.roll_deg == pytest.approx((30 + 0) / 2)
    assert result.mean_deg == pytest.approx((10 + 10 + 15) / 3)
    assert result.bias_deg == pytest.approx((10, -10, -15))
    assert (result.faces, result.found, result.excluded, result.absent) == (2, 2, 0, 0)
    assert result.missing == ()
    assert result.detector is None
    assert result.to_dict()["estimator"] == "turned"


def test_the_angle_between_rotations(tmp_path):
    _add(tmp_path, "a", 10, 0, 0)
    _add(tmp_path, "b", 0, 0, 40)
    result = evaluate_pose(tmp_path, Turned(0, 0, 0))
    assert result.rotation_deg == pytest.approx((10 + 40) / 2)


def test_errors_go_the_short_way_round():
    assert angle_errors(np.array([170.0, 10.0]), np.array([-170.0, 30.0])).tolist() == [-20, -20]


def test_faces_beyond_the_limit_are_counted_and_left_out(tmp_path):
    _add(tmp_path, "a", 10, 0, 0)
    _add(tmp_path, "b", 100, 0, 0)
    _add(tmp_path, "c", 0, -99.5, 0)
    result = evaluate_pose(tmp_path, Turned(10, 0, 0))
    assert (result.faces, result.found, result.excluded) == (1, 1, 2)
    assert evaluate_pose(tmp_path, Turned(0, 0, 0), limit_deg=180).faces == 3


def test_the_detection_that_overlaps_most_counts(tmp_path):
    _add(tmp_path, "a", 0, 0, 0)
    estimator = Turned(0, 0, 0)
    far, near = Box(0, 0, 90, 90), Box(95, 90, 205, 225)
    result = evaluate_pose(tmp_path, estimator, Finds(far, near, Box(100, 150, 300, 300)))
    assert estimator.boxes == [near]
    assert result.detector == "finds"


def test_missing_faces_are_told(tmp_path):
    _add(tmp_path, "a", 0, 0, 0)
    _add(tmp_path, "b", 0, 0, 0)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    _add(tmp_path, "c", 0, 0, 0, picture=False)
    done: list[tuple[int, int]] = []
    result = evaluate_pose(
        tmp_path, Turned(0, 0, 0), Finds(Box(0, 0, 9, 9)), lambda *at: done.append(at)
    )
    assert (result.faces, result.found, result.absent) == (2, 0, 1)
    assert [name.rpartition("/")[2] for name, _ in result.missing] == ["a.jpg", "b.jpg"]
    assert result.missing[0][1] == "the detector found no such face"
    assert result.yaw_deg is None
    assert result.mean_deg is None
    assert result.bias_deg is None
    assert done == [(1, 2), (2, 2)]


def test_without_a_detector_the_box_reaches_above_the_brows(tmp_path):
    _add(tmp_path, "a", 0, 0, 0)
    estimator = Turned(0, 0, 0)
    evaluate_pose(tmp_path, estimator)
    assert estimator.boxes[0].xyxy == pytest.approx((100.5, 120.5 - 31, 200.5, 220.5))


def test_read(tmp_path):
    _add(tmp_path, "a", 11, -22, 33)
    (pose,), absent = read_aflw2000(tmp_path)
    assert pose.angles_deg == pytest.approx((11, -22, 33))
    assert (pose.points == SQUARE).all()
    assert absent == 0


def test_nothing_to_read(tmp_path):
    with pytest.raises(DataFileError, match=r"must hold pictures with a \.mat file"):
        read_aflw2000(tmp_path)
    _add(tmp_path, "a", 0, 0, 0, picture=False)
    with pytest.raises(DataFileError, match="got 1 such files and no picture"):
        read_aflw2000(tmp_path)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"Pose_Para": np.zeros((1, 6)), "pt3d_68": np.zeros((3, 68))}, r"Pose_Para \(1, 7\)"),
        ({"Pose_Para": np.zeros((1, 7))}, "must hold numbers Pose_Para"),
        ({"Pose_Para": np.full((1, 7), np.nan), "pt3d_68": np.zeros((3, 68))}, "finite"),
        (
            {"Pose_Para": np.full((1, 7), "x", object), "pt3d_68": np.zeros((3, 68))},
            r"got \{'pt3d_68'",
        ),
    ],
)
def test_files_with_something_else(tmp_path, held, message):
    _add(tmp_path, "a", 0, 0, 0)
    savemat(tmp_path / "a.mat", held)
    with pytest.raises(DataFileError, match=message):
        read_aflw2000(tmp_path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_files_that_are_none(tmp_path, content):
    _add(tmp_path, "a", 0, 0, 0)
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DataFileError, match=r"a\.mat"):
        read_aflw2000(tmp_path)


def test_a_cut_file(tmp_path):
    _add(tmp_path, "a", 0, 0, 0)
    whole = (tmp_path / "a.mat").read_bytes()
    for end in range(130, len(whole) - 1, 97):
        (tmp_path / "a.mat").write_bytes(whole[:end])
        with pytest.raises(DataFileError):
            read_aflw2000(tmp_path)


def test_a_huge_file_is_not_read(tmp_path):
    _add(tmp_path, "a", 0, 0, 0)
    with (tmp_path / "a.mat").open("r+b") as file:
        file.truncate(16_000_001)
    with pytest.raises(DataFileError, match="too large"):
        read_aflw2000(tmp_path)


def test_without_scipy_the_extra_is_named(tmp_path, monkeypatch):
    _add(tmp_path, "a", 0, 0, 0)
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"vultus\[evaluate\]"):
        read_aflw2000(tmp_path)
