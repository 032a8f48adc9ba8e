"""From similarities on LFW View 1 to accuracy, error rates and the thresholds of a model's card."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InsufficientDataError
from vultus.evaluate.metrics import (
    Scores,
    accuracy,
    accuracy_threshold,
    false_match_rate,
    false_non_match_rate,
    threshold_at_fmr,
)
from vultus.evaluate.protocols.lfw import Pair, Picture

__all__ = ["FMRS", "Side", "figures", "fmr_name", "measure_side", "round_up", "toml_block"]

FMRS = (1e-2, 5e-3, 1e-3, 1e-4)
BEST = "max-accuracy"


@dataclass(frozen=True)
class Side:
    """One list of pairs with its similarities.

    Attributes:
        name: ``devTrain`` or ``devTest``.
        people: How many people its pictures show.
        listed: Of the listed pairs.
        cross: Of all pairs of its pictures.
    """

    name: str
    people: int
    listed: Scores
    cross: Scores

    @property
    def pairs(self) -> int:
        """How many pairs are listed."""
        return len(self.listed.genuine) + len(self.listed.impostor)

    def at_fmr(self, fmr: float) -> float | None:
        """The lowest threshold of an FMR here; ``None`` where the pairs are too few."""
        try:
            return threshold_at_fmr(self.cross.impostor, fmr)
        except InsufficientDataError:
            return None

    def rates(self, threshold: float) -> tuple[float, float]:
        """(FMR, FNMR) on all cross pairs."""
        fmr = false_match_rate(self.cross.impostor, threshold)
        return float(fmr), float(false_non_match_rate(self.cross.genuine, threshold))


def measure_side(
    name: str, pairs: Sequence[Pair], pictures: Sequence[Picture], vectors: NDArray[np.float32]
) -> Side:
    """Compare the listed pairs, and every picture they name with every other one.

    Args:
        name: For the report.
        pairs: The list.
        pictures: What the rows of `vectors` show.
        vectors: (n, d) unit rows.
    """
    index = {picture: i for i, picture in enumerate(pictures)}
    first = vectors[[index[p.first] for p in pairs]].astype(np.float64)
    second = vectors[[index[p.second] for p in pairs]].astype(np.float64)
    own = sorted({picture for pair in pairs for picture in pair[:2]})
    people = [picture.person for picture in own]
    listed = Scores.from_labels((first * second).sum(axis=1), [pair.same for pair in pairs])
    cross = Scores.from_embeddings(vectors[[index[picture] for picture in own]], people)
    return Side(name, len(set(people)), listed, cross)


def figures(train: Side, test: Side, preprocessing: str) -> dict[str, Any]:
    """Everything measured for one way of embedding; thresholds come from `train` alone."""
    chosen = accuracy_threshold(train.listed)
    reached = accuracy(test.listed, chosen)
    own_best = accuracy_threshold(test.listed)
    policies = {f"fmr={fmr_name(fmr)}": train.at_fmr(fmr) for fmr in FMRS} | {BEST: chosen}
    return {
        "threshold": chosen,
        "accuracy_devTrain": accuracy(train.listed, chosen),
        "accuracy_devTest": reached,
        "standard_error_devTest": standard_error(reached, test.pairs),
        "accuracy_devTest_with_its_own_threshold": accuracy(test.listed, own_best),
        "tar": {side.name: tar(side) for side in (train, test)},
        "cross_pairs": {
            side.name: {
                "people": side.people,
                "genuine": len(side.cross.genuine),
                "impostor": len(side.cross.impostor),
            }
            for side in (train, test)
        },
        "thresholds": [
            card_threshold(policy, value, train, test, preprocessing)
            for policy, value in policies.items()
            if value is not None
        ],
    }


def tar(side: Side) -> dict[str, float | None]:
    """TAR at each FMR, with the threshold that reaches this FMR on the same pairs.

    ``None`` where the pairs are too few to measure it.
    """
    values = {fmr_name(fmr): side.at_fmr(fmr) for fmr in FMRS}
    return {
        name: None if value is None else 1.0 - side.rates(value)[1]
        for name, value in values.items()
    }


def card_threshold(
    policy: str, value: float, train: Side, test: Side, preprocessing: str
) -> dict[str, Any]:
    """One entry of a card: the value to four decimals, and what that rounded value does."""
    rounded = round(value, 4) if policy == BEST else round_up(value)
    fmr, fnmr = train.rates(rounded)
    test_fmr, test_fnmr = test.rates(rounded)
    how = f"best accuracy on its {train.pairs:,} pairs; rates over " if policy == BEST else ""
    return {
        "policy": policy,
        "value": rounded,
        "fmr": fmr,
        "fnmr": fnmr,
        "fmr_devTest": test_fmr,
        "fnmr_devTest": test_fnmr,
        "source": (
            f"LFW View 1, people of pairs{train.name[0].upper()}{train.name[1:]}: {how}"
            f"{len(train.cross.impostor):,} impostor and {len(train.cross.genuine):,} genuine "
            "cross pairs; "
            f"the people of pairs{test.name[0].upper()}{test.name[1:]} then had "
            f"FMR {test_fmr:.2g}, FNMR {test_fnmr:.2g}"
        ),
        "preprocessing": preprocessing,
    }


def standard_error(share: float, pairs: int) -> float:
    """One standard deviation of a share measured on `pairs` independent pairs (binomial)."""
    return math.sqrt(share * (1.0 - share) / pairs)


def round_up(threshold: float, digits: int = 4) -> float:
    """Round a threshold to the stricter side, so that its FMR does not grow."""
    rounded = round(threshold, digits)
    return rounded if rounded >= threshold else round(rounded + 10.0**-digits, digits)


def toml_block(entry: dict[str, Any]) -> str:
    """A ``[[thresholds]]`` table for a model's card; rates to three digits that count."""
    fmr, fnmr = (float(f"{entry[key]:.3g}") for key in ("fmr", "fnmr"))
    return (
        "[[thresholds]]\n"
        f'policy = "{entry["policy"]}"\n'
        f"value = {entry['value']:.4f}\n"
        f"fmr = {fmr}\n"
        f"fnmr = {fnmr}\n"
        f'source = "{entry["source"]}"\n'
        f'preprocessing = "{entry["preprocessing"]}"\n'
    )


def fmr_name(fmr: float) -> str:
    """``1e-3``, as policies are named."""
    return f"{fmr:.0e}".replace("e-0", "e-")
