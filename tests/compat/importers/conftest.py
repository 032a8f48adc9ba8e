"""Encodings as dlib's network gives them, as far as a reader can tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def encoding() -> Callable[..., NDArray[np.float64]]:
    """`encoding(seed)`: 128 numbers of length 1.4."""

    def make(seed: int, norm: float = 1.4, length: int = 128) -> NDArray[np.float64]:
        vector = np.random.default_rng(seed).standard_normal(length)
        return vector / np.linalg.norm(vector) * norm

    return make
