"""How often it errs: verification, identification, quality; exact, with intervals over subjects.

The convention everywhere: similarities, and accepted means *reached* (``similarity >= threshold``).
Only NumPy is needed. Whatever the data are too few for is refused with
`vultus.errors.InsufficientDataError`, which says how much it would take.
"""

from vultus.evaluate.metrics._need import Need, need_for, rule_of_three
from vultus.evaluate.metrics.bootstrap import Interval, Resampling, bootstrap_scores
from vultus.evaluate.metrics.discard import DiscardCurve, error_versus_discard
from vultus.evaluate.metrics.identification import (
    OpenSetPoint,
    Searches,
    cmc,
    false_negative_identification_rate,
    false_positive_identification_rate,
    fnir_at_fpir,
    rank_rate,
    search_gallery,
)
from vultus.evaluate.metrics.report import (
    FMRS,
    OutOfReach,
    VerificationReport,
    verification_report,
)
from vultus.evaluate.metrics.scores import Scores
from vultus.evaluate.metrics.verification import (
    OperatingPoint,
    accuracy,
    accuracy_threshold,
    area_under_curve,
    d_prime,
    equal_error_rate,
    error_curve,
    false_match_rate,
    false_non_match_rate,
    fnmr_at_fmr,
    threshold_at_fmr,
)
from vultus.evaluate.metrics.weighted import EqualErrorRate, ErrorCurve, WeightedScores

__all__ = [
    "FMRS",
    "DiscardCurve",
    "EqualErrorRate",
    "ErrorCurve",
    "Interval",
    "Need",
    "OpenSetPoint",
    "OperatingPoint",
    "OutOfReach",
    "Resampling",
    "Scores",
    "Searches",
    "VerificationReport",
    "WeightedScores",
    "accuracy",
    "accuracy_threshold",
    "area_under_curve",
    "bootstrap_scores",
    "cmc",
    "d_prime",
    "equal_error_rate",
    "error_curve",
    "error_versus_discard",
    "false_match_rate",
    "false_negative_identification_rate",
    "false_non_match_rate",
    "false_positive_identification_rate",
    "fnir_at_fpir",
    "fnmr_at_fmr",
    "need_for",
    "rank_rate",
    "rule_of_three",
    "search_gallery",
    "threshold_at_fmr",
    "verification_report",
]
