from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.cluster import NOISE, by_size, chinese_whispers, dbscan
from vultus.errors import RangeError, ShapeError


def line(*places: float) -> np.ndarray:
    return np.array(places, np.float64)[:, None]


def people(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around one axis per person, shuffled, and whose each is."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    vectors = np.eye(len(sizes) + 4)[labels] + 0.1 * random.standard_normal(
        (len(labels), len(sizes) + 4)
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


def same_parts(found: np.ndarray, truth: np.ndarray) -> bool:
    pairs = set(zip(found.tolist(), truth.tolist(), strict=True))
    return len(pairs) == len(set(found.tolist())) == len(set(truth.tolist()))


class TestDbscan:
    def test_chains(self):
        assert dbscan(line(0, 1, 2, 5, 6), 1.0).tolist() == [0, 0, 0, 1, 1]  # reach counts
        assert dbscan(line(0, 1, 2, 5, 6), 0.9).tolist() == [0, 1, 2, 3, 4]

    def test_cores_borders_and_noise(self):
        # 1 and 2 have three within reach, themselves counted; 0 and 3 have two and join them.
        assert dbscan(line(0, 1, 2, 3, 9), 1.0, 3).tolist() == [0, 0, 0, 0, NOISE]

    def test_numbered_by_first_core(self):
        assert dbscan(line(9, 0, 9, 0), 1.0).tolist() == [0, 1, 0, 1]

    def test_nobody(self):
        assert dbscan(np.zeros((0, 4)), 1.0).tolist() == []

    def test_one(self):
        assert dbscan(np.ones((1, 4)), 1.0).tolist() == [0]
        assert dbscan(np.ones((1, 4)), 1.0, 2).tolist() == [NOISE]

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(0, 40), st.sampled_from([1, 2, 3, 5]), st.sampled_from([0.3, 0.7, 1.1, 1.6]),
        st.integers(0, 2**31),
    )  # fmt: skip
    def test_as_scikit_learn(self, count, least, distance, seed):
        sklearn = pytest.importorskip("sklearn.cluster", reason="pip install 'vultus[evaluate]'")
        vectors = np.random.default_rng(seed).standard_normal((count, 3))
        if not count:
            return
        theirs = sklearn.DBSCAN(eps=distance, min_samples=least).fit(vectors).labels_
        assert dbscan(vectors, distance, least).tolist() == theirs.tolist()

    @pytest.mark.parametrize("distance", [0.0, -1.0, float("nan"), float("inf")])
    def test_bad_distance(self, distance):
        with pytest.raises(RangeError, match="a distance must be finite and above 0"):
            dbscan(line(0, 1), distance)

    def test_bad_vectors(self):
        with pytest.raises(ShapeError):
            dbscan(np.zeros(4), 1.0)
        with pytest.raises(RangeError, match="finite"):
            dbscan(np.array([[np.nan]]), 1.0)
        with pytest.raises(RangeError, match="min_faces"):
            dbscan(line(0), 1.0, 0)


class TestChineseWhispers:
    @pytest.mark.parametrize("seed", range(5))
    def test_finds_people(self, seed):
        vectors, truth = people([9, 1, 4, 2], seed)
        found = chinese_whispers(vectors, 0.6, seed=seed)
        assert same_parts(found, truth)
        assert found[0] == 0  # numbered by their first faces
        firsts = [int(np.flatnonzero(found == i)[0]) for i in range(4)]
        assert firsts == sorted(firsts)

    def test_the_same_seed_gives_the_same(self):
        vectors, _ = people([5, 5, 5], 3)
        for low, seed in itertools.product((0.1, 0.5), range(3)):
            once = chinese_whispers(vectors, low, seed=seed)
            assert (chinese_whispers(vectors, low, seed=seed) == once).all()

    def test_neighbours_lie_above_the_similarity(self):
        pair = np.array([[1.0, 0.0], [0.6, 0.8]])
        cosine = float(np.float32(0.6))
        assert chinese_whispers(pair, cosine - 1e-3).tolist() == [0, 0]
        assert chinese_whispers(pair, cosine + 1e-3).tolist() == [0, 1]

    def test_nobody_and_one(self):
        assert chinese_whispers(np.zeros((0, 4)), 0.5).tolist() == []
        assert chinese_whispers(np.ones((1, 1)), 0.5).tolist() == [0]

    def test_bad_input(self):
        with pytest.raises(RangeError, match="similarity"):
            chinese_whispers(np.ones((1, 1)), 1.5)
        with pytest.raises(RangeError, match="iterations"):
            chinese_whispers(np.ones((1, 1)), 0.5, iterations=0)


def test_by_size():
    found = by_size(np.array([2, 0, NOISE, 1, 1, 0, 1]))
    assert [rows.tolist() for rows in found] == [[3, 4, 6], [1, 5], [0]]
    assert by_size(np.zeros(0, np.intp)) == []
    assert by_size(np.array([NOISE])) == []
