from __future__ import annotations

import numpy as np
import pytest

from vultus.assess._face_model import FaceModel
from vultus.assess.liveness.gestures import (
    ACTIONS,
    TOLD,
    Gestures,
    amounts,
    gestures_of,
    mean_gestures,
)
from vultus.assess.pose import PoseSolver, rotation_of_pose
from vultus.errors import DegenerateLandmarksError, RangeError
from vultus.types import DenseLandmarks, Pose

REST = Gestures(0.32, 0.02, 0.58, 1.0, 2.0)


def mesh(yaw: float = 0, pitch: float = 0, **moves: float) -> DenseLandmarks:
    """The canonical face, posed, 100 pixels for 10 cm; `shut`, `open` in parts, `wide` a factor."""
    points = FaceModel.load().points.copy()
    for lids in (((159, 145), (160, 144), (158, 153)), ((386, 374), (385, 380), (387, 373))):
        for up, down in lids:
            middle = (points[up] + points[down]) / 2
            for row in (up, down):
                points[row] = middle + (points[row] - middle) * (1 - moves.get("shut", 0.0))
    width = np.linalg.norm(points[78] - points[308])
    points[14, 1] += moves.get("open", 0.0) * width
    centre = (points[61] + points[291]) / 2
    for row in (61, 291):
        points[row] = centre + (points[row] - centre) * moves.get("wide", 1.0)
    turned = 10 * points @ rotation_of_pose(Pose(yaw, pitch, 0, "test")).T
    return DenseLandmarks(
        (turned[:, :2] + 200).astype(np.float32), "mesh-468", turned[:, 2].astype(np.float32)
    )


@pytest.fixture(scope="module")
def solver() -> PoseSolver:
    return PoseSolver()


def test_measures_follow_the_face(solver: PoseSolver):
    rest = gestures_of(mesh(), solver)
    assert rest.yaw_deg == pytest.approx(0, abs=0.1)
    assert rest.pitch_deg == pytest.approx(0, abs=0.1)
    shut = gestures_of(mesh(shut=0.5), solver)
    assert shut.eyes == pytest.approx(rest.eyes / 2, rel=1e-3)
    wide = gestures_of(mesh(wide=1.2), solver)
    assert wide.width == pytest.approx(1.2 * rest.width, rel=1e-3)
    opened = gestures_of(mesh(open=0.5), solver)
    assert opened.mouth == pytest.approx(rest.mouth + 0.5, abs=0.02)
    turned = gestures_of(mesh(yaw=25, pitch=10), solver)
    assert (turned.yaw_deg, turned.pitch_deg) == pytest.approx((25, 10), abs=0.1)
    # With depth, a turn does not change what eyes and mouth measure.
    assert turned.values()[:3] == pytest.approx(rest.values()[:3], rel=1e-3)


def test_amounts_are_one_at_the_thresholds():
    still = amounts(REST, REST)
    assert set(still) == set(ACTIONS) == set(TOLD)
    assert set(still.values()) == {0.0}
    assert amounts(Gestures(0.24, 0.02, 0.58, 1, 2), REST)["blink"] == pytest.approx(1)
    assert amounts(Gestures(0.32, 0.37, 0.58, 1, 2), REST)["open-mouth"] == pytest.approx(1)
    assert amounts(Gestures(0.32, 0.02, 0.58 * 1.12, 1, 2), REST)["smile"] == pytest.approx(1)
    left = amounts(Gestures(0.32, 0.02, 0.58, 21, 2), REST)
    assert (left["turn-left"], left["turn-right"]) == (1, -1)
    assert amounts(Gestures(0.32, 0.02, 0.58, 1, 14), REST)["nod"] == pytest.approx(1)


def test_eyes_and_mouth_of_a_turned_face_are_not_judged():
    found = amounts(Gestures(0.1, 0.9, 0.9, 20, 2), REST)
    assert (found["blink"], found["open-mouth"], found["smile"]) == (0, 0, 0)


def test_the_face_at_rest_is_the_median():
    seen = [REST, REST, Gestures(0.1, 0.9, 0.9, 40, 40)]
    assert mean_gestures(seen) == REST


def test_refused(solver: PoseSolver):
    with pytest.raises(RangeError, match="read from a mesh, got ibug-68"):
        gestures_of(DenseLandmarks(np.ones((68, 2), np.float32), "ibug-68"), solver)
    with pytest.raises(DegenerateLandmarksError):
        gestures_of(DenseLandmarks(np.ones((468, 2), np.float32), "mesh-468"), solver)
    with pytest.raises(RangeError, match="must be finite"):
        Gestures(float("nan"), 0, 0, 0, 0)
