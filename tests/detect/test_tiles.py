from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.detect.tiles import OVERLAP_PX, TILE_PX, Tile, tiles_of


def _places(tiles: list[Tile]) -> list[tuple[int, int, int, int]]:
    return [(*tile.corner_xy, *tile.size_wh) for tile in tiles]


@pytest.mark.parametrize("picture", [(1, 1), (640, 480), (2000, 2000), (20, 1999)])
def test_up_to_2000_px_the_picture_is_its_only_tile(picture):
    assert _places(tiles_of(picture)) == [(0, 0, *picture)]


def test_by_hand():
    # 4,000 px: (4000 + 2 × 320) / 3 rounded up, so the last is moved back by a pixel.
    assert _places(tiles_of((4000, 3000))) == [
        (0, 0, 1547, 1660), (1227, 0, 1547, 1660), (2453, 0, 1547, 1660),
        (0, 1340, 1547, 1660), (1227, 1340, 1547, 1660), (2453, 1340, 1547, 1660),
    ]  # fmt: skip
    assert _places(tiles_of((2001, 100))) == [(0, 0, 1161, 100), (840, 0, 1161, 100)]


@given(picture=st.tuples(st.integers(1, 30_000), st.integers(1, 30_000)))
@settings(max_examples=200, deadline=None)
def test_any(picture):
    tiles = tiles_of(picture)
    assert len({tile.size_wh for tile in tiles}) == 1
    for axis in (0, 1):
        length = tiles[0].size_wh[axis]
        assert length <= TILE_PX or length == picture[axis] <= 2000
        starts = sorted({tile.corner_xy[axis] for tile in tiles})
        assert starts[0] == 0
        assert starts[-1] + length == picture[axis]
        for here, following in pairwise(starts):
            assert OVERLAP_PX <= here + length - following < length


class TestWhole:
    # In the middle of the top row: seams left, right and below, the picture's edge above.
    TILE = Tile((1000, 0), (500, 400), (3000, 2000))

    @pytest.mark.parametrize(
        ("box", "whole"),
        [
            ((100, 100, 200, 200), True),
            ((100, -5, 200, 50), True),  # past the picture's own edge
            ((2, 100, 50, 200), False),
            ((-20, 100, 50, 200), False),
            ((2.5, 100, 50, 200), True),
            ((450, 100, 498, 200), False),
            ((450, 100, 497, 200), True),
            ((100, 300, 200, 400), False),
            ((100, 300, 200, 397), True),
        ],
    )
    def test_by_hand(self, box, whole):
        assert self.TILE.whole(np.array([box], float)).tolist() == [whole]

    def test_a_single_tile_cuts_nothing_off(self):
        tile = Tile((0, 0), (50, 50), (50, 50))
        assert tile.whole(np.array([[-9.0, -9, 99, 99]])).tolist() == [True]

    def test_none(self):
        assert self.TILE.whole(np.zeros((0, 4))).tolist() == []


def test_a_view_shares_memory():
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    view = Tile((1, 2), (3, 2), (5, 4)).view(image)
    assert np.shares_memory(view, image)
    assert np.array_equal(view, image[2:4, 1:4])
