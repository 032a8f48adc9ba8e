from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.assess._aligned import (
    FACE,
    SIZE_PX,
    TEMPLATE,
    box_points,
    ellipse,
    face_crop,
    luma,
    similarity,
)
from vultus.errors import DegenerateLandmarksError
from vultus.types import Box, Face, Frame, Landmarks

BLACK = np.zeros((40, 40, 3), np.uint8)


def _face(points: object, image: np.ndarray = BLACK) -> Face:
    marks = None if points is None else Landmarks(np.array(points, np.float32))
    return Face(Box(10, 20, 60, 120), 0.9, marks, Frame(image))


class TestSimilarity:
    def test_by_hand(self):
        source = np.array([[0.0, 0.0], [1.0, 0.0]])
        matrix = similarity(source, np.array([[5.0, 5.0], [5.0, 7.0]]))  # turned, doubled, moved
        np.testing.assert_allclose(matrix, [[0, -2, 5], [2, 0, 5]], atol=1e-12)

    @given(st.floats(-3.1, 3.1), st.floats(0.1, 20), st.floats(-99, 99), st.floats(-99, 99))
    def test_finds_what_was_done(self, turn, scale, x, y):
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        done = np.array([[cos, -sin, x], [sin, cos, y]])
        found = similarity(TEMPLATE, TEMPLATE @ done[:, :2].T + done[:, 2])
        np.testing.assert_allclose(found, done, atol=1e-6)

    def test_points_that_coincide(self):
        with pytest.raises(DegenerateLandmarksError, match="must not coincide"):
            similarity(np.ones((5, 2)), TEMPLATE)


class TestFaceCrop:
    @pytest.mark.parametrize(("scale", "turn"), [(1.0, 0.0), (0.4, 0.3), (6.3, -0.8), (2.0, 3.0)])
    def test_the_landmarks_come_to_lie_on_the_template(self, scale, turn):
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        points = TEMPLATE @ np.array([[cos, sin], [-sin, cos]])
        points += 60 - points.min(axis=0)
        image = np.zeros((*(np.ceil(points.max(axis=0)).astype(int)[::-1] + 60), 3), np.uint8)
        for x, y in points:
            across, down = np.meshgrid(np.arange(image.shape[1]), np.arange(image.shape[0]))
            far = np.hypot(across - x, down - y) / max(1.5 * scale, 0.8)
            image = np.maximum(image, np.rint(255 * np.exp(-(far**2)))[..., None].astype(np.uint8))
        crop = luma(face_crop(_face(points, image)))
        for x, y in TEMPLATE:
            part = crop[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7]
            down, across = np.indices(part.shape)
            middle = (part * across).sum() / part.sum(), (part * down).sum() / part.sum()
            found = np.array(middle) + (round(x) - 6, round(y) - 6)
            np.testing.assert_allclose(found, (x, y), atol=0.6)

    def test_a_face_twice_as_large_looks_the_same(self, astronaut):
        image = cv2.resize(astronaut.frame.image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        box = Box(*(2 * v for v in astronaut.box.xyxy))
        large = Face(box, 1.0, Landmarks((astronaut.points + 0.5) * 2 - 0.5), Frame(image))
        difference = face_crop(large).astype(int) - face_crop(astronaut)
        assert np.abs(difference[FACE]).mean() < 1.5

    def test_beyond_the_picture_its_edge_goes_on(self):
        image = np.full((30, 30, 3), (10, 20, 30), np.uint8)
        crop = face_crop(_face(TEMPLATE - 200, image))
        assert crop.shape == (SIZE_PX, SIZE_PX, 3)
        assert (crop == (10, 20, 30)).all()

    def test_a_huge_face_in_a_long_picture(self):
        image = np.full((8, 40_000, 3), 77, np.uint8)  # beyond what OpenCV can warp
        crop = face_crop(_face(TEMPLATE * 400, image))
        assert (crop == 77).all()


def test_without_landmarks_they_are_guessed_from_the_box():
    points = box_points(_face(None))
    np.testing.assert_allclose(points[0], (10 + 0.28 * 50, 20 + 0.39 * 100))
    np.testing.assert_allclose(points[:2, 0].mean(), 35.0)  # the middle of the box


def test_an_ellipse_has_its_area():
    assert ellipse(55.5, 58, 34, 46).sum() == pytest.approx(np.pi * 34 * 46, rel=0.005)
    assert FACE[58, 55]
    assert not FACE[0, 0]


def test_luma_is_that_of_bt_601():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert luma(pixels).tolist() == [[76, 150, 29, 255]]  # 0.299, 0.587 and 0.114 of 255
