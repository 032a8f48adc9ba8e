"""How much data a rate takes before it may be stated, and the refusal where there is less."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vultus.errors import InsufficientDataError, RangeError

__all__ = ["Need", "allowed_errors", "check_share", "dependable", "need_for", "rule_of_three"]

# 30 errors put the true rate within 30 per cent of the measured one, with 90 per cent confidence
# (the "rule of 30"); 0 errors in N independent trials bound it by 3 / N, with 95 per cent (the
# "rule of 3"). Source: Doddington, Przybocki, Martin and Reynolds 2000, "The NIST speaker
# recognition evaluation", Speech Communication 31.
_THIRTY = 30
_THREE = 3


@dataclass(frozen=True, slots=True)
class Need:
    """What measuring a rate takes.

    Attributes:
        rate: The rate in question.
        least: Trials in which it is one error: with fewer it cannot be measured at all.
        rule_of_3: Trials that bound the rate by this value where no error was seen.
        rule_of_30: Trials that make the measured value dependable.
        subjects: People with one picture each whose cross pairs are `least` comparisons.
    """

    rate: float
    least: int
    rule_of_3: int
    rule_of_30: int
    subjects: int


def need_for(rate: float) -> Need:
    """What it takes to measure `rate`, in (0, 1]."""
    least = math.ceil(1.0 / rate - 1e-9)
    subjects = math.ceil((1.0 + math.sqrt(1.0 + 8.0 * least)) / 2.0)  # s (s - 1) / 2 >= least
    return Need(
        rate,
        least,
        math.ceil(_THREE / rate - 1e-9),
        math.ceil(_THIRTY / rate - 1e-9),
        subjects,
    )


def allowed_errors(rate: float, count: int, what: str, trials: str) -> int:
    """How many errors of `count` trials a target rate allows; at least one.

    Args:
        rate: Target in (0, 1).
        count: How many trials there are.
        what: What the rate is called: "FMR".
        trials: What they are called: "impostor comparisons".

    Raises:
        RangeError: The target is outside (0, 1).
        InsufficientDataError: One error would already be more than the target.
    """
    check_share(rate, what)
    allowed = math.floor(rate * count + 1e-9)  # 0.001 * 1000 must count as 1, not as 0.99999…
    if allowed >= 1:
        return allowed
    need = need_for(rate)
    pairs = trials.startswith("impostor")
    remedy = f"add {trials}" + (
        f": {need.subjects:,} people with one picture each give {need.least:,}" if pairs else ""
    )
    raise InsufficientDataError(
        f"{what} {rate:g} takes at least {need.least:,} {trials} to be seen at all "
        f"({need.rule_of_30:,} to be dependable, by the rule of 30), there are {count:,}",
        remedy=f"{remedy}, or aim at a higher {what}",
        expected=need.least,
        actual=count,
        rule_of_3=need.rule_of_3,
        rule_of_30=need.rule_of_30,
        subjects=need.subjects if pairs else None,
        rate=rate,
    )


def check_share(rate: float, what: str) -> None:
    """Require a target to lie in (0, 1).

    Raises:
        RangeError: It does not.
    """
    if not 0.0 < rate < 1.0:
        raise RangeError(f"the {what} to aim at must lie in (0, 1), got {rate}")


def dependable(errors: float) -> bool:
    """Whether a rate rests on at least 30 errors (Doddington's rule of 30)."""
    return errors >= _THIRTY


def rule_of_three(trials: int, confidence: float = 0.95) -> float:
    """Upper bound of a rate of which no error was seen in `trials` independent trials.

    Exact (Clopper and Pearson 1934, one-sided); 3 / `trials` is its approximation at 0.95.
    """
    return -math.expm1(math.log1p(-confidence) / max(1, trials))
