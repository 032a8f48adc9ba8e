from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.align import ARCFACE_112, SimilarityAligner, similarity_transform
from vultus.errors import DegenerateLandmarksError
from vultus.types import Box, Face, Frame, Landmarks

angle = st.floats(-math.pi, math.pi)
scale = st.floats(0.05, 20)
shift = st.floats(-500, 500)


def _matrix(turn: float, size: float, x: float, y: float) -> np.ndarray:
    c, s = size * math.cos(turn), size * math.sin(turn)
    return np.array([[c, -s, x], [s, c, y]])


def _apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


class TestTransform:
    @given(angle, scale, shift, shift)
    @settings(max_examples=60, deadline=None)
    def test_recovers_what_moved_the_points(self, turn, size, x, y):
        matrix = _matrix(turn, size, x, y)
        found = similarity_transform(ARCFACE_112, _apply(matrix, ARCFACE_112))
        np.testing.assert_allclose(found, matrix, rtol=1e-6, atol=1e-6)

    @given(st.lists(st.tuples(shift, shift), min_size=5, max_size=5))
    @settings(max_examples=60, deadline=None)
    def test_never_reflects(self, points):
        try:
            matrix = similarity_transform(ARCFACE_112, np.array(points))
        except DegenerateLandmarksError:
            return
        linear = matrix[:, :2]
        assert np.linalg.det(linear) > 0
        np.testing.assert_allclose(linear[0, 0], linear[1, 1])
        np.testing.assert_allclose(linear[0, 1], -linear[1, 0])

    def test_is_the_best_in_the_sense_of_least_squares(self):
        rng = np.random.default_rng(5)
        target = _apply(_matrix(0.3, 2, 7, -9), ARCFACE_112) + rng.normal(0, 3, (5, 2))
        # The same problem as linear equations in a, b, x, y: (ax - by + x, bx + ay + y).
        rows = np.zeros((10, 4))
        rows[0::2] = np.stack([ARCFACE_112[:, 0], -ARCFACE_112[:, 1], np.ones(5), np.zeros(5)], 1)
        rows[1::2] = np.stack([ARCFACE_112[:, 1], ARCFACE_112[:, 0], np.zeros(5), np.ones(5)], 1)
        a, b, x, y = np.linalg.lstsq(rows, target.ravel(), rcond=None)[0]
        expected = np.array([[a, -b, x], [b, a, y]])
        np.testing.assert_allclose(similarity_transform(ARCFACE_112, target), expected, atol=1e-9)

    def test_two_points_by_hand(self):
        source = np.array([[0.0, 0.0], [2.0, 0.0]])
        target = np.array([[1.0, 1.0], [1.0, 5.0]])  # a quarter turn, twice as large
        expected = [[0, -2, 1], [2, 0, 1]]
        np.testing.assert_allclose(similarity_transform(source, target), expected, atol=1e-12)

    def test_mirrored_points_are_not_reflected(self):
        square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 1.0], [0.0, 1.0]])
        matrix = similarity_transform(square, square * (-1, 1))
        assert np.linalg.det(matrix[:, :2]) > 0

    @given(
        st.lists(st.integers(0, 3), min_size=5, max_size=5).filter(lambda w: sum(map(bool, w)) > 1)
    )
    @settings(max_examples=30, deadline=None)
    def test_a_weight_counts_like_repeating_the_point(self, weights):
        target = ARCFACE_112 + np.random.default_rng(1).normal(0, 5, (5, 2))
        found = similarity_transform(ARCFACE_112, target, np.array(weights, np.float64))
        expected = similarity_transform(
            np.repeat(ARCFACE_112, weights, axis=0), np.repeat(target, weights, axis=0)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)

    def test_weights_have_no_unit(self):
        target = ARCFACE_112 + np.random.default_rng(1).normal(0, 5, (5, 2))
        plain = similarity_transform(ARCFACE_112, target)
        for size in (1e-6, 1.0, 1e6):
            found = similarity_transform(ARCFACE_112, target, np.full(5, size))
            np.testing.assert_allclose(found, plain, rtol=1e-9)

    def test_source_that_coincides(self):
        with pytest.raises(DegenerateLandmarksError) as caught:
            similarity_transform(np.full((5, 2), 3.0), ARCFACE_112)
        assert str(caught.value) == (
            "landmarks must not all coincide; drop this face; its landmarks are unusable"
        )

    def test_target_that_coincides(self):
        with pytest.raises(DegenerateLandmarksError, match="admit no similarity transform"):
            similarity_transform(ARCFACE_112, np.full((5, 2), 3.0))

    def test_no_rotation_is_better_than_another(self):
        square = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
        flipped = square * (-1, 1)
        with pytest.raises(DegenerateLandmarksError, match="admit no similarity transform"):
            similarity_transform(square, flipped)


