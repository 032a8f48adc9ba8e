"""Errors of presentation attack detection: attacks that pass, living people turned away.

Names and definitions are those of ISO/IEC 30107-3:2023. A score is higher for living faces; from
the threshold on, a face is classified as bona fide (live).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus._arrays import check_finite
from vultus.errors import InsufficientDataError, RangeError, ShapeError
from vultus.evaluate._plain import plain
from vultus.evaluate.metrics.bootstrap import Resampling, bootstrap_subjects, rate_of
from vultus.evaluate.metrics.scores import subject_numbers
from vultus.evaluate.metrics.weighted import ErrorCurve
from vultus.types import Rate

__all__ = [
    "AttackReport",
    "PadScores",
    "PersonErrors",
    "SpeciesErrors",
    "attack_curve",
    "attack_report",
    "riapar",
]

Floats = NDArray[np.float64]
AIMS = (0.01, 0.05, 0.10)
"""APCERs at which the BPCER is reported: BPCER100, BPCER20 and BPCER10."""


@dataclass(frozen=True, slots=True, eq=False)
class PadScores:
    """Scores of presentations whose truth is known.

    Attributes:
        live: (n,) of bona fide presentations.
        attack: (m,) of attacks.
        live_people: (n,) who each shows.
        attack_people: (m,) whom each imitates.
        species: (m,) the kind of attack.

    Raises:
        ShapeError: The lengths differ.
        RangeError: A score is not finite.
        InsufficientDataError: There are no bona fide presentations, or no attacks.
    """

    live: Floats = field(repr=False)
    attack: Floats = field(repr=False)
    live_people: tuple[str, ...] = field(repr=False)
    attack_people: tuple[str, ...] = field(repr=False)
    species: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("live", "attack"):
            values = np.asarray(getattr(self, name), np.float64)
            check_finite(values, f"{name} scores")
            object.__setattr__(self, name, values)
        counts = (len(self.live), len(self.attack))
        given = (len(self.live_people), len(self.attack_people), len(self.species))
        if given != (counts[0], counts[1], counts[1]):
            raise ShapeError(f"each presentation takes a person, got {counts} and {given}")
        for what, count in zip(("living faces", "attacks"), counts, strict=True):
            if not count:
                raise InsufficientDataError(f"there must be {what}, there are none")


@dataclass(frozen=True, slots=True)
class SpeciesErrors:
    """Attacks of one kind.

    Attributes:
        attacks: How many were scored.
        apcer: Attack presentation classification error rate: part of them that passes.
    """

    attacks: int
    apcer: Rate


@dataclass(frozen=True, slots=True)
class PersonErrors:
    """Presentations of one person.

    Attributes:
        person: Who.
        live: Bona fide presentations.
        turned_away: Of these, how many were classified as attacks.
        attack: Attacks that imitate them.
        passed: Of these, how many were classified as bona fide.
    """

    person: str
    live: int
    turned_away: int
    attack: int
    passed: int


@dataclass(frozen=True, slots=True)
class AttackReport:
    """What presentation attack detection gets wrong at a threshold, and at others.

    Attributes:
        threshold: From which score on a presentation counts as bona fide.
        apcer: Of the worst species.
        bpcer: Bona fide presentation classification error rate: living faces turned away.
        acer: Mean of both, as older publications give it.
        d_eer: Detection equal error rate: where APCER of all attacks together equals BPCER.
        auc: Area under the curve of attacks that pass against living faces that pass.
        bpcer_at_apcer: APCER aimed at (of the worst species) to the BPCER there; ``None``: too
            few attacks to measure so low a rate.
        per_species: By name.
        people: Per person, by name.
        n_real: Bona fide presentations.
        n_attack: Attacks.
    """

    threshold: float
    apcer: Rate
    bpcer: Rate
    acer: float
    d_eer: float
    auc: float
    bpcer_at_apcer: Mapping[float, float | None]
    per_species: Mapping[str, SpeciesErrors]
    people: tuple[PersonErrors, ...]
    n_real: int
    n_attack: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON: rates as numbers, their intervals beside them."""
        return {
            "apcer": self.apcer.value,
            "bpcer": self.bpcer.value,
            "acer": self.acer,
            "d_eer": self.d_eer,
            "auc": self.auc,
            "n_real": self.n_real,
            "n_attack": self.n_attack,
            "per_species": {
                name: {
                    "n": one.attacks,
                    "apcer": one.apcer.value,
                    "interval": [one.apcer.low, one.apcer.high],
                }
                for name, one in self.per_species.items()
            },
            "threshold": self.threshold,
            "apcer_interval": [self.apcer.low, self.apcer.high],
            "bpcer_interval": [self.bpcer.low, self.bpcer.high],
            "bpcer_at_apcer": {f"{aim:g}": rate for aim, rate in self.bpcer_at_apcer.items()},
            "people": plain(self.people),
        }


