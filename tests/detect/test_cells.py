from __future__ import annotations

import numpy as np
import pytest

from vultus.detect._cells import cell_xy, check_counts, level_counts
from vultus.errors import InferenceError


def test_row_by_row():
    cells = np.array([0, 1, 7, 8, 63], np.intp)
    assert cell_xy(cells, (64, 64), 8).tolist() == [[0, 0], [1, 0], [7, 0], [0, 1], [7, 7]]
    assert cell_xy(np.zeros(0, np.intp), (64, 64), 8).shape == (0, 2)


def test_a_cell_begun_counts():
    assert cell_xy(np.array([9], np.intp), (65, 16), 8).tolist() == [[0, 1]]
    assert level_counts((65, 16), (8, 16), (2, 1)) == [36, 5]


def test_counts():
    check_counts([36, 5], (65, 16), (8, 16), (2, 1), "net")
    check_counts([41], (65, 16), (8, 16), (2, 1), "net")
    with pytest.raises(InferenceError) as caught:
        check_counts([40], (65, 16), (8, 16), (2, 1), "net")
    assert caught.value.message == "net must give [36, 5] predictions for 65 × 16 px, got [40]"
    assert "card" in caught.value.remedy
