from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import DataFileError, InsufficientDataError
from vultus.evaluate.protocols.fddb import Ellipse, evaluate_fddb, fddb_roc, read_fddb
from vultus.types import Box, Face, Frame

pytest.importorskip("scipy", reason="the extra 'evaluate' is not installed")

LIST = """2002/08/11/big/img_591
1
123.583300 85.549500 1.265839 269.693400 161.781200  1
2002/08/26/big/img_265
2
67.363819 44.511485 -1.476417 105.249970 87.209036  1
41.936870 27.064477 1.471906 184.070915 129.345601  1

none/img_0
0
"""

ROUND = Ellipse(10, 10, 0.0, 50, 50)


def _rows(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, float).reshape(-1, 5)


def test_read(tmp_path: Path):
    path = tmp_path / "FDDB-fold-01-ellipseList.txt"
    path.write_text(LIST, encoding="utf-8")
    found = read_fddb(path)
    assert [len(faces) for faces in found.values()] == [1, 2, 0]
    assert found["2002/08/11/big/img_591"] == [
        Ellipse(123.5833, 85.5495, 1.265839, 269.6934, 161.7812)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a\n2\n1 1 0 1 1 1\n",
        "a\n",
        "a\nx\n",
        "a\n1\n1 1 0 1\n",
        "a\n1\n-1 1 0 1 1 1\n",
        "a\n1\nnan 1 0 1 1 1\n",
        "a\n-1\n",
        "a\n99999999\n",
    ],
)
def test_a_list_that_is_cut_short_or_wrong(text: str, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataFileError):
        read_fddb(path)


def test_a_polygon_turns_with_its_angle():
    corners = Ellipse(20, 10, math.pi / 2, 5, 7).polygon()
    assert np.ptp(corners, axis=0) == pytest.approx([20, 40], abs=1e-3)
    assert corners.mean(axis=0) == pytest.approx([5, 7], abs=1e-3)


def test_overlap_of_a_square_around_a_circle():
    result = fddb_roc([[ROUND]], [_rows((40, 40, 60, 60, 0.9))])
    # The circle has π/4 = 0.7854 of its square.
    assert result.continuous == pytest.approx([math.pi / 4], abs=2e-4)
    assert result.discrete.tolist() == [1.0]
    assert result.false_positives.tolist() == [0]


def test_roc_by_hand():
    other = Ellipse(10, 10, 0.0, 150, 50)
    found = _rows(
        (40, 40, 60, 60, 0.9),  # finds the first
        (41, 41, 61, 61, 0.8),  # the first again: no match is left
        (300, 300, 320, 320, 0.8),  # no face
        (140, 40, 160, 60, 0.7),  # finds the other
    )
    result = fddb_roc([[ROUND, other]], [found])
    assert result.thresholds.tolist() == [0.9, 0.8, 0.7]
    assert result.false_positives.tolist() == [0, 2, 2]
    assert result.discrete.tolist() == [0.5, 0.5, 1.0]
    assert result.continuous == pytest.approx([math.pi / 8, math.pi / 8, math.pi / 4], abs=2e-4)
    assert result.at(0)[0] == 0.5
    assert result.at(2)[0] == 1.0


def test_matching_is_the_best_of_all_and_not_greedy():
    # The first detection overlaps both faces; matched to the left one, both are found.
    left, right = Ellipse(10, 10, 0, 50, 50), Ellipse(10, 10, 0, 58, 50)
    found = _rows((44, 40, 64, 60, 0.9), (56, 40, 76, 60, 0.8))
    result = fddb_roc([[left, right]], [found])
    assert result.false_positives.tolist() == [0, 0]


def test_a_poor_match_counts_by_its_overlap_only():
    result = fddb_roc([[ROUND]], [_rows((55, 40, 75, 60, 0.9))])
    assert result.discrete.tolist() == [0.0]
    assert 0.0 < result.continuous[0] < 0.3
    assert result.false_positives.tolist() == [0]


def test_nothing_found_and_nothing_to_find():
    result = fddb_roc([[ROUND]], [_rows()])
    assert result.at(100) == (0.0, 0.0)
    with pytest.raises(InsufficientDataError):
        fddb_roc([[]], [_rows()])


def test_evaluated_from_files(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.jpg").write_bytes(b"x")
    lists = tmp_path / "list.txt"
    lists.write_text("a/one\n1\n10 10 0 50 50 1\na/two\n1\n1 1 0 1 1 1\n../one\n0\n", "utf-8")
    frame = Frame(np.zeros((9, 9, 3), np.uint8))
    result = evaluate_fddb(
        tmp_path, [lists], lambda path: [Face(Box(40, 40, 60, 60), 0.9, None, frame)]
    )
    assert (result.pictures, result.faces) == (1, 1)
    assert result.missing == ("a/two", "../one")
    assert result.discrete.tolist() == [1.0]
