"""What a liveness score means: how living faces and attacks scored that were measured."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import CalibrationError, InsufficientDataError, RangeError

__all__ = [
    "DEFAULT_POLICY",
    "LivenessCalibration",
    "load_liveness_calibration",
    "shipped_liveness_calibration",
]

FORMAT = "vultus-liveness/1"
DEFAULT_POLICY = "bpcer=1e-2"
"""One living face in a hundred is turned away, as measured."""

_POLICY = re.compile(r"(bpcer|apcer)=([0-9.]+(?:e-?[0-9]+)?)")
_MAX_BYTES = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class LivenessCalibration:
    """Scores of one fusion of models on presentations whose truth is known.

    Attributes:
        model: Names of the models' cards, joined by ``+``.
        data: The presentations, and which attacks there were among them.
        created: Date, ISO 8601.
        live: (n,) scores of living faces, rising.
        attacks: Species to (m,) scores, rising.
    """

    model: str
    data: str
    created: str
    live: NDArray[np.float64] = field(repr=False)
    attacks: Mapping[str, NDArray[np.float64]] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "live", _scores(self.live, "living faces"))
        sorted_ones = {name: _scores(s, f"attacks by {name}") for name, s in self.attacks.items()}
        if not sorted_ones:
            raise CalibrationError("a liveness calibration must hold attacks")
        object.__setattr__(self, "attacks", sorted_ones)

    def threshold(self, policy: str = DEFAULT_POLICY) -> float:
        """The score from which a face is called live.

        Args:
            policy: ``bpcer=1e-2``: at most so many living faces are turned away; ``apcer=1e-2``:
                at most so many attacks of the worst species pass.

        Raises:
            RangeError: No such policy.
            InsufficientDataError: Too few presentations to measure such a rate.
        """
        found = _POLICY.fullmatch(policy)
        try:
            rate = float(found[2]) if found else -1.0
        except ValueError:
            rate = -1.0
        if found is None or not 0.0 < rate < 1.0:
            raise RangeError(f"a liveness policy must be like bpcer=1e-2, got {policy!r}")
        if found[1] == "bpcer":
            return float(self.live[_allowed(rate, self.live, "living faces")])
        return max(self._above(scores, rate) for scores in self.attacks.values())

    @staticmethod
    def _above(scores: NDArray[np.float64], rate: float) -> float:
        """The lowest threshold that at most `rate` of the attacks reach."""
        passing = _allowed(rate, scores, "attacks of each species")
        return float(np.nextafter(scores[len(scores) - 1 - passing], 2.0))

    def rates(self, threshold: float) -> tuple[float, float]:
        """APCER of the worst species, and BPCER, at a threshold, as measured."""
        apcer = max(float((scores >= threshold).mean()) for scores in self.attacks.values())
        return apcer, float((self.live < threshold).mean())

    def to_json(self) -> str:
        """The calibration as text."""
        content = {
            "format": FORMAT,
            "model": self.model,
            "data": self.data,
            "created": self.created,
            "live": [round(float(s), 6) for s in self.live],
            "attacks": {n: [round(float(s), 6) for s in a] for n, a in self.attacks.items()},
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "the calibration") -> LivenessCalibration:
        """Read what `to_json` wrote.

        Raises:
            CalibrationError: It is not that.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
            return cls(
                str(content["model"]),
                str(content["data"]),
                str(content["created"]),
                np.array(content["live"], np.float64),
                {str(n): np.array(a, np.float64) for n, a in content["attacks"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CalibrationError(
                f"{source} is no liveness calibration: {error}",
                remedy="make one with `vultus evaluate liveness … --calibration-out FILE`",
            ) from error


def load_liveness_calibration(path: Path) -> LivenessCalibration:
    """Read a calibration from a file.

    Raises:
        CalibrationError: It cannot be read.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CalibrationError(f"{path} is too large for a liveness calibration")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path} cannot be read: {error}", path=str(path)) from error
    return LivenessCalibration.from_json(text, str(path))


def shipped_liveness_calibration(model: str) -> LivenessCalibration | None:
    """The calibration that ships with vultus for these models, if there is one.

    Args:
        model: Names of their cards, joined by ``+``.
    """
    file = resources.files("vultus.models") / "calibrations" / "liveness" / f"{model}.json"
    if not file.is_file():
        return None
    return LivenessCalibration.from_json(file.read_text(encoding="utf-8"), file.name)


def _allowed(rate: float, scores: NDArray[np.float64], what: str) -> int:
    allowed = int(rate * len(scores) + 1e-9)
    if allowed < 1:
        raise InsufficientDataError(
            f"a rate of {rate:g} takes at least {int(np.ceil(1 / rate)):,} {what}, this "
            f"calibration has {len(scores):,}",
            expected=int(np.ceil(1 / rate)),
            actual=len(scores),
        )
    return allowed


def _scores(values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    found = np.sort(np.array(values, np.float64))
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all():
        raise CalibrationError(f"scores of {what} must be a list of finite numbers, not empty")
    if found[0] < 0 or found[-1] > 1:
        raise CalibrationError(f"scores of {what} must lie in [0, 1]")
    found.flags.writeable = False
    return found
