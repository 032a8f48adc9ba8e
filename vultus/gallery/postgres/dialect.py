"""The portable SQL of the records as PostgreSQL and pgvector take it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo

__all__ = ["PostgresConnection", "StreamingConnection", "adapt"]

_EVERY_VECTOR = "FROM embedding e JOIN sample s"  # how statements begin that read them all
_HEADER_BYTES = 4  # of a vector: 2 bytes dimension, 2 bytes unused, both big-endian


class _Vector(bytes):
    """A vector in pgvector's binary form (pgvector, src/vector.c, vector_recv)."""


class _VectorDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> Buffer:
        return obj


class _VectorLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return np.frombuffer(data, dtype=">f4", offset=_HEADER_BYTES).astype("<f4").tobytes()


def adapt(connection: psycopg.Connection) -> None:
    """Teach a connection the type `vector`, which must be on the search path."""
    info = TypeInfo.fetch(connection, "vector")
    if info is not None:
        dumper = type("_VectorDumper", (_VectorDumper,), {"oid": info.oid})
        connection.adapters.register_dumper(_Vector, dumper)
        connection.adapters.register_loader(info.oid, _VectorLoader)


@lru_cache(maxsize=512)
def _translate(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")


class PostgresConnection:
    """A `vultus.gallery.records.change.Connection` over psycopg's.

    Attributes:
        driver: The latter.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self.driver = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor:
        """Run one statement with ``?`` placeholders."""
        return self.driver.cursor(binary=True).execute(_translate(sql), parameters)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> psycopg.Cursor:
        """Run one statement once per row; `rowcount` is the sum."""
        cursor = self.driver.cursor(binary=True)
        cursor.executemany(_translate(sql), parameters)
        return cursor

    def pack(self, vector: NDArray[np.float32], /) -> object:
        """A vector of (d,) float32 as the column `embedding.vector` takes it."""
        return _Vector(len(vector).to_bytes(2, "big") + b"\0\0" + vector.astype(">f4").tobytes())

    def unpack(self, values: Sequence[Any], /) -> Sequence[Any]:
        """Values of that column as bytes, float32 little-endian: as they were loaded."""
        return values


class StreamingConnection(PostgresConnection):
    """One that fetches the vectors of a whole space bit by bit, through a cursor on the server."""

    def __init__(self, connection: psycopg.Connection) -> None:
        super().__init__(connection)
        self._cursors: list[psycopg.ServerCursor] = []

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """Run one statement with ``?`` placeholders."""
        if _EVERY_VECTOR not in sql or "LIMIT" in sql:
            return super().execute(sql, parameters)
        cursor = psycopg.ServerCursor(self.driver, f"stream{len(self._cursors)}")
        self._cursors.append(cursor)
        return cursor.execute(_translate(sql), parameters, binary=True)

    def close(self) -> None:
        """Let the results go."""
        for cursor in self._cursors:
            cursor.close()
