"""Liveness scores of the models that are on this machine, if any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vultus.errors import ModelMissingError
from vultus.runtime import SessionOptions
from vultus.types import Face

if TYPE_CHECKING:
    from vultus.assess.liveness import PassiveLiveness

__all__ = ["InstalledLiveness", "load_liveness"]


class InstalledLiveness:
    """Scores of the liveness models that are on this machine.

    Args:
        model: The models.
    """

    def __init__(self, model: PassiveLiveness) -> None:
        self._model = model

    def score(self, faces: Sequence[Face]) -> list[float]:
        """One score in [0, 1] per face; 1 is alive."""
        return [float(score) for score in self._model.scores(faces)]


def load_liveness() -> InstalledLiveness | None:
    """The liveness models, one thread each call; ``None`` where none is installed."""
    from vultus.assess.liveness import installed_liveness

    try:
        # Interfaces hold scores against limits of their own, so the threshold does not matter.
        return InstalledLiveness(installed_liveness(options=SessionOptions(), threshold=0.5))
    except ModelMissingError:
        return None
