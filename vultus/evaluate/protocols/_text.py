"""Reads the text files that data sets come with, and says where one is wrong."""

from __future__ import annotations

from pathlib import Path

from vultus.errors import DataFileError

__all__ = ["read_lines", "wrong_line"]

_MOST_BYTES = 1024**3  # IJB-C's list of pairs has 250 MB


def read_lines(path: Path, most_bytes: int = _MOST_BYTES) -> list[str]:
    """The lines of a UTF-8 file, with or without a byte-order mark.

    Raises:
        DataFileError: It cannot be read, is larger than `most_bytes`, or is no UTF-8 text.
    """
    try:
        size = path.stat().st_size
        if size > most_bytes:
            raise DataFileError(
                f"{path} has {size:,} bytes, more than the {most_bytes:,} that are read",
                path=str(path),
                expected=most_bytes,
                actual=size,
            )
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataFileError(f"{path} cannot be read: {reason}", path=str(path)) from error


def wrong_line(path: Path, line: int, message: str) -> DataFileError:
    """An error that says where it is."""
    return DataFileError(f"{path}, line {line}: {message}", path=str(path), line=line)
