"""The connections of one PostgreSQL gallery: a small pool, transactions, errors in our words."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from vultus.errors import GalleryError, GalleryServerError
from vultus.gallery._errors import closed_error
from vultus.gallery.postgres.dialect import PostgresConnection, StreamingConnection, adapt
from vultus.gallery.postgres.url import PostgresPlace

__all__ = ["PostgresLink", "server_error", "translated"]

_DEFAULTS = {"client_encoding": "utf8", "application_name": "vultus", "connect_timeout": "10"}
_IDLE_LIMIT_MS = 300_000  # a process that hangs within a change lets the others go on after that
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"
# Writers take turns: whoever holds the gallery's one row has every number and the log's end.
_TAKE_TURN = "SELECT 1 FROM gallery WHERE id = 1 FOR UPDATE"

_UNLIMITED = (
    "SELECT set_config('statement_timeout', '0', true),"
    " set_config('idle_in_transaction_session_timeout', '0', true)"
)

# SQLSTATE, or its class (PostgreSQL, appendix A) -> (reason, what is wrong, what to do).
_FAILURES = {
    "28": ("credentials", "refuses these credentials", "check user, password and pg_hba.conf"),
    "3D000": ("missing-database", "lies in a database there is not", "create the database first"),
    "3F000": ("missing", "is not there (any more)", "open it again to make it anew"),
    "42P01": ("missing", "is not there (any more)", "open it again to make it anew"),
    "42501": ("permission", "refuses this role", "grant it the rights the documentation names"),
    "25006": ("read-only", "is read-only here", "connect to the primary server"),
    "55P03": ("locked", "is being changed by another process", "try again later"),
    "40": ("locked", "is being changed by another process", "nothing was changed; try again"),
    "57014": ("timeout", "took too long to answer", "try again later, or allow more time"),
    "53100": ("disk-full", "found the server's disk full", "make room; nothing was changed"),
    "53": ("busy", "finds the server at its limits", "try again later"),
    "57P03": ("unreachable", "is starting up or shutting down", "try again later"),
    "XX001": ("damaged", "is damaged", "restore the database from a copy"),
    "XX002": ("damaged", "is damaged", "restore the database from a copy, or REINDEX"),
}
# The driver gives no SQLSTATE for a connection that was refused, only the server's words.
_REFUSALS = {
    "authentication failed": _FAILURES["28"],
    "no password supplied": _FAILURES["28"],
    "no pg_hba.conf entry": _FAILURES["28"],
    'role "': _FAILURES["28"],
    'database "': _FAILURES["3D000"],
    "too many": _FAILURES["53"],
}
_LOST = ("connection-lost", "lost its connection to the server", "try again")


def server_error(
    place: PostgresPlace, reason: str, what: str, remedy: str, **fields: object
) -> GalleryServerError:
    """The error for a gallery on a server, with its machine-readable ``reason``."""
    return GalleryServerError(
        f"the gallery {place.location!r} {what}",
        remedy=remedy,
        location=place.location,
        reason=reason,
        **fields,
    )


@contextmanager
def translated(place: PostgresPlace) -> Iterator[None]:
    """Turn the driver's errors into `GalleryServerError`, without the password."""
    try:
        yield
    except psycopg.Error as error:
        raise _translation(place, error) from _shown(place, error)


def _shown(place: PostgresPlace, error: psycopg.Error) -> psycopg.Error | None:
    """The error as the cause of ours, unless it quotes the password: then ours tells the rest."""
    return error if place.scrubbed(str(error)) == str(error) else None


def _translation(place: PostgresPlace, error: psycopg.Error) -> GalleryServerError:
    state = error.sqlstate or ""
    found = _FAILURES.get(state) or _FAILURES.get(state[:2])
    cause = place.scrubbed(" ".join(str(error).split()))
    if found is None and isinstance(error, psycopg.OperationalError):
        found = _LOST if state.startswith(("57P", "08", "25P03")) or not state else None
    reason, what, remedy = found or (
        "failed",
        f"cannot be used: {cause}",
        "nothing was changed; report this",
    )
    return server_error(place, reason, what, remedy, cause=cause, sqlstate=state)


