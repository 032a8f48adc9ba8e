from __future__ import annotations

import numpy as np
import pytest

from vultus.decide import (
    Cohort,
    Normaliser,
    normalised,
    normalised_space,
    shipped_calibration,
    shipped_cohort,
)
from vultus.errors import InsufficientDataError, RangeError, ShapeError
from vultus.models import Registry, space_in
from vultus.types import EmbeddingSpace


def _unit(rows: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_is_the_formula_of_the_paper():
    probes, enrolled, cohort = _unit(3, 1), _unit(2, 2), _unit(20, 3)
    raw = probes @ enrolled.T
    found = normalised(raw, probes, enrolled, Cohort(cohort, nearest=5))
    for p in range(3):
        for e in range(2):
            near_p = np.sort((cohort @ probes[p]).astype(np.float64))[-5:]
            near_e = np.sort((cohort @ enrolled[e]).astype(np.float64))[-5:]
            expected = 0.5 * (
                (raw[p, e] - near_p.mean()) / near_p.std()
                + (raw[p, e] - near_e.mean()) / near_e.std()
            )
            assert found[p, e] == pytest.approx(expected, rel=1e-5)


def test_a_cohort_smaller_than_its_neighbourhood_is_used_whole():
    mean, spread = Cohort(_unit(12, 3), nearest=100).statistics(_unit(1, 1))
    every = (_unit(12, 3) @ _unit(1, 1)[0]).astype(np.float64)
    assert (mean[0], spread[0]) == (pytest.approx(every.mean()), pytest.approx(every.std()))


def test_identical_cohort_members_do_not_divide_by_zero():
    same = np.repeat(_unit(1, 5), 10, axis=0)
    found = normalised(np.ones((1, 1), np.float32), same[:1], same[:1], Cohort(same))
    assert np.isfinite(found).all()


def test_bad_input():
    with pytest.raises(InsufficientDataError, match="at least 10"):
        Cohort(_unit(9, 1))
    with pytest.raises(ShapeError):
        Cohort(np.ones(8, np.float32))
    with pytest.raises(RangeError):
        Cohort(np.full((10, 8), np.nan, np.float32))
    with pytest.raises(ShapeError, match=r"\(1, 2\)"):
        normalised(np.ones((2, 2)), _unit(1, 1), _unit(2, 1), Cohort(_unit(10, 1)))


class TestNormaliser:
    def test_an_average_face_keeps_its_similarities(self):
        cohort = Cohort(_unit(400, 3), nearest=50)
        probes, enrolled = _unit(300, 1), _unit(1, 2)
        raw = probes @ enrolled.T
        found = Normaliser(cohort).similarities(raw, probes, enrolled)
        assert float(found.mean()) == pytest.approx(float(raw.mean()), abs=0.05)
        assert np.corrcoef(raw[:, 0], found[:, 0])[0, 1] > 0.95
        assert (np.abs(found) <= 1).all()

    def test_a_face_that_strangers_resemble_must_be_more_similar(self):
        strangers = _unit(100, 3)
        usual, common = _unit(1, 1), strangers[:50].mean(axis=0, keepdims=True)
        common = (common / np.linalg.norm(common)).astype(np.float32)
        crowd = np.concatenate([strangers, np.repeat(common, 30, axis=0)])
        found = Normaliser(Cohort(crowd, nearest=20)).similarities(
            np.array([[0.8], [0.8]]), np.concatenate([usual, common]), usual
        )
        assert found[0, 0] > found[1, 0] + 0.05

    def test_a_cohort_smaller_than_its_neighbourhood(self):
        found = Normaliser(Cohort(_unit(12, 3), nearest=100)).similarities(
            np.array([[0.5]]), _unit(1, 1), _unit(1, 2)
        )
        assert np.isfinite(found).all()

    def test_its_space_is_another(self):
        space = EmbeddingSpace("m", "0" * 64, 8, "dlib-10+mirror")
        assert normalised_space(space).preprocessing == "dlib-10+mirror+normalised"
        assert normalised_space(space) != space


class TestShipped:
    @pytest.mark.parametrize("mirror", [False, True])
    def test_strangers_of_the_default_embedder(self, mirror: bool):
        registry = Registry()
        space = space_in(registry, registry.get("dlib-resnet-v1"), mirror=mirror)
        cohort = shipped_cohort(space)
        assert cohort is not None
        assert (cohort.vectors.shape, cohort.nearest) == ((355, 128), 100)
        np.testing.assert_allclose(np.linalg.norm(cohort.vectors, axis=1), 1.0, atol=1e-6)
        calibration = shipped_calibration(normalised_space(space))
        assert calibration is not None
        usual = shipped_calibration(space)
        assert usual is not None
        # What it is for: fewer misses at the same rate of strangers.
        for rate, share in ((1e-3, 0.8), (1e-4, 0.75)):
            fewer, misses = (c.threshold(rate).fnmr or 0.0 for c in (calibration, usual))
            assert fewer < share * misses

    def test_none_for_others(self):
        assert shipped_cohort(EmbeddingSpace("m", "0" * 64, 8, "none")) is None
        assert shipped_cohort(EmbeddingSpace("dlib-resnet-v1", "0" * 64, 128, "dlib-10")) is None
