from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from vultus.assess import geometry, illumination, sharpness
from vultus.assess._aligned import face_crop
from vultus.assess.occlusion import occlusion
from vultus.assess.quality import QualityAssessor, fused_score
from vultus.errors import DegenerateLandmarksError
from vultus.types import Face, Frame, Landmarks, Occlusion, Pose

GOOD = {
    "blur": 0.2,
    "noise": 0.7,
    "illumination": 120.0,
    "contrast": 0.4,
    "completeness": 1.0,
    "occlusion": None,
}


class Turned:
    """Says yaw 1°, 2°, …"""

    name = "turned"

    def estimate(self, faces: Sequence[Face]) -> list[Pose]:
        return [Pose(i + 1.0, 0.0, 0.0, "turned") for i, _ in enumerate(faces)]


class TestFusedScore:
    def test_by_hand(self):
        # 5.63 - 2 (5.74 * 0.2 + 5.86 * 0.061) = 2.61908
        assert fused_score(**GOOD) == pytest.approx(0.932080, abs=1e-6)

    def test_every_cost_by_hand(self):
        parts = Occlusion(1.0, 0, 0, 0, 0, 0, 0)
        score = fused_score(
            blur=0.1,
            noise=3.0,
            illumination=187.0,
            contrast=0.15,
            completeness=0.75,
            occlusion=parts,
        )
        cost = 0.574 + 5.86 / 7 + 0.52 + 1.28 * 0.2 + 0.42 * 0.25 + 0.26
        assert score == pytest.approx(1 / (1 + np.exp(-(5.63 - 2 * cost))))

    @pytest.mark.parametrize(
        ("name", "worse"),
        [
            ("blur", 0.4),
            ("noise", 5.0),
            ("illumination", 230.0),
            ("contrast", 0.1),
            ("completeness", 0.7),
            ("occlusion", Occlusion(0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1)),
        ],
    )
    def test_what_is_worse_costs(self, name, worse):
        assert fused_score(**{**GOOD, name: worse}) < fused_score(**GOOD) - 0.01

    def test_darkness_alone_costs_nothing(self):
        assert fused_score(**{**GOOD, "illumination": 30.0}) == fused_score(**GOOD)


class TestAssess:
    def test_no_faces(self):
        assert QualityAssessor(Turned()).assess([]) == []

    def test_is_what_the_measures_say(self, astronaut):
        (found,) = QualityAssessor().assess([astronaut])
        crop = face_crop(astronaut)
        assert found.blur == sharpness.blur(crop)
        assert found.illumination == illumination.illumination(crop)
        assert found.contrast == illumination.contrast(crop)
        assert found.face_px == pytest.approx(88.07)
        assert found.inter_eye_px == geometry.inter_eye_px(astronaut)
        assert found.completeness == 1.0
        assert found.occlusion == occlusion(crop)
        assert (found.pose, found.real) == (None, None)
        assert found.score == fused_score(
            blur=found.blur,
            noise=sharpness.noise(crop),
            illumination=found.illumination,
            contrast=found.contrast,
            completeness=1.0,
            occlusion=found.occlusion,
        )

    def test_a_good_picture_in_numbers(self, astronaut):
        (found,) = QualityAssessor().assess([astronaut])
        assert found.score == pytest.approx(0.95, abs=0.03)
        assert found.blur == pytest.approx(0.17, abs=0.05)
        assert found.illumination == pytest.approx(165, abs=15)
        assert found.inter_eye_px == pytest.approx(41.5, abs=0.1)

    def test_in_order_each_with_its_pose(self, astronaut, changed):
        dark = changed((astronaut.frame.image * 0.3).astype(np.uint8))
        first, second = QualityAssessor(Turned()).assess([astronaut, dark])
        assert first.illumination > 3 * second.illumination
        assert (first.pose.yaw_deg, second.pose.yaw_deg) == (1.0, 2.0)

    def test_without_landmarks(self, astronaut):
        bare = Face(astronaut.box, 0.9, None, astronaut.frame)
        (found,) = QualityAssessor().assess([bare])
        assert found.inter_eye_px is None
        assert found.occlusion is None
        assert found.score == pytest.approx(0.93, abs=0.05)

    def test_landmarks_that_coincide(self, astronaut):
        bad = Face(astronaut.box, 0.9, Landmarks(np.ones((5, 2))), astronaut.frame)
        with pytest.raises(DegenerateLandmarksError):
            QualityAssessor().assess([bad])

    @pytest.mark.parametrize("kind", ["blur", "noise", "covered", "small"])
    def test_spoiling_a_picture_lowers_the_score_step_by_step(self, astronaut, changed, kind):
        scores = [
            QualityAssessor().assess([_spoilt(astronaut, changed, kind, step)])[0].score
            for step in range(4)
        ]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > 0.9
        assert scores[-1] < 0.35


def _spoilt(face: Face, changed, kind: str, step: int) -> Face:
    image = face.frame.image.copy()
    if step == 0:
        return face
    if kind == "blur":
        return changed(cv2.GaussianBlur(image, (0, 0), 1.8 * step))
    if kind == "noise":
        grain = np.random.default_rng(0).normal(0, 20 * step, image.shape)
        return changed(np.clip(image + grain, 0, 255).astype(np.uint8))
    if kind == "covered":
        top = (150, 125, 95)[step - 1]
        image[top:175, 180:270] = (40, 60, 160)
        return changed(image)
    scale = (0.35, 0.2, 0.11)[step - 1]
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    exact = np.array(small.shape[1::-1]) / image.shape[1::-1]
    points = (face.points + 0.5) * exact - 0.5
    return Face(face.box, 1.0, Landmarks(points), Frame(small))
