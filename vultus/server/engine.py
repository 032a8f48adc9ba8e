"""A bounded queue before a fixed number of threads: one for pixels, one for databases."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vultus.server.errors import BusyError, JobTimeoutError, NotReadyError
from vultus.server.metrics import Metrics

__all__ = ["Engine", "be_nice"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
_SMOOTHING = 0.1  # how much the newest job counts in the mean that Retry-After is told from


@dataclass(slots=True, eq=False)
class _Job:
    """One call, from the event loop it came from to the thread that makes it."""

    call: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    context: contextvars.Context
    since: float = field(default_factory=time.perf_counter)
    given_up: bool = False


class Engine:
    """Runs calls on threads of its own, at most so many waiting.

    Args:
        threads: How many.
        queue_length: Most calls that wait for one.
        metrics: Told of the queue and waiting times, if any.
        name: What its threads are called.
        niceness: Added to that of its threads, where threads have one of their own (Linux).
    """

    def __init__(
        self,
        threads: int,
        queue_length: int,
        metrics: Metrics | None,
        name: str = "engine",
        niceness: int = 0,
    ) -> None:
        self.threads = threads
        self.queue_length = queue_length
        self._niceness = niceness
        self._metrics = metrics
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._running = 0
        self._closed = False
        self._mean_s = 0.05  # a first guess, until jobs have been timed
        self._tell_depth()
        self._threads = [
            threading.Thread(target=self._work, name=f"vultus-{name}-{i}", daemon=True)
            for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _tell_depth(self) -> None:
        if self._metrics is not None:
            self._metrics.queue_depth.set(self._waiting)

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return self._waiting

    @property
    def running(self) -> int:
        """Calls that are being made."""
        return self._running

    async def run(self, call: Callable[[], T], timeout_s: float) -> T:
        """Make a call on one of the threads and wait for what it gives.

        The call runs in a copy of the caller's context, so `acting_as` holds.

        Raises:
            BusyError: Too many calls are waiting; told at once.
            JobTimeoutError: It took too long; one that has begun is finished, but not waited for.
            NotReadyError: The server is ending.
        """
        loop = asyncio.get_running_loop()
        job = _Job(call, loop, loop.create_future(), contextvars.copy_context())
        self._enter(job)
        try:
            async with asyncio.timeout(timeout_s):
                return await job.answer  # type: ignore[no-any-return]
        except TimeoutError:
            if job.answer.done() and not job.answer.cancelled():
                raise  # the call's own
            raise JobTimeoutError(
                f"the work must be done within {timeout_s:g} s", limit_s=timeout_s
            ) from None
        finally:
            job.given_up = True

    def _enter(self, job: _Job) -> None:
        with self._lock:
            if self._closed:
                raise NotReadyError("the server is ending")
            idle = self.threads - self._running
            if self._waiting >= self.queue_length + max(0, idle):
                wait_s = self._mean_s * (self._waiting + 1) / self.threads
                if self._metrics is not None:
                    self._metrics.refused.labels("busy").inc()
                raise BusyError(
                    f"at most {self.queue_length} requests may wait, so many do",
                    retry_after_s=round(wait_s, 3),
                )
            self._waiting += 1
            self._tell_depth()
            self._jobs.put(job)

    def _work(self) -> None:
        be_nice(self._niceness)
        while (job := self._jobs.get()) is not None:
            with self._lock:
                self._waiting -= 1
                self._running += 1
                self._tell_depth()
            try:
                self._do(job)
            finally:
                with self._lock:
                    self._running -= 1
                del job  # the picture goes now, not when the next one comes

    def _do(self, job: _Job) -> None:
        began = time.perf_counter()
        if self._metrics is not None:
            self._metrics.observe("queue", began - job.since)
        if job.given_up:
            return
        result, error = None, None
        try:
            result = job.context.run(job.call)
        except BaseException as caught:  # a worker's boundary: whoever waits is told
            error = caught
        self._mean_s += _SMOOTHING * (time.perf_counter() - began - self._mean_s)
        try:
            job.loop.call_soon_threadsafe(_settle, job.answer, result, error)
        except RuntimeError:  # the loop has ended, and with it whoever waited
            _log.debug("nobody is left to take a result")

    def close(self, drain_s: float) -> bool:
        """Take nothing more, finish what was taken, end the threads.

        Returns:
            Whether all of it was finished in time.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                for _ in self._threads:
                    self._jobs.put(None)
        deadline = time.monotonic() + drain_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)


def be_nice(niceness: int) -> None:
    """Let other threads go before this one, where threads have a priority of their own."""
    if niceness and sys.platform.startswith("linux"):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)


def _settle(answer: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is None:
        answer.set_result(result)
    elif isinstance(error, StopIteration):  # which a future does not take
        answer.set_exception(RuntimeError("a job raised StopIteration"))
    else:
        answer.set_exception(error)
