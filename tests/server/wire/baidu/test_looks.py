from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from vultus.assess.gate import GatePolicy, check
from vultus.server.wire.baidu.looks import (
    Look,
    Looker,
    box_of,
    quality_control_code,
    quality_from,
    quality_record,
    refusal_code,
    rotation_of,
)
from vultus.types import Box, Face, Frame, Landmarks, Occlusion, Pose, Quality

VISIBLE = Occlusion(0, 0, 0, 0, 0, 0, 0)
GOOD = Quality(
    score=1.0,
    blur=0.0,
    illumination=120.0,
    contrast=0.5,
    face_px=200.0,
    inter_eye_px=80.0,
    completeness=1.0,
    occlusion=VISIBLE,
    pose=Pose(0.0, 0.0, 0.0, "mesh"),
)


def test_a_good_face_passes_every_level():
    for level in ("NONE", "LOW", "NORMAL", "HIGH"):
        assert quality_control_code(GOOD, level) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"occlusion": replace(VISIBLE, left_eye=1.0)}, 223121),
        ({"occlusion": replace(VISIBLE, right_eye=1.0)}, 223122),
        ({"occlusion": replace(VISIBLE, left_cheek=1.0)}, 223123),
        ({"occlusion": replace(VISIBLE, right_cheek=1.0)}, 223124),
        ({"occlusion": replace(VISIBLE, chin=1.0)}, 223125),
        ({"occlusion": replace(VISIBLE, nose=1.0)}, 223126),
        ({"occlusion": replace(VISIBLE, mouth=1.0)}, 223127),
        ({"occlusion": replace(VISIBLE, mouth=1.0, nose=1.0)}, 223113),
        ({"blur": 1.0}, 223114),
        ({"illumination": 5.0}, 223115),
        ({"illumination": 250.0}, 223115),
        ({"completeness": 0.2}, 223116),
        ({"pose": Pose(70.0, 0.0, 0.0, "mesh")}, 223129),
        ({"pose": Pose(0.0, -60.0, 0.0, "mesh")}, 223129),
        ({"face_px": 10.0}, 223118),
        ({"score": 0.0}, 223118),
        ({"blur": 1.0, "occlusion": replace(VISIBLE, nose=1.0)}, 223126),
    ],
)
def test_every_reason_of_the_gate_has_a_code(change: dict[str, object], code: int):
    poor = replace(GOOD, **change)
    assert quality_control_code(poor, "LOW") == code
    assert quality_control_code(poor, "NONE") is None


def test_levels_ask_more_and_more():
    turned = replace(GOOD, pose=Pose(25.0, 0.0, 0.0, "mesh"))
    assert quality_control_code(turned, "NORMAL") is None
    assert quality_control_code(turned, "HIGH") == 223129


def test_a_reason_of_tomorrow_is_a_quality_error():
    assert refusal_code(["something-new"]) == 223118
    assert refusal_code([]) == 223118
    reasons = check(GOOD, GatePolicy("strict", min_score=2.0)).reasons
    assert refusal_code([reason.code for reason in reasons]) == 223118


def test_quality_in_baidus_words():
    assert quality_record(GOOD) == {
        "occlusion": asdict(VISIBLE),
        "blur": 0.0,
        "illumination": 120.0,
        "completeness": 1,
    }
    assert quality_record(replace(GOOD, completeness=0.98))["completeness"] == 0
    assert "occlusion" not in quality_record(replace(GOOD, occlusion=None))


@pytest.mark.parametrize("quality", [GOOD, replace(GOOD, occlusion=None, pose=None, real=0.5)])
def test_a_quality_comes_back_as_it_was_kept(quality: Quality):
    assert quality_from(asdict(quality)) == quality


def blank(box: Box, landmarks: Landmarks | None = None) -> Face:
    return Face(box, 0.9, landmarks, Frame(np.zeros((100, 200, 3), np.uint8)))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(10.126, 20, 60, 80), (10.13, 20, 49.87, 60)),
        (Box(-10, -20, 60, 80), (0, 0, 60, 80)),
        (Box(150, 50, 260, 180), (150, 50, 50, 50)),
        (Box(300, 300, 400, 400), (200, 100, 0, 0)),
    ],
)
def test_a_box_ends_at_the_pictures_edge(box: Box, expected: tuple[float, ...]):
    assert tuple(box_of(blank(box)).values()) == pytest.approx(expected)


def test_what_is_no_face_to_the_network_has_four_points_of_the_detector():
    five = Landmarks(np.array([[40, 40], [70, 40], [55, 55], [43, 70], [67, 70]], np.float32))
    (look,) = Looker().look([blank(Box(30, 20, 80, 90), five)])
    assert look.mesh is None
    assert look.pose.method == "five-points"
    assert look.landmarks() == {
        "landmark": [{"x": 40, "y": 40}, {"x": 70, "y": 40}, {"x": 55, "y": 55}, {"x": 55, "y": 70}]
    }
    assert look.quality_object() == {}


@pytest.mark.parametrize(
    ("right_eye", "degrees"),
    [((70, 40), 0), ((70, 70), 45), ((40, 10), -90), ((10, 40), 180), ((70, 41), 2)],
)
def test_rotation_is_that_of_the_line_between_the_eyes(right_eye: tuple[int, int], degrees: int):
    five = Landmarks(np.array([[40, 40], right_eye, [55, 55], [43, 70], [67, 70]], np.float32))
    assert rotation_of(blank(Box(30, 20, 80, 90), five)) == degrees
    assert rotation_of(blank(Box(30, 20, 80, 90))) == 0


def test_angles_have_baidus_signs():
    look = Look(blank(Box(30, 20, 80, 90)), Pose(10.0, 5.0, -3.0, "mesh"))
    assert look.angles == {"yaw": -10.0, "pitch": 5.0, "roll": -3.0}


def test_without_five_points_there_are_none():
    looker = Looker()
    (look,) = looker.look([blank(Box(30, 20, 80, 90))])
    assert look.mesh is None
    assert look.landmarks() == {}
