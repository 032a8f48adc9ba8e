"""Scores made comparable across faces: how far above everybody else is this one?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite
from vultus.errors import InsufficientDataError, ShapeError
from vultus.types import EmbeddingSpace

__all__ = ["Cohort", "Normaliser", "normalised", "normalised_space", "shipped_cohort"]

_LEAST = 10  # impostors from which a mean and a deviation say anything
_NEAREST_SHIPPED = 100  # of 355: fewest misses at an FMR of 1e-3 among 25 to 300, on pairsDevTrain
_SMALLEST_DEVIATION = 1e-3  # of cosines; below, a cohort is degenerate


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Faces that are certainly somebody else: a site's other people, or average strangers.

    Attributes:
        vectors: (n, d) float32, unit rows.
        nearest: How many of the most similar ones are looked at per face.

    Raises:
        ShapeError: Not (n, d).
        RangeError: Not finite.
        InsufficientDataError: Fewer than 10 rows.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    nearest: int = 100

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2:
            raise ShapeError(f"a cohort must be (n, d), got {self.vectors.shape}")
        check_finite(self.vectors, "a cohort")
        if len(self.vectors) < _LEAST:
            raise InsufficientDataError(
                f"a cohort takes at least {_LEAST} faces, got {len(self.vectors)}",
                expected=_LEAST,
                actual=len(self.vectors),
            )

    def statistics(self, faces: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
        """Mean and deviation of each face's similarity to its nearest cohort members.

        Args:
            faces: (m, d) float32, unit rows.

        Returns:
            Two (m,) arrays.
        """
        scores = faces @ self.vectors.T
        if self.nearest < scores.shape[1]:
            scores = np.partition(scores, -self.nearest, axis=1)[:, -self.nearest :]
        wide = scores.astype(np.float64)
        return wide.mean(axis=1), np.maximum(wide.std(axis=1), _SMALLEST_DEVIATION)


def normalised(
    similarities: NDArray[np.floating],
    probes: NDArray[np.float32],
    enrolled: NDArray[np.float32],
    cohort: Cohort,
) -> NDArray[np.float64]:
    """Similarities in deviations above what strangers reach: adaptive symmetric normalisation.

    s' = ½·((s − μₚ)/σₚ + (s − μₑ)/σₑ), with the mean and deviation of the probe's, and of the
    enrolled face's, similarity to its nearest cohort members. Source: Matějka et al. 2017,
    "Analysis of score normalization in multilingual speaker recognition" (AS-Norm1).

    Args:
        similarities: (p, e) cosines.
        probes: (p, d) float32, unit rows.
        enrolled: (e, d) float32, unit rows.
        cohort: Who is certainly somebody else.

    Returns:
        (p, e) normalised scores; no cosines any more, so they take thresholds of their own.
    """
    if similarities.shape != (len(probes), len(enrolled)):
        raise ShapeError(
            f"similarities must be ({len(probes)}, {len(enrolled)}), got {similarities.shape}"
        )
    probe_mean, probe_spread = cohort.statistics(probes)
    own_mean, own_spread = cohort.statistics(enrolled)
    wide = similarities.astype(np.float64)
    by_probe = (wide - probe_mean[:, None]) / probe_spread[:, None]
    by_enrolled = (wide - own_mean[None, :]) / own_spread[None, :]
    return np.asarray(0.5 * (by_probe + by_enrolled))


class Normaliser:
    """Adaptive symmetric normalisation on the scale of cosines, for one embedding space.

    A face that many strangers resemble must be more similar to be believed. The scores of
    `normalised` are brought back to cosines by the mean and deviation that the cohort's own
    members have among each other: an average face keeps its similarities.

    Args:
        cohort: People who are certainly somebody else.

    Attributes:
        cohort: The same.
    """

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        scores = cohort.vectors @ cohort.vectors.T
        np.fill_diagonal(scores, -np.inf)
        count = min(cohort.nearest, len(scores) - 1)  # a face itself is left out
        nearest = np.partition(scores, -count, axis=1)[:, -count:].astype(np.float64)
        self._mean = float(nearest.mean())
        self._deviation = float(nearest.std(axis=1).mean())

    def similarities(
        self,
        similarities: NDArray[np.floating],
        probes: NDArray[np.float32],
        enrolled: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Normalised similarities, within [-1, 1].

        Args:
            similarities: (p, e) cosines.
            probes: (p, d) float32, unit rows.
            enrolled: (e, d) float32, unit rows.
        """
        scores = normalised(similarities, probes, enrolled, self.cohort)
        return np.clip(self._mean + self._deviation * scores, -1.0, 1.0)


def normalised_space(space: EmbeddingSpace) -> EmbeddingSpace:
    """What names normalised similarities of a space: its calibrations are others."""
    return replace(space, preprocessing=f"{space.preprocessing}+normalised")


def shipped_cohort(space: EmbeddingSpace) -> Cohort | None:
    """The strangers that ship with vultus for a space; ``None`` where there are none.

    Each is nobody: the mixture of three random people, see `vultus.evaluate.cohort`.

    Args:
        space: The identity of the embeddings.
    """
    folder = resources.files("vultus.models") / "cohorts"
    file = folder / f"{space.model}.{space.preprocessing}.npz"
    if not file.is_file():
        return None
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        if str(arrays["space"]) != space.id:
            return None
        vectors = arrays["vectors"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Cohort(vectors, nearest=_NEAREST_SHIPPED)
