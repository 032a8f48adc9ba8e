from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InsufficientDataError, RangeError, ShapeError
from vultus.evaluate.cohort import mixed_strangers


def people(count: int, dimension: int = 64, each: int = 2) -> tuple[np.ndarray, list[str]]:
    """People about a common mean, as faces are."""
    random = np.random.default_rng(5)
    found = 1.0 + 0.7 * np.repeat(random.standard_normal((count, dimension)), each, axis=0)
    found += 0.05 * random.standard_normal(found.shape)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32), [f"p{i // each}" for i in range(count * each)]


def test_strangers_are_spread_like_people_and_are_none_of_them():
    vectors, names = people(300)
    strangers = mixed_strangers(vectors, names)
    assert strangers.shape == (100, 64)
    np.testing.assert_allclose(np.linalg.norm(strangers, axis=1), 1.0, atol=1e-6)
    own = vectors[::2] @ vectors[::2].T
    theirs = strangers @ strangers.T
    upper, small = np.triu_indices(300, 1), np.triu_indices(100, 1)
    assert theirs[small].mean() == pytest.approx(own[upper].mean(), abs=0.01)
    assert theirs[small].std() == pytest.approx(own[upper].std(), rel=0.15)
    # Two faces of a person: above 0.99. A stranger and any person stays far below.
    assert (strangers @ vectors.T).max() < 0.93


def test_each_is_a_mixture_of_three():
    vectors = np.eye(30, dtype=np.float32)
    mixed = mixed_strangers(vectors, [f"p{i}" for i in range(30)])
    largest = np.sort(mixed, axis=1)[:, ::-1]
    assert mixed.shape == (10, 30)
    np.testing.assert_allclose(largest[:, 0], largest[:, 2], rtol=1e-5)
    assert (largest[:, 3] < 0.1 * largest[:, 2]).all()
    assert len({tuple(np.argsort(row)[-3:]) for row in mixed}) == 10


def test_bad_input():
    vectors, names = people(40)
    with pytest.raises(InsufficientDataError, match="at least 30 people, got 29"):
        mixed_strangers(vectors[:58], names[:58])
    with pytest.raises(ShapeError, match="a person per row"):
        mixed_strangers(vectors, names[:-1])
    vectors[3, 3] = np.nan
    with pytest.raises(RangeError):
        mixed_strangers(vectors, names)
