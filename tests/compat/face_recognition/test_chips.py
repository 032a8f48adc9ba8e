from __future__ import annotations

import numpy as np
import pytest

from vultus.align import dlib_chip
from vultus.compat.face_recognition._chips import (
    ShapePredictor5,
    face_chip,
    five_of_68,
    jittered,
)
from vultus.errors import DegenerateLandmarksError
from vultus.models import Registry, Store
from vultus.types import Frame


@pytest.fixture(scope="module")
def points(golden_frame: Frame, make_detector) -> np.ndarray:
    predictor = ShapePredictor5.from_bytes(Store().read(Registry().get("dlib-five-points")))
    box = make_detector().detect(golden_frame)[0].box
    return predictor(golden_frame.image, np.array([box.xyxy]))[0]


def test_a_chip_inside_the_picture_is_the_common_one(golden_frame, points):
    wide = np.pad(golden_frame.image, ((300, 300), (300, 300), (0, 0)))
    assert np.array_equal(face_chip(wide, points + 300), dlib_chip(wide, points + 300))


def test_a_chip_over_the_edge_is_black_where_a_neighbour_is_missing():
    white = np.full((100, 100, 3), 200, np.uint8)
    place = np.array([[60.0, 20.3], [45.0, 21.3], [8.0, 20.3], [23.0, 21.3], [34.0, 50.0]])
    common, ours = dlib_chip(white, place), face_chip(white, place)
    assert set(np.unique(ours)) == {0, 200}
    assert set(np.unique(common)) - {0, 200}  # blended with black along the edge
    assert (ours <= common).all()


def test_no_chip_without_extent():
    with pytest.raises(DegenerateLandmarksError):
        face_chip(np.zeros((50, 50, 3), np.uint8), np.full((5, 2), 20.0))


def test_five_of_68_lie_where_the_template_puts_them():
    # The mean face itself, drawn large: the five points then are the five-point template's.
    from vultus.compat.face_recognition import _chips

    mean = np.zeros((68, 2))
    mean[list(_chips._USED)] = np.column_stack([_chips._MEAN_X, _chips._MEAN_Y])
    found = five_of_68(400 * mean + (30, 50))
    assert found == pytest.approx(400 * _chips._FIVE + (30, 50), abs=1e-6)
    assert len(_chips._USED) == len(_chips._MEAN_X) == len(_chips._MEAN_Y) == 33


def test_jitters_move_little_and_mirror_half_the_time():
    chip = np.zeros((150, 150, 3), np.uint8)
    chip[70:80, 100:110] = 255
    random = np.random.default_rng(7)
    centers = []
    for _ in range(60):
        out = jittered(chip, random)
        assert (out.shape, out.dtype) == ((150, 150, 3), np.uint8)
        rows, columns = np.nonzero(out[..., 0] > 128)
        centers.append((columns.mean(), rows.mean()))
    across, down = np.array(centers).T
    mirrored = across < 75
    assert 15 < mirrored.sum() < 45
    across[mirrored] = 149 - across[mirrored]
    # 2 % of 144 px is 3 px; 3 degrees at 30 px from the middle are 1.6 px; 4 % of 30 px are 1.2 px.
    assert np.abs(across - 104.5).max() < 6
    assert np.abs(down - 74.5).max() < 6
    assert across.std() > 0.5


def test_the_predictor_adds_leaves_in_dlibs_order(golden_frame):
    """float32 sums depend on the order; dlib's is one leaf after the other, onto the shape."""
    predictor = ShapePredictor5.from_bytes(Store().read(Registry().get("dlib-five-points")))
    shape = predictor._initial[None]
    from vultus.align.five_points import _frames

    origin, axes = _frames(np.array([[20.0, 20.0, 120.0, 120.0]]), np.zeros(1))
    leaves = predictor._chosen(golden_frame.image, origin, axes, shape, 0)[0]
    total = shape[0].copy()
    for leaf in leaves:
        total += leaf
    step = predictor._step(golden_frame.image, origin, axes, shape, 0)
    assert np.array_equal((shape + step)[0].astype(np.float32), total)