def attack_report(
    scores: PadScores, threshold: float, how: Resampling | None = None
) -> AttackReport:
    """Measure what passes and what is turned away.

    Args:
        scores: Of presentations whose truth is known.
        threshold: From which score on a presentation counts as bona fide. It must come from
            other people than these, or the rates flatter.
        how: Of the intervals, drawn over people.

    Raises:
        RangeError: The threshold is not finite.
    """
    if not np.isfinite(threshold):
        raise RangeError(f"a threshold must be finite, got {threshold}")
    drawn = how or Resampling()
    species = np.array(scores.species)
    passed, away = scores.attack >= threshold, scores.live < threshold
    per_species = {}
    for name in sorted(set(scores.species)):
        rows = np.flatnonzero(species == name)
        people = [scores.attack_people[i] for i in rows]
        per_species[name] = SpeciesErrors(len(rows), _share(passed[rows], people, drawn))
    worst = max(per_species.values(), key=lambda one: one.apcer.value).apcer
    bpcer = _share(away, scores.live_people, drawn)
    return AttackReport(
        threshold=float(threshold),
        apcer=worst,
        bpcer=bpcer,
        acer=(worst.value + bpcer.value) / 2.0,
        d_eer=_equal_error_rate(scores.live, scores.attack),
        auc=_area(scores.live, scores.attack),
        bpcer_at_apcer={aim: _bpcer_at(scores, species, aim) for aim in AIMS},
        per_species=per_species,
        people=_by_person(scores, passed, away),
        n_real=len(scores.live),
        n_attack=len(scores.attack),
    )


def attack_curve(live: Floats, attack: Floats) -> ErrorCurve:
    """APCER (as ``fmr``) and BPCER (as ``fnmr``) at every threshold: the DET curve.

    Args:
        live: (n,) scores of bona fide presentations.
        attack: (m,) scores of attacks, of one species or of several taken together.
    """
    thresholds, apcer, bpcer = _curves(live, attack)
    thresholds[-1] = np.inf
    return ErrorCurve(thresholds, np.asarray(apcer), np.asarray(bpcer))


def riapar(iapar: float, frr: float) -> float:
    """Relative impostor attack presentation accept rate of a whole system.

    Args:
        iapar: Part of the attacks that recognition, with liveness before it, accepts.
        frr: Part of the genuine attempts that it rejects, for either reason.

    Returns:
        IAPAR + FRR: 0 is perfect; a system that lets all attacks in, or nobody, has 1 or more.
    """
    for what, value in (("IAPAR", iapar), ("FRR", frr)):
        if not 0.0 <= value <= 1.0:
            raise RangeError(f"{what} must lie in [0, 1], got {value}")
    return iapar + frr


def _share(errors: NDArray[np.bool_], people: Sequence[str], how: Resampling) -> Rate:
    """The part of presentations that are errors, with an interval over people."""
    value = float(errors.mean())
    numbers = subject_numbers(list(people))
    subjects = int(numbers.max()) + 1
    if subjects < 2 or how.rounds == 0:
        return Rate(value, 0.0, 1.0, how.confidence)  # one person tells nothing of others
    wrong = errors.astype(np.float64)
    rounds = bootstrap_subjects(numbers, lambda w: [float((w * wrong).sum() / w.sum())], how)
    return rate_of(value, rounds[:, 0], how, subjects=subjects, errors=value)


def _curves(live: Floats, attack: Floats) -> tuple[Floats, Floats, Floats]:
    """Thresholds, rising, with APCER and BPCER at each; the last one turns everything away."""
    thresholds = np.unique(np.concatenate([live, attack]))
    thresholds = np.append(thresholds, np.nextafter(thresholds[-1], np.inf))
    apcer = 1.0 - np.searchsorted(np.sort(attack), thresholds, side="left") / len(attack)
    bpcer = np.searchsorted(np.sort(live), thresholds, side="left") / len(live)
    return thresholds, apcer, bpcer


def _equal_error_rate(live: Floats, attack: Floats) -> float:
    """Where the curves cross, between two thresholds linearly."""
    _, apcer, bpcer = _curves(live, attack)
    after = int(np.argmax(bpcer >= apcer))
    if after == 0:
        return float((apcer[0] + bpcer[0]) / 2.0)
    gap_before, gap_after = apcer[after - 1] - bpcer[after - 1], bpcer[after] - apcer[after]
    share = gap_before / (gap_before + gap_after) if gap_before + gap_after else 0.0
    return float(bpcer[after - 1] + share * (bpcer[after] - bpcer[after - 1]))


def _area(live: Floats, attack: Floats) -> float:
    """Probability that a living face scores above an attack; ties count half (Mann–Whitney)."""
    ordered = np.sort(attack)
    below = np.searchsorted(ordered, live, side="left")
    level = np.searchsorted(ordered, live, side="right") - below
    return float((below + level / 2.0).mean() / len(attack))


def _bpcer_at(scores: PadScores, species: NDArray[np.str_], aim: float) -> float | None:
    """BPCER at the lowest threshold that keeps every species' APCER within the aim."""
    lowest = -np.inf
    for name in np.unique(species):
        own = np.sort(scores.attack[species == name])
        allowed = int(aim * len(own) + 1e-9)
        if allowed < 1:
            return None
        lowest = max(lowest, float(np.nextafter(own[len(own) - 1 - allowed], np.inf)))
    return float((scores.live < lowest).mean())


def _by_person(
    scores: PadScores, passed: NDArray[np.bool_], away: NDArray[np.bool_]
) -> tuple[PersonErrors, ...]:
    live, attack = np.array(scores.live_people), np.array(scores.attack_people)
    return tuple(
        PersonErrors(
            name,
            int((live == name).sum()),
            int(away[live == name].sum()),
            int((attack == name).sum()),
            int(passed[attack == name].sum()),
        )
        for name in sorted({*scores.live_people, *scores.attack_people})
    )
