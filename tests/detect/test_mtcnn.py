from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vultus import load_image
from vultus.detect import Mtcnn, MtcnnOptions
from vultus.errors import RangeError
from vultus.types import Face, Frame

# Measured on the golden picture: boxes and landmarks within 0.004 px of facenet-pytorch's.
GOLDEN_PX = 0.05


@pytest.fixture(scope="module")
def detector(make_detector: Callable[..., Mtcnn]) -> Mtcnn:
    return make_detector()


@pytest.fixture(scope="module")
def astronaut(samples: Path) -> np.ndarray:
    """(512, 512, 3) with one face, about 88 × 111 px at (180, 61)."""
    return load_image(samples / "photos" / "astronaut.png")


def _boxes(faces: list[Face]) -> np.ndarray:
    return np.array([face.box.xyxy for face in faces]).reshape(-1, 4)


class TestOptions:
    def test_default(self):
        options = MtcnnOptions()
        assert (options.min_face_px, options.factor) == (40.0, 0.709)
        assert options.thresholds == (0.6, 0.7, 0.7)

    @pytest.mark.parametrize("value", [11.99, 0, -40, math.nan, -math.inf])
    def test_min_face(self, value):
        with pytest.raises(RangeError) as caught:
            MtcnnOptions(min_face_px=value)
        assert caught.value.message == f"min_face_px must be finite and at least 12, got {value}"
        assert caught.value.remedy == "enlarge the picture to find smaller faces"

    @pytest.mark.parametrize(
        "value", [(), (0.6, 0.7), (0.6, 0.7, 0.7, 0.7), (0.6, 0.7, 1.1), (-0.1, 0.7, 0.7),
                  (0.6, math.nan, 0.7)]
    )  # fmt: skip
    def test_thresholds(self, value):
        with pytest.raises(RangeError, match=r"thresholds must be three values in \[0, 1\], got"):
            MtcnnOptions(thresholds=value)

    @pytest.mark.parametrize("value", [0, 0.09, 0.96, 1, 2, math.nan])
    def test_factor(self, value):
        with pytest.raises(RangeError, match=r"factor must lie in \[0\.1, 0\.95\], got"):
            MtcnnOptions(factor=value)


class TestGolden:
    def test_as_the_reference_implementation(
        self,
        make_detector: Callable[..., Mtcnn],
        golden: Mapping[str, np.ndarray],
        golden_frame: Frame,
    ):
        faces = make_detector(min_face_px=20).detect(golden_frame)
        assert len(faces) == len(golden["mtcnn_boxes"]) == 1
        np.testing.assert_allclose(_boxes(faces), golden["mtcnn_boxes"], atol=GOLDEN_PX)
        points = np.stack([face.landmarks.points for face in faces])
        np.testing.assert_allclose(points, golden["mtcnn_points"], atol=GOLDEN_PX)
        scores = [face.score for face in faces]
        np.testing.assert_allclose(scores, golden["mtcnn_scores"], atol=1e-4)

    def test_exchanged_colours_would_show(
        self,
        make_detector: Callable[..., Mtcnn],
        golden: Mapping[str, np.ndarray],
    ):
        swapped = Frame(np.ascontiguousarray(golden["picture"][..., ::-1]))
        faces = make_detector(min_face_px=20).detect(swapped)
        moved = np.abs(_boxes(faces[:1]) - golden["mtcnn_boxes"]).max() if faces else math.inf
        assert moved > 10 * GOLDEN_PX

    def test_faces_know_their_frame(self, detector: Mtcnn, golden_frame: Frame):
        (face,) = detector.detect(golden_frame)
        assert face.frame is golden_frame


class TestNothingThere:
    @pytest.mark.parametrize(
        "shape_hw", [(1, 1), (11, 11), (12, 12), (11, 4000), (40, 40), (39, 500), (20, 20000),
                     (20000, 20)]
    )  # fmt: skip
    @pytest.mark.parametrize("min_face_px", [12, 40])
    def test_tiny_and_narrow(self, make_detector, shape_hw, min_face_px):
        picture = np.full((*shape_hw, 3), 90, np.uint8)
        picture[::3] = 160
        assert make_detector(min_face_px=min_face_px).detect(Frame(picture)) == []

    @pytest.mark.parametrize("value", [0, 127, 255])
    def test_blank(self, detector: Mtcnn, value):
        assert detector.detect(Frame(np.full((300, 400, 3), value, np.uint8))) == []

    @pytest.mark.parametrize("seed", range(3))
    def test_noise(self, detector: Mtcnn, seed):
        picture = np.random.default_rng(seed).integers(0, 256, (300, 400, 3), dtype=np.uint8)
        assert detector.detect(Frame(picture)) == []

    def test_a_rocket(self, detector: Mtcnn, samples: Path):
        assert detector.detect(Frame(load_image(samples / "photos" / "rocket.jpg"))) == []

    def test_a_face_smaller_than_asked_for(self, make_detector, golden_frame: Frame):
        assert make_detector(min_face_px=250).detect(golden_frame) == []

    def test_impossible_thresholds(self, make_detector, golden_frame: Frame):
        assert make_detector(thresholds=(1.0, 1.0, 1.0)).detect(golden_frame) == []


