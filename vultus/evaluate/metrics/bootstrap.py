"""Confidence intervals by resampling subjects, not pairs.

Pairs of one person are alike, so a thousand pairs of ten people are no thousand observations. A
round draws as many subjects as there are, with replacement; a genuine pair then counts as often as
its subject was drawn, an impostor pair as often as the product of both subjects' counts. Every
round is exact: all scores are kept, nothing is binned.

Source: two-sample ("pigeonhole") bootstrap, Owen 2007, "The pigeonhole bootstrap", Annals of
Applied Statistics 1; resampling people in biometrics, Bolle, Ratha and Pankanti 2004, "Error
analysis of pattern recognition systems: the subsets bootstrap". Percentile intervals, Efron 1979.
With fewer than some 30 subjects such intervals are known to come out too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from vultus.errors import InsufficientDataError, RangeError
from vultus.evaluate.metrics._need import rule_of_three
from vultus.evaluate.metrics.scores import Floats, Ints, Scores
from vultus.evaluate.metrics.weighted import SortedScores, WeightedScores, cumulative
from vultus.runtime import ordered_map
from vultus.types import Rate

__all__ = ["Interval", "Resampling", "bootstrap_scores", "bootstrap_subjects", "rate_of"]

Statistic: TypeAlias = Callable[[WeightedScores], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured number that is no rate (a threshold, d-prime) and how sure it is.

    Attributes:
        value: What was measured.
        low: Lower end of the interval.
        high: Upper end.
        confidence: Part of such intervals that hold the true value.
    """

    value: float
    low: float
    high: float
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Resampling:
    """How the bootstrap runs.

    Attributes:
        rounds: How many times the subjects are drawn; 0 leaves intervals out.
        seed: Equal seeds give equal intervals, whatever `jobs` is.
        confidence: Of the intervals.
        jobs: Rounds at a time, each on a thread of its own.

    Raises:
        RangeError: Fewer than 0 rounds or 1 job, or a confidence outside (0, 1).
    """

    rounds: int = 1000
    seed: int = 0
    confidence: float = 0.95
    jobs: int = 1

    def __post_init__(self) -> None:
        if self.rounds < 0 or self.jobs < 1:
            raise RangeError(
                f"a bootstrap needs rounds >= 0 and jobs >= 1, got {self.rounds} and {self.jobs}"
            )
        if not 0.0 < self.confidence < 1.0:
            raise RangeError(f"a confidence must lie in (0, 1), got {self.confidence}")


def bootstrap_scores(scores: Scores, statistic: Statistic, how: Resampling) -> Floats:
    """Compute numbers of weighted scores in every round.

    A million scores take about 10 ms of one core a round.

    Args:
        scores: With subjects.
        statistic: Several numbers of one round's scores; thread-safe.
        how: Rounds, seed, jobs.

    Returns:
        (rounds, k) numbers. Rounds that drew no pair of a kind are left out.

    Raises:
        InsufficientDataError: The subjects are unknown, or only one.
    """
    if scores.genuine_subjects is None or scores.impostor_subjects is None:
        raise InsufficientDataError(
            "intervals are drawn over subjects, and the subjects of these pairs are unknown",
            remedy="give the subjects, or ask for 0 rounds",
        )
    ordered = SortedScores.of(scores)
    everybody = np.union1d(scores.genuine_subjects, scores.impostor_subjects)
    own, first, second = (
        # 32 bits: half of the memory that every round walks through.
        np.searchsorted(everybody, subjects).astype(np.int32)
        for subjects in (
            scores.genuine_subjects[ordered.genuine_order],
            *scores.impostor_subjects[ordered.impostor_order].T,
        )
    )

    def measure(counts: Floats) -> Sequence[float] | None:
        drawn = WeightedScores(ordered, cumulative(counts, own), cumulative(counts, first, second))
        return None if drawn.empty else statistic(drawn)

    return _rounds(len(everybody), measure, how)


def bootstrap_subjects(
    subjects: Ints, statistic: Callable[[Floats], Sequence[float] | None], how: Resampling
) -> Floats:
    """Compute numbers of weighted trials that each belong to one subject.

    Args:
        subjects: (n,) whose trial it is.
        statistic: Several numbers given (n,) weights, or ``None`` to leave the round out.
        how: Rounds, seed, jobs.

    Returns:
        (rounds, k) numbers.

    Raises:
        InsufficientDataError: There is one subject only.
    """
    everybody, who = np.unique(subjects, return_inverse=True)
    return _rounds(len(everybody), lambda counts: statistic(counts[who]), how)


def _rounds(
    people: int, measure: Callable[[Floats], Sequence[float] | None], how: Resampling
) -> Floats:
    if people < 2:
        raise InsufficientDataError(
            f"intervals over subjects need at least 2 subjects, there are {people}",
            remedy="add people, or ask for 0 rounds",
            expected=2,
            actual=people,
        )

    def one(number: int) -> Sequence[float] | None:
        drawn = np.random.default_rng((how.seed, number)).integers(0, people, people)
        return measure(np.bincount(drawn, minlength=people).astype(np.float64))

    done = [row for row in ordered_map(one, range(how.rounds), how.jobs) if row is not None]
    if len(done) < how.rounds / 2:
        raise InsufficientDataError(
            f"too few subjects ({people}): most draws of them hold no pair of one kind",
            remedy="add people, or ask for 0 rounds",
            actual=people,
        )
    return np.array(done, np.float64).reshape(len(done), -1)


def interval_of(value: float, rounds: Floats, confidence: float) -> Interval:
    """Percentile interval of the rounds, widened to hold the measured value."""
    low, high = _percentiles(rounds, confidence)
    return Interval(value, min(low, value), max(high, value), confidence)


def rate_of(
    value: float, rounds: Floats, how: Resampling, *, subjects: int, errors: float | None = None
) -> Rate:
    """A rate with the percentile interval of its rounds, widened to hold the measured value.

    Where no error was seen, every round says 0, which proves nothing: the upper end is then that
    of the rule of 3, with the subjects as the independent trials. Likewise where all were errors.

    Args:
        value: As measured.
        rounds: (n,) as measured in each round.
        how: For the confidence.
        subjects: How many there are.
        errors: The measured rate again if it counts errors; ``None`` for EER, AUC and the like.
    """
    low, high = _percentiles(rounds, how.confidence)
    if errors == 0:
        high = max(high, rule_of_three(subjects, how.confidence))
    if errors == 1:
        low = min(low, 1.0 - rule_of_three(subjects, how.confidence))
    return Rate(value, max(0.0, min(low, value)), min(1.0, max(high, value)), how.confidence)


def _percentiles(rounds: Floats, confidence: float) -> tuple[float, float]:
    tail = (1.0 - confidence) / 2.0
    ranked = np.sort(rounds)  # order statistics: between infinities nothing can be interpolated
    cut = int(tail * len(ranked))
    return float(ranked[cut]), float(ranked[-1 - cut])
