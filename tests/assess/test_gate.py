from __future__ import annotations

from dataclasses import fields, replace

import pytest

from vultus.assess.gate import POLICIES, GatePolicy, check, gate_policy
from vultus.errors import InsufficientDataError, RangeError
from vultus.types import Occlusion, Pose, Quality

BARE = Occlusion(0.05, 0.05, 0.1, 0.05, 0.1, 0.1, 0.05)
GOOD = Quality(
    score=0.95,
    blur=0.15,
    illumination=130.0,
    contrast=0.4,
    face_px=220.0,
    inter_eye_px=95.0,
    completeness=1.0,
    occlusion=BARE,
    pose=Pose(3.0, -4.0, 1.0, "mesh"),
)
ALL = GatePolicy(
    "all",
    min_face_px=60,
    min_inter_eye_px=24,
    max_yaw_deg=30,
    max_pitch_deg=25,
    max_roll_deg=20,
    max_blur=0.5,
    min_illumination=40,
    max_illumination=210,
    min_contrast=0.1,
    min_completeness=0.9,
    max_occlusion=Occlusion(0.6, 0.6, 0.7, 0.7, 0.8, 0.8, 0.6),
    min_score=0.5,
)


def _pose(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Pose:
    return Pose(yaw, pitch, roll, "mesh")


REFUSALS = [
    ({"face_px": 32.4}, "too-small", "come closer: face 32 px, limit 60 px", 32.4, 60),
    (
        {"inter_eye_px": 11.0},
        "eyes-too-close",
        "come closer: distance between the eyes 11 px, limit 24 px",
        11,
        24,
    ),
    ({"pose": _pose(yaw=41)}, "yaw", "turn towards the camera: yaw 41°, limit 30°", 41, 30),
    ({"pose": _pose(yaw=-41)}, "yaw", "turn towards the camera: yaw 41°, limit 30°", 41, 30),
    (
        {"pose": _pose(pitch=-33)},
        "pitch",
        "look straight at the camera, neither up nor down: pitch 33°, limit 25°",
        33,
        25,
    ),
    ({"pose": _pose(roll=90)}, "roll", "hold the head upright: roll 90°, limit 20°", 90, 20),
    (
        {"blur": 0.72},
        "blurred",
        "hold still and focus on the face: blur 0.72, limit 0.50",
        0.72,
        0.5,
    ),
    (
        {"illumination": 22.0},
        "too-dark",
        "put more light on the face: light 22 of 255, limit 40 of 255",
        22,
        40,
    ),
    (
        {"illumination": 240.0},
        "too-bright",
        "put less light on the face: light 240 of 255, limit 210 of 255",
        240,
        210,
    ),
    (
        {"contrast": 0.05},
        "low-contrast",
        "wipe the lens and keep light from shining into it: contrast 0.05, limit 0.10",
        0.05,
        0.1,
    ),
    (
        {"completeness": 0.6},
        "incomplete",
        "move the whole face into the picture: part inside the picture 0.60, limit 0.90",
        0.6,
        0.9,
    ),
    (
        {"score": 0.2},
        "low-score",
        "take a clearer picture: quality 0.20, limit 0.50",
        0.2,
        0.5,
    ),
]


class TestCheck:
    def test_a_good_face_passes_every_preset(self):
        for name in POLICIES:
            result = check(GOOD, gate_policy(name))
            assert (result.policy, result.accepted, result.reasons) == (name, True, ())

    @pytest.mark.parametrize(("change", "code", "text", "value", "limit"), REFUSALS)
    def test_each_reason(self, change, code, text, value, limit):
        result = check(replace(GOOD, **change), ALL)
        assert not result.accepted
        (reason,) = result.reasons
        assert (reason.code, str(reason)) == (code, text)
        assert (reason.value, reason.limit) == (value, limit)

    @pytest.mark.parametrize("part", [field.name for field in fields(Occlusion)])
    def test_each_part(self, part):
        result = check(replace(GOOD, occlusion=replace(BARE, **{part: 0.97})), ALL)
        (reason,) = result.reasons
        assert reason.code == f"{part.replace('_', '-')}-covered"
        assert reason.remedy == f"uncover the {part.replace('_', ' ')}, as seen in the picture"
        assert reason.message.startswith(f"{part.replace('_', ' ')} covered 0.97, limit 0.")

    def test_on_the_limit_passes(self):
        edge = replace(
            GOOD,
            face_px=60,
            inter_eye_px=24,
            pose=_pose(-30, 25, -20),
            blur=0.5,
            illumination=40,
            contrast=0.1,
            completeness=0.9,
            occlusion=ALL.max_occlusion,
            score=0.5,
        )
        assert check(edge, ALL).accepted

    def test_every_reason_at_once_in_order(self):
        awful = replace(
            GOOD,
            face_px=10,
            inter_eye_px=4,
            pose=_pose(80, 70, 60),
            blur=0.9,
            illumination=5,
            contrast=0.0,
            completeness=0.2,
            occlusion=Occlusion(1, 1, 1, 1, 1, 1, 1),
            score=0.0,
        )
        assert [reason.code for reason in check(awful, ALL).reasons] == [
            "too-small", "eyes-too-close", "yaw", "pitch", "roll", "blurred", "too-dark",
            "low-contrast", "incomplete", "left-eye-covered", "right-eye-covered", "nose-covered",
            "mouth-covered", "left-cheek-covered", "right-cheek-covered", "chin-covered",
            "low-score",
        ]  # fmt: skip

    def test_a_hair_beyond_the_limit_shows(self):
        (reason,) = check(replace(GOOD, pose=_pose(yaw=30.04)), ALL).reasons
        assert reason.message == "yaw 30.04°, limit 30°"

    def test_what_is_not_a_number_is_refused(self):
        assert not check(replace(GOOD, blur=float("nan")), ALL).accepted

    @pytest.mark.parametrize("missing", ["pose", "occlusion", "inter_eye_px"])
    def test_what_was_not_measured_cannot_pass(self, missing):
        with pytest.raises(InsufficientDataError, match=r"gate 'all' limits .+ was not measured"):
            check(replace(GOOD, **{missing: None}), ALL)

    def test_a_policy_that_does_not_ask_takes_it(self):
        unmeasured = replace(GOOD, pose=None, occlusion=None, inter_eye_px=None)
        assert check(unmeasured, GatePolicy("size", min_face_px=50)).accepted
        assert check(unmeasured, gate_policy("off")).accepted


class TestPolicies:
    def test_names(self):
        assert list(POLICIES) == ["off", "low", "normal", "high"]

    def test_an_unknown_name(self):
        with pytest.raises(RangeError, match="one of off, low, normal, high, got 'strict'"):
            gate_policy("strict")

    def test_off_asks_nothing(self):
        assert gate_policy("off") == GatePolicy("off")

    def test_each_asks_more_than_the_one_before(self):
        for laxer, stricter in (("low", "normal"), ("normal", "high")):
            a, b = gate_policy(laxer), gate_policy(stricter)
            for field in fields(GatePolicy):
                old, new = getattr(a, field.name), getattr(b, field.name)
                if field.name.startswith("min_") and old is not None:
                    assert new >= old, field.name
                elif field.name == "max_occlusion":
                    for part in fields(Occlusion):
                        assert getattr(new, part.name) <= getattr(old, part.name)
                elif field.name.startswith("max_") and old is not None:
                    assert new <= old, field.name

    def test_normal_and_high_keep_the_published_limits(self):
        normal, high = gate_policy("normal"), gate_policy("high")
        limits = normal.max_occlusion
        assert (limits.left_eye, limits.right_eye, limits.chin) == (0.6, 0.6, 0.6)
        assert max(limits.nose, limits.mouth) <= 0.7
        assert max(limits.left_cheek, limits.right_cheek) <= 0.8
        assert normal.min_illumination == 40
        assert (high.min_face_px, high.max_yaw_deg, high.max_pitch_deg, high.max_roll_deg) == (
            100, 20, 20, 20,
        )  # fmt: skip
        assert high.min_inter_eye_px == 60
