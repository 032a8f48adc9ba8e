"""Filters: which rows count, and the ways of reading them."""

from types import MappingProxyType

import numpy as np
import pytest

from vultus.gallery.search.filter import Filters, Selection, Table
from vultus.gallery.search.int8 import BLOCK_ROWS, Screen


def table(rows: int, dimension: int = 8, dead: list[int] | None = None) -> Table:
    """Rows that each belong to a person of their own; group 1 has every tenth of them."""
    removed = np.zeros(rows, dtype=np.bool_)
    removed[dead or []] = True
    return Table(
        vectors=np.tile(np.eye(dimension, dtype=np.float32), (-(-rows // dimension), 1))[:rows],
        slots=np.arange(rows, dtype=np.int32),
        scopes=None,
        samples=np.arange(1, rows + 1),
        dead=removed if dead else None,
        members=MappingProxyType(
            {
                1: np.arange(0, rows, 10, dtype=np.int32),
                2: np.arange(rows // 2, dtype=np.int32),
                3: np.arange(5, 8, dtype=np.int32),
            }
        ),
        people=rows,
    )


def test_which_rows_count() -> None:
    held = Table(
        vectors=np.tile(np.eye(4, dtype=np.float32), (2, 1)),
        slots=np.array([0, 0, 0, 1, 1, 2, 2, 2], dtype=np.int32),
        scopes=np.array([0, 7, 8, 0, 7, 0, 8, 0]),
        samples=np.arange(1, 9),
        dead=np.array([False] * 7 + [True]),
        members=MappingProxyType({7: np.array([0, 1]), 8: np.array([0, 2]), 9: np.array([1])}),
        people=3,
    )

    def counts(groups: list[int]) -> list[int]:
        denied = held.denied(groups)
        return [] if denied is None else held.samples[~denied].tolist()

    assert counts([7]) == [1, 2, 4, 5]  # 3 is limited to 8, 6 belongs to nobody of 7
    assert counts([8]) == [1, 3, 6, 7]  # 8 was removed
    assert counts([7, 8]) == [1, 2, 3, 4, 5, 6, 7]
    assert counts([9]) == [4]  # 5 is limited to 7
    assert counts([10]) == []
    assert held.denied(None) is held.dead


def test_a_selection_knows_its_rows() -> None:
    held = table(25, dead=[3])
    every = Filters(held).select(None)
    assert every.count == 24
    assert 3 not in every.rows
    tenth = Filters(held).select([1])
    assert tenth.rows.tolist() == [0, 10, 20]
    assert tenth.run is None
    assert Filters(held).select([3]).run == slice(5, 8)
    assert Filters(held).select([4]).count == 0


def test_a_filter_is_worked_out_once_per_snapshot() -> None:
    filters = Filters(table(100))
    assert filters.select([1, 2]) is filters.select([2, 1])
    assert filters.select(None) is filters.select(None)
    first = filters.select([1])
    for number in range(100, 116):
        filters.select([number])
    assert filters.select([1]) is not first  # only so many are remembered


def test_blocks_without_a_row_that_counts_are_left_out() -> None:
    held = table(5 * BLOCK_ROWS + 7)
    denied = np.ones(len(held), dtype=np.bool_)
    denied[[BLOCK_ROWS, 3 * BLOCK_ROWS - 1, 5 * BLOCK_ROWS]] = False
    selection = Selection(held, denied)
    assert selection.blocks == [1, 2, 5]
    layout = selection.layout
    assert layout.rows is not None
    assert layout.rows.tolist() == [
        *range(BLOCK_ROWS, 3 * BLOCK_ROWS),
        *range(5 * BLOCK_ROWS, 5 * BLOCK_ROWS + 7),
    ]
    assert layout.denied is not None
    assert np.flatnonzero(~layout.denied).tolist() == [0, 2 * BLOCK_ROWS - 1, 2 * BLOCK_ROWS]
    whole = Selection(held, None).layout
    assert (whole.count, whole.rows, whole.denied) == (len(held), None, None)


@pytest.mark.parametrize(
    ("groups", "screened", "sparse"),
    [(None, True, False), ([2], True, False), ([1], True, True), ([3], False, True)],
)
def test_few_rows_are_read_one_by_one(
    groups: list[int] | None, screened: bool, sparse: bool
) -> None:
    selection = Filters(table(4 * BLOCK_ROWS)).select(groups)
    assert selection.is_sparse(screened=screened) == sparse


def test_codes_are_copied_on_the_second_use_within_bounds() -> None:
    held = table(5 * BLOCK_ROWS)
    blocks = Screen(8, peak=127, share=1.0).cover(held.vectors)
    filters = Filters(held)
    tenth, half = filters.select([1]), filters.select([2])
    assert filters.codes(tenth, blocks) is None
    # Of eight dimensions the codes' scales are as large as the codes: too much for a tenth.
    assert filters.codes(tenth, blocks) is None
    copy = tenth.codes(blocks, room_bytes=10**6)
    assert copy is not None
    assert len(copy) == -(-len(held) // 10)
    assert filters.codes(tenth, blocks) is copy
    assert filters.nbytes == copy.nbytes == len(copy) * 16
    assert half.codes(blocks, room_bytes=10) is None
    assert half.codes(blocks, room_bytes=10) is None


def test_vectors_of_few_rows_are_copied_on_the_second_use() -> None:
    held = table(1000)
    filters = Filters(held)
    run = filters.vectors(filters.select([3]))
    assert run is not None
    assert np.shares_memory(run, held.vectors)
    few = filters.select([1])
    assert filters.vectors(few) is None
    assert filters.vectors(few) is None  # a tenth is more than three per cent
    copy = few.vectors(room_bytes=100 * 32)
    assert copy is not None
    assert (copy == held.vectors[::10]).all()
    assert filters.vectors(few) is copy
    assert filters.nbytes == 100 * 32
