"""Work on many items with a few threads, in order, without holding more than it must."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ordered_map"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Like ``map``, on `workers` threads, results in the order of the items.

    At most ``2 * workers`` items are taken ahead of the result handed out, so a folder of any
    length runs in constant memory. Closing the iterator (Ctrl-C included) drops what was not
    begun and waits for what was.

    Args:
        function: Thread-safe; an exception it raises surfaces at that item's turn.
        items: Read lazily, in the caller's thread.
        workers: ≥ 1; with one, everything runs in the caller's thread.
    """
    if workers == 1:
        yield from map(function, items)
        return
    source = iter(items)
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="vultus") as pool:
        try:
            for item in source:
                pending.append(pool.submit(function, item))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
