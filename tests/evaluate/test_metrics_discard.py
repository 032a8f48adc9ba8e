"""Error-versus-discard curves worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vultus.errors import InsufficientDataError, RangeError, ShapeError
from vultus.evaluate.metrics import Resampling, error_versus_discard

# Ten pairs, two of which fail at 0.5: those of quality 1 and 3.
GENUINE = [0.1, 0.9, 0.2, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
QUALITY = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_the_curve_by_hand() -> None:
    curve = error_versus_discard(
        GENUINE, QUALITY, threshold=0.5, discards=[0.0, 0.1, 0.25, 0.3, 0.9]
    )
    assert curve.start == 0.2
    assert curve.left.tolist() == [10, 9, 8, 7, 1]
    assert curve.fnmr == pytest.approx([2 / 10, 1 / 9, 1 / 8, 0, 0])
    heights = curve.fnmr
    area = sum(
        (heights[i] + heights[i + 1]) / 2 * (b - a)
        for i, (a, b) in enumerate([(0, 0.1), (0.1, 0.25), (0.25, 0.3), (0.3, 0.9)])
    )
    assert curve.area == pytest.approx(area / 0.9)
    assert curve.random_area == 0.2


def test_a_quality_that_knows_every_error_is_ideal() -> None:
    genuine = np.array([0.0] * 20 + [1.0] * 80)
    discards = np.arange(101)[:-1] / 100
    curve = error_versus_discard(genuine, np.arange(100), threshold=0.5, discards=discards)
    assert curve.fnmr[:21] == pytest.approx((0.2 - discards[:21]) / (1 - discards[:21]))
    assert curve.area == pytest.approx(curve.ideal_area)
    assert curve.gain == pytest.approx(1.0)
    against = error_versus_discard(genuine, -np.arange(100), threshold=0.5, discards=discards[:50])
    assert against.gain < 0


def test_pairs_of_equal_quality_are_discarded_together() -> None:
    curve = error_versus_discard(
        [0.1, 0.9, 0.9, 0.9], [1, 1, 2, 2], threshold=0.5, discards=[0, 0.25, 0.49, 0.5, 0.99]
    )
    assert curve.left.tolist() == [4, 4, 4, 2, 2]
    assert curve.fnmr == pytest.approx([0.25, 0.25, 0.25, 0, 0])


def test_the_worse_picture_of_a_pair_counts() -> None:
    both = [[9, 1], [2, 9], [9, 3], [4, 9]]
    one = error_versus_discard([0.1, 0.9, 0.9, 0.9], both, threshold=0.5)
    other = error_versus_discard([0.1, 0.9, 0.9, 0.9], [1, 2, 3, 4], threshold=0.5)
    assert one.fnmr.tolist() == other.fnmr.tolist()


def test_a_start_sets_the_threshold() -> None:
    genuine = np.arange(100) / 100
    curve = error_versus_discard(genuine, np.arange(100), start_fnmr=0.05)
    assert curve.threshold == np.nextafter(0.04, 1)
    assert curve.start == 0.05
    assert error_versus_discard(genuine, genuine, start_fnmr=0.041).start == 0.05


def test_nothing_to_gain_is_not_a_gain() -> None:
    curve = error_versus_discard([0.9, 0.9], [1, 2], threshold=0.5)
    assert (curve.start, curve.area) == (0.0, 0.0)
    assert np.isnan(curve.gain)
    assert json.loads(json.dumps(curve.to_dict(), allow_nan=False))["gain"] is None


def test_intervals_over_subjects() -> None:
    rng = np.random.default_rng(0)
    quality = rng.random(400)
    genuine = quality + rng.normal(0, 0.3, 400)
    subjects = np.arange(400) // 4
    options = {"threshold": 0.2, "discards": [0.0, 0.1, 0.2]}
    curve = error_versus_discard(
        genuine, quality, subjects=subjects, how=Resampling(rounds=200), **options
    )
    assert len(curve.intervals) == 3
    for rate, value in zip(curve.intervals, curve.fnmr, strict=True):
        assert rate.low < rate.value == value < rate.high
    with pytest.raises(InsufficientDataError, match="give them"):
        error_versus_discard(genuine, quality, how=Resampling(), **options)


def test_bad_input() -> None:
    with pytest.raises(InsufficientDataError, match="needs genuine pairs"):
        error_versus_discard([], [], threshold=0.5)
    with pytest.raises(ShapeError, match="one per genuine score"):
        error_versus_discard([0.5], [1, 2], threshold=0.5)
    with pytest.raises(RangeError, match="one of the two"):
        error_versus_discard([0.5], [1])
    with pytest.raises(RangeError, match="one of the two"):
        error_versus_discard([0.5], [1], threshold=0.5, start_fnmr=0.1)
    with pytest.raises(RangeError, match="quality must be finite"):
        error_versus_discard([0.5], [float("nan")], threshold=0.5)
    for discards in ([0.2, 0.1], [-0.1], [1.0], []):
        with pytest.raises(RangeError, match="must rise within"):
            error_versus_discard([0.5], [1], threshold=0.5, discards=discards)
    with pytest.raises(RangeError, match="FNMR to aim at"):
        error_versus_discard([0.5], [1], start_fnmr=1.5)
