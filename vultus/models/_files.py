"""Files hashed as a whole and written in one step, with their failures named."""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO

from vultus.errors import ModelError, ModelMissingError, OutputError

__all__ = ["digest_of", "make_folder", "output_error", "stream_digest", "write_file"]


def output_error(error: OSError, path: object) -> OutputError:
    """What to raise when `path` cannot be written."""
    return OutputError(
        f"{path} cannot be written: {error.strerror or error}", path=str(path), reason=str(error)
    )


def digest_of(path: Traversable) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits.

    Raises:
        ModelMissingError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return stream_digest(file)
    except OSError as error:
        raise ModelMissingError(
            f"{path} cannot be read: {error.strerror or error}",
            remedy="check the path and its permissions",
            path=str(path),
        ) from error


def stream_digest(file: IO[bytes]) -> str:
    """SHA-256 of what is left of an open file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, folder) from error


def write_file(target: Path, data: bytes, expected: str | None = None) -> None:
    """Write a file in one step: all of it is there, or none.

    Args:
        target: Where; its folder is made.
        data: What.
        expected: SHA-256 that `data` must have.

    Raises:
        ModelError: `data` has another digest.
        OutputError: It cannot be written.
    """
    if expected is not None and hashlib.sha256(data).hexdigest() != expected:
        raise ModelError("the file changed while it was being copied", remedy="try again")
    make_folder(target.parent)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:12]}-", dir=target.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide a shared VULTUS_HOME from its users
        temporary.replace(target)
    except OSError as error:
        raise output_error(error, target) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
