from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import DtypeError, RangeError, ShapeError, SpaceMismatchError
from vultus.types import (
    Box,
    Decision,
    Embedding,
    EmbeddingSpace,
    Face,
    Frame,
    Identification,
    Landmarks,
    Match,
    Threshold,
)

SPACE = EmbeddingSpace("net", "ab" * 32, 2, "dlib-5")
FIVE = [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
NAN, INF = float("nan"), float("inf")

coordinate = st.floats(-1e4, 1e4)
side = st.floats(0.5, 1e4)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(coordinate), draw(coordinate)
    return Box(x, y, x + draw(side), y + draw(side))


class TestFrame:
    def test_smallest(self):
        frame = Frame(np.zeros((1, 1, 3), np.uint8))
        assert (frame.width_px, frame.height_px, frame.source) == (1, 1, None)

    def test_width_is_the_second_axis(self):
        frame = Frame(np.zeros((2, 7, 3), np.uint8), "a.jpg")
        assert (frame.width_px, frame.height_px) == (7, 2)

    def test_bad_picture(self):
        with pytest.raises(DtypeError, match="got float64"):
            Frame(np.zeros((2, 2, 3)))
        with pytest.raises(ShapeError, match=r"got \(2, 2\)"):
            Frame(np.zeros((2, 2), np.uint8))

    def test_repr_shows_no_pixels(self):
        assert repr(Frame(np.zeros((2, 2, 3), np.uint8), "a.jpg")) == "Frame(source='a.jpg')"


class TestBox:
    def test_measures(self):
        box = Box(1.0, 2.0, 4.0, 6.0)
        assert box.xyxy == (1.0, 2.0, 4.0, 6.0)
        assert (box.width_px, box.height_px, box.area_px) == (3.0, 4.0, 12.0)
        assert box.center_xy == (2.5, 4.0)

    def test_may_reach_outside(self):
        assert Box(-5, -5, -1, -1).area_px == 16

    @pytest.mark.parametrize("xyxy", [(0, 0, 0, 1), (0, 0, 1, 0), (2, 0, 1, 1), (0, 2, 1, 1)])
    def test_no_area(self, xyxy):
        with pytest.raises(RangeError, match="a box needs x1 < x2 and y1 < y2, got"):
            Box(*xyxy)

    @pytest.mark.parametrize("value", [NAN, INF, -INF])
    @pytest.mark.parametrize("place", range(4))
    def test_not_finite(self, value, place):
        xyxy = [0.0, 0.0, 1.0, 1.0]
        xyxy[place] = value
        with pytest.raises(RangeError, match="a box must be finite"):
            Box(*xyxy)

    def test_iou_by_hand(self):
        a = Box(0, 0, 4, 4)
        assert a.iou(a) == 1.0
        assert a.iou(Box(2, 2, 6, 6)) == pytest.approx(4 / 28)
        assert a.iou(Box(1, 1, 2, 2)) == pytest.approx(1 / 16)
        assert a.iou(Box(4, 0, 8, 4)) == 0.0  # touching
        assert a.iou(Box(5, 5, 6, 6)) == 0.0  # apart in both directions

    @given(boxes(), boxes())
    def test_iou_is_symmetric_and_bounded(self, a: Box, b: Box):
        assert a.iou(b) == pytest.approx(b.iou(a))
        assert 0.0 <= a.iou(b) <= 1.0 + 1e-9
        assert a.iou(a) == pytest.approx(1.0)


class TestLandmarks:
    def test_a_copy_that_cannot_be_changed(self):
        given_points = np.array(FIVE, np.float64)
        points = Landmarks(given_points).points
        given_points[0, 0] = 99
        assert points.dtype == np.float32
        assert points[0, 0] == 1.0
        with pytest.raises(ValueError, match="read-only"):
            points[0, 0] = 5

    @pytest.mark.parametrize("shape", [(68, 2), (5, 3), (10,), (0, 2)])
    def test_wrong_shape(self, shape):
        with pytest.raises(ShapeError, match=r"landmarks must have shape \(5, 2\), got"):
            Landmarks(np.zeros(shape))

    @pytest.mark.parametrize("value", [NAN, INF, 1e300])
    def test_not_finite(self, value):
        with pytest.raises(RangeError, match="landmarks must be finite"):
            Landmarks([[value, 0], *FIVE[1:]])

    def test_no_numbers(self):
        with pytest.raises(DtypeError, match="landmarks must be real numbers"):
            Landmarks([["a", "b"]] * 5)


class TestFace:
    @pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
    def test_score(self, score):
        frame = Frame(np.zeros((1, 1, 3), np.uint8))
        assert Face(Box(0, 0, 1, 1), score, Landmarks(FIVE), frame).score == score

    @pytest.mark.parametrize("score", [-0.001, 1.001, NAN])
    def test_bad_score(self, score):
        frame = Frame(np.zeros((1, 1, 3), np.uint8))
        with pytest.raises(RangeError, match=r"score must lie in \[0, 1\], got"):
            Face(Box(0, 0, 1, 1), score, Landmarks(FIVE), frame)


class TestEmbeddingSpace:
    def test_id(self):
        assert SPACE.id == str(SPACE) == "net/abababababab/2/dlib-5"

    def test_digests_count_beyond_the_short_id(self):
        other = dataclasses.replace(SPACE, digest="ab" * 31 + "cd")
        assert other.id == SPACE.id
        assert other != SPACE


class TestEmbedding:
    def test_similarity_by_hand(self):
        a = Embedding([1.0, 0.0], SPACE)
        assert a.similarity(a) == 1.0
        assert a.similarity(Embedding([0.0, 1.0], SPACE)) == 0.0
        assert a.similarity(Embedding([-1.0, 0.0], SPACE)) == -1.0
        assert a.similarity(Embedding([0.6, 0.8], SPACE)) == pytest.approx(0.6)

    def test_never_beyond_one(self):
        a = Embedding([1.0005, 0.0], SPACE)  # within the tolerance of unit length
        assert a.similarity(a) == 1.0
        assert a.similarity(Embedding([-1.0005, 0.0], SPACE)) == -1.0

    def test_a_copy_that_cannot_be_changed(self):
        vector = np.array([1.0, 0.0], np.float32)
        embedding = Embedding(vector, SPACE)
        vector[0] = 7
        assert embedding.vector.tolist() == [1.0, 0.0]
        with pytest.raises(ValueError, match="read-only"):
            embedding.vector[0] = 5

    def test_wrong_length(self):
        with pytest.raises(ShapeError, match=r"an embedding must have shape \(2\), got \(3,\)"):
            Embedding([1.0, 0.0, 0.0], SPACE)

    @pytest.mark.parametrize("vector", [[NAN, 1.0], [INF, 0.0]])
    def test_not_finite(self, vector):
        with pytest.raises(RangeError, match="an embedding must be finite"):
            Embedding(vector, SPACE)

    @pytest.mark.parametrize(
        ("vector", "length"), [([0.0, 0.0], "0.0000"), ([1.1, 0.0], "1.1000"), ([3.0, 4.0], "5.0")]
    )
    def test_not_of_unit_length(self, vector, length):
        with pytest.raises(RangeError, match=f"must have unit length, got {length}"):
            Embedding(vector, SPACE)

    @pytest.mark.parametrize("raw_norm", [0.0, -1.0, NAN, INF])
    def test_a_raw_norm_that_is_no_length(self, raw_norm):
        with pytest.raises(RangeError, match="a raw norm must be finite and positive, got"):
            Embedding([1.0, 0.0], SPACE, raw_norm)

    def test_other_space_names_both(self):
        other = dataclasses.replace(SPACE, preprocessing="dlib-5+mirror")
        with pytest.raises(SpaceMismatchError) as caught:
            Embedding([1.0, 0.0], SPACE).similarity(Embedding([1.0, 0.0], other))
        assert caught.value.message == (
            "cannot compare embeddings of net/abababababab/2/dlib-5 "
            "and net/abababababab/2/dlib-5+mirror"
        )
        assert caught.value.fields == {"expected": SPACE.id, "actual": other.id}

    def test_repr_shows_no_vector(self):
        assert "vector" not in repr(Embedding([1.0, 0.0], SPACE))


class TestThreshold:
    @pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
    def test_in_range(self, value):
        assert Threshold(value, "user", "me", None, None, SPACE.id).value == value

    @pytest.mark.parametrize("value", [-1.01, 1.01, NAN])
    def test_out_of_range(self, value):
        with pytest.raises(RangeError, match=r"a threshold is a cosine in \[-1, 1\], got"):
            Threshold(value, "user", "me", None, None, SPACE.id)


def _every_value() -> list[object]:
    frame = Frame(np.zeros((1, 1, 3), np.uint8))
    box, landmarks = Box(0, 0, 1, 1), Landmarks(FIVE)
    face = Face(box, 0.5, landmarks, frame)
    threshold = Threshold(0.5, "user", "me", None, None, SPACE.id)
    decision = Decision(0.6, threshold, True)
    match = Match("Ann", 0.6, 1)
    embedding = Embedding([1.0, 0.0], SPACE)
    found = Identification(face, "Ann", decision, (match,))
    return [frame, box, landmarks, face, SPACE, embedding, threshold, decision, match, found]


@pytest.mark.parametrize("value", _every_value(), ids=lambda value: type(value).__name__)
class TestEveryValue:
    def test_frozen_without_room_for_more(self, value):
        name = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, None)
        with pytest.raises((AttributeError, TypeError)):
            value.remark = "x"

    def test_survives_pickling(self, value):
        again = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes
        assert type(again) is type(value)
        assert repr(again) == repr(value)


def test_visible_area_counts_only_what_is_inside() -> None:
    frame = Frame(np.zeros((100, 200, 3), np.uint8))
    points = Landmarks(np.array([[1, 1], [2, 1], [1.5, 2], [1, 3], [2, 3]], np.float32))
    inside = Face(Box(10, 20, 60, 80), 1.0, points, frame)
    cut = Face(Box(-90, 50, 10, 150), 1.0, points, frame)
    outside = Face(Box(-50, 0, -10, 40), 1.0, points, frame)
    assert inside.visible_area_px == 50 * 60
    assert cut.visible_area_px == 10 * 50
    assert outside.visible_area_px == 0.0
