"""A gallery in one SQLite file: the file is the truth, the index in memory its cache."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vultus.errors import GalleryFileError, VultusError
from vultus.gallery._rules import check_space
from vultus.gallery.records.change import Damage, read_space
from vultus.gallery.records.gallery import RecordsGallery
from vultus.gallery.records.samples import use_space
from vultus.gallery.sqlite import residue as _residue
from vultus.gallery.sqlite.file import SqliteConnection, SqliteFile, transaction
from vultus.gallery.sqlite.place import file_error
from vultus.gallery.values import Finding
from vultus.types import EmbeddingSpace

__all__ = ["SqliteGallery"]

_log = logging.getLogger(__name__)

_RESTORE = "restore the file from a copy"
_SHOWN = 10
# Tables and indexes that hold numbers, keyed hashes and names of models and groups only.
_IMPERSONAL = frozenset(
    {"audit", "change", "gallery", "mirror", "space", "sqlite_sequence"}
    | {"membership_of_group", "sample_of_scope"}
)
_SCAN_TIMEOUT_S = 600.0
_FREE_SHARE = 0.25  # of the pages; more are given back
_SWEPT_MAX_BYTES = 256 * 2**20  # looked through in a second, written anew in a few
_SWEEP_PATIENCE_S = 0.1  # nobody waits long for a gallery to close


class _Scanned(NamedTuple):
    """What `_residue` found."""

    pages: int
    free: int
    dirty: list[int]
    dirty_pages: int


class SqliteGallery(RecordsGallery):
    """People and samples in one SQLite file, searched in memory.

    Every change is one transaction, on disk when the call returns (write-ahead log, full
    synchronisation). Any number of threads and processes may share the file: a search first looks
    whether it has changed and reads what is new. Vectors are loaded by the first search. What is
    erased is overwritten with zeros.

    A file that may not be written, or whose folder may not, can still be searched. A gallery must
    not be carried across ``fork``: open it in each process. While it is open, the same process
    must not open the file by other means (a copy, a checksum): on POSIX systems that drops
    SQLite's locks.

    Args:
        path: The file.
        create: Whether a missing or empty file is made a gallery.
        space: Fixes the active space of a new gallery; that of an existing one must agree.
        busy_timeout_s: How long to wait for another process's change to end.

    Raises:
        GalleryFileError: The file cannot be used. Its field ``reason`` is one of ``missing``,
            ``directory``, ``folder-missing``, ``not-a-database``, ``foreign``, ``newer``,
            ``older``, ``empty``, ``unreadable``, ``read-only``, ``locked``, ``damaged``,
            ``disk``, ``disk-full``, ``replaced``, ``failed``.
        SpaceMismatchError: The gallery has another active space than `space`.
    """

    backend = "sqlite"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        space: EmbeddingSpace | None = None,
        busy_timeout_s: float = 10.0,
    ) -> None:
        super().__init__()
        self._file = SqliteFile(Path(path), create=create, busy_timeout_s=busy_timeout_s)
        self._generation = self._file.generation
        self._has_erased = False
        if space is not None:
            try:
                self._require_space(space)
            except BaseException:
                self._file.close()
                raise

    def _require_space(self, space: EmbeddingSpace) -> None:
        known = self.space
        if known is None and self._file.writable:
            with self._change() as change:
                found = read_space(change.connection)
                known = (found or use_space(change, space))[1]
        if known is not None:
            check_space(known, space)

    def optimise(self) -> None:
        """Build or refresh the approximate index; write the file anew where that is due.

        That is when erased data is left in it, or a quarter of it is free.

        Raises:
            GalleryFileError: Others are using the file, or there is no room for a copy of it.
        """
        super().optimise()
        self._tidy()

    def _tidy(self) -> None:
        self._sweep(free_share=_FREE_SHARE)

    def _sweep(self, *, free_share: float = 1.0, patience_s: float | None = None) -> None:
        """Write the file anew where bytes of erased rows are left, or too much of it is free."""
        found = self._scan(patience_s)
        if found is not None and (found.dirty_pages or found.free > free_share * found.pages):
            self._file.rewrite(patience_s)

    def close(self) -> None:
        """Let the file go; a second call does nothing.

        Where data was erased through this object, what SQLite left of it in unused bytes is wiped,
        unless the file is large (over 256 MiB: `optimise` does it) or in use.
        """
        if self._has_erased:
            self._has_erased = False
            try:
                if self._file.size_bytes() <= _SWEPT_MAX_BYTES:
                    self._sweep(patience_s=_SWEEP_PATIENCE_S)
            except (VultusError, OSError) as error:
                _log.warning("%s: bytes of erased rows may be left: %s", self._file.path, error)
        self._file.close()
        self._cache.forget()

    # -- what the records need ------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[SqliteConnection]:
        with self._file.reading() as connection:
            if self._generation != self._file.generation:
                self._cache.forget()
                self._generation = self._file.generation
            with transaction(connection, "DEFERRED"):
                yield connection
            if self._file.frozen and not self._file.is_unchanged():
                self._cache.forget()
                raise self._file.changing_error()

    @contextmanager
    def _writing(self) -> Iterator[SqliteConnection]:
        with self._file.writing() as connection:
            yield connection

    @contextmanager
    def _streaming(self) -> Iterator[SqliteConnection]:
        with self._file.streaming() as connection:
            yield connection

    def _damaged(self, damage: Damage) -> GalleryFileError:
        remedy = _RESTORE
        if "sample" in damage.fields:
            remedy = f"{_RESTORE}, or remove that sample and enrol it again"
        return file_error(self._file.path, "damaged", damage.what, remedy, **damage.fields)

    def _place(self) -> tuple[str, int]:
        return str(self._file.path), self._file.schema

    def _erased(self) -> None:
        self._has_erased = True
        self._file.empty_log()

    # -- soundness ------------------------------------------------------------------------------

    def _verify_store(self) -> Iterator[Finding]:
        with self._file.streaming() as connection:
            for (message,) in connection.execute(f"PRAGMA integrity_check({_SHOWN})").fetchall():
                if message != "ok":
                    yield Finding("store", f"SQLite finds: {message}")
            for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(
                _SHOWN
            ):
                yield Finding("orphan", f"row {row} of {table} refers to no {parent}")
        if self._file.writable and not self._file.empty_log():
            yield Finding(
                "residue",
                "the -wal file must be empty and holds what may have been erased:"
                " another connection is reading; verify again when it has ended",
            )
        try:
            found = self._scan()
        except GalleryFileError as error:
            yield Finding(
                "residue",
                f"unused bytes must be looked at and cannot: {error.fields.get('cause', error)}",
            )
            return
        if found is None:
            yield Finding("residue", "unused bytes must be looked at, the file cannot be locked")
        elif found.dirty_pages:
            yield Finding(
                "residue",
                f"{found.dirty_pages} of {found.pages} pages keep bytes of erased rows"
                f" (page {found.dirty[0]} is the first); optimise the gallery to wipe them",
            )

    def _scan(self, patience_s: float | None = None) -> _Scanned | None:
        """What lies in the file's unused bytes; ``None`` where writers cannot be held off."""
        if self._file.writable:
            with self._file.writing(patience_s) as connection:
                return _scan(self._file.path, _personal_roots(connection))
        if not self._file.frozen:
            return None
        with self._file.reading() as connection:
            return _scan(self._file.path, _personal_roots(connection))


def _personal_roots(connection: SqliteConnection) -> list[int]:
    """Root pages of the tables that tell something of somebody, and of their indexes."""
    rows = connection.execute("SELECT name, tbl_name, rootpage FROM sqlite_master").fetchall()
    return [root for name, table, root in rows if root and not {name, table} & _IMPERSONAL]


def _scan(path: Path, roots: list[int]) -> _Scanned:
    """Look at a file's unused bytes, in a process of its own as `_residue` says."""
    command = [sys.executable, "-I", _residue.__file__, str(path), *map(str, roots)]
    try:
        ended = subprocess.run(command, capture_output=True, check=True, timeout=_SCAN_TIMEOUT_S)  # noqa: S603 - our own program
        return _Scanned(**json.loads(ended.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise file_error(
            path, "failed", "cannot be examined", "see the cause", cause=str(error)
        ) from error
