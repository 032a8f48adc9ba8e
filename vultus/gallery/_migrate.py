"""Numbered schema changes, applied in order, together or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol

__all__ = ["Connection", "Migration", "apply_migrations", "read_migrations"]

_FILE_NAME = re.compile(r"(\d{3})_\w+\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema.

    Attributes:
        version: The schema's number once it is applied; steps are numbered from 1 without gaps.
        statements: SQL, one statement each.
    """

    version: int
    statements: tuple[str, ...]


class Connection(Protocol):
    """What is needed of a database connection."""

    def execute(self, sql: str, /) -> Any:
        """Run one statement."""
        ...


def read_migrations(backend: str = "") -> list[Migration]:
    """The steps shipped with this package for a `backend` (SQLite without a name), in order."""
    folder = resources.files("vultus.gallery") / "migrations" / backend
    found = []
    for file in folder.iterdir():
        name = _FILE_NAME.fullmatch(file.name)
        if name is not None:
            # Statements are separated by blank lines, which no statement holds within.
            text = file.read_text(encoding="utf-8")
            found.append(Migration(int(name[1]), tuple(text.strip().split("\n\n"))))
    return sorted(found, key=lambda migration: migration.version)


def apply_migrations(connection: Connection, version: int, migrations: Iterable[Migration]) -> None:
    """Run every step above `version` and record it in ``user_version``.

    The caller owns the transaction, and keeps foreign keys off: a step may rebuild a table.
    """
    for migration in migrations:
        if migration.version > version:
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {migration.version:d}")
