"""Decisions in words that somebody at a gate understands."""

from __future__ import annotations

from vultus.types import Decision, Rate

__all__ = ["how_often", "in_words"]


def in_words(decision: Decision, name: str | None = None) -> str:
    """One line: who, how similar, and how often a stranger would look as similar.

    ``Alice, 0.945; a stranger scores this high about 1 time in 12,000 (95 %: 6,300–25,000)``

    Args:
        decision: What was decided.
        name: Who it would be; ``None`` when two pictures were compared.
    """
    if name is None:
        who = "the same person" if decision.same else "different people"
    else:
        who = name if decision.same else f"unknown (nearest: {name})"
    line = f"{who}, {decision.similarity:.3f}"
    if decision.fmr is not None:
        line += f"; a stranger scores this high {how_often(decision.fmr)}"
    return line


def how_often(rate: Rate) -> str:
    """A rate as "about 1 time in N", with its interval; "less than" where only a bound is known."""
    if rate.low == 0.0:
        return f"less than 1 time in {_times(rate.high)}"
    if rate.value >= 0.5:
        return "more often than not"
    interval = f"{rate.confidence:.0%}".replace("%", " %")
    return (
        f"about 1 time in {_times(rate.value)} ({interval}: {_times(rate.high)}–{_times(rate.low)})"
    )


def _times(rate: float) -> str:
    """1 / rate, to two significant digits."""
    times = 1.0 / rate
    if times < 10:
        return f"{times:.1f}".removesuffix(".0")
    return f"{float(f'{times:.2g}'):,.0f}"
