"""What a command says: lines that the original prints, and notes that it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Talk", "distance_matrix", "named"]


class Talk(NamedTuple):
    """Where a command's words go.

    Attributes:
        out: Takes text as the original prints it, line ends included.
        note: Takes one line that the original does not print.
    """

    out: Callable[[str], None]
    note: Callable[[str], None]

    def line(self, text: str = "") -> None:
        """Say one line."""
        self.out(text + "\n")


def distance_matrix(vectors: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], str]:
    """Euclidean distances, and how facenet's ``compare`` and ``cluster`` lay them out.

    Args:
        vectors: (n, d).

    Returns:
        (n, n) distances, and the lines from ``Distance matrix`` on.
    """
    wide = vectors.astype(np.float64)
    distances = np.zeros((len(wide), len(wide)))
    for i, row in enumerate(wide):
        distances[i] = np.linalg.norm(wide - row, axis=1)
    lines = ["Distance matrix", "    " + "".join(f"    {i}     " for i in range(len(wide)))]
    lines += [
        f"{i}  " + "".join(f"  {distance:1.4f}  " for distance in row)
        for i, row in enumerate(distances)
    ]
    return distances, "\n".join(lines) + "\n"


def named(paths: Sequence[Path], most: int = 5) -> str:
    """Some paths in one line, and how many more there are."""
    shown = ", ".join(map(str, paths[:most]))
    return shown if len(paths) <= most else f"{shown} and {len(paths) - most} more"
