"""The verdict on one picture of a face: several networks' mean, a threshold, and reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vultus.assess.liveness.calibration import (
    DEFAULT_POLICY,
    LivenessCalibration,
    shipped_liveness_calibration,
)
from vultus.assess.liveness.nets import LivenessNet
from vultus.errors import CalibrationError, ModelMissingError, RangeError
from vultus.models import Registry, Store
from vultus.runtime import SessionOptions
from vultus.types import Face, Liveness, Refusal

__all__ = ["PAIRS", "FaceScorer", "PassiveLiveness", "installed_liveness"]

PAIRS = (("minifasnet-v2-alt", "minifasnet-v1se-alt"), ("minifasnet-v2", "minifasnet-v1se"))
"""Cards that belong together, the calibrated pair first."""

# Below these a face cannot be judged. Source: the limits that the cloud services document for
# still-image liveness: 100 px, and a third of the picture's shorter side.
_LEAST_FACE_PX = 100.0
_LEAST_SHARE = 1.0 / 3.0
_LEAST_INSIDE = 0.9  # part of the face's box that lies in the picture


class FaceScorer(Protocol):
    """What scores faces: a `LivenessNet`, or a model of one's own."""

    @property
    def name(self) -> str:
        """What it is called in results."""
        ...

    def scores(self, faces: Sequence[Face]) -> NDArray[np.float64]:
        """(n,) how alive each face looks, in [0, 1]."""
        ...


class PassiveLiveness:
    """Tells living faces from pictures of faces, from one picture each.

    Args:
        nets: The networks; the score is the mean of theirs.
        threshold: ``bpcer=1e-2``, ``apcer=1e-2``, or a score in [0, 1] of the caller's own.
        calibration: What was measured of these networks; what ships with vultus when ``None``.

    Raises:
        CalibrationError: A policy was asked for, and nothing was measured of these networks.
        RangeError: The threshold is no such policy, or no score.
        InsufficientDataError: Too few presentations were measured for such a rate.
    """

    def __init__(
        self,
        nets: Sequence[FaceScorer],
        threshold: str | float = DEFAULT_POLICY,
        calibration: LivenessCalibration | None = None,
    ) -> None:
        self.name = "+".join(net.name for net in nets)
        self._nets = tuple(nets)
        measured = calibration or shipped_liveness_calibration(self.name)
        if isinstance(threshold, str):
            if measured is None:
                raise CalibrationError(
                    f"nothing was measured of {self.name}, so no policy {threshold!r} is known",
                    remedy="give a score in [0, 1], or a calibration of your own",
                )
            self.threshold, self.policy = measured.threshold(threshold), threshold
            self.source = measured.data
            # Between the highest score of an attack and the threshold nothing was seen.
            highest = max(float(scores[-1]) for scores in measured.attacks.values())
            self._attack_below = min(self.threshold, highest)
        else:
            if not 0.0 <= threshold <= 1.0:
                raise RangeError(f"a liveness threshold must lie in [0, 1], got {threshold}")
            self.threshold, self.policy = float(threshold), "user"
            self.source = "given by the caller"
            self._attack_below = self.threshold

    def scores(self, faces: Sequence[Face]) -> NDArray[np.float64]:
        """(n,) how alive each face looks, in [0, 1]."""
        if not faces:
            return np.zeros(0)
        return np.asarray(np.mean([net.scores(faces) for net in self._nets], axis=0), np.float64)

    def read(self, faces: Sequence[Face]) -> list[Liveness]:
        """The verdict on each face.

        A face that looks alive but is too small, or cut by the picture's border, is undecided; so
        is a score between the highest one of a measured attack and the threshold.

        Args:
            faces: Of one picture or many; what lies around a face must be in its picture.
        """
        return [
            self._judged(face, float(score))
            for face, score in zip(faces, self.scores(faces), strict=True)
        ]

    def _judged(self, face: Face, score: float) -> Liveness:
        reasons = _reasons(face)
        verdict: Literal["live", "attack", "undecided"] = "undecided"
        if score < self._attack_below:
            verdict = "attack"
        elif score >= self.threshold and not reasons:
            verdict = "live"
        return Liveness(
            score, verdict, self.threshold, self.policy, self.source, self.name, reasons
        )


def _reasons(face: Face) -> tuple[Refusal, ...]:
    """Why a face cannot be judged."""
    found = []
    side = min(face.box.width_px, face.box.height_px)
    if side < _LEAST_FACE_PX:
        found.append(
            Refusal(
                "face-small",
                f"face {side:.0f} px, limit {_LEAST_FACE_PX:.0f} px",
                "come closer",
                side,
                _LEAST_FACE_PX,
            )
        )
    share = max(face.box.width_px, face.box.height_px) / min(face.frame.image.shape[:2])
    if share < _LEAST_SHARE:
        found.append(
            Refusal(
                "face-share",
                f"face {share:.0%} of the picture, limit {_LEAST_SHARE:.0%}",
                "come closer",
                share,
                _LEAST_SHARE,
            )
        )
    inside = face.visible_area_px / max(face.box.area_px, 1.0)
    if inside < _LEAST_INSIDE:
        found.append(
            Refusal(
                "face-cut",
                f"{inside:.0%} of the face in the picture, limit {_LEAST_INSIDE:.0%}",
                "move to the middle of the picture",
                inside,
                _LEAST_INSIDE,
            )
        )
    return tuple(found)


def installed_liveness(
    registry: Registry | None = None,
    store: Store | None = None,
    options: SessionOptions | None = None,
    *,
    threshold: str | float = DEFAULT_POLICY,
    calibration: LivenessCalibration | None = None,
) -> PassiveLiveness:
    """The liveness models that are on this machine: a pair that belongs together.

    Args:
        registry: Where cards are known.
        store: Where weights lie.
        options: Of the networks' sessions.
        threshold: As in `PassiveLiveness`.
        calibration: Likewise.

    Raises:
        ModelMissingError: None is installed; nothing is guessed instead.
    """
    registry, store = registry or Registry(), store or Store()
    for pair in PAIRS:
        cards = [registry.get(name) for name in pair]
        if all(store.has(card) for card in cards):
            nets = [LivenessNet.from_card(card, store, options) for card in cards]
            return PassiveLiveness(nets, threshold, calibration)
    raise ModelMissingError(
        "no liveness model is installed, so nobody can say whether a face is alive",
        remedy="`vultus models pull minifasnet-v2 minifasnet-v1se`, or `vultus models add FILE`",
    )
