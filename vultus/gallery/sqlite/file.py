"""One SQLite file as a gallery's store: opening, upgrading, transactions, errors."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import GalleryError, GalleryFileError
from vultus.gallery._errors import closed_error
from vultus.gallery._migrate import apply_migrations, read_migrations
from vultus.gallery.sqlite.place import (
    check_place,
    file_error,
    has_pending_changes,
    is_writable,
    stamp,
)

__all__ = ["SqliteConnection", "SqliteFile", "transaction"]

_log = logging.getLogger(__name__)

_APPLICATION_ID = 0x76756C74  # "vult" in ASCII: tells our files from other SQLite databases
_PAGE_SIZE_BYTES = 8192  # holds three 512-d samples; the default 4096 holds one and wastes half
_RETRY_S = 0.02
_CHECKPOINT_PATIENCE_S = 0.05
_EMPTY_LOG_S = 1.0  # how long an erasure tries to empty the log before it warns

# SQLite's primary result codes -> (reason, what is wrong, what to do).
_FAILURES = {
    sqlite3.SQLITE_PERM: ("unreadable", "may not be opened", "check its permissions"),
    sqlite3.SQLITE_BUSY: ("locked", "is being changed by another process", "try again later"),
    sqlite3.SQLITE_LOCKED: ("locked", "is being changed by another thread", "try again later"),
    sqlite3.SQLITE_READONLY: (
        "read-only",
        "cannot be written",
        "check the permissions of the file and its folder",
    ),
    sqlite3.SQLITE_IOERR: ("disk", "hit an error of the disk", "check the disk"),
    sqlite3.SQLITE_CORRUPT: ("damaged", "is damaged", "restore the file from a copy"),
    sqlite3.SQLITE_FULL: ("disk-full", "found the disk full", "make room; nothing was changed"),
    sqlite3.SQLITE_CANTOPEN: (
        "unreadable",
        "cannot be opened",
        "check the permissions of the file and its folder",
    ),
    sqlite3.SQLITE_NOTADB: ("not-a-database", "is no gallery", "check the path"),
}


class SqliteConnection(sqlite3.Connection):
    """What `vultus.gallery.records.change.Connection` asks for."""

    def pack(self, vector: NDArray[np.float32], /) -> bytes:
        """A vector as it is stored."""
        return vector.astype("<f4", copy=False).tobytes()

    def unpack(self, values: Sequence[Any], /) -> Sequence[Any]:
        """Stored vectors as bytes, which they are."""
        return values


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn the driver's errors into `GalleryFileError`."""
    try:
        yield
    except sqlite3.Error as error:
        # The driver's own errors carry no code: stored text that is no UTF-8, for one.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        reason, what, remedy = _FAILURES.get(
            code, ("failed", f"cannot be used: {error}", "nothing was changed; report this")
        )
        raise file_error(path, reason, what, remedy, cause=str(error)) from error


def _connect(path: Path, flags: str, busy_timeout_s: float) -> SqliteConnection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?{flags}",
        factory=SqliteConnection,
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,  # transactions are begun and ended by name
        check_same_thread=False,  # a lock guards each connection
    )
    try:
        for pragma in ("synchronous = FULL", "secure_delete = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    """One transaction; rolled back on any exception, an interrupt included."""
    try:
        connection.execute(f"BEGIN {kind}")
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema's number; 0 for an empty database. Call it within a transaction."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application_id != _APPLICATION_ID and (application_id, version, tables) != (0, 0, 0):
        raise file_error(
            path, "foreign", "is a database of another program", "name a file of its own"
        )
    return version


def _prepare(connection: sqlite3.Connection, path: Path, *, create: bool, writable: bool) -> None:
    """Refuse what is no gallery of ours; bring the schema up to date in one transaction."""
    migrations = read_migrations()
    newest = migrations[-1].version
    with transaction(connection, "DEFERRED"):
        version = _schema_version(connection, path)
    if version > newest:
        raise file_error(
            path,
            "newer",
            f"was written by a newer vultus (schema {version}, this one reads up to {newest})",
            "upgrade vultus",
            expected=newest,
            actual=version,
        )
    if version == 0 and not (create and writable):
        raise file_error(path, "empty", "is an empty file", "check the path, or enrol somebody")
    if version < newest and not writable:
        raise file_error(
            path, "older", "must be upgraded and cannot be written", "make it writable once"
        )
    if version == newest:
        return
    connection.execute(f"PRAGMA page_size = {_PAGE_SIZE_BYTES:d}")  # counts for a new file only
    with transaction(connection, "IMMEDIATE"):
        version = _schema_version(connection, path)  # another process may just have done it
        apply_migrations(connection, version, migrations)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID:d}")
        if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise file_error(
                path, "damaged", "holds a reference to nothing", "restore the file from a copy"
            )


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path, patience_s: float) -> None:
    """Switch the journal; SQLite does not wait for others here, so this does."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    deadline = time.monotonic() + patience_s
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)
    if mode != "wal":
        _log.warning(
            "%s: this file system has no write-ahead log (journal: %s); readers wait for writers",
            path,
            mode,
        )


