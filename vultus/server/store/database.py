"""The connection to the access data: opened, brought up to date, its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from vultus.errors import MissingExtraError
from vultus.gallery.postgres.url import parse_postgres_url
from vultus.server.errors import SettingsError, StoreError
from vultus.server.places import Places
from vultus.server.secrets import Secrets
from vultus.server.store import schema

__all__ = ["Store", "open_store"]

_BUSY_TIMEOUT_MS = 10_000
_POSTGRES_LOCK = 0x76756C7475730001  # "vultus", 1
_CONNECT_TIMEOUT_S = 10


class Store:
    """Access data in one database; share one among threads.

    Args:
        engine: SQLAlchemy's engine.
        name: What messages call it; holds no password.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state.

        Raises:
            StoreError: The database cannot be reached or used.
        """
        with self._translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[Connection]:
        """One change, wholly or not at all.

        Args:
            alone: Wait for other such changes to end: what is looked up stays true. In SQLite
                every change is alone.

        Raises:
            StoreError: The database cannot be reached or used.
        """
        with self._translated(), self.engine.connect() as plain:
            connection = plain.execution_options(vultus_writes=True)
            with connection.begin():
                if alone:
                    _take_turn(connection)
                yield connection

    def ensure(self, *tables: Table) -> None:
        """Make tables of `schema.metadata` that are not there yet."""
        with self.writing(alone=True) as connection:
            schema.metadata.create_all(connection, tables=list(tables), checkfirst=True)

    def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            StoreError: There is none.
        """
        with self.reading() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Let the connections go."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            # The driver's own words may quote values; the log gets the error's kind alone.
            kind = type(getattr(error, "orig", None) or error).__name__
            raise StoreError(
                f"the access data in {self.name} cannot be used: {kind}",
                remedy="check that the database can be reached and written",
                location=self.name,
                cause=kind,
            ) from error


def open_store(places: Places, secrets: Secrets) -> Store:
    """Open the access data that belong to a gallery, made when absent.

    Raises:
        StoreError: They cannot be reached or used.
        SettingsError: They were made with another secret, or by a newer version.
        MissingExtraError: The database's driver is not installed.
    """
    store = _postgres(places) if places.on_postgres else _sqlite(places.access_file)
    try:
        _prepare(store, places, secrets)
    except BaseException:
        store.close()
        raise
    return store


def _prepare(store: Store, places: Places, secrets: Secrets) -> None:
    with store.writing(alone=True) as connection:
        if places.on_postgres:
            connection.execute(CreateSchema(places.access_schema, if_not_exists=True))
        schema.metadata.create_all(connection, checkfirst=True)
        known = {row.name: row.value for row in connection.execute(select(schema.meta))}
        if not known:
            rows = {"version": str(schema.VERSION), "secret": secrets.fingerprint}
            connection.execute(
                insert(schema.meta), [{"name": n, "value": v} for n, v in rows.items()]
            )
            return
        version = int(known["version"])
        if version > schema.VERSION:
            raise SettingsError(
                f"the access data in {store.name} are of version {version}, this vultus knows"
                f" up to {schema.VERSION}",
                remedy="use the vultus that wrote them, or a newer one",
            )
        for step in schema.MIGRATIONS[version - 1 :]:
            step(connection)
        connection.execute(
            schema.meta.update()
            .where(schema.meta.c.name == "version")
            .values(value=str(schema.VERSION))
        )
        if known["secret"] != secrets.fingerprint:
            raise SettingsError(
                f"the access data in {store.name} were made with another secret",
                remedy=f"bring the secret back ({places.secret} or VULTUS_SERVER_SECRET)",
            )


def _take_turn(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})"))


# -- SQLite ---------------------------------------------------------------------------------------


def _sqlite(path: Path) -> Store:
    if not path.parent.is_dir():
        raise SettingsError(
            f"the folder of {path} must exist", remedy="make it first", path=str(path)
        )
    path.touch(mode=0o600)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Store(engine, str(path))


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin_sqlite`
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that begins by reading and then writes may find that it lost its turn.
    writes = connection.get_execution_options().get("vultus_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# -- PostgreSQL -----------------------------------------------------------------------------------


def _postgres(places: Places) -> Store:
    place = parse_postgres_url(places.records)
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtraError(
            "access data in PostgreSQL need the library psycopg, which is not installed",
            remedy="pip install 'vultus[postgres]'",
            extra="postgres",
        ) from error

    def connect() -> Any:
        return psycopg.connect(
            place.conninfo,
            application_name="vultus-server",
            connect_timeout=_CONNECT_TIMEOUT_S,
        )

    engine = create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=4,
        hide_parameters=True,
        execution_options={"schema_translate_map": {None: places.access_schema}},
    )
    return Store(engine, place.location)