class TestFaces:
    def test_by_falling_score(self, detector: Mtcnn, samples: Path):
        faces = detector.detect(Frame(load_image(samples / "photos" / "wall.jpg")))
        assert len(faces) == 3
        scores = [face.score for face in faces]
        assert scores == sorted(scores, reverse=True)
        assert all(0.99 < score <= 1.0 for score in scores)

    def test_landmarks_lie_in_the_box_as_the_viewer_sees_them(self, detector, astronaut):
        (face,) = detector.detect(Frame(astronaut))
        left, right, nose, mouth_left, mouth_right = face.landmarks.points
        assert left[0] < nose[0] < right[0]
        assert mouth_left[0] < mouth_right[0]
        assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])
        for x, y in face.landmarks.points:
            assert face.box.x1 < x < face.box.x2
            assert face.box.y1 < y < face.box.y2

    def test_moves_with_the_picture(self, detector: Mtcnn, astronaut: np.ndarray):
        (face,) = detector.detect(Frame(astronaut))
        wide = np.zeros((600, 700, 3), np.uint8)
        wide[40:552, 100:612] = astronaut
        (moved,) = detector.detect(Frame(wide))
        shift = np.array([100, 40])
        np.testing.assert_allclose(moved.landmarks.points, face.landmarks.points + shift, atol=2.5)
        assert moved.box.iou(face.box) < moved.box.iou(_shifted(face, shift).box)
        assert moved.box.iou(_shifted(face, shift).box) > 0.9

    def test_at_the_edge_of_the_picture(self, detector: Mtcnn, astronaut: np.ndarray):
        cut = np.ascontiguousarray(astronaut[:, 215:])  # through the left eye
        faces = detector.detect(Frame(cut))
        assert len(faces) == 1
        assert faces[0].box.x1 < 5
        assert faces[0].box.center_xy[1] == pytest.approx(116, abs=15)

    def test_a_view_gives_what_its_copy_gives(self, detector: Mtcnn, astronaut: np.ndarray):
        view = astronaut[10:400, 20:420]
        assert not view.flags.c_contiguous
        np.testing.assert_array_equal(
            _boxes(detector.detect(Frame(view))), _boxes(detector.detect(Frame(view.copy())))
        )

    def test_leaves_the_picture_alone(self, detector: Mtcnn, astronaut: np.ndarray):
        before = astronaut.copy()
        detector.detect(Frame(astronaut))
        assert np.array_equal(before, astronaut)

    def test_eight_threads_see_the_same(self, detector: Mtcnn, samples: Path):
        photos = samples / "photos"
        frames = [Frame(load_image(photos / name)) for name in ("wall.jpg", "astronaut.png")]
        expected = [_boxes(detector.detect(frame)) for frame in frames]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(detector.detect, frames * 8))
        assert len(found) == 16
        for i, faces in enumerate(found):
            np.testing.assert_array_equal(_boxes(faces), expected[i % 2])


class TestHugePictures:
    def test_beyond_16_megapixels(self, detector: Mtcnn, astronaut: np.ndarray):
        """The picture is halved first; the face is found where it is all the same."""
        (face,) = detector.detect(Frame(astronaut))
        huge = np.zeros((4000, 4200, 3), np.uint8)
        huge[3001 : 3001 + 512, 2001 : 2001 + 512] = astronaut
        (found,) = detector.detect(Frame(huge))
        expected = _shifted(face, np.array([2001, 3001]))
        assert found.box.iou(expected.box) > 0.85
        np.testing.assert_allclose(found.landmarks.points, expected.landmarks.points, atol=4)

    def test_a_face_of_2000_px(self, detector: Mtcnn, astronaut: np.ndarray):
        part = np.ascontiguousarray(astronaut[30:200, 130:320])
        huge = np.asarray(cv2.resize(part, (4560, 4080)), np.uint8)
        (found,) = detector.detect(Frame(huge))
        scale = 4560 / 190
        assert found.box.width_px == pytest.approx(88 * scale, rel=0.1)
        assert found.box.center_xy[0] == pytest.approx((224 - 130) * scale, rel=0.05)

    def test_wider_than_opencv_can_address(self, detector: Mtcnn, astronaut: np.ndarray):
        (face,) = detector.detect(Frame(astronaut))
        wide = np.zeros((300, 33_500, 3), np.uint8)
        wide[:, -512:] = astronaut[:300]
        (found,) = detector.detect(Frame(wide))
        expected = _shifted(face, np.array([33_500 - 512, 0]))
        assert found.box.iou(expected.box) > 0.9


def _shifted(face: Face, shift_xy: np.ndarray) -> Face:
    from vultus.types import Box, Landmarks

    x, y = map(float, shift_xy)
    box = Box(face.box.x1 + x, face.box.y1 + y, face.box.x2 + x, face.box.y2 + y)
    return Face(box, face.score, Landmarks(face.landmarks.points + shift_xy), face.frame)


def test_missing_net_is_told(monkeypatch, tmp_path):
    from vultus.errors import WeightDamagedError
    from vultus.models import Registry, Store

    damaged = tmp_path / "net"
    damaged.write_bytes(b"not the network")
    monkeypatch.setattr(Store, "_locate", lambda *_: damaged)
    with pytest.raises(WeightDamagedError, match="of mtcnn"):
        Mtcnn.from_card(Registry().get("mtcnn"), Store())


def test_stub_of_options_is_kept(make_detector: Callable[..., Any]):
    detector = make_detector(min_face_px=60)
    assert detector.options.min_face_px == 60
    assert detector.name == "mtcnn"