class PostgresLink:
    """A few connections to one gallery, each used by one thread at a time.

    Connections are made when needed and kept. One that broke while idle is replaced without
    anybody noticing; one that breaks in use is an error, and the next use connects anew.

    Args:
        place: Where the gallery lies.
        timeout_s: How long a statement, or waiting for a lock or a connection, may take.
        connections: At most so many at once.

    Attributes:
        place: The same.
    """

    def __init__(self, place: PostgresPlace, *, timeout_s: float, connections: int) -> None:
        self.place = place
        self._timeout_s = timeout_s
        self._idle: deque[psycopg.Connection] = deque()
        self._room = threading.BoundedSemaphore(connections)
        self._pid = os.getpid()
        self._closed = False
        self._search_path: sql.Composed | None = None

    # -- transactions ---------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[PostgresConnection]:
        """One consistent state of the gallery."""
        with self._taken(_READ) as (connection, _), translated(self.place):
            yield PostgresConnection(connection)
            connection.execute("COMMIT")

    def ask(self, statement: str) -> tuple[Any, ...] | None:
        """The first row of one query, for which no transaction is needed."""
        with self._taken(statement) as (_, cursor), translated(self.place):
            return cursor.fetchone()

    @contextmanager
    def streaming(self) -> Iterator[StreamingConnection]:
        """The same for results too large for memory, read as slowly as one likes."""
        with self._taken(_READ) as (connection, _), translated(self.place):
            connection.execute(_UNLIMITED)
            with closing(StreamingConnection(connection)) as streaming:
                yield streaming
            connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[PostgresConnection]:
        """One change, on disk when the block ends; writers take turns."""
        with self._taken(_WRITE) as (connection, _):
            with translated(self.place):
                connection.execute(_TAKE_TURN)
                yield PostgresConnection(connection)
            self._commit(connection)

    def _commit(self, connection: psycopg.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            if not connection.broken:
                raise _translation(self.place, error) from _shown(self.place, error)
            raise server_error(
                self.place,
                "connection-lost",
                "lost its connection to the server while a change was being completed",
                "look whether it was made before making it again",
                cause=self.place.scrubbed(str(error)),
            ) from _shown(self.place, error)
        except psycopg.Error as error:
            raise _translation(self.place, error) from _shown(self.place, error)

    @contextmanager
    def alone(self, *, patient: bool = False) -> Iterator[psycopg.Connection]:
        """A connection without a transaction or a time limit, for maintenance.

        Args:
            patient: Whether to wait for others as long as it takes, too.
        """
        with self._taken("SET statement_timeout = 0") as (connection, _), translated(self.place):
            if patient:
                connection.execute("SET lock_timeout = 0")
            try:
                yield connection
            finally:
                if not connection.broken:
                    connection.execute(self._limits())

    # -- the pool -------------------------------------------------------------------------------

    @contextmanager
    def _taken(self, begin: str) -> Iterator[tuple[psycopg.Connection, psycopg.Cursor]]:
        """A connection on which `begin` has just run, and its result; put back unless it broke."""
        self._check()
        if not self._room.acquire(timeout=self._timeout_s):
            raise server_error(
                self.place,
                "busy",
                "has all its connections in use",
                "try again later, or allow more",
            )
        try:
            with translated(self.place):
                connection, cursor = self._begun(begin)
            try:
                yield connection, cursor
            finally:
                self._put_back(connection)
        finally:
            self._room.release()

    def _begun(self, begin: str) -> tuple[psycopg.Connection, psycopg.Cursor]:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            try:
                return connection, connection.execute(begin.encode())
            except psycopg.OperationalError:
                broken = connection.broken
                connection.close()
                if not broken:
                    raise
                # It broke while idle, and nothing was asked of it yet: take another one.
        connection = self.connect()
        return connection, connection.execute(begin.encode())

    def _put_back(self, connection: psycopg.Connection) -> None:
        if connection.broken or connection.closed:
            connection.close()
            return
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            with suppress(psycopg.Error):
                connection.rollback()
        idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        if self._closed or not idle:
            connection.close()
            return
        self._idle.append(connection)

    def connect(self) -> psycopg.Connection:
        """A new connection.

        Raises:
            GalleryServerError: The server cannot be reached, or refuses.
        """
        try:
            # Transactions are begun and ended by name.
            connection = psycopg.connect(self._conninfo(), autocommit=True)
        except psycopg.Error as error:
            raise self._refusal(error) from _shown(self.place, error)
        with translated(self.place):
            try:
                self._configure(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _refusal(self, error: psycopg.Error) -> GalleryServerError:
        """What to say of a connection that was not made."""
        cause = self.place.scrubbed(" ".join(str(error).split()))
        if not isinstance(error, psycopg.OperationalError):
            what = f"has an address that the driver does not take: {cause}"
            return server_error(self.place, "address", what, "check the URL", cause=cause)
        for words, (reason, what, remedy) in _REFUSALS.items():
            if words in cause:
                return server_error(self.place, reason, what, remedy, cause=cause)
        what = f"cannot be reached: {cause}"
        remedy = "check the address and that the server runs"
        return server_error(self.place, "unreachable", what, remedy, cause=cause)

    def _conninfo(self) -> str:
        """The URL's parameters, and ours for what it leaves open."""
        given = conninfo_to_dict(self.place.conninfo)
        ours = {name: value for name, value in _DEFAULTS.items() if name not in given}
        return make_conninfo(self.place.conninfo, **ours)

    def _configure(self, connection: psycopg.Connection) -> None:
        connection.execute(self._limits())
        if self._search_path is not None:
            connection.execute(self._search_path)
            adapt(connection)

    def _limits(self) -> sql.Composed:
        timeout_ms = max(10, round(self._timeout_s * 1000))
        return sql.SQL(
            "SET statement_timeout = {}; SET lock_timeout = {};"
            " SET idle_in_transaction_session_timeout = {}; SET jit = off"
        ).format(timeout_ms, timeout_ms * 8 // 10, _IDLE_LIMIT_MS)  # the lock's comes first

    def adopt(self, connection: psycopg.Connection, *schemas: str) -> None:
        """Take a connection over, and look names up in these schemas from now on."""
        path = sql.SQL(", ").join(map(sql.Identifier, schemas))
        self._search_path = sql.SQL("SET search_path = {}").format(path)
        with translated(self.place):
            self._configure(connection)
        self._put_back(connection)

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise GalleryError(
                "this gallery was opened before the process forked",
                remedy="open it in each process",
            )
        if self._closed:
            raise closed_error()

    def close(self) -> None:
        """Let the connections go; a second call does nothing."""
        self._closed = True
        if os.getpid() != self._pid:
            return  # closing would say goodbye to the server in the name of the parent
        while self._idle:
            self._idle.pop().close()
