"""From similarities to decisions whose error rate is known."""

from vultus.decide.calibration import (
    Calibration,
    QualityCost,
    load_calibration,
    shipped_calibration,
)
from vultus.decide.norm import (
    Cohort,
    Normaliser,
    normalised,
    normalised_space,
    shipped_cohort,
)
from vultus.decide.own import OwnDistances, own_distances
from vultus.decide.thresholds import DEFAULT_POLICY, decide, threshold_for
from vultus.decide.words import how_often, in_words

__all__ = [
    "DEFAULT_POLICY",
    "Calibration",
    "Cohort",
    "Normaliser",
    "OwnDistances",
    "QualityCost",
    "decide",
    "how_often",
    "in_words",
    "load_calibration",
    "normalised",
    "normalised_space",
    "own_distances",
    "shipped_calibration",
    "shipped_cohort",
    "threshold_for",
]
