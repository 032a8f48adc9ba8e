"""Many pictures at a time: on processes where they can be made safely, else on threads."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from vultus.errors import InferenceError
from vultus.runtime import ordered_map, use_one_heap

__all__ = ["Over", "pool"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Over(Protocol):
    """Applies a function to many items; results come in the order of the items."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Like `map`."""
        ...


@contextmanager
def pool(workers: int) -> Iterator[Over]:
    """Workers for as long as the context lasts.

    A process of its own for each keeps Python's lock out of their way. They are forked, so that
    nothing is imported again; that is safe on Linux, and while this process has no other thread.
    Elsewhere the workers are threads.

    Args:
        workers: ≥ 1; with one, everything runs in the caller's thread.
    """
    import cv2

    use_one_heap()
    cv2.setNumThreads(1)  # our own workers fill the cores
    if workers == 1 or not _may_fork():
        yield _Threads(workers)
        return
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, get_context("fork"), _quiet) as executor:
        try:
            yield _Processes(executor)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


class _Threads:
    def __init__(self, workers: int) -> None:
        self._workers = workers

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        return ordered_map(function, items, self._workers)


class _Processes:
    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        try:
            yield from self._executor.map(function, items)
        except BrokenProcessPool as error:
            raise InferenceError(
                "a worker process ended before its work did",
                remedy="there may be too little memory: use fewer --cpus",
            ) from error


def _may_fork() -> bool:
    """Whether this process can be copied: on Linux, with no thread but this one."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return len(list(Path("/proc/self/task").iterdir())) == 1
    except OSError:
        return False


def _quiet() -> None:
    """Leave interruptions to the process that prints."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
