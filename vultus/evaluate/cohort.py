"""Strangers to hold scores against, made of many people so that none of them is anybody."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite
from vultus.errors import InsufficientDataError, ShapeError
from vultus.evaluate.metrics.scores import subject_numbers

__all__ = ["mixed_strangers"]

_MIXED = 3
_LEAST_PEOPLE = 10 * _MIXED


def mixed_strangers(
    vectors: NDArray[np.float32], people: Sequence[str], seed: int = 0
) -> NDArray[np.float32]:
    """Make strangers that are as far apart as people are, and nobody's face.

    Each is a mixture of three people drawn at random, every person used once: the mean of all
    people plus the sum of the three people's deviations from it over √3. So mean and spread stay
    those of people, while the deviation of a stranger has a cosine of only about 1/√3 with that
    of each of its three.

    Args:
        vectors: (n, d) float32, unit rows.
        people: Whom each row shows; n entries.
        seed: Of the draw.

    Returns:
        (people // 3, d) float32, unit rows.

    Raises:
        ShapeError: The lengths differ.
        RangeError: A vector is not finite.
        InsufficientDataError: Fewer than 30 people.
    """
    if vectors.ndim != 2 or len(vectors) != len(people):
        raise ShapeError(
            f"vectors must be (n, d) with a person per row, got {vectors.shape} and {len(people)}"
        )
    check_finite(vectors, "embeddings")
    subjects = subject_numbers(list(people))
    count = int(subjects.max(initial=-1)) + 1
    if count < _LEAST_PEOPLE:
        raise InsufficientDataError(
            f"strangers are mixed of at least {_LEAST_PEOPLE} people, got {count}",
            expected=_LEAST_PEOPLE,
            actual=count,
        )
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, subjects, vectors)
    faces = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    mean = faces.mean(axis=0)
    drawn = np.random.default_rng(seed).permutation(count)[: count // _MIXED * _MIXED]
    mixed = mean + (faces - mean)[drawn.reshape(-1, _MIXED)].sum(axis=1) / np.sqrt(_MIXED)
    unit: NDArray[np.float32] = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(
        np.float32
    )
    return unit
