"""Several worker processes on one socket: started, replaced when they die, ended in peace."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.reduction
import os
import signal
import socket
import sys
import threading
import time
from multiprocessing.context import SpawnProcess

from vultus.errors import VultusError
from vultus.server.errors import InternalError
from vultus.server.settings import Settings

__all__ = ["Workers"]

_log = logging.getLogger(__name__)
_SOON_S = 10.0  # a worker that dies this soon dies of how it is started
_FAILED = 4


class Workers:
    """A number of processes that serve on one socket.

    Args:
        settings: The operator's.
        listening: Bound, and shared by all.
    """

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings = settings
        self._listening = listening
        self._processes: list[tuple[SpawnProcess, float]] = []

    def start(self) -> None:
        """Start them all."""
        self._processes = [self._started() for _ in range(self._settings.workers)]

    def _started(self) -> tuple[SpawnProcess, float]:
        process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(self._settings.model_dump_json(), self._listening)
        )
        process.start()
        return process, time.monotonic()

    def replace_dead(self) -> None:
        """Start another worker for each that died.

        Raises:
            InternalError: One ended by itself soon after it was started; so would the next.
        """
        for i, (process, since) in enumerate(self._processes):
            if process.is_alive():
                continue
            _log.error("worker %s died with exit code %s", process.pid, process.exitcode)
            killed = process.exitcode is not None and process.exitcode < 0  # by a signal
            if not killed and time.monotonic() - since < _SOON_S:
                raise InternalError(
                    f"a worker ended with exit code {process.exitcode} soon after it was started",
                    remedy="the log above says why; try --workers 1",
                )
            self._processes[i] = self._started()

    def end(self, patience_s: float) -> None:
        """Tell all to end, and wait; who does not end in time is killed."""
        for process, _ in self._processes:
            if process.is_alive():
                process.terminate()
        deadline = time.monotonic() + patience_s
        for process, _ in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                _log.error("worker %s did not end in time and is killed", process.pid)
                process.kill()
                process.join()


def _work(settings: str, listening: socket.socket) -> None:
    from vultus.server.run import work

    threading.Thread(target=_end_with_parent, name="vultus-parent", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the parent too
    try:
        work(Settings.model_validate_json(settings), listening)
    except VultusError as error:
        _log.error("%s: %s", error.code, error)
        sys.exit(_FAILED)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
