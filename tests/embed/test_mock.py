from __future__ import annotations

import numpy as np
import pytest

from vultus.embed import MockEmbedder


def _crop(value: int) -> np.ndarray:
    return np.full((4, 4, 3), value, np.uint8)


def test_equal_crops_get_equal_vectors():
    first, second, other = MockEmbedder().embed([_crop(1), _crop(1), _crop(2)])
    assert first.similarity(second) == pytest.approx(1.0)
    assert abs(first.similarity(other)) < 0.4
    again = MockEmbedder().embed([_crop(1)])[0]
    assert np.array_equal(first.vector, again.vector)


def test_dimension_and_space():
    embedder = MockEmbedder(16)
    (found,) = embedder.embed([_crop(3)])
    assert found.vector.shape == (16,)
    assert found.space == embedder.space
    assert found.space.id == "mock/000000000000/16/none"


def test_no_crops():
    assert MockEmbedder().embed([]) == []
