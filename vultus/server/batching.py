"""Work of requests that run at the same time, done in one call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Batcher"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Waiting(Generic[Item, Result]):
    """Items of one request that wait to be worked on with others."""

    __slots__ = ("done", "error", "found", "items")

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.done = threading.Event()
        self.found: list[Result] = []
        self.error: BaseException | None = None


class Batcher(Generic[Item, Result]):
    """Hands items of several threads to one function together.

    The first thread to come waits for others, a bounded time and only while there are others who
    could come; then it works for all that came.

    Args:
        work: Gives one result per item, in order; at most `most` items, unless one request brings
            more.
        most: Most items together.
        wait_s: How long the first one waits.
        busy: How many requests are being worked on; the waiting ones count.
        told: Told the size of each batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        most: int,
        wait_s: float,
        busy: Callable[[], int],
        told: Callable[[int], None],
    ) -> None:
        self._work = work
        self._most = most
        self._wait_s = wait_s
        self._busy = busy
        self._told = told
        self._changed = threading.Condition()
        self._pending: list[_Waiting[Item, Result]] = []

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """One result per item, in order."""
        own: _Waiting[Item, Result] = _Waiting(items)
        with self._changed:
            full = sum(len(waiting.items) for waiting in self._pending) + len(items) > self._most
            leads = full or not self._pending
            batch = [own]
            if not full:
                self._pending.append(own)
                self._changed.notify_all()
                if leads:
                    self._gather()
                    batch, self._pending = self._pending, []
        if leads:
            self._work_for_all(batch)
        own.done.wait()
        if own.error is not None:
            raise own.error
        return own.found

    def _gather(self) -> None:
        deadline = time.monotonic() + self._wait_s
        while sum(len(waiting.items) for waiting in self._pending) < self._most:
            left = deadline - time.monotonic()
            if left <= 0 or self._busy() <= len(self._pending) or not self._changed.wait(left):
                return

    def _work_for_all(self, batch: Sequence[_Waiting[Item, Result]]) -> None:
        items = [item for waiting in batch for item in waiting.items]
        try:
            found = iter(self._work(items))
            self._told(len(items))
            for waiting in batch:
                waiting.found = [next(found) for _ in waiting.items]
        except BaseException as error:
            if len(batch) == 1:
                batch[0].error = error
            else:
                self._one_by_one(batch)  # one request's bad item is not the others' failure
        finally:
            for waiting in batch:
                waiting.done.set()

    def _one_by_one(self, batch: Sequence[_Waiting[Item, Result]]) -> None:
        for waiting in batch:
            try:
                waiting.found = list(self._work(waiting.items))
            except BaseException as error:  # a worker's boundary: whoever waits is told
                waiting.error = error
