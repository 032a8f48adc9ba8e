from __future__ import annotations

import numpy as np
import pytest

from vultus.draw.landmarks import POINTS, PointMark, draw_points
from vultus.errors import DtypeError, RangeError, ShapeError

GREY = np.full((120, 160, 3), 128, np.uint8)
SQUARE = np.array([[40.0, 30.0], [120.0, 30.0], [120.0, 90.0], [40.0, 90.0]])


def _changed(image: np.ndarray, base: np.ndarray = GREY) -> np.ndarray:
    return (image != base).any(axis=2)


def test_a_dot_is_white_with_a_dark_rim_where_the_point_is():
    drawn = draw_points(GREY, [PointMark(SQUARE)], scale=3)
    for x, y in SQUARE.astype(int):
        assert (drawn[y, x] == 255).all()
        assert drawn[y - 5 : y + 6, x - 5 : x + 6].min() < 100
    assert not _changed(drawn)[:20].any()
    assert (GREY == 128).all()  # the picture itself stays


def test_a_dot_stands_in_the_middle_of_its_point():
    drawn = draw_points(GREY, [PointMark(np.array([[80.0, 60.0]]))], scale=4).astype(float)
    weight = np.abs(drawn - 128).sum(axis=2)
    down, across = np.indices(weight.shape)
    assert (weight * across).sum() / weight.sum() == pytest.approx(80, abs=0.1)
    assert (weight * down).sum() / weight.sum() == pytest.approx(60, abs=0.1)


def test_lines_join_points_in_their_colour():
    mark = PointMark(SQUARE, lines=((0, 1, 2),), dots=False)
    drawn = draw_points(GREY, [mark], scale=4)
    assert drawn[30, 80].tolist() == list(POINTS)
    assert drawn[60, 120].tolist() == list(POINTS)
    assert not _changed(drawn)[60, 40]  # 2 and 3 are not joined to 0


def test_edges_are_faint():
    mark = PointMark(SQUARE, edges=np.array([[0, 2]]), dots=False, color=(255, 0, 0))
    drawn = draw_points(GREY, [mark], scale=4)
    red, green, _ = drawn[60, 80].tolist()
    assert 140 < red < 250
    assert 20 < green < 120


def test_without_anything_to_draw_the_picture_is_copied():
    for marks in ([], [PointMark(np.zeros((0, 2)))], [PointMark(SQUARE, dots=False)]):
        drawn = draw_points(GREY, marks)
        assert (drawn == GREY).all()
        assert drawn is not GREY


def test_points_outside_the_picture():
    for shift in (-1e6, -200.0, 1e6, 3e38):
        assert (draw_points(GREY, [PointMark(SQUARE + shift)]) == GREY).all()
    half = draw_points(GREY, [PointMark(SQUARE - (80, 0), lines=((0, 1),))], scale=2)
    assert _changed(half)[30, 0:30].any()


def test_one_point_far_away_does_not_hide_the_others():
    points = np.concatenate([SQUARE, [[1e9, 1e9]]])
    drawn = draw_points(GREY, [PointMark(points)])
    assert _changed(drawn)[30, 40]


@pytest.mark.parametrize("side", [12, 60, 400, 1500])
def test_dots_grow_with_the_face_and_stay_visible(side):
    image = np.full((side * 2, side * 2, 3), 40, np.uint8)
    points = SQUARE / 80 * side
    drawn = draw_points(image, [PointMark(points)])
    x, y = np.rint(points[0]).astype(int)
    spot = drawn[max(0, y - side // 4) : y + side // 4, max(0, x - side // 4) : x + side // 4]
    assert spot.max() > 150
    white = (spot.min(axis=2) > 200).sum()
    if side >= 400:
        assert white == pytest.approx(np.pi * (0.009 * side * 0.866) ** 2, rel=0.4)


def test_crowded_dots_do_not_cover_the_face():
    grid = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1).reshape(-1, 2) * 2.0 + 40
    drawn = draw_points(GREY, [PointMark(grid)])
    part = drawn[40:78, 40:78]
    assert (part.min(axis=2) > 240).mean() < 0.25


def test_a_mark_must_fit_its_points():
    with pytest.raises(RangeError, match="must name points 0 to 3, got 0 to 4"):
        PointMark(SQUARE, lines=((0, 4),))
    with pytest.raises(RangeError, match="must name points 0 to 3, got -1 to 2"):
        PointMark(SQUARE, edges=np.array([[-1, 2]]))
    with pytest.raises(ShapeError, match=r"edges to draw must have shape \(n, 2\)"):
        PointMark(SQUARE, edges=np.array([1, 2, 3]))
    with pytest.raises(ShapeError, match="points to draw"):
        PointMark(np.zeros((3, 3)))
    with pytest.raises(RangeError, match="must be finite"):
        PointMark(np.array([[np.nan, 1]]))
    with pytest.raises(RangeError, match="a colour is"):
        PointMark(SQUARE, color=(0, 0, 256))


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_scale_must_be_positive(scale):
    with pytest.raises(RangeError, match="scale must be positive"):
        draw_points(GREY, [], scale=scale)


def test_what_is_no_picture():
    with pytest.raises(DtypeError):
        draw_points(GREY.astype(float), [])
    with pytest.raises(ShapeError):
        draw_points(GREY[..., 0], [])
