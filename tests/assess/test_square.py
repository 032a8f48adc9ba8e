from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.assess._square import cut, square_around, square_of, to_picture
from vultus.types import Box, Face, Frame, Landmarks

IMAGE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


def _face(box: Box, points: object = None) -> Face:
    marks = None if points is None else Landmarks(np.array(points, np.float32))
    return Face(box, 1.0, marks, Frame(np.zeros((4, 4, 3), np.uint8)))


def test_from_a_box_it_is_half_as_large_again():
    square = square_of(_face(Box(10, 20, 50, 100)))
    assert square.tolist() == [30.0, 60.0, 120.0, 0.0]


def test_from_five_points_it_stands_between_eyes_and_mouth():
    # Pixel centres: eyes 40 apart, mouth 50 below them.
    square = square_of(
        _face(Box(0, 0, 9, 9), [[80, 60], [120, 60], [100, 85], [85, 110], [115, 110]])
    )
    assert square == pytest.approx([100.5, 85.5 - 0.045 * 50, 3.7 * 50, 0.0])


@given(st.floats(-3.1, 3.1))
def test_from_five_points_it_leans_with_the_face(turn):
    level = np.array([[-20, -20], [20, -20], [0, 5], [-15, 30], [15, 30]])
    cos, sin = np.cos(turn), np.sin(turn)
    leaning = level @ np.array([[cos, sin], [-sin, cos]]) + 100
    upright = square_of(_face(Box(0, 0, 9, 9), level + 100))
    square = square_of(_face(Box(0, 0, 9, 9), leaning))
    assert square[2] == pytest.approx(upright[2], rel=1e-5)
    assert square[3] == pytest.approx(turn, abs=1e-5)


def test_points_that_coincide_still_make_a_square():
    square = square_of(_face(Box(0, 0, 9, 9), [[5, 5]] * 5))
    assert np.isfinite(square).all()
    assert square[2] == pytest.approx(3.7)


def test_around_points_along_their_own_axes():
    # A rectangle 60 by 20 leaning by 90°: its long side points down.
    points = np.array([[100.0, 100.0], [100.0, 160.0], [80.0, 100.0], [80.0, 160.0]])
    assert square_around(points, 0, 1) == pytest.approx([90.5, 130.5, 90.0, np.pi / 2])


def test_a_square_as_large_as_the_picture_is_the_picture():
    assert (cut(IMAGE, np.array([4.0, 4.0, 8.0, 0.0]), 8) == IMAGE).all()


def test_a_square_that_leans_right_sees_the_picture_turned_left():
    crop = cut(IMAGE, np.array([4.0, 4.0, 8.0, np.pi / 2]), 8)
    assert (crop == np.rot90(IMAGE)).all()


def test_outside_the_edge_goes_on():
    crop = cut(IMAGE, np.array([0.0, 4.0, 8.0, 0.0]), 8)
    assert (crop[:, 4:] == IMAGE[:, :4]).all()
    assert (crop[:, :4] == IMAGE[:, :1]).all()


def test_wholly_outside_there_is_the_nearest_edge():
    crop = cut(IMAGE, np.array([100.0, -50.0, 8.0, 0.3]), 8)
    assert (crop == IMAGE[0, -1]).all()


@pytest.mark.parametrize("side", [64, 1000, 100_000])
def test_no_pixel_is_left_out_when_shrinking(side):
    # A fine check of black and white is grey from afar, whatever the sampling grid falls on.
    check = np.repeat(((np.indices((512, 512)).sum(0) % 2) * 255)[..., None], 3, 2).astype(np.uint8)
    crop = cut(check, np.array([256.0, 256.0, side, 0.0]), 16)
    if side == 64:
        crop = crop[1:-1, 1:-1]
    assert abs(int(crop.mean()) - 127) <= 1


@given(
    st.tuples(st.floats(20, 44), st.floats(20, 44)),
    st.floats(-3, 3),
    st.floats(24, 60),
    st.tuples(st.floats(-8, 8), st.floats(-8, 8)),
)
def test_the_way_back_from_a_crop(center, turn, side, offset):
    square = np.array([*center, side, turn])
    place = np.array([16.0, 16.0]) + offset
    spot = to_picture(place[None], square, 32)[0]
    picture = np.zeros((64, 64, 3), np.uint8)
    down, across = np.indices((64, 64))
    picture[:] = (255 * np.exp(-((across - spot[0]) ** 2 + (down - spot[1]) ** 2) / 18))[..., None]
    crop = cut(picture, square, 32)[..., 0].astype(np.float64)
    seen = np.unravel_index(crop.argmax(), crop.shape)
    assert abs(seen[1] + 0.5 - place[0]) < 1.6
    assert abs(seen[0] + 0.5 - place[1]) < 1.6
