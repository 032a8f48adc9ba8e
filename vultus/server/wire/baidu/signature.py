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

__all__ = ["SeenSignatures", "Signed", "parse_authorization", "sign", "signature_fits"]

_VERSION = "bce-auth-v1"
_MAX_EXPIRE_S = 1800  # what every known client sends
_MAX_HEADERS = 16


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
    """The signature a request should have; contract: transport, section 5.

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
    """Refuses a signature some time after it was first used.

    A client that makes several calls in one second signs them alike, for a timestamp has whole
    seconds: a signature that was seen cannot be refused at once. But such calls come close
    together, so one that comes later than `reuse_s` after the first is a replay.

    Each process remembers what it saw itself.

    Args:
        reuse_s: How long a signature may be used again.
        most: How many are remembered; beyond, the oldest are forgotten.
    """

    def __init__(self, reuse_s: float = 10.0, most: int = 100_000) -> None:
        self._reuse_s, self._most = reuse_s, most
        self._first: OrderedDict[bytes, float] = OrderedDict()
        self._lock = Lock()

    def admit(self, signature: str, now_s: float) -> bool:
        """Whether a signature that fits may be used now."""
        key = hashlib.sha256(signature.encode()).digest()[:16]
        with self._lock:
            while self._first:
                oldest, first_s = next(iter(self._first.items()))
                # Beyond twice the longest life it cannot fit any more, whatever the clocks say.
                if len(self._first) < self._most and now_s - first_s <= 2 * _MAX_EXPIRE_S:
                    break
                del self._first[oldest]
            first = self._first.setdefault(key, now_s)
        return now_s - first <= self._reuse_s
