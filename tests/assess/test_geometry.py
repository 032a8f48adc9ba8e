from __future__ import annotations

import numpy as np
import pytest

from vultus.assess._aligned import TEMPLATE
from vultus.assess.geometry import completeness, face_px, inter_eye_px
from vultus.errors import DegenerateLandmarksError
from vultus.types import Box, Face, Frame, Landmarks


def _face(points: object = None, shape_hw: tuple[int, int] = (112, 112)) -> Face:
    marks = None if points is None else Landmarks(np.array(points, np.float32))
    frame = Frame(np.zeros((*shape_hw, 3), np.uint8))
    return Face(Box(20, 10, 95, 105), 1.0, marks, frame)


def test_the_shorter_side_counts():
    assert face_px(_face()) == 75.0


def test_between_the_eyes():
    assert inter_eye_px(_face([[1, 2], [4, 6], [0, 0], [0, 9], [9, 9]])) == pytest.approx(5.0)
    assert inter_eye_px(_face()) is None


class TestCompleteness:
    def test_all_of_it(self):
        assert completeness(_face(TEMPLATE)) == 1.0

    @pytest.mark.parametrize("shift", [(-55.5, 0), (55.5, 0), (0, -58)])
    def test_half_of_it(self, shift):
        assert completeness(_face(TEMPLATE + shift)) == pytest.approx(0.5, abs=0.015)

    def test_nothing(self):
        assert completeness(_face(TEMPLATE + 500)) == 0.0

    def test_the_size_does_not_matter(self):
        assert completeness(_face(TEMPLATE * 3 - (166.5, 0), (400, 400))) == pytest.approx(
            0.5, abs=0.015
        )

    def test_a_leaning_face(self):
        turned = (TEMPLATE - 55.5) @ np.array([[0, 1], [-1, 0]]) + 55.5
        assert completeness(_face(turned)) == 1.0

    def test_from_a_box_alone(self):
        assert completeness(_face(None, (200, 200))) > 0.99
        assert completeness(_face(None, (200, 57))) == pytest.approx(0.5, abs=0.03)

    def test_landmarks_that_coincide(self):
        with pytest.raises(DegenerateLandmarksError, match="must not coincide"):
            completeness(_face(np.ones((5, 2))))