def _try_to_empty_log(
    connection: sqlite3.Connection,
    busy_timeout_s: float,
    patience_s: float = _CHECKPOINT_PATIENCE_S,
) -> bool:
    """Checkpoint and truncate; ``False`` when another connection stands in the way.

    While it waits for readers nobody can write, hence the short patience.
    """
    connection.execute(f"PRAGMA busy_timeout = {patience_s * 1000:.0f}")
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout_s * 1000:.0f}")
    return busy == 0


class SqliteFile:
    """A reading and a writing connection to one gallery file, each with a lock of its own.

    Args:
        path: The file.
        create: Whether a missing or empty file is made a gallery.
        busy_timeout_s: How long to wait for another process's change to end.

    Attributes:
        path: The file, absolute.
        generation: Counts how often the file was opened anew; caches of an older one are void.

    Raises:
        GalleryFileError: The file cannot be used.
    """

    def __init__(self, path: Path, *, create: bool, busy_timeout_s: float) -> None:
        self.path = path.absolute()
        self.generation = 0
        self._busy_timeout_s = busy_timeout_s
        self._pid = os.getpid()
        self._read_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._reader: SqliteConnection | None = None
        self._writer: SqliteConnection | None = None
        check_place(self.path, create=create)
        try:
            with _translated(self.path):
                self._open(create=create)
        except BaseException:
            self.close()
            raise

    def _open(self, *, create: bool) -> None:
        path, timeout_s = self.path, self._busy_timeout_s
        self.generation += 1
        self._frozen = False
        if path.exists() and not is_writable(path):
            # With no log in use nobody is writing, and SQLite can be kept from making files.
            self._frozen = not has_pending_changes(path)
            self._stamp = stamp(path, contents=self._frozen)
            flags = "mode=ro&immutable=1" if self._frozen else "mode=ro"
            self._reader = _connect(path, flags, timeout_s)
            _prepare(self._reader, path, create=create, writable=False)
            return
        self._writer = _connect(path, "mode=rwc" if create else "mode=rw", timeout_s)
        _prepare(self._writer, path, create=create, writable=True)
        _use_write_ahead_log(self._writer, path, timeout_s)
        if has_pending_changes(path):  # of somebody who writes now, or who was interrupted
            _try_to_empty_log(self._writer, timeout_s, patience_s=0.0)
        self._writer.execute("PRAGMA foreign_keys = ON")
        self._stamp = stamp(path)
        self._reader = _connect(path, "mode=rw", timeout_s)
        self._reader.execute("PRAGMA query_only = ON")

    @property
    def frozen(self) -> bool:
        """Whether the file is read without locks, because it may not be written."""
        return self._frozen

    @property
    def schema(self) -> int:
        """Number of the schema, the newest there is."""
        return read_migrations()[-1].version

    @property
    def writable(self) -> bool:
        """Whether changes can be made."""
        return self._writer is not None

    @contextmanager
    def reading(self) -> Iterator[SqliteConnection]:
        """The reading connection, for one thread at a time.

        Raises:
            GalleryFileError: The file was replaced, or reading fails.
            GalleryError: The gallery is closed, or was opened before a fork.
        """
        self._check_process()
        with self._read_lock, _translated(self.path):
            if self._reader is not None and self._frozen and not self.is_unchanged():
                self._reader.close()
                self._reader = None
                self._open(create=False)
            if self._reader is None:
                raise closed_error()
            if not self.is_unchanged():
                raise self._replaced_error()
            yield self._reader

    @contextmanager
    def writing(self, patience_s: float | None = None) -> Iterator[SqliteConnection]:
        """The writing connection within a transaction, for one thread at a time.

        Args:
            patience_s: How long to wait for another process's change to end, where that is not
                the time the file was opened with.

        Raises:
            GalleryFileError: The file was replaced, or may not or cannot be written.
            GalleryError: The gallery is closed, or was opened before a fork.
        """
        self._check_process()
        with self._write_lock, _translated(self.path):
            if self._reader is None:
                raise closed_error()
            if self._writer is None:
                raise file_error(self.path, *_FAILURES[sqlite3.SQLITE_READONLY])
            if not self.is_unchanged():
                raise self._replaced_error()
            with self._patience(patience_s), transaction(self._writer, "IMMEDIATE"):
                yield self._writer

    @contextmanager
    def _patience(self, patience_s: float | None) -> Iterator[None]:
        if patience_s is not None and self._writer is not None:
            self._writer.execute(f"PRAGMA busy_timeout = {patience_s * 1000:.0f}")
        try:
            yield
        finally:
            if patience_s is not None and self._writer is not None:
                self._writer.execute(f"PRAGMA busy_timeout = {self._busy_timeout_s * 1000:.0f}")

    def is_unchanged(self) -> bool:
        """Whether the path still leads to the file that was opened.

        A file opened without write access is read without locks, so it must not change at all.
        """
        return stamp(self.path, contents=self._frozen) == self._stamp

    @contextmanager
    def streaming(self) -> Iterator[SqliteConnection]:
        """A reading connection of one's own, within one transaction; also while `reading`.

        Raises:
            GalleryFileError: The file was replaced, or reading fails.
            GalleryError: The gallery is closed, or was opened before a fork.
        """
        self._check_process()
        if self._reader is None:
            raise closed_error()
        if not self.is_unchanged():
            raise self.changing_error() if self._frozen else self._replaced_error()
        flags = "mode=ro&immutable=1" if self._frozen else "mode=ro"
        with _translated(self.path):
            connection = _connect(self.path, flags, self._busy_timeout_s)
            try:
                with transaction(connection, "DEFERRED"):
                    yield connection
                if self._frozen and not self.is_unchanged():
                    raise self.changing_error()
            finally:
                connection.close()

    def empty_log(self) -> bool:
        """Move the write-ahead log into the file, so that it keeps no erased data.

        Returns:
            Whether that is done; if not, a warning was logged.
        """
        deadline = time.monotonic() + _EMPTY_LOG_S
        while True:
            with self._write_lock, _translated(self.path):
                if self._writer is None or _try_to_empty_log(self._writer, self._busy_timeout_s):
                    return True
            if time.monotonic() > deadline:
                _log.warning("%s: erased data stays in the -wal file for now", self.path)
                return False
            time.sleep(_RETRY_S)

    def size_bytes(self) -> int:
        """How large the file is."""
        return self.path.stat().st_size

    def rewrite(self, patience_s: float | None = None) -> None:
        """Write the file anew, without free pages and unused bytes.

        Args:
            patience_s: As in `writing`.

        Raises:
            GalleryFileError: The file may not be written, others are using it, or there is no
                room for a copy of it.
        """
        self._check_process()
        with self._write_lock, _translated(self.path):
            if self._writer is None:
                raise file_error(self.path, *_FAILURES[sqlite3.SQLITE_READONLY])
            with self._patience(patience_s):
                self._writer.execute("VACUUM")
        self.empty_log()

    def close(self) -> None:
        """Let the file go; a second call does nothing."""
        with self._write_lock, self._read_lock, _translated(self.path):
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise GalleryError(
                "this gallery was opened before the process forked",
                remedy="open it in each process",
            )

    def changing_error(self) -> GalleryFileError:
        """The error for a file that is written while it is read without locks."""
        return file_error(self.path, "locked", "changed while it was read", "try again")

    def _replaced_error(self) -> GalleryFileError:
        return file_error(self.path, "replaced", "was replaced while open", "open it again")
