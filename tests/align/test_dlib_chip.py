from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from vultus import load_image
from vultus.align import (
    DlibAligner,
    aligner_for,
    dlib_chip,
    eye_mouth_square,
    similarity_transform,
)
from vultus.detect import Mtcnn
from vultus.errors import CardError, DegenerateLandmarksError
from vultus.models import Registry, Store
from vultus.types import Box, Face, Frame, Landmarks

# Where the five dlib points belong in the chip: dlib's mean face, padding 0.25, 150 px.
TEMPLATE_PX = np.array(
    [[110.957, 46.350], [89.606, 47.897], [37.057, 46.373], [58.408, 47.906], [74.011, 87.780]]
)


def _aligner(name: str) -> DlibAligner:
    made = aligner_for(name, Registry(), Store())
    assert isinstance(made, DlibAligner)
    return made


@pytest.fixture(scope="module", params=["dlib-5", "dlib-10"])
def aligner(request: pytest.FixtureRequest) -> DlibAligner:
    return _aligner(request.param)


def _turned(image: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture turned clockwise about its centre on a larger canvas, and how points move."""
    height, width = image.shape[:2]
    side = int(np.hypot(width, height)) + 2
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    return np.asarray(cv2.warpAffine(image, matrix, (side, side)), np.uint8), matrix


def _move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int))


class TestEyeMouthSquare:
    def test_by_hand_when_the_face_is_long(self):
        points = np.array([[[0, 0], [10, 0], [5, 9], [0, 20], [10, 20]]], np.float32)
        half = 2.24 * 20 / 2
        expected = [[5 - half, 10 - half, 5 + half, 10 + half]]
        np.testing.assert_allclose(eye_mouth_square(points), expected)

    def test_by_hand_when_the_face_is_wide(self):
        points = np.array([[[0, 0], [30, 40], [9, 9], [0, 0], [30, 40]]], np.float32)
        half = 2.24 * 50 / 2
        expected = [[15 - half, 20 - half, 15 + half, 20 + half]]
        np.testing.assert_allclose(eye_mouth_square(points), expected)

    def test_the_nose_does_not_count(self):
        points = np.array([[[0, 0], [10, 0], [5, 9], [0, 20], [10, 20]]], np.float32)
        moved = points.copy()
        moved[:, 2] += 7
        np.testing.assert_array_equal(eye_mouth_square(points), eye_mouth_square(moved))

    def test_several_and_none(self):
        points = np.arange(30, dtype=np.float32).reshape(3, 5, 2)
        assert eye_mouth_square(points).shape == (3, 4)
        assert eye_mouth_square(points[:0]).shape == (0, 4)


class TestChip:
    def test_as_dlib(self, golden: Mapping[str, np.ndarray]):
        """Measured: mean difference 0.504 levels, at most 3."""
        chip = dlib_chip(golden["picture"], golden["points"].astype(np.float64))
        assert chip.shape == (150, 150, 3)
        assert chip.dtype == np.uint8
        difference = _difference(chip, golden["chip"])
        assert difference.mean() < 0.6
        assert difference.max() <= 5

    def test_points_on_the_template_need_no_warp(self):
        """dlib's rectangle ends on pixel centres: the picture comes back moved by half a pixel."""
        picture = np.zeros((150, 150, 3), np.uint8)
        picture[..., 0] = np.arange(150)
        picture[..., 1] = np.arange(150)[:, None]
        chip = dlib_chip(picture, TEMPLATE_PX)
        np.testing.assert_allclose(chip[10:140, 10:140, 0], picture[10:140, 10:140, 0], atol=1)
        np.testing.assert_allclose(chip[10:140, 10:140, 1], picture[10:140, 10:140, 1], atol=1)

    @pytest.mark.parametrize("scale", [1, 2, 3, 5, 8])
    def test_a_large_face_is_shrunk_where_it_belongs(self, scale):
        """Red and green count the place; each chip pixel must tell where it came from."""
        side = 160 * scale
        picture = np.zeros((side, side, 3), np.uint8)
        picture[..., 0] = np.arange(side) * 255 // side
        picture[..., 1] = (np.arange(side) * 255 // side)[:, None]
        chip = dlib_chip(picture, TEMPLATE_PX * scale).astype(float)
        expected = np.arange(150) * scale * 255 / side
        # dlib's pyramid itself moves the chip by up to one of its pixels.
        np.testing.assert_allclose(chip[75, 8:140, 0], expected[8:140], atol=4)
        np.testing.assert_allclose(chip[8:140, 75, 1], expected[8:140], atol=4)

    def test_partly_outside_is_black_there(self):
        white = np.full((150, 150, 3), 255, np.uint8)
        chip = dlib_chip(white, TEMPLATE_PX + (60, 0))
        assert (chip[:149, :88] == 255).all()
        assert (chip[:, 92:] == 0).all()

    @pytest.mark.parametrize("away", [(-5000, 0), (0, 5000), (900, 900)])
    @pytest.mark.parametrize("scale", [0.2, 1, 6])
    def test_wholly_outside_is_black(self, away, scale):
        white = np.full((100, 120, 3), 255, np.uint8)
        assert not dlib_chip(white, TEMPLATE_PX * scale + np.array(away) * scale).any()

    @pytest.mark.parametrize("shape_hw", [(1, 1), (1, 900), (900, 1), (3, 3), (7, 2000)])
    @pytest.mark.parametrize("scale", [0.05, 1, 6, 60])
    def test_slivers(self, shape_hw, scale):
        chip = dlib_chip(np.full((*shape_hw, 3), 200, np.uint8), TEMPLATE_PX * scale)
        assert chip.shape == (150, 150, 3)

    def test_a_view_gives_what_its_copy_gives(self, golden: Mapping[str, np.ndarray]):
        view = golden["picture"][:, 20:280]
        points = golden["points"] - (20.0, 0)
        np.testing.assert_array_equal(dlib_chip(view, points), dlib_chip(view.copy(), points))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, golden, value):
        points = golden["points"].astype(np.float64)
        points[2, 0] = value
        with pytest.raises(DegenerateLandmarksError, match="landmarks must be finite"):
            dlib_chip(golden["picture"], points)

    def test_points_that_coincide(self, golden):
        with pytest.raises(DegenerateLandmarksError, match="admit no similarity transform"):
            dlib_chip(golden["picture"], np.full((5, 2), 80.0))


class TestAligner:
    @pytest.mark.parametrize("name", ["dlib-5", "dlib-10"])
    def test_name_and_size(self, name):
        aligner = _aligner(name)
        assert (aligner.name, aligner.size_px) == (name, 150)

    def test_from_detection_to_dlib_s_chip(
        self,
        aligner: DlibAligner,
        make_detector: Callable[..., Mtcnn],
        golden: Mapping[str, np.ndarray],
        golden_frame: Frame,
    ):
        """Another box than dlib's gives almost its points."""
        (face,) = make_detector(min_face_px=20).detect(golden_frame)
        (points,) = aligner.points(golden_frame.image, face.landmarks.points[None])
        # Measured: 0.41 px for five points, of which half a pixel is dlib's rounding, and 2.4 px
        # for the joint fit, which follows the detector as well; the face is 86 px wide.
        limit_px = {"dlib-5": 1.0, "dlib-10": 3.0}[aligner.name]
        assert np.abs(points - golden["points"]).max() < limit_px
        (chip,) = aligner.align([face])
        np.testing.assert_array_equal(chip, dlib_chip(golden_frame.image, points))

    @pytest.mark.parametrize("degrees", [-40, -27, -20, 10, 30, 45])
    def test_a_leaning_face_gives_the_same_chip(self, aligner, make_detector, samples, degrees):
        """The chip of a turned picture is that of the upright one."""
        image = load_image(samples / "photos" / "astronaut.png")
        (face,) = make_detector().detect(Frame(image))
        turned, matrix = _turned(image, degrees)
        landmarks = _move(matrix, face.landmarks.points)
        (upright,) = aligner.points(image, face.landmarks.points[None])
        (leaning,) = aligner.points(turned, landmarks[None].astype(np.float32))
        assert (
            np.abs(leaning - _move(matrix, upright)).max() < 1
        )  # measured: 0.44 px; the eyes are 41 px apart

    def test_ten_points_lie_on_the_template(self):
        """The fit of both sets of points has the template's own shape, which no jitter bends."""
        aligner = _aligner("dlib-10")
        image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
        landmarks = np.array([[[70, 80], [130, 85], [100, 110], [75, 140], [120, 142]]])
        (points,) = aligner.points(image, landmarks.astype(np.float32))
        matrix = similarity_transform(TEMPLATE_PX, points)
        np.testing.assert_allclose(_move(matrix, TEMPLATE_PX), points, atol=2e-3)

    def test_faces_of_several_frames_keep_their_order(
        self, aligner: DlibAligner, make_detector: Callable[..., Mtcnn], samples: Path
    ):
        detector = make_detector()
        photos = samples / "photos"
        wall = detector.detect(Frame(load_image(photos / "wall.jpg")))
        (astronaut,) = detector.detect(Frame(load_image(photos / "astronaut.png")))
        faces = [wall[2], astronaut, wall[0], wall[2], wall[1]]
        together = aligner.align(faces)
        assert len(together) == 5
        for chip, face in zip(together, faces, strict=True):
            np.testing.assert_array_equal(chip, aligner.align([face])[0])
        assert _difference(together[0], together[1]).mean() > 5

    def test_no_faces(self, aligner: DlibAligner):
        assert aligner.align([]) == []

    def test_a_face_outside_the_picture(self, aligner: DlibAligner):
        frame = Frame(np.full((100, 100, 3), 255, np.uint8))
        points = np.array([[0, 0], [30, 0], [15, 20], [3, 35], [27, 35]]) + 5000
        face = Face(Box(5000, 5000, 5030, 5040), 0.9, Landmarks(points), frame)
        assert not aligner.align([face])[0].any()

    def test_landmarks_that_coincide(self, aligner: DlibAligner):
        frame = Frame(np.full((100, 100, 3), 255, np.uint8))
        face = Face(Box(0, 0, 9, 9), 0.9, Landmarks(np.full((5, 2), 50.0)), frame)
        with pytest.raises(DegenerateLandmarksError):
            aligner.align([face])


class TestAlignerFor:
    def test_arcface(self):
        made = aligner_for("arcface-112", Registry(), Store())
        assert (made.name, made.size_px) == ("arcface-112", 112)

    def test_unknown(self):
        with pytest.raises(CardError) as caught:
            aligner_for("mean-face", Registry(), Store())
        assert caught.value.message == (
            "alignment must be 'dlib-5', 'dlib-10' or 'arcface-112', got 'mean-face'"
        )