def _face(image: np.ndarray, points: np.ndarray) -> Face:
    return Face(Box(0, 0, 9, 9), 0.9, Landmarks(points), Frame(image))


@pytest.fixture(scope="module")
def aligner() -> SimilarityAligner:
    return SimilarityAligner(ARCFACE_112, 112, "arcface-112")


@pytest.fixture(scope="module")
def chart() -> np.ndarray:
    """(256, 256, 3): red counts the column, green the row."""
    image = np.zeros((256, 256, 3), np.uint8)
    image[..., 0] = np.arange(256)
    image[..., 1] = np.arange(256)[:, None]
    return image


class TestAligner:
    def test_identity(self, aligner, chart):
        (crop,) = aligner.align([_face(chart, ARCFACE_112)])
        assert crop.shape == (112, 112, 3)
        assert crop.dtype == np.uint8
        np.testing.assert_array_equal(crop, chart[:112, :112])

    @pytest.mark.parametrize(
        ("turn", "size", "x", "y"),
        [(0, 1, 30, 50), (0.4, 1.2, 80, 40), (math.pi / 2, 0.7, 180, 60), (math.pi, 1.0, 190, 200)],
    )
    def test_puts_the_landmarks_on_the_template(self, aligner, chart, turn, size, x, y):
        points = _apply(_matrix(turn, size, x, y), ARCFACE_112)
        (crop,) = aligner.align([_face(chart, points)])
        for (column, row), (from_x, from_y) in zip(ARCFACE_112, points, strict=True):
            red, green, _ = crop[round(row), round(column)]
            assert red == pytest.approx(from_x, abs=1.5)
            assert green == pytest.approx(from_y, abs=1.5)

    def test_partly_outside_is_black_there(self, aligner):
        white = np.full((112, 112, 3), 255, np.uint8)
        (crop,) = aligner.align([_face(white, ARCFACE_112 - (40, 0))])
        assert (crop[:, :39] == 0).all()
        assert (crop[:, 41:] == 255).all()

    @pytest.mark.parametrize("away", [(-5000, 0), (5000, 0), (0, -5000), (900, 900)])
    def test_wholly_outside_is_black(self, aligner, away):
        white = np.full((112, 112, 3), 255, np.uint8)
        (crop,) = aligner.align([_face(white, ARCFACE_112 + away)])
        assert not crop.any()

    def test_wider_than_opencv_can_address(self, aligner, chart):
        wide = np.zeros((256, 40_000, 3), np.uint8)
        wide[:, -256:] = chart
        points = _apply(_matrix(0.2, 1, 60, 60), ARCFACE_112)
        (near,) = aligner.align([_face(chart, points)])
        (far,) = aligner.align([_face(wide, points + (40_000 - 256, 0))])
        # Landmarks are single precision: at 40,000 px they are good to 0.004 px.
        assert np.abs(near.astype(int) - far).max() <= 1

    def test_one_pixel(self, aligner):
        (crop,) = aligner.align([_face(np.full((1, 1, 3), 255, np.uint8), ARCFACE_112)])
        assert crop[0, 0].tolist() == [255, 255, 255]
        assert crop.sum() == 3 * 255

    def test_no_faces(self, aligner):
        assert aligner.align([]) == []

    def test_landmarks_that_coincide(self, aligner, chart):
        with pytest.raises(DegenerateLandmarksError, match="admit no similarity transform"):
            aligner.align([_face(chart, np.full((5, 2), 50.0))])

    def test_the_template_cannot_be_changed(self):
        with pytest.raises(ValueError, match="read-only"):
            ARCFACE_112[0, 0] = 0
