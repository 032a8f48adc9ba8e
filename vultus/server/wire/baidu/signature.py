"""Signed requests: ``bce-auth-v1``, made again from what arrived and compared.

The signature covers method, path, query and the named headers, not the body. Whoever saw one may
send another body with it while it lasts; `SeenSignatures` keeps that time short.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from urllib.parse import parse_qsl, quote, urlencode

from sqlalchemy import Column, Float, Index, String, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from vultus.server.store import Store
from vultus.server.store.schema import metadata

__all__ = [
    "SeenSignatures",
    "Signed",
    "parse_authorization",
    "seen_signature",
    "sign",
    "signature_fits",
]

_VERSION = "bce-auth-v1"
_MAX_EXPIRE_S = 1800  # what every known client sends
_MAX_HEADERS = 16

seen_signature = Table(
    "seen_signature",
    metadata,
    Column("mark", String(64), primary_key=True),
    Column("first_s", Float, nullable=False),
    Index("seen_signature_first", "first_s"),
)


@dataclass(frozen=True, slots=True)
class Signed:
    """An ``Authorization`` header taken apart.

    Attributes:
        ak: Access key of whoever signed.
        timestamp: As it was signed, ``2018-04-01T08:00:00Z``.
        expire_s: How long the signature is to hold.
        headers: Names of the signed headers.
        signature: 64 hexadecimal digits.
    """

    ak: str
    timestamp: str
    expire_s: int
    headers: tuple[str, ...]
    signature: str

    @property
    def time_s(self) -> float | None:
        """The timestamp in seconds since 1970; ``None`` where it is none."""
        try:
            parsed = datetime.strptime(self.timestamp, "%Y-%m-%dT%H:%M:%SZ")
        except ValueError:
            return None
        return parsed.replace(tzinfo=UTC).timestamp()


def parse_authorization(header: str) -> Signed | None:
    """Take the header apart; ``None`` where it is none of this kind."""
    parts = header.strip().split("/")
    if len(parts) != 6 or parts[0] != _VERSION or not parts[3].isdecimal():
        return None
    names = tuple(name.strip().lower() for name in parts[4].split(";") if name.strip())
    if len(parts[3]) > 8 or len(names) > _MAX_HEADERS:
        return None
    return Signed(parts[1], parts[2], int(parts[3]), names, parts[5])


def sign(
    sk: str,
    signed: Signed,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
) -> str:
    """The signature a request should have.

    Args:
        sk: Secret key.
        signed: What the request says of its signature.
        method: In capitals.
        path: Decoded.
        query: As in the URL.
        headers: By names in small letters; a signed one that is absent counts as empty.
    """
    parameters = urlencode(parse_qsl(query, keep_blank_values=True))
    lines = sorted(
        f"{quote(name, safe='').lower()}:{quote(headers.get(name, '').strip(), safe='')}"
        for name in signed.headers
    )
    canonical = "\n".join(
        [method, quote(path), "&".join(sorted(parameters.split("&"))), "\n".join(lines)]
    )
    prefix = f"{_VERSION}/{signed.ak}/{signed.timestamp}/{signed.expire_s}"
    key = hmac.new(sk.encode(), prefix.encode(), hashlib.sha256).hexdigest()
    return hmac.new(key.encode(), canonical.encode(), hashlib.sha256).hexdigest()


def signature_fits(
    sk: str,
    signed: Signed,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    now_s: float,
) -> bool:
    """Whether a request was signed with `sk`, and not too long ago.

    ``host`` must be among the signed headers: what else is signed is the client's choice. The
    clocks may differ by as long as the signature is to hold, at most 30 minutes.
    """
    at = signed.time_s
    if at is None or abs(now_s - at) > min(signed.expire_s, _MAX_EXPIRE_S):
        return False
    if "host" not in signed.headers:
        return False
    expected = sign(sk, signed, method, path, query, headers)
    return hmac.compare_digest(expected.encode(), signed.signature.encode())


class SeenSignatures:
    """Refuses a signature some time after it was first used, at any process of the server.

    A client that makes several calls in one second signs them alike, for a timestamp has whole
    seconds: a signature that was seen cannot be refused at once. But such calls come close
    together, so one that comes later than `reuse_s` after the first is a replay.

    Args:
        store: The access data, which all processes share; ``None``: this object's memory only.
        reuse_s: How long a signature may be used again.
        most: How many are remembered in memory, to spare the database; beyond, the oldest go.
    """

    def __init__(
        self, store: Store | None = None, reuse_s: float = 10.0, most: int = 10_000
    ) -> None:
        self._store, self._reuse_s, self._most = store, reuse_s, most
        self._first: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()
        if store is not None:
            store.ensure(seen_signature)

    def admit(self, signature: str, now_s: float) -> bool:
        """Whether a signature that fits may be used now; asks the database when it is new here."""
        mark = hashlib.sha256(signature.encode()).hexdigest()
        with self._lock:
            first = self._first.get(mark)
        if first is None:
            first = self._noted(mark, now_s)
            with self._lock:
                self._first[mark] = first
                while len(self._first) > self._most:
                    self._first.popitem(last=False)
        return now_s - first <= self._reuse_s

    def _noted(self, mark: str, now_s: float) -> float:
        """When a signature was first used, which is now where nobody knows of it."""
        if self._store is None:
            return now_s
        with self._store.writing() as connection:
            # Beyond twice the longest life it cannot fit any more, whatever the clocks say.
            over = now_s - 2 * _MAX_EXPIRE_S
            connection.execute(delete(seen_signature).where(seen_signature.c.first_s < over))
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            new = dialect.insert(seen_signature).values(mark=mark, first_s=now_s)
            connection.execute(new.on_conflict_do_nothing(index_elements=["mark"]))
            query = select(seen_signature.c.first_s).where(seen_signature.c.mark == mark)
            return float(connection.execute(query).scalar_one())
