"""Known people and their faces: one Protocol, several stores."""

from __future__ import annotations

import os
from pathlib import Path

from vultus.errors import DtypeError, GalleryFileError
from vultus.gallery.base import Gallery, NewSample, Person, unknown_person_error
from vultus.gallery.memory import MemoryGallery
from vultus.gallery.sqlite import SqliteGallery

__all__ = [
    "SUFFIXES",
    "Gallery",
    "MemoryGallery",
    "NewSample",
    "Person",
    "SqliteGallery",
    "open_gallery",
    "unknown_person_error",
]

SUFFIXES = (".db", ".sqlite", ".vultus")
"""Endings of a gallery's file name; a new gallery must have one of them."""


def open_gallery(source: str | os.PathLike[str] | Gallery, *, create: bool = True) -> Gallery:
    """Open a gallery by name.

    Args:
        source: A file ending in `SUFFIXES`, ``":memory:"`` for a new gallery in this process's
            memory, or a gallery, which is handed back as it is.
        create: Whether a missing file is made.

    Raises:
        GalleryFileError: The file cannot be used; the field ``reason`` says why.
        DtypeError: `source` is none of these.
    """
    if not isinstance(source, str | os.PathLike):
        if not hasattr(type(source), "search_many"):
            raise DtypeError(
                f"a gallery is a path, ':memory:' or a Gallery, got {type(source).__name__}"
            )
        return source
    if source == ":memory:":
        return MemoryGallery()
    path = Path(source)
    if create and path.suffix.lower() not in SUFFIXES and not _has_content(path):
        # Guards against swapped arguments: a photo's path would become a database.
        raise GalleryFileError(
            f"a new gallery's file must end in {', '.join(SUFFIXES)}, got {str(path)!r}",
            remedy=f"call it {path.name}.db, say",
            path=str(path),
            reason="suffix",
        )
    return SqliteGallery(path, create=create)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
