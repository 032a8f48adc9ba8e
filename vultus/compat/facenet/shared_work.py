"""Work that several processes share through one folder: each piece is done once, none is lost.

Every piece has one byte of a lock file; who works on the piece holds that byte. The system lets
go of the locks of a process that ends, however it ends, so nothing has to be cleaned up. What is
done and leaves no file behind is written into a journal that lives as long as the processes
overlap: the first to come empties it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from vultus.errors import OutputError

__all__ = ["SharedWork"]

_LOCKS = ".vultus-align.lock"
_JOURNAL = ".vultus-align.done"
_MUTEX = 0
_SEATS = range(1, 256)  # one per process, so that each can see whether it is alone
_FIRST_PIECE = 256
_PIECES = 2**31 - _FIRST_PIECE - 1  # what a 32-bit offset reaches, as Windows wants
_POLL_S = 0.05


class SharedWork:
    """One process's view of the work in a folder. Not for several threads.

    Args:
        folder: Exists, and its file system can lock files.

    Raises:
        OutputError: A file in it cannot be written or locked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: set[str] = set()
        self._read_to = 0
        self._seat: int | None = None
        self._held: set[int] = set()  # the system would grant a process its own locks again
        self._locks = self._opened(_LOCKS)
        try:
            self._journal = self._opened(_JOURNAL)
            self._take_seat()
        except BaseException:
            os.close(self._locks)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._journal)
        os.close(self._locks)  # lets go of every lock

    def claim(self, piece: str) -> bool:
        """Take a piece; ``False`` while another process has it, or this one already."""
        byte = _byte_of(piece)
        if byte in self._held or not self._lock(byte):
            return False
        self._held.add(byte)
        return True

    def wait_for(self, piece: str) -> None:
        """Take a piece as soon as nobody else has it.

        Nobody who waits may hold another piece: two processes could wait for one another.
        """
        while not self.claim(piece):
            time.sleep(_POLL_S)

    def release(self, piece: str) -> None:
        """Let a piece go."""
        byte = _byte_of(piece)
        self._held.remove(byte)
        self._unlock(byte)

    def finish(self, name: str) -> None:
        """Tell the others that something is done; call it before `release`."""
        self._done.add(name)
        with self._translated():
            os.lseek(self._journal, 0, os.SEEK_END)
            os.write(self._journal, (json.dumps(name) + "\n").encode("ascii"))

    def is_finished(self, name: str) -> bool:
        """Whether any process said that this is done."""
        with self._translated():
            os.lseek(self._journal, self._read_to, os.SEEK_SET)
            while chunk := os.read(self._journal, 1 << 20):
                end = chunk.rfind(b"\n") + 1  # the rest of a line comes with the next read
                if not end:
                    break
                self._read_to += end
                self._done.update(json.loads(line) for line in chunk[:end].splitlines())
                os.lseek(self._journal, self._read_to, os.SEEK_SET)
        return name in self._done

    def _take_seat(self) -> None:
        """Count oneself in; whoever finds all other seats empty begins a new journal."""
        while not self._lock(_MUTEX):
            time.sleep(_POLL_S)
        try:
            alone = True
            for seat in _SEATS:
                if not self._lock(seat):
                    alone = False
                elif self._seat is None:
                    self._seat = seat
                else:
                    self._unlock(seat)
            if alone:
                with self._translated():
                    os.ftruncate(self._journal, 0)
        finally:
            self._unlock(_MUTEX)

    def _opened(self, name: str) -> int:
        with self._translated():
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            return os.open(self._folder / name, flags, 0o666)

    def _lock(self, byte: int) -> bool:
        with self._translated():
            return _try_lock(self._locks, byte)

    def _unlock(self, byte: int) -> None:
        with self._translated():
            _unlock(self._locks, byte)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"the work in {self._folder} cannot be shared: {error.strerror or error}",
                remedy="align into a folder that may be written to, on a disk that can lock files",
                path=str(self._folder),
            ) from error


def _byte_of(piece: str) -> int:
    """A piece's byte; two pieces that share one are only worked on one after the other."""
    digest = hashlib.sha256(piece.encode("utf-8", "surrogateescape")).digest()
    return _FIRST_PIECE + int.from_bytes(digest[:8], "big") % _PIECES


if os.name == "nt":  # pragma: no cover - tested on Windows only
    import msvcrt

    def _try_lock(file: int, byte: int) -> bool:
        os.lseek(file, byte, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except PermissionError:
            return False
        return True

    def _unlock(file: int, byte: int) -> None:
        os.lseek(file, byte, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]

else:
    import fcntl

    def _try_lock(file: int, byte: int) -> bool:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, says POSIX
            return False
        return True

    def _unlock(file: int, byte: int) -> None:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)
