from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vultus.assess.landmarks import MeshLandmarker
from vultus.draw import write_image
from vultus.errors import DataFileError, RangeError
from vultus.evaluate.protocols.landmarks import (
    area_under_errors,
    evaluate_landmarks,
    failure_rate,
    point_errors,
    read_300w,
    read_pts,
)
from vultus.models import Registry, Store
from vultus.types import Box, DenseLandmarks, Face, Frame, LandmarkScheme

# A face of 68 points whose eyes' outer corners, 36 and 45, are 100 px apart.
TRUTH = np.stack([np.linspace(50, 250, 68), 100 + (np.arange(68) * 37) % 120], axis=1)
TRUTH[36], TRUTH[45] = (100.0, 130.0), (200.0, 130.0)


class Off:
    """Finds the annotated points, each off by (dx, dy) of its own, another one per call."""

    name = "off"

    def __init__(
        self, *offsets: tuple[float, float], presence: float | None = None, scheme: str = "ibug-68"
    ) -> None:
        self.offsets = list(offsets)
        self.presence = presence
        self.scheme: LandmarkScheme = scheme  # type: ignore[assignment]
        self.boxes: list[Box] = []

    def locate(self, faces: list[Face]) -> list[DenseLandmarks]:
        self.boxes += [face.box for face in faces]
        if self.scheme != "ibug-68":
            return [DenseLandmarks(np.zeros((72, 2)), self.scheme) for _ in faces]
        offset = self.offsets[(len(self.boxes) - 1) % len(self.offsets)]
        return [DenseLandmarks(TRUTH + offset, self.scheme, None, self.presence) for _ in faces]


class Finds:
    name = "finds"

    def __init__(self, *boxes: Box) -> None:
        self.boxes = boxes

    def detect(self, frame: Frame) -> list[Face]:
        return [Face(box, 1.0, None, frame) for box in self.boxes]


def _add(folder: Path, name: str, *, bare: bool = False, picture: bool = True) -> None:
    lines = "\n".join(f"{x + 1:.6f} {y + 1:.6f}" for x, y in TRUTH)
    text = lines if bare else f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n"
    (folder / f"{name}.pts").write_text(text)
    if picture:
        write_image(np.zeros((300, 300, 3), np.uint8), folder / f"{name}.png")


@pytest.mark.parametrize("bare", [False, True])
def test_read(tmp_path, bare):
    _add(tmp_path, "a", bare=bare)
    assert read_pts(tmp_path / "a.pts") == pytest.approx(TRUTH, abs=1e-6)
    (face,), absent = read_300w(tmp_path)
    assert face.picture == tmp_path / "a.png"
    assert absent == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold 68 finite points"),
        ("version: 1\nn_points: 2\n{\n1 2\n3 4\n}", r"got an array of shape \(2, 2\)"),
        ("1 2\n" * 67 + "nan 2", "must hold 68 finite points"),
        ("1 2\n" * 67 + "1 2 3", "cannot be read"),
        ("1 x\n" * 68, "cannot be read"),
        ("\N{SNOWMAN}", "cannot be read"),
        ("1 2\n" * 20_000, "too large"),
    ],
)
def test_what_is_no_annotation(tmp_path, text, message):
    (tmp_path / "a.pts").write_text(text, encoding="utf-8")
    with pytest.raises(DataFileError, match=message):
        read_pts(tmp_path / "a.pts")


def test_no_annotations(tmp_path):
    with pytest.raises(DataFileError, match="got 0 such files"):
        read_300w(tmp_path)
    with pytest.raises(DataFileError, match="cannot be read"):
        read_pts(tmp_path / "none.pts")


def test_errors_are_parts_of_the_distance_between_the_eyes():
    found = TRUTH.copy()
    found[0] += (3, 4)  # 5 px of 100
    errors = point_errors(found, TRUTH)
    assert errors[0] == pytest.approx(0.05)
    assert errors[1:].max() == 0.0
    assert errors.mean() == pytest.approx(0.05 / 68)


def test_eyes_in_one_place_measure_nothing():
    same = np.ones((68, 2))
    with pytest.raises(DataFileError, match="two eyes apart"):
        point_errors(same, same)


def test_area_and_failures_of_a_hand_made_list():
    errors = np.array([0.02, 0.04, 0.10, np.inf])
    # (1 - 0.25) + (1 - 0.5) + 0 + 0, over four faces.
    assert area_under_errors(errors, 0.08) == pytest.approx(1.25 / 4)
    assert failure_rate(errors, 0.08) == 0.5
    assert failure_rate(np.array([0.08]), 0.08) == 0.0  # the limit itself is no failure


def test_the_area_is_that_under_the_step_curve():
    errors = np.random.default_rng(1).uniform(0, 0.2, 50)
    grid = (np.arange(200_000) + 0.5) * 0.08 / 200_000
    curve = np.searchsorted(np.sort(errors), grid, side="right") / len(errors)
    assert area_under_errors(errors, 0.08) == pytest.approx(curve.mean(), abs=1e-5)


