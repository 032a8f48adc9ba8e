"""The index as galleries used it before groups; goes when they name people by keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vultus.gallery._index import VectorIndex
from vultus.gallery._snapshot import Snapshot
from vultus.types import EmbeddingSpace

__all__ = ["ExactIndex", "Snapshot"]


class ExactIndex(VectorIndex):
    """People named by their ids; see `VectorIndex`."""

    def __init__(self, space: EmbeddingSpace) -> None:
        self._keys: dict[str, int] = {}
        super().__init__(space)

    def extend(  # type: ignore[override]
        self, names: Sequence[str], samples: Sequence[int], vectors: NDArray[np.float32]
    ) -> None:
        """Append rows."""
        keys = [self._keys.setdefault(name, len(self._keys) + 1) for name in names]
        with self.changing():
            super().extend(samples, keys, np.zeros(len(keys), dtype=np.int64), vectors)
            self.set_people(keys, names, names)
