"""Everything about a verification experiment in one object, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from vultus.errors import InsufficientDataError
from vultus.evaluate._plain import plain
from vultus.evaluate.metrics.bootstrap import (
    Interval,
    Resampling,
    bootstrap_scores,
    interval_of,
    rate_of,
)
from vultus.evaluate.metrics.scores import Floats, Scores
from vultus.evaluate.metrics.verification import OperatingPoint, fnmr_at_fmr
from vultus.evaluate.metrics.weighted import ErrorCurve, WeightedScores
from vultus.types import Rate

__all__ = ["FMRS", "OutOfReach", "VerificationReport", "verification_report"]

FMRS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""FMRs that IJB-B and IJB-C are reported at."""

_CURVE_POINTS = 200


@dataclass(frozen=True, slots=True)
class OutOfReach:
    """A target that the data are too few for.

    Attributes:
        target_fmr: What was asked for.
        impostor: Impostor pairs there are.
        impostor_needed: Impostor pairs it takes to see one error.
        subjects_needed: People with one picture each whose cross pairs are that many.
        message: The same in words.
    """

    target_fmr: float
    impostor: int
    impostor_needed: int
    subjects_needed: int
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class VerificationReport:
    """What `verification_report` found.

    Attributes:
        genuine: Genuine pairs.
        impostor: Impostor pairs.
        subjects: Different people; ``None`` if unknown.
        points: FNMR at each FMR that could be measured.
        out_of_reach: The FMRs that could not.
        equal_error_rate: With its interval if asked for; so below.
        equal_error_threshold: Where it lies.
        area_under_curve: Of the ROC.
        d_prime: Decidability.
        curve: About 200 points of DET and ROC.
        rounds: Of the bootstrap; 0 without intervals.
    """

    genuine: int
    impostor: int
    subjects: int | None
    points: tuple[OperatingPoint, ...]
    out_of_reach: tuple[OutOfReach, ...]
    equal_error_rate: Rate | float
    equal_error_threshold: float
    area_under_curve: Rate | float
    d_prime: Interval | float
    curve: ErrorCurve = dataclass_field(repr=False)
    rounds: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**plain(self), "points": [point.to_dict() for point in self.points]}


def verification_report(
    scores: Scores, fmrs: Sequence[float] = FMRS, how: Resampling | None = None
) -> VerificationReport:
    """Measure everything, with intervals where the subjects are known.

    Args:
        scores: What was compared.
        fmrs: Targets; those out of reach are listed as such.
        how: The bootstrap; 1,000 rounds by default where subjects are known, none where not.

    Raises:
        RangeError: A target is outside (0, 1).
        InsufficientDataError: Rounds were asked for and the subjects are unknown or too few.
    """
    how = how or Resampling(rounds=0 if scores.genuine_subjects is None else 1000)
    points: list[OperatingPoint] = []
    lost: list[OutOfReach] = []
    for fmr in fmrs:
        try:
            points.append(fnmr_at_fmr(scores, fmr))
        except InsufficientDataError as error:
            lost.append(_out_of_reach(fmr, error))
    whole = WeightedScores.of(scores)
    equal, area, apart = whole.equal_error_rate(), whole.area(), whole.d_prime()
    report = VerificationReport(
        len(scores.genuine),
        len(scores.impostor),
        scores.subject_count,
        tuple(points),
        tuple(lost),
        equal.rate,
        equal.threshold,
        area,
        apart,
        whole.curve().thinned(_CURVE_POINTS),
        how.rounds,
    )
    return _with_intervals(report, scores, whole, how) if how.rounds else report


def _with_intervals(
    report: VerificationReport, scores: Scores, whole: WeightedScores, how: Resampling
) -> VerificationReport:
    import dataclasses

    below = [int(whole.scores.impostor.searchsorted(point.threshold)) for point in report.points]

    def measure(drawn: WeightedScores) -> list[float]:
        numbers = [drawn.equal_error_rate().rate, drawn.area(), drawn.d_prime()]
        for point, cut in zip(report.points, below, strict=True):
            numbers += [drawn.fmr(cut), drawn.fnmr_at_fmr(point.target_fmr)]
        return numbers

    rounds = bootstrap_scores(scores, measure, how)
    people = scores.subject_count or 0
    return dataclasses.replace(
        report,
        equal_error_rate=_rate(report.equal_error_rate, rounds[:, 0], how, people),
        area_under_curve=_rate(report.area_under_curve, rounds[:, 1], how, people),
        d_prime=interval_of(float(whole.d_prime()), rounds[:, 2], how.confidence),
        points=tuple(
            dataclasses.replace(
                point,
                fmr_interval=rate_of(
                    point.fmr, rounds[:, 3 + 2 * i], how, subjects=people, errors=point.fmr
                ),
                fnmr_interval=rate_of(
                    point.fnmr, rounds[:, 4 + 2 * i], how, subjects=people, errors=point.fnmr
                ),
            )
            for i, point in enumerate(report.points)
        ),
    )


def _rate(value: Rate | float, rounds: Floats, how: Resampling, subjects: int) -> Rate:
    plain_value = value.value if isinstance(value, Rate) else value
    return rate_of(plain_value, rounds, how, subjects=subjects)


def _out_of_reach(fmr: float, error: InsufficientDataError) -> OutOfReach:
    facts = error.fields
    return OutOfReach(
        fmr,
        int(str(facts["actual"])),
        int(str(facts["expected"])),
        int(str(facts["subjects"])),
        str(error),
    )
