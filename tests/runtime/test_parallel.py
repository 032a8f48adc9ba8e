from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.runtime import ordered_map

WORKERS = [1, 2, 3, 8]


class Counted:
    """Items that tell how many were taken."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        for number in range(self.count):
            self.taken += 1
            yield number


@pytest.mark.parametrize("workers", WORKERS)
def test_no_items(workers):
    assert list(ordered_map(str, [], workers)) == []


@pytest.mark.parametrize("workers", WORKERS)
def test_one_item(workers):
    assert list(ordered_map(str, [7], workers)) == ["7"]


@given(st.lists(st.integers(0, 3), max_size=40), st.sampled_from(WORKERS))
@settings(max_examples=25, deadline=None)
def test_results_in_the_order_of_the_items(delays: list[int], workers: int):
    def slow(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 5000)
        return item[0]

    found = list(ordered_map(slow, enumerate(delays), workers))
    assert found == list(range(len(delays)))


@pytest.mark.parametrize("workers", WORKERS)
def test_items_are_taken_lazily(workers):
    items = Counted(1000)
    results = ordered_map(lambda item: item, items, workers)
    assert items.taken == 0
    ahead = 1 if workers == 1 else 2 * workers
    for number in range(50):
        assert next(results) == number
        assert items.taken <= number + ahead
    results.close()
    assert items.taken <= 49 + ahead


def test_one_worker_is_the_caller_itself():
    threads = list(ordered_map(lambda _: threading.get_ident(), range(5), 1))
    assert set(threads) == {threading.get_ident()}


def test_several_workers_work_at_the_same_time():
    both = threading.Barrier(2, timeout=10)
    list(ordered_map(lambda _: both.wait(), range(2), 2))  # one alone would wait for ever


def test_items_are_read_in_the_caller_s_thread():
    seen = []

    def items() -> Iterator[int]:
        for number in range(10):
            seen.append(threading.get_ident())
            yield number

    list(ordered_map(str, items(), 3))
    assert set(seen) == {threading.get_ident()}


@pytest.mark.parametrize("workers", WORKERS)
def test_an_error_surfaces_at_its_turn(workers):
    def work(item: int) -> int:
        if item == 3:
            raise LookupError("three")
        return item

    found = []
    with pytest.raises(LookupError, match="three"):
        found.extend(_append_each(found, ordered_map(work, range(100), workers)))
    assert found == [0, 1, 2]


def _append_each(found: list[int], results: Iterator[int]) -> list[int]:
    for result in results:
        found.append(result)
    return []


@pytest.mark.parametrize("workers", WORKERS)
def test_an_error_of_the_items_surfaces(workers):
    def items() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(ordered_map(str, items(), workers))


def test_closing_early_drops_what_was_not_begun_and_waits_for_what_was():
    begun: list[int] = []
    ended: list[int] = []
    go = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item >= 1:
            go.wait(10)
        ended.append(item)
        return item

    results = ordered_map(work, range(100), 2)
    assert next(results) == 0
    timer = threading.Timer(0.05, go.set)
    timer.start()
    results.close()
    timer.join()
    assert sorted(begun) == sorted(ended)
    assert set(begun) <= {0, 1, 2}


def test_no_thread_is_left():
    before = threading.active_count()
    list(ordered_map(str, range(10), 4))
    assert threading.active_count() == before
