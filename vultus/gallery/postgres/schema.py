"""One PostgreSQL schema as a gallery's store: found, made, upgraded, or refused."""

from __future__ import annotations

from secrets import token_bytes
from typing import NamedTuple

import psycopg
from psycopg import errors, sql

from vultus.gallery._migrate import Migration, read_migrations
from vultus.gallery.audit import now
from vultus.gallery.postgres.link import PostgresLink, server_error, translated
from vultus.gallery.postgres.url import PostgresPlace

__all__ = ["prepare"]

_APPLICATION = "vultus"
_SALT_BYTES = 32
_OLDEST_PGVECTOR = (0, 8)  # the first with iterative scans, which filtered searches need
_INSTALL = "CREATE EXTENSION IF NOT EXISTS vector"
_EXTENSION = (
    "SELECT e.extversion, n.nspname FROM pg_extension e"
    " JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
)


class _Found(NamedTuple):
    """What lies in the schema.

    Attributes:
        exists: Whether there is a schema of this name.
        version: Number of our schema; 0 for none.
        foreign: Whether something lies there that is not ours.
    """

    exists: bool
    version: int
    foreign: bool


def prepare(link: PostgresLink, *, create: bool) -> int:
    """Refuse what is no gallery of ours; bring its schema up to date in one transaction.

    Returns:
        The schema's number.

    Raises:
        GalleryServerError: With a ``reason`` of ``missing``, ``foreign``, ``newer``, ``older``,
            ``encoding``, ``extension``, or one of the connection's.
    """
    place = link.place
    migrations = read_migrations("postgres")
    newest = migrations[-1].version
    connection = link.connect()
    try:
        with translated(place):
            found = _look(connection, place)
            _refuse(place, found, newest, create=create)
            if found.version < newest:
                _check_encoding(connection, place)
                _upgrade(connection, place, migrations)
            link.adopt(connection, place.gallery, _extension(connection, place))
    except BaseException:
        connection.close()
        raise
    return newest


def _look(connection: psycopg.Connection, place: PostgresPlace) -> _Found:
    namespace = connection.execute(
        "SELECT oid FROM pg_namespace WHERE nspname = %s", (place.gallery,)
    ).fetchone()
    if namespace is None:
        return _Found(exists=False, version=0, foreign=False)
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s", namespace
    ).fetchall()
    if ("vultus_schema",) not in tables:
        return _Found(exists=True, version=0, foreign=bool(tables))
    row = connection.execute(
        sql.SQL("SELECT application, version FROM {}").format(
            sql.Identifier(place.gallery, "vultus_schema")
        )
    ).fetchone()
    ours = row is not None and row[0] == _APPLICATION
    return _Found(exists=True, version=row[1] if row and ours else 0, foreign=not ours)


def _refuse(place: PostgresPlace, found: _Found, newest: int, *, create: bool) -> None:
    if found.foreign:
        raise server_error(
            place,
            "foreign",
            f"is a schema of another program: {place.gallery!r}",
            "name a gallery of its own: ?gallery=…",
        )
    if found.version > newest:
        raise server_error(
            place,
            "newer",
            f"was written by a newer vultus (schema {found.version}, this one reads to {newest})",
            "upgrade vultus",
            expected=newest,
            actual=found.version,
        )
    if found.version == 0 and not create:
        raise server_error(place, "missing", "does not exist", "check the name, or enrol somebody")


def _check_encoding(connection: psycopg.Connection, place: PostgresPlace) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise server_error(
            place,
            "encoding",
            f"lies in a database whose encoding is {encoding}, not UTF8",
            "use a database made with ENCODING 'UTF8'",
            expected="UTF8",
            actual=encoding,
        )


def _upgrade(
    connection: psycopg.Connection, place: PostgresPlace, migrations: list[Migration]
) -> None:
    schema = sql.Identifier(place.gallery)
    with connection.transaction():
        # Two processes may find the gallery missing at once: the second waits, and looks again.
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            (f"{_APPLICATION}/{place.gallery}",),
        )
        found = _look(connection, place)
        if not found.exists:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        extension = _extension(connection, place)
        connection.execute(
            sql.SQL("SET LOCAL search_path = {}, {}").format(schema, sql.Identifier(extension))
        )
        for migration in migrations:
            if migration.version > found.version:
                for statement in migration.statements:
                    connection.execute(statement.encode())
        if found.version == 0:
            _mark(connection)
        connection.execute("UPDATE vultus_schema SET version = %s", (migrations[-1].version,))


def _mark(connection: psycopg.Connection) -> None:
    """Make a new gallery's own row, and the table that tells our schema from others."""
    connection.execute(
        "INSERT INTO gallery (id, created_at, salt) VALUES (1, %s, %s)",
        (now(), token_bytes(_SALT_BYTES)),
    )
    connection.execute(
        "CREATE TABLE vultus_schema (application TEXT NOT NULL, version INTEGER NOT NULL)"
    )
    connection.execute("INSERT INTO vultus_schema VALUES (%s, 0)", (_APPLICATION,))


def _extension(connection: psycopg.Connection, place: PostgresPlace) -> str:
    """The schema in which pgvector lies; pgvector is made available when it is not."""
    row = connection.execute(_EXTENSION).fetchone()
    if row is None:
        _install(connection, place)
        row = connection.execute(_EXTENSION).fetchone()
    version, schema = row or ("0", "public")
    if tuple(map(int, version.split(".")[:2])) < _OLDEST_PGVECTOR:
        raise server_error(
            place,
            "extension",
            f"needs pgvector 0.8 or newer, its database has {version}",
            "upgrade it on the server, then ALTER EXTENSION vector UPDATE in this database",
            expected="0.8",
            actual=version,
        )
    return str(schema)


def _install(connection: psycopg.Connection, place: PostgresPlace) -> None:
    try:
        with connection.transaction():
            connection.execute(_INSTALL.encode())
    except errors.InsufficientPrivilege:
        raise server_error(
            place,
            "extension",
            "needs the extension pgvector, which this role may not add to the database",
            "ask its administrator to run: CREATE EXTENSION vector",
        ) from None
    except (errors.FeatureNotSupported, errors.UndefinedFile, errors.UndefinedObject):
        raise server_error(
            place,
            "extension",
            "needs the extension pgvector, which its server does not have",
            "install pgvector 0.8 or newer on the server (package postgresql-NN-pgvector, say)",
        ) from None
