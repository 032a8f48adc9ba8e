"""Facenet's data sets: a folder with one folder of pictures per class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vultus.errors import ImageNotFoundError, InputError, InsufficientDataError

__all__ = ["ImageClass", "check_filled", "files_of", "flattened", "read_dataset"]


class ImageClass(NamedTuple):
    """One class of a data set.

    Attributes:
        name: That of its folder.
        paths: Its files by name; any file counts as a picture.
    """

    name: str
    paths: tuple[Path, ...]


def read_dataset(folder: Path) -> list[ImageClass]:
    """The classes of a folder by name; a class's place is its label.

    Every file of a class's folder counts as a picture, whatever its name ends with. Files beside
    the folders, folders within, and hidden entries (``.name``) are passed over.

    Raises:
        ImageNotFoundError: It is no folder, or cannot be read.
        InsufficientDataError: It holds no folder.
    """
    classes = [
        ImageClass(path.name, tuple(_entries(path, folders=False)))
        for path in _entries(folder, folders=True)
    ]
    if not classes:
        raise InsufficientDataError(
            f"{folder} must hold one folder of pictures per class, it holds none",
            remedy="name the folder above the classes",
            path=str(folder),
        )
    return classes


def files_of(folder: Path) -> list[Path]:
    """The files of one flat folder by name, hidden ones left out.

    Raises:
        ImageNotFoundError: It is no folder, or cannot be read.
        InsufficientDataError: It holds no file.
    """
    found = _entries(folder, folders=False)
    if not found:
        raise InsufficientDataError(f"{folder} must hold pictures, it holds no file")
    return found


def check_filled(classes: Sequence[ImageClass]) -> None:
    """Require a picture in every class.

    Raises:
        InsufficientDataError: A class has none.
    """
    empty = [one.name for one in classes if not one.paths]
    if empty:
        raise InsufficientDataError(
            "There must be at least one image for each class in the dataset; empty: "
            + ", ".join(empty[:5]),
            remedy="remove the empty folders, or fill them",
            classes=empty[:5],
        )


def flattened(classes: Sequence[ImageClass]) -> tuple[list[Path], list[int]]:
    """All pictures, class by class, and the label of each."""
    paths = [path for one in classes for path in one.paths]
    labels = [label for label, one in enumerate(classes) for _ in one.paths]
    if not paths:
        raise InputError("the data set holds no picture", remedy="check the folder")
    return paths, labels


def _entries(folder: Path, *, folders: bool) -> list[Path]:
    """Folders, or files, in a folder by name."""
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir() == folders
            ]
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageNotFoundError(
            f"{folder} cannot be read as a folder: {reason}", path=str(folder)
        ) from error
    return [folder / name for name in sorted(names)]
