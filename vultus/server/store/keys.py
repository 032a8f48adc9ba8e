"""Tenants, their applications and keys: made, shown once, kept as hashes, rotated, revoked."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets as random
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import Connection, Row, func, insert, select, update

from vultus.errors import RangeError
from vultus.gallery.audit import actor, now
from vultus.server.errors import NotFoundError
from vultus.server.places import slug_of
from vultus.server.secrets import Secrets
from vultus.server.store.database import Store
from vultus.server.store.schema import application, event, tenant

__all__ = ["SCOPES", "Application", "Keys", "NewApplication", "Scope", "check_scopes"]

Scope: TypeAlias = Literal["read", "enrol", "delete", "admin"]
"""What a key may be used for; ``admin`` implies all others."""

SCOPES: tuple[Scope, ...] = get_args(Scope)

_TENANT = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# scrypt with 16 MiB, RFC 7914 section 2's r and p; OWASP's cheat sheet names 2^17 for passwords,
# which people choose. A key has 122 random bits: no guessing is sped up by a smaller N.
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
_REMEMBER_S = 2.0  # a revoked key is refused by every process this soon
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Application:
    """One client of a tenant's.

    Attributes:
        app_id: Decimal digits, eight or more.
        tenant: Whose gallery it uses.
        name: What the operator calls it.
        scopes: What it may do; with ``admin`` all of them.
        ak: Access key of the signatures and tokens that Baidu's clients use.
        revoked: Whether it was shut out.
        created_at: UTC, ISO 8601.
        rate_per_s: Requests a second; ``None``: the server's default.
        daily: Requests a day; ``None``: the server's default.
        generation: Counts rotations.
    """

    app_id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    ak: str
    revoked: bool
    created_at: str
    rate_per_s: float | None = None
    daily: int | None = None
    generation: int = 1


@dataclass(frozen=True, slots=True)
class NewApplication:
    """What is shown once.

    Attributes:
        api_key: A UUID, for ``Authorization: Bearer`` and ``x-api-key``.
        app_id: See `Application`.
        ak: Likewise.
        sk: Secret key that belongs to `ak`.
    """

    api_key: str
    app_id: str
    ak: str
    sk: str


class Keys:
    """Who may do what.

    Args:
        store: The access data.
        secrets: The server's.
    """

    def __init__(self, store: Store, secrets: Secrets) -> None:
        self._store = store
        self._secrets = secrets
        self._known: OrderedDict[bytes, tuple[float, bytes, Application]] = OrderedDict()
        self._by_ak: OrderedDict[str, tuple[float, Application]] = OrderedDict()
        self._lock = threading.Lock()

    # -- managing -------------------------------------------------------------------------------

    def create(
        self,
        tenant_name: str,
        scopes: frozenset[str] | set[str],
        name: str = "",
        *,
        rate_per_s: float | None = None,
        daily: int | None = None,
    ) -> NewApplication:
        """Make an application, and its tenant when new. The first tenant owns the main gallery.

        Raises:
            RangeError: The name or a scope is not allowed.
        """
        _check_tenant(tenant_name)
        kept = check_scopes(scopes)
        with self._store.writing(alone=True) as connection:
            _ensure_tenant(connection, tenant_name)
            app_id = _free_app_id(connection)
            ak, api_key, moment = random.token_hex(16), str(uuid.uuid4()), now()
            connection.execute(
                insert(application).values(
                    app_id=app_id,
                    tenant=tenant_name,
                    name=name[:256],
                    scopes=",".join(scope for scope in SCOPES if scope in kept),
                    ak=ak,
                    generation=1,
                    revoked=False,
                    created_at=moment,
                    changed_at=moment,
                    rate_per_s=rate_per_s,
                    daily=daily,
                    **self._hashed(api_key),
                )
            )
            detail = {"scopes": sorted(kept)}
            _note(connection, "key.create", tenant_name, app_id, detail)
        return NewApplication(api_key, app_id, ak, self._sk(app_id, 1))

    def rotate(self, app_id: str) -> NewApplication:
        """Give an application a new key and secret key; the old ones and their tokens end.

        Raises:
            NotFoundError: There is none, or it was revoked.
        """
        with self._store.writing() as connection:
            found = _application(_required(connection, app_id))
            if found.revoked:
                raise _no_application(app_id)
            api_key, generation = str(uuid.uuid4()), found.generation + 1
            connection.execute(
                update(application)
                .where(application.c.app_id == app_id)
                .values(generation=generation, changed_at=now(), **self._hashed(api_key))
            )
            _note(connection, "key.rotate", found.tenant, app_id, {"generation": generation})
        self._forget()
        return NewApplication(api_key, app_id, found.ak, self._sk(app_id, generation))

    def revoke(self, app_id: str) -> None:
        """Shut an application out; other processes follow within two seconds.

        Raises:
            NotFoundError: There is none.
        """
        with self._store.writing() as connection:
            found = _application(_required(connection, app_id))
            connection.execute(
                update(application)
                .where(application.c.app_id == app_id)
                .values(revoked=True, changed_at=now())
            )
            _note(connection, "key.revoke", found.tenant, app_id, {})
        self._forget()

    def list(self, tenant_name: str | None = None) -> list[Application]:
        """Applications in the order they were made."""
        query = select(application).order_by(application.c.created_at, application.c.app_id)
        if tenant_name is not None:
            query = query.where(application.c.tenant == tenant_name)
        with self._store.reading() as connection:
            return [_application(row) for row in connection.execute(query)]

    def events(self, tenant_name: str | None = None) -> Iterator[dict[str, object]]:
        """Who managed which keys, oldest first."""
        query = select(event).order_by(event.c.number)
        if tenant_name is not None:
            query = query.where(event.c.tenant == tenant_name)
        with self._store.reading() as connection:
            for row in connection.execute(query):
                found = dict(row._mapping)
                yield {**found, "detail": json.loads(found["detail"])}

    # -- using ----------------------------------------------------------------------------------

    def remembered(self, key: str) -> Application | None:
        """Whose key this is, when that was found out a moment ago; asks no database."""
        found = self._known.get(hashlib.sha256(key.encode()).digest())
        if found is None or found[0] < time.monotonic():
            return None
        return found[2]

    def by_api_key(self, key: str) -> Application | None:
        """Whose key this is; ``None`` for nobody's and for a revoked one.

        Compared in constant time. The slow hash is computed once per process and key; after that
        the stored one is compared with the one computed then.
        """
        remembered = self.remembered(key)
        if remembered is not None:
            return remembered
        name = hashlib.sha256(key.encode()).digest()
        with self._store.reading() as connection:
            row = connection.execute(
                select(application).where(application.c.lookup == self._lookup(key))
            ).first()
        if row is None or row.revoked:
            self._drop(name)
            return None
        known = self._known.get(name)
        computed = known[1] if known else None
        if computed is None or not hmac.compare_digest(computed, row.hash):
            computed = _scrypt(key, row.salt)
        if not hmac.compare_digest(computed, row.hash):
            self._drop(name)
            return None
        found = _application(row)
        with self._lock:
            self._known[name] = (time.monotonic() + _REMEMBER_S, computed, found)
            self._known.move_to_end(name)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found

    def by_ak(self, ak: str) -> Application | None:
        """Whose access key this is; ``None`` for nobody's and for a revoked application's."""
        return self._kept(f"ak:{ak}", application.c.ak == ak)

    def by_app_id(self, app_id: str) -> Application | None:
        """The application of this number; ``None`` when there is none or it is revoked."""
        return self._kept(f"id:{app_id}", application.c.app_id == app_id)

    def _kept(self, name: str, condition: Any) -> Application | None:
        known = self._by_ak.get(name)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        with self._store.reading() as connection:
            row = connection.execute(select(application).where(condition)).first()
        with self._lock:
            self._by_ak.pop(name, None)
            if row is None or row.revoked:
                return None
            found = _application(row)
            self._by_ak[name] = (time.monotonic() + _REMEMBER_S, found)
            while len(self._by_ak) > _REMEMBERED:
                self._by_ak.popitem(last=False)
        return found

    def sk_of(self, known: Application) -> str:
        """The secret key of an application: derived, never stored."""
        return self._sk(known.app_id, known.generation)

    # -- tenants --------------------------------------------------------------------------------

    def main_tenant(self) -> str | None:
        """Who owns the main gallery; ``None`` before the first application was made."""
        with self._store.reading() as connection:
            return connection.execute(select(tenant.c.name).where(tenant.c.main)).scalar()

    def tenant_slug(self, name: str) -> str | None:
        """What a tenant's gallery is called; ``None`` for the owner of the main gallery.

        Raises:
            NotFoundError: There is no such tenant.
        """
        with self._store.reading() as connection:
            row = connection.execute(select(tenant).where(tenant.c.name == name)).first()
        if row is None:
            raise NotFoundError(f"there is no tenant {name!r}")
        return None if row.main else str(row.slug)

    # -- within ---------------------------------------------------------------------------------

    def _sk(self, app_id: str, generation: int) -> str:
        return self._secrets.digest("secret-key", app_id, str(generation)).hex()[:32]

    def _lookup(self, key: str) -> str:
        return self._secrets.digest("api-key-lookup", key).hex()[:32]

    def _hashed(self, api_key: str) -> dict[str, Any]:
        salt = random.token_bytes(16)
        return {"lookup": self._lookup(api_key), "salt": salt, "hash": _scrypt(api_key, salt)}

    def _drop(self, name: bytes) -> None:
        with self._lock:
            self._known.pop(name, None)

    def _forget(self) -> None:
        with self._lock:
            self._known.clear()
            self._by_ak.clear()


def check_scopes(scopes: frozenset[str] | set[str]) -> frozenset[str]:
    """Scopes as they are kept: ``admin`` brings all.

    Raises:
        RangeError: One is unknown, or there are none.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise RangeError(
            f"scopes must be some of {', '.join(SCOPES)}, got {', '.join(unknown) or 'none'}",
            expected=list(SCOPES),
            actual=sorted(scopes),
        )
    return frozenset(SCOPES) if "admin" in scopes else frozenset(scopes)


