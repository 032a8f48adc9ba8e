"""What can be said about a gallery's file without a database driver."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TypeAlias

from vultus.errors import GalleryFileError

__all__ = ["Stamp", "check_place", "file_error", "has_pending_changes", "is_writable", "stamp"]

Stamp: TypeAlias = tuple[int, ...]
"""What tells one file, or one state of a file, from another."""

_SMALLEST_BYTES = 512  # the smallest page, hence file, of SQLite (file format, section 1.3.2)


def file_error(
    path: Path, reason: str, what: str, remedy: str, **fields: object
) -> GalleryFileError:
    """The error for a gallery's file, with its machine-readable ``reason``."""
    return GalleryFileError(
        f"the gallery {str(path)!r} {what}",
        remedy=remedy,
        path=str(path),
        reason=reason,
        **fields,
    )


def check_place(path: Path, *, create: bool) -> None:
    """Refuse what cannot be opened as, or made, a gallery; touches nothing.

    Raises:
        GalleryFileError: With a ``reason`` of ``directory``, ``missing``, ``folder-missing``,
            ``read-only``, ``unreadable`` or ``not-a-database``.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        _check_missing(path, create=create)
        return
    except OSError as error:
        raise file_error(
            path, "unreadable", f"cannot be reached: {error.strerror}", "check the path"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise file_error(path, "directory", "is a folder", "name a file within it")
    if not stat.S_ISREG(status.st_mode):
        raise file_error(path, "not-a-database", "is no regular file", "check the path")
    if 0 < status.st_size < _SMALLEST_BYTES:  # SQLite would take it for an empty file
        raise file_error(path, "not-a-database", "is no gallery", "check the path")
    # Never open the file here: closing it would drop the locks that a gallery open in this very
    # process holds on it (POSIX; sqlite.org/howtocorrupt.html, section 2.2).
    if not _may(path, os.R_OK):
        raise file_error(path, "unreadable", "may not be read", "check its permissions")


def _check_missing(path: Path, *, create: bool) -> None:
    if not create:
        raise file_error(path, "missing", "does not exist", "check the path, or enrol somebody")
    if not path.parent.is_dir():
        raise file_error(
            path, "folder-missing", "has no folder to lie in", f"make {str(path.parent)!r} first"
        )
    if not _may(path.parent, os.W_OK | os.X_OK):
        raise file_error(
            path, "read-only", "cannot be made: its folder may not be written", "choose another"
        )


def is_writable(path: Path) -> bool:
    """Whether the file can be changed, which takes writing to its folder as well."""
    return _may(path, os.W_OK) and _may(path.parent, os.W_OK | os.X_OK)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def stamp(path: Path, *, contents: bool = False) -> Stamp:
    """Tell this file from another of the same name; with `contents`, this state from another.

    Raises:
        GalleryFileError: There is no file (any more).
    """
    try:
        status = path.stat()
    except OSError as error:
        raise file_error(path, "replaced", "was removed while open", "open it again") from error
    identity = (status.st_dev, status.st_ino)
    if not contents:
        return identity
    return (*identity, status.st_size, status.st_mtime_ns, int(has_pending_changes(path)))


def has_pending_changes(path: Path) -> bool:
    """Whether a write-ahead log with something in it lies beside the file."""
    file = path.resolve()  # the log lies beside the file itself, not beside a link to it
    try:
        return file.with_name(file.name + "-wal").stat().st_size > 0
    except OSError:
        return False
