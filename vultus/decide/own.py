"""The classical rule: a person's own pictures say how far apart two of them may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite
from vultus.errors import InsufficientDataError, ShapeError

__all__ = ["OwnDistances", "own_distances"]


@dataclass(frozen=True, slots=True)
class OwnDistances:
    """How far apart the pictures of each person are, as Euclidean distances of unit vectors.

    Attributes:
        largest: Person to the largest distance between two of their own pictures, in [0, 2];
            people with one picture are absent.
        single: People with one picture, who tell nothing.
    """

    largest: dict[str, float]
    single: tuple[str, ...]

    @property
    def maximum(self) -> float:
        """The largest of all: the distance within which every enrolled pair is accepted.

        Raises:
            InsufficientDataError: Nobody has two pictures.
        """
        if not self.largest:
            raise InsufficientDataError(
                "at least one person must have two pictures", remedy="enrol more pictures"
            )
        return max(self.largest.values())

    def similarity(self, person: str | None = None) -> float:
        """The rule as a cosine threshold: 1 − d²/2, of one person or of everybody together.

        One bad picture sets it, and it knows nothing of strangers, so its error rate is unknown:
        hold it against a calibration before a door hangs on it.

        Args:
            person: Whose; everybody's maximum for ``None`` and for people with one picture.

        Raises:
            InsufficientDataError: Nobody has two pictures.
        """
        distance = self.maximum if person is None else self.largest.get(person, self.maximum)
        return 1.0 - distance * distance / 2.0


def own_distances(vectors: NDArray[np.float32], people: Sequence[str]) -> OwnDistances:
    """Each enrolled person's largest own distance.

    Args:
        vectors: (n, d) float32, unit rows.
        people: Whose each row is, n entries.

    Raises:
        ShapeError: The lengths differ.
        RangeError: A vector is not finite.
    """
    if vectors.ndim != 2 or len(vectors) != len(people):
        raise ShapeError(
            f"vectors must be (n, d) with one person per row, got {vectors.shape} and "
            f"{len(people)} people"
        )
    check_finite(vectors, "embeddings")
    rows: dict[str, list[int]] = {}
    for row, person in enumerate(people):
        rows.setdefault(person, []).append(row)
    largest = {}
    for person, own in rows.items():
        if len(own) > 1:
            mine = vectors[own].astype(np.float64)
            smallest = float((mine @ mine.T).min())
            largest[person] = float(np.sqrt(max(0.0, 2.0 - 2.0 * smallest)))
    return OwnDistances(largest, tuple(p for p, own in rows.items() if len(own) == 1))
