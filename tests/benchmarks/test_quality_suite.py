"""What the quality suite paints, and how it pairs people."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of this copy", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

import quality  # noqa: E402
from covers import KINDS, cover, shares, spoil  # noqa: E402

from vultus.assess._aligned import TEMPLATE  # noqa: E402

PARTS = ("left_eye", "right_eye", "nose", "mouth", "left_cheek", "right_cheek", "chin")
GREY = np.full((260, 260, 3), 128, np.uint8)
OTHER = np.random.default_rng(1).integers(0, 256, (200, 200, 3)).astype(np.uint8)
POINTS = TEMPLATE * 2 + 10


def test_shares_of_a_mask():
    assert shares(np.zeros((260, 260), np.uint8), POINTS).tolist() == [0.0] * 7
    assert shares(np.full((260, 260), 255, np.uint8), POINTS).tolist() == [1.0] * 7
    left = np.zeros((260, 260), np.uint8)
    left[:, : round(2 * 55.5 + 10)] = 255
    found = dict(zip(PARTS, shares(left, POINTS), strict=True))
    assert found["left_eye"] == found["left_cheek"] == 1.0
    assert found["right_eye"] == found["right_cheek"] == 0.0
    assert found["nose"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cover_changes_what_it_says_and_nothing_else(kind):
    changed, covered = cover(GREY, POINTS, kind, np.random.default_rng(3), OTHER)
    assert changed.shape == GREY.shape
    assert 0 < covered.max() <= 1.0
    share = (changed != GREY).any(axis=2).mean()
    assert 0.005 < share < 0.5
    assert (GREY == 128).all()


def test_sunglasses_and_masks_lie_where_they_belong():
    draw = np.random.default_rng(0)
    for _ in range(5):
        eyes = dict(zip(PARTS, cover(GREY, POINTS, "sunglasses", draw, OTHER)[1], strict=True))
        assert min(eyes["left_eye"], eyes["right_eye"]) > 0.8
        assert max(eyes["mouth"], eyes["chin"]) == 0.0
        below = dict(zip(PARTS, cover(GREY, POINTS, "mask", draw, OTHER)[1], strict=True))
        assert min(below["mouth"], below["chin"]) > 0.9
        assert max(below["left_eye"], below["right_eye"]) == 0.0


def test_equal_draws_paint_alike():
    first, second = (
        cover(GREY, POINTS, "fingers", np.random.default_rng(9), OTHER)[0] for _ in range(2)
    )
    assert (first == second).all()


def test_spoiling_tells_the_new_size():
    sizes, draw = set(), np.random.default_rng(0)
    for _ in range(40):
        image, scale = spoil(OTHER, 60.0, draw)
        assert image.shape[0] == pytest.approx(200 * scale, abs=1)
        sizes.add(scale == 1.0)
    assert sizes == {True, False}


def test_every_pair_of_one_person_once():
    first, second = quality.genuine_pairs(np.array(["a", "b", "a", "a", "b"]))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [
        (0, 2), (0, 3), (1, 4), (2, 3),
    ]  # fmt: skip