def _check_tenant(name: str) -> None:
    if not _TENANT.fullmatch(name):
        raise RangeError(
            "a tenant's name must be 1 to 64 letters, digits, dots, dashes and underscores, got"
            f" {name[:80]!r}",
            actual=name[:80],
        )


def _scrypt(key: str, salt: bytes) -> bytes:
    return hashlib.scrypt(key.encode(), salt=salt, **_SCRYPT)


def _ensure_tenant(connection: Connection, name: str) -> None:
    if connection.execute(select(tenant.c.name).where(tenant.c.name == name)).first():
        return
    first = connection.execute(select(func.count()).select_from(tenant)).scalar_one() == 0
    connection.execute(
        insert(tenant).values(name=name, slug=slug_of(name), main=first, created_at=now())
    )
    _note(connection, "tenant.create", name, None, {"main": first})


def _free_app_id(connection: Connection) -> str:
    while True:
        app_id = str(10_000_000 + random.randbelow(90_000_000))
        query = select(application.c.app_id).where(application.c.app_id == app_id)
        if connection.execute(query).first() is None:
            return app_id


def _required(connection: Connection, app_id: str) -> Row[Any]:
    query = select(application).where(application.c.app_id == app_id)
    row = connection.execute(query).first()
    if row is None:
        raise _no_application(app_id)
    return row


def _no_application(app_id: str) -> NotFoundError:
    return NotFoundError(
        f"there is no application {app_id[:40]!r}", remedy="`vultus keys list` shows them"
    )


def _note(
    connection: Connection, action: str, tenant_name: str, app_id: str | None, detail: object
) -> None:
    connection.execute(
        insert(event).values(
            at=now(),
            actor=actor(),
            action=action,
            tenant=tenant_name,
            app_id=app_id,
            detail=json.dumps(detail),
        )
    )


def _application(row: Row[Any]) -> Application:
    return Application(
        app_id=row.app_id,
        tenant=row.tenant,
        name=row.name,
        scopes=frozenset(row.scopes.split(",")),
        ak=row.ak,
        revoked=bool(row.revoked),
        created_at=row.created_at,
        rate_per_s=row.rate_per_s,
        daily=row.daily,
        generation=row.generation,
    )
