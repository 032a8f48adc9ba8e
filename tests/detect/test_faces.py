from __future__ import annotations

import time

import numpy as np
import pytest

from vultus.detect._faces import Candidates, faces_in, joined, passing, suppressed
from vultus.detect._letterbox import Letterbox, fit_native
from vultus.errors import InferenceError
from vultus.types import Frame

FRAME = Frame(np.zeros((50, 100, 3), np.uint8))
SAME = fit_native((100, 50))


class TestPassing:
    def test_from_the_threshold_on_and_above_zero(self):
        scores = np.array([0.0, 0.5, 0.25, 1.0])
        assert passing(scores, 0.5, "net").tolist() == [1, 3]
        assert passing(scores, 0.0, "net").tolist() == [1, 2, 3]
        assert passing(np.zeros(0), 0.5, "net").tolist() == []

    def test_negative_scores_never_pass(self):
        assert passing(np.array([-1.0, -0.5]), 0.0, "net").tolist() == []

    @pytest.mark.parametrize("scores", [[np.nan], [1.0, np.nan, 0.5]])
    def test_not_a_number(self, scores):
        with pytest.raises(InferenceError, match="net gave scores that are not numbers") as caught:
            passing(np.array(scores), 0.5, "net")
        assert caught.value.fields == {"model": "net"}


class TestJoined:
    def test_none_one_and_several(self):
        none = joined([])
        assert (none.boxes.shape, none.scores.shape) == ((0, 4), (0,))
        one = Candidates(np.ones((1, 4)), np.ones(1), np.ones((1, 5, 2)))
        assert joined([one]) is one
        two = joined([one, one])
        assert (two.boxes.shape, two.points.shape) == ((2, 4), (2, 5, 2))
        boxes = Candidates(np.ones((1, 4)), np.ones(1))
        assert joined([boxes, boxes]).points is None


def test_many_candidates_are_bounded():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 100_000, (100_000, 2))
    found = Candidates(np.hstack([corner, corner + 5]), rng.uniform(0.01, 1, 100_000))
    start = time.process_time()
    kept = suppressed(found, 0.4)
    assert time.process_time() - start < 20
    assert len(kept.scores) <= 5000
    assert kept.scores[0] == found.scores.max()


class TestFaces:
    def test_by_hand(self):
        fit = Letterbox((100, 50), (200, 100), (0, 10), (200, 120))
        points = np.arange(10.0).reshape(1, 5, 2) * 2 + (0, 10)
        (face,) = faces_in(
            Candidates(np.array([[20.0, 30, 60, 90]]), np.array([1.5]), points), fit, FRAME, "net"
        )
        assert face.box.xyxy == (10, 10, 30, 40)
        assert face.score == 1.0
        assert face.points.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]

    @pytest.mark.parametrize(
        ("box", "count"),
        [
            ((0, 0, 10, 10), 1),
            ((-5, -5, 1, 1), 1),  # a corner of it is inside
            ((-5, -5, 0, 10), 0),
            ((100, 0, 110, 10), 0),
            ((0, 50, 10, 60), 0),
            ((99, 49, 110, 60), 1),
            ((10, 10, 10, 20), 0),
            ((10, 10, 20, 5), 0),
        ],
    )
    def test_which_are_faces(self, box, count):
        found = Candidates(np.array([box], float), np.array([0.9]))
        assert len(faces_in(found, SAME, FRAME, "net")) == count

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("part", ["box", "point"])
    def test_not_finite(self, value, part):
        box, points = np.array([[0.0, 0, 10, 10]]), np.zeros((1, 5, 2))
        (box if part == "box" else points)[0].flat[2] = value
        with pytest.raises(InferenceError, match="net gave coordinates that are not finite"):
            faces_in(Candidates(box, np.array([0.9]), points), SAME, FRAME, "net")

    def test_none(self):
        assert faces_in(joined([]), SAME, FRAME, "net") == []
