from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from vultus.errors import RangeError
from vultus.server.batching import Batcher


class Adder:
    """Stands for a network: gives one more than each number, and refuses negative ones."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.sizes.append(len(items))
        if min(items) < 0:
            raise RangeError("numbers must not be negative")
        return [item + 1 for item in items]


def _batcher(adder: Adder, most: int, wait_s: float, busy: int = 99) -> Batcher[int, int]:
    return Batcher(adder, most, wait_s, lambda: busy, lambda size: None)


def test_items_that_come_together_are_worked_on_together():
    adder, gate = Adder(), threading.Barrier(4)
    batcher = _batcher(adder, 8, 0.5)

    def ask(item: int) -> list[int]:
        gate.wait(10)
        return batcher([item, item + 10])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, [1, 2, 3, 4]))
    assert found == [[2, 12], [3, 13], [4, 14], [5, 15]]
    assert sum(adder.sizes) == 8
    assert len(adder.sizes) < 4


def test_a_full_batch_does_not_wait_and_no_batch_is_overfull():
    adder = Adder()
    assert _batcher(adder, 2, 60.0)([1, 2, 3]) == [2, 3, 4]
    gate = threading.Barrier(3)
    batcher = _batcher(adder, 4, 0.3)

    def ask(item: int) -> list[int]:
        gate.wait(10)
        return batcher([item] * 3)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, [1, 2, 3])) == [[2] * 3, [3] * 3, [4] * 3]
    assert adder.sizes == [3] * 4


def test_who_is_alone_does_not_wait():
    began = time.perf_counter()
    assert _batcher(Adder(), 8, 60.0, busy=1)([1]) == [2]
    assert time.perf_counter() - began < 5


def test_nobody_waits_longer_than_the_bound():
    began = time.perf_counter()
    assert _batcher(Adder(), 8, 0.05)([1]) == [2]
    assert 0.05 <= time.perf_counter() - began < 5


def test_one_requests_bad_item_is_not_the_others_failure():
    adder, gate = Adder(), threading.Barrier(2)
    batcher = _batcher(adder, 2, 5.0)

    def ask(item: int) -> list[int]:
        gate.wait(10)
        return batcher([item])

    with ThreadPoolExecutor(2) as pool:
        bad, good = pool.submit(ask, -1), pool.submit(ask, 1)
        assert good.result(10) == [2]
        with pytest.raises(RangeError):
            bad.result(10)
