"""Known people and their faces: one Protocol, several stores."""

from __future__ import annotations

import os
from pathlib import Path

from vultus.errors import DtypeError, GalleryFileError
from vultus.gallery._errors import unknown_person_error
from vultus.gallery.audit import acting_as, verify_chain
from vultus.gallery.base import Gallery
from vultus.gallery.memory import MemoryGallery
from vultus.gallery.milvus import MilvusGallery
from vultus.gallery.milvus.url import SCHEME as MILVUS_SCHEME
from vultus.gallery.postgres import PostgresGallery
from vultus.gallery.postgres.url import SCHEMES as POSTGRES_SCHEMES
from vultus.gallery.sqlite import SqliteGallery
from vultus.gallery.values import (
    AuditEntry,
    EmbeddingRecord,
    Finding,
    GalleryInfo,
    GalleryRecord,
    Group,
    GroupRecord,
    Membership,
    NewSample,
    Person,
    PersonRecord,
    QualityRecord,
    Record,
    Sample,
    SampleRecord,
    SearchInfo,
    SpaceInfo,
    SpaceRecord,
    quality_record,
)

__all__ = [
    "SUFFIXES",
    "AuditEntry",
    "EmbeddingRecord",
    "Finding",
    "Gallery",
    "GalleryInfo",
    "GalleryRecord",
    "Group",
    "GroupRecord",
    "Membership",
    "MemoryGallery",
    "MilvusGallery",
    "NewSample",
    "Person",
    "PersonRecord",
    "PostgresGallery",
    "QualityRecord",
    "Record",
    "Sample",
    "SampleRecord",
    "SearchInfo",
    "SpaceInfo",
    "SpaceRecord",
    "SqliteGallery",
    "acting_as",
    "open_gallery",
    "quality_record",
    "unknown_person_error",
    "verify_chain",
]

SUFFIXES = (".db", ".sqlite", ".vultus")
"""Endings of a gallery's file name; a new gallery must have one of them."""


def open_gallery(source: str | os.PathLike[str] | Gallery, *, create: bool = True) -> Gallery:
    """Open a gallery by name.

    Args:
        source: A file ending in `SUFFIXES`, the URL of a `PostgresGallery` (``postgresql://…``)
            or `MilvusGallery` (``milvus://…``), ``":memory:"`` for a new gallery in this
            process's memory, or a gallery, which is handed back as it is.
        create: Whether a missing file is made.

    Raises:
        GalleryFileError: The file cannot be used; the field ``reason`` says why.
        GalleryServerError: The server cannot be used; likewise.
        MissingExtraError: The server's driver is not installed.
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
    if isinstance(source, str) and source.startswith(POSTGRES_SCHEMES):
        return PostgresGallery(source, create=create)
    if isinstance(source, str) and source.startswith(MILVUS_SCHEME):
        return MilvusGallery(source, create=create)
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
