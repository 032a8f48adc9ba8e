from __future__ import annotations

import numpy as np
import pytest

from vultus.decide import Cohort, normalised
from vultus.errors import InsufficientDataError, RangeError, ShapeError


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
