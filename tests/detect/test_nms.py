"""Non-maximum suppression against the definition, one pair at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vultus.detect._nms import nms_iou, nms_min_area, nms_weighted

Overlap = Callable[[np.ndarray, np.ndarray], float]


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return float(width * height / (areas - width * height))


def _over_smaller(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    return float(width * height / min(areas))


def _kept(boxes: np.ndarray, scores: np.ndarray, limit: float, overlap: Overlap) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[i], boxes[k]) <= limit for k in kept):
            kept.append(i)
    return kept


@st.composite
def _candidates(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    whole = st.integers(0, 30)
    span = st.integers(1, 20)
    corners = draw(st.lists(st.tuples(whole, whole, span, span), max_size=12))
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in corners], np.float64).reshape(-1, 4)
    order = draw(st.permutations(range(1, len(boxes) + 1)))
    return boxes, np.array(order, np.float64) / 16  # no two alike, exact in single precision


@pytest.mark.parametrize(
    ("suppress", "overlap"), [(nms_iou, _iou), (nms_min_area, _over_smaller)], ids=["iou", "min"]
)
class TestBoth:
    @given(candidates=_candidates(), limit=st.sampled_from([0.3, 0.5, 0.7]))
    @settings(max_examples=80, deadline=None)
    def test_any(self, suppress, overlap, candidates, limit):
        boxes, scores = candidates
        pairs = [overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
        assume(all(abs(value - limit) > 1e-5 for value in pairs))  # rounding may decide those
        found = suppress(boxes, scores, limit)
        assert found.tolist() == _kept(boxes, scores, limit, overlap)
        assert found.dtype == np.intp

    def test_none(self, suppress, overlap):
        assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []

    def test_one(self, suppress, overlap):
        assert suppress(np.array([[0.0, 0, 9, 9]]), np.array([0.3]), 0.5).tolist() == [0]

    def test_the_better_one_stays(self, suppress, overlap):
        boxes = np.array([[0.0, 0, 9, 9], [0, 0, 9, 10], [40, 40, 49, 49]])
        assert suppress(boxes, np.array([0.6, 0.9, 0.7]), 0.5).tolist() == [1, 2]


def test_a_small_box_inside_a_large_one():
    boxes = np.array([[0.0, 0, 100, 100], [40, 40, 50, 50]])
    scores = np.array([0.9, 0.8])
    assert nms_iou(boxes, scores, 0.7).tolist() == [0, 1]
    assert nms_min_area(boxes, scores, 0.7).tolist() == [0]


def test_of_equal_scores_the_last_wins_at_the_end():
    boxes = np.array([[0.0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9]])
    assert nms_min_area(boxes, np.ones(3), 0.7).tolist() == [2]


class TestWeighted:
    def test_by_hand(self):
        values = np.array([[0, 0, 10, 10, 100], [40, 40, 50, 50, 7], [0, 2, 10, 12, 200.0]])
        merged, scores = nms_weighted(values, np.array([0.75, 0.5, 0.25]), 0.5)
        # 8 / 12 overlap; three parts of the first and one of the last.
        assert merged.tolist() == [[0, 0.5, 10, 10.5, 125], [40, 40, 50, 50, 7]]
        assert scores.tolist() == [0.75, 0.5]

    def test_only_what_overlaps_the_best_one_joins_it(self):
        """A chain is not one face: the third overlaps the second, not the first."""
        values = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
        merged, scores = nms_weighted(values, np.array([0.5, 0.4, 0.3]), 0.4)
        assert len(merged) == 2
        np.testing.assert_allclose(merged[0], [4 * 4 / 9, 0, 10 + 4 * 4 / 9, 10])
        assert merged[1].tolist() == [8, 0, 18, 10]
        assert scores.tolist() == [0.5, 0.3]

    def test_none_and_one(self):
        merged, scores = nms_weighted(np.zeros((0, 16)), np.zeros(0), 0.5)
        assert (merged.shape, scores.shape) == ((0, 16), (0,))
        merged, scores = nms_weighted(np.array([[1.0, 2, 3, 4, 5]]), np.array([0.3]), 0.5)
        assert (merged.tolist(), scores.tolist()) == ([[1, 2, 3, 4, 5]], [0.3])

    def test_without_area(self):
        values = np.array([[5.0, 5, 5, 5], [5, 5, 5, 5]])
        merged, _ = nms_weighted(values, np.array([0.9, 0.8]), 0.5)
        assert merged.tolist() == [[5, 5, 5, 5]] * 2

    @given(candidates=_candidates(), limit=st.sampled_from([0.3, 0.5, 0.7]))
    @settings(max_examples=80, deadline=None)
    def test_any(self, candidates, limit):
        boxes, scores = candidates
        pairs = [_iou(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
        assume(all(abs(value - limit) > 1e-9 for value in pairs))
        left = sorted(range(len(boxes)), key=lambda i: -scores[i])
        expected = []
        while left:
            group = [i for i in left if i == left[0] or _iou(boxes[left[0]], boxes[i]) > limit]
            weights = scores[group] / scores[group].sum()
            expected.append((*(weights @ boxes[group]), scores[left[0]]))
            left = [i for i in left if i not in group]
        merged, best = nms_weighted(boxes, scores, limit)
        found = np.hstack([merged, best[:, None]])
        np.testing.assert_allclose(found, np.array(expected).reshape(-1, 5), atol=1e-9)
