"""The tables of the access data, and the numbered changes that bring older ones up to date."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

__all__ = [
    "MIGRATIONS",
    "VERSION",
    "application",
    "event",
    "idempotency",
    "job",
    "meta",
    "metadata",
    "tenant",
    "usage",
]

metadata = MetaData()
"""All tables. Modules with tables of their own add them here and call `Store.ensure`."""

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

tenant = Table(
    "tenant",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("slug", String(64), nullable=False, unique=True),
    Column("main", Boolean, nullable=False),
    Column("created_at", String(32), nullable=False),
)

application = Table(
    "application",
    metadata,
    Column("app_id", String(20), primary_key=True),
    Column("tenant", String(64), nullable=False, index=True),
    Column("name", String(256), nullable=False),
    Column("scopes", String(64), nullable=False),
    Column("ak", String(32), nullable=False, unique=True),
    Column("lookup", String(32), nullable=False, unique=True),
    Column("salt", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("changed_at", String(32), nullable=False),
    Column("rate_per_s", Float),
    Column("daily", Integer),
)

event = Table(
    "event",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("actor", String(256), nullable=False),
    Column("action", String(64), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("app_id", String(20)),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)

usage = Table(
    "usage",
    metadata,
    Column("app_id", String(20), primary_key=True),
    Column("span", String(32), primary_key=True),
    Column("taken", Integer, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("app_id", String(20), primary_key=True),
    Column("key", String(256), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("status", Integer),
    Column("media_type", String(128)),
    Column("body", LargeBinary),
    Column("headers", Text),
    Column("at_s", Float, nullable=False),
)

job = Table(
    "job",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("app_id", String(20), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer),
    Column("result", Text),
    Column("error", Text),
    Column("cancel", Boolean, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Column("seen_s", Float, nullable=False),
    Index("job_of_tenant", "tenant", "created_at", "id"),
)

MIGRATIONS: tuple[Callable[[Connection], None], ...] = ()
"""Step i brings tables of version i + 1 to version i + 2; new tables need none."""

VERSION = len(MIGRATIONS) + 1
