"""Where the cells of a network's output levels lie in its input.

Networks put their predictions out by level, row, column, and anchor within the cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InferenceError

__all__ = ["cell_xy", "check_counts", "level_counts"]


def cell_xy(cells: NDArray[np.intp], size_wh: tuple[int, int], stride: int) -> NDArray[np.float32]:
    """Column and row of cells of one level.

    Args:
        cells: (n,) their numbers, row by row.
        size_wh: Width and height of the input in pixels.
        stride: Pixels between cells.

    Returns:
        (n, 2): times `stride`, the cells' top left corners in pixels.
    """
    xy = np.empty((len(cells), 2), np.float32)
    np.divmod(cells, -(-size_wh[0] // stride), out=(xy[:, 1], xy[:, 0]), casting="unsafe")
    return xy


def check_counts(
    found: Sequence[int],
    size_wh: tuple[int, int],
    strides: Sequence[int],
    per_cell: Sequence[int],
    name: str,
) -> None:
    """Require that a network put out as many predictions as its card says.

    Args:
        found: Predictions of each level; or a single number, of all together.
        size_wh: Width and height of the input in pixels.
        strides: Pixels between cells, one per level.
        per_cell: Predictions per cell, one per level.
        name: The network, for the message.

    Raises:
        InferenceError: It did not.
    """
    expected = level_counts(size_wh, strides, per_cell)
    if list(found) not in (expected, [sum(expected)]):
        raise InferenceError(
            f"{name} must give {expected} predictions for {size_wh[0]} × {size_wh[1]} px, "
            f"got {list(found)}",
            remedy="the strides and anchors of its card are not those of its weights",
            expected=expected,
            actual=list(found),
        )


def level_counts(
    size_wh: tuple[int, int], strides: Sequence[int], per_cell: Sequence[int]
) -> list[int]:
    """Predictions per level; arguments as in `check_counts`."""
    return [
        -(-size_wh[0] // stride) * -(-size_wh[1] // stride) * each
        for stride, each in zip(strides, per_cell, strict=True)
    ]