def test_a_perfect_landmarker(tmp_path):
    for name in "abcd":
        _add(tmp_path, name)
    result = evaluate_landmarks(tmp_path, Off((0, 0)))
    assert result.nme == pytest.approx(0.0, abs=1e-6)
    assert result.auc_at_8 == pytest.approx(1.0, abs=1e-5)
    assert result.auc_at_7 == pytest.approx(1.0, abs=1e-5)
    assert result.failures_at_8 == 0.0
    assert (result.faces, result.found, result.missing, result.absent) == (4, 4, (), 0)


def test_a_known_error(tmp_path):
    _add(tmp_path, "a")
    _add(tmp_path, "b")
    result = evaluate_landmarks(tmp_path, Off((3, 4), (0, 9)))  # 5 and 9 px of 100
    assert result.nme == pytest.approx(0.07)
    assert result.auc_at_8 == pytest.approx((1 - 0.05 / 0.08) / 2, rel=1e-4)
    assert result.auc_at_7 == pytest.approx((1 - 0.05 / 0.07) / 2, rel=1e-4)
    assert result.failures_at_8 == 0.5
    assert result.nme_parts["left_eye"] == pytest.approx(0.07)
    assert list(result.nme_parts) == [
        "chin", "left_eyebrow", "right_eyebrow", "nose_bridge", "nose_tip",
        "left_eye", "right_eye", "top_lip", "bottom_lip",
    ]  # fmt: skip
    assert result.nme_without_offset is None
    assert result.to_dict()["nme"] == pytest.approx(0.07)


def test_a_constant_offset_is_no_error_of_the_landmarker(tmp_path):
    for name in "abcdef":
        _add(tmp_path, name)
    result = evaluate_landmarks(tmp_path, Off((3, 4)))
    assert result.nme == pytest.approx(0.05)
    assert result.nme_without_offset == pytest.approx(0.0, abs=1e-6)
    # Halves that disagree keep their disagreement: 0 and 10 px, each corrected by the other.
    result = evaluate_landmarks(tmp_path, Off((0, 0), (10, 0)))
    assert result.nme == pytest.approx(0.05)
    assert result.nme_without_offset == pytest.approx(0.10)


def test_missing_faces_count_as_failures(tmp_path):
    for name in "abc":
        _add(tmp_path, name)
    (tmp_path / "b.png").write_bytes(b"")
    _add(tmp_path, "d", picture=False)
    result = evaluate_landmarks(tmp_path, Off((0, 0)))
    assert (result.faces, result.found, result.absent) == (3, 2, 1)
    assert [name for name, _ in result.missing] == [str(tmp_path / "b.png")]
    assert result.auc_at_8 == pytest.approx(2 / 3, rel=1e-4)
    assert result.failures_at_8 == pytest.approx(1 / 3)
    assert result.nme == pytest.approx(0.0, abs=1e-6)


def test_nothing_found(tmp_path):
    _add(tmp_path, "a")
    result = evaluate_landmarks(tmp_path, Off((0, 0)), Finds(Box(0, 0, 5, 5)))
    assert result.nme is None
    assert result.nme_parts == {}
    assert result.auc_at_8 == 0.0
    assert result.failures_at_8 == 1.0
    assert result.missing[0][1] == "the detector found no such face"
    assert result.detector == "finds"


def test_a_landmarker_that_sees_no_face_has_not_found_it(tmp_path):
    _add(tmp_path, "a")
    result = evaluate_landmarks(tmp_path, Off((0, 0), presence=0.25))
    assert result.found == 0
    assert result.missing[0][1] == "the landmarker saw no face (presence 0.25)"


def test_the_annotated_face_is_the_one_that_counts(tmp_path):
    _add(tmp_path, "a")
    done: list[tuple[int, int]] = []
    landmarker = Off((0, 0))
    near = Box(45, 60, 255, 225)
    evaluate_landmarks(
        tmp_path, landmarker, Finds(Box(0, 0, 60, 60), near), lambda *at: done.append(at)
    )
    assert landmarker.boxes == [near]
    assert done == [(1, 1)]


def test_a_scheme_that_holds_no_ibug_points(tmp_path):
    _add(tmp_path, "a")
    with pytest.raises(RangeError, match="cannot be turned into ibug-68"):
        evaluate_landmarks(tmp_path, Off((0, 0), scheme="vultus-72"))


def test_helen(shared_data, make_detector):
    """45 annotated pictures; docs/landmarks.md states the figures."""
    mesh = MeshLandmarker.from_card(Registry().get("facemesh"), Store())
    result = evaluate_landmarks(shared_data / "helen", mesh)
    assert result.faces == result.found == 45
    assert result.nme is not None
    assert result.nme < 0.045
    assert result.nme_without_offset is not None
    assert result.nme_without_offset < 0.040
    assert result.failures_at_8 == 0.0
    assert result.nme_parts["left_eye"] < 0.03
