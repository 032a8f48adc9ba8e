"""Files written in one step: all of a file is there, or none of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import OutputError

__all__ = ["make_folder", "replace_file", "save_array"]


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written under another name, then put it in place.

    Args:
        path: What it is called in the end.
        write: Given a path of the same folder; writes all of it.

    Raises:
        OutputError: It cannot be written; what was there before stays.
    """
    temporary = path.with_name(f".vultus-{secrets.token_hex(8)}.part")
    try:
        try:
            write(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{path} cannot be written: {reason}", path=str(path)) from error


def save_array(path: Path, values: NDArray[Any]) -> None:
    """Write one array as `numpy.save` does, ``.npy`` added where it is missing; no pickle.

    Raises:
        OutputError: It cannot be written.
    """

    def write(temporary: Path) -> None:
        with temporary.open("xb") as file:
            np.save(file, values, allow_pickle=False)

    replace_file(path if path.suffix == ".npy" else path.with_name(path.name + ".npy"), write)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot make the folder {folder}: {reason}", path=str(folder)) from error
