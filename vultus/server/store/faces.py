"""Face tokens: what stands for a face a client has shown, and what is kept of it, and how long."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from vultus.server.secrets import Secrets
from vultus.server.store.database import Store
from vultus.server.store.schema import metadata

__all__ = ["LIFETIME_S", "FaceTokens", "FoundFace", "HeldFace", "face_token"]

LIFETIME_S = 3600.0
"""How long a face that was not enrolled is kept. Source: Face V3 documentation, 60 minutes."""

_NOT_ENROLLED = 0  # sample numbers count from 1
_MANY = 500  # of SQLite's 32,766 parameters, far below

face_token = Table(
    "face_token",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("token", String(32), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("ends_s", Float),
    Column("space", String(512)),
    Column("raw_norm", Float),
    Column("vector", LargeBinary),
    Column("about", Text, nullable=False),
    Index("face_token_ends", "ends_s"),
    Index("face_token_number", "tenant", "number"),
)


@dataclass(frozen=True, slots=True)
class HeldFace:
    """A face that was looked at, on its way into the store or out of it.

    Attributes:
        token: 32 hexadecimal digits.
        space: Id of its embedding's space.
        vector: Its embedding.
        raw_norm: See `vultus.types.Embedding`.
        about: Where it was and how it looked, JSON-able.
    """

    token: str
    space: str
    vector: NDArray[np.float32] = field(repr=False)
    raw_norm: float = 1.0
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundFace:
    """What is known of a token.

    Attributes:
        held: The face itself, while it is kept; ``None`` afterwards.
        numbers: Samples it was enrolled as, ascending; some may be gone.
        about: Where it was and how it looked; empty where nobody noted that.
    """

    held: HeldFace | None
    numbers: tuple[int, ...]
    about: Mapping[str, Any]


class FaceTokens:
    """The tokens of all tenants.

    Args:
        store: The access data.
        secrets: The server's.
        lifetime_s: How long a face that was not enrolled is kept.
    """

    def __init__(self, store: Store, secrets: Secrets, lifetime_s: float = LIFETIME_S) -> None:
        self._store, self._secrets, self._lifetime_s = store, secrets, lifetime_s
        store.ensure(face_token)

    def token_of(self, tenant: str, *identity: str | bytes) -> str:
        """The token of a face: the same whenever the same identity is asked for."""
        return self._secrets.digest("face-token", tenant, *identity).hex()[:32]

    def hold(self, tenant: str, faces: Sequence[HeldFace], now_s: float | None = None) -> None:
        """Keep faces for a while, and erase those whose time is over."""
        now = time.time() if now_s is None else now_s
        rows = {
            face.token: {
                "tenant": tenant,
                "token": face.token,
                "number": _NOT_ENROLLED,
                "ends_s": now + self._lifetime_s,
                "space": face.space,
                "raw_norm": float(face.raw_norm),
                "vector": np.ascontiguousarray(face.vector, "<f4").tobytes(),
                "about": json.dumps(dict(face.about)),
            }
            for face in faces
        }
        with self._store.writing() as connection:
            _erase_ended(connection, now)
            _put(connection, list(rows.values()))

    def enrolled(
        self, tenant: str, token: str, numbers: Collection[int], about: Mapping[str, Any]
    ) -> None:
        """Note which samples a face became; nothing of the face itself is kept."""
        told = json.dumps(dict(about))
        empty = {"ends_s": None, "space": None, "raw_norm": None, "vector": None, "about": told}
        rows = [{"tenant": tenant, "token": token, "number": n, **empty} for n in numbers]
        with self._store.writing() as connection:
            _put(connection, rows)

    def enrolled_if_unknown(self, tenant: str, token: str, number: int) -> None:
        """Note which sample a token stands for, where nobody did: another interface enrolled it."""
        where = (face_token.c.tenant == tenant, face_token.c.token == token)
        query = select(face_token.c.number).where(*where, face_token.c.number == number)
        with self._store.reading() as connection:
            if connection.execute(query).first() is not None:
                return
        self.enrolled(tenant, token, [number], {})

    def find(self, tenant: str, token: str, now_s: float | None = None) -> FoundFace | None:
        """What is known of a token; ``None`` when nothing is, or its time is over."""
        now = time.time() if now_s is None else now_s
        query = (
            select(face_token)
            .where(face_token.c.tenant == tenant, face_token.c.token == token)
            .order_by(face_token.c.number)
        )
        with self._store.reading() as connection:
            rows = connection.execute(query).all()
        alive = [row for row in rows if row.ends_s is None or row.ends_s > now]
        if not alive:
            return None
        held = next((row for row in alive if row.number == _NOT_ENROLLED), None)
        numbers = tuple(row.number for row in alive if row.number != _NOT_ENROLLED)
        about = json.loads(alive[0].about)
        if held is None:
            return FoundFace(None, numbers, about)
        vector = np.frombuffer(held.vector, "<f4").astype(np.float32)
        face = HeldFace(token, held.space, vector, held.raw_norm, about)
        return FoundFace(face, numbers, about)

    def forget(self, tenant: str, tokens: Collection[str], numbers: Collection[int]) -> None:
        """Erase what is kept of these faces, and that they were these samples."""
        known, gone = list(tokens), list(numbers)
        mine = face_token.c.tenant == tenant
        with self._store.writing() as connection:
            for start in range(0, len(known), _MANY):
                part = known[start : start + _MANY]
                unsaved = face_token.c.number == _NOT_ENROLLED
                connection.execute(
                    delete(face_token).where(mine, unsaved, face_token.c.token.in_(part))
                )
            for start in range(0, len(gone), _MANY):
                part_gone = gone[start : start + _MANY]
                connection.execute(
                    delete(face_token).where(mine, face_token.c.number.in_(part_gone))
                )

    def erase_ended(self, now_s: float | None = None) -> int:
        """Erase faces whose time is over, for good: from SQLite's log of changes as well.

        Returns:
            How many.
        """
        now = time.time() if now_s is None else now_s
        with self._store.writing() as connection:
            count = _erase_ended(connection, now)
        engine = self._store.engine
        if engine.dialect.name == "sqlite":
            plain = engine.raw_connection()  # a transaction would be in the way
            try:
                with suppress(sqlite3.OperationalError):  # somebody is reading: the next time
                    plain.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                plain.close()
        return count


def _erase_ended(connection: Connection, now_s: float) -> int:
    return connection.execute(delete(face_token).where(face_token.c.ends_s <= now_s)).rowcount


def _put(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(face_token)
    changed = {n: insert.excluded[n] for n in ("ends_s", "space", "raw_norm", "vector", "about")}
    keys = ["tenant", "token", "number"]
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changed), rows)
