"""The audit log: who changed what and when, as a chain of hashes that tells nobody apart.

The log outlives the people it is about. So it names a person only by a salted HMAC of their id:
who knows the id can find the entries, the entries do not give the id away, and once the gallery
is deleted, salt and all, nothing can be found at all.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache

from vultus.gallery._rules import clean_name
from vultus.gallery.values import AuditEntry, Finding

__all__ = [
    "CHAIN_START",
    "acting_as",
    "actor",
    "entry_hash",
    "now",
    "ranges",
    "subject_of",
    "verify_chain",
]

CHAIN_START = ""
"""What stands for the hash of the entry before the first."""

_SALT_BYTES = 32  # as long as the digest (RFC 2104, section 3)
_RANGES_SHOWN = 64  # keeps an entry about a huge batch small

_actor: ContextVar[str | None] = ContextVar("vultus_gallery_actor", default=None)


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Sign changes within the block with `name`, ``cli:anna`` say; a context variable carries it.

    Raises:
        RangeError: Empty, over 256 bytes, or with control characters.
    """
    token = _actor.set(clean_name(name, "an actor's name"))
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> str:
    """Who acts now: what `acting_as` says, or ``user:`` and the name of the system's user."""
    return _actor.get() or _system_user()


@lru_cache(maxsize=1)
def _system_user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        name = "unknown"
    return f"user:{name}"


def now() -> str:
    """The moment as galleries write it: UTC, ISO 8601 with milliseconds and ``Z``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def subject_of(salt: bytes, person: str) -> str:
    """What stands for a person in the log: HMAC-SHA256 (RFC 2104) of their id, 64 hex digits."""
    return hmac.digest(salt, person.encode("utf-8"), "sha256").hex()


def ranges(numbers: Iterable[int]) -> str:
    """Ascending sample numbers as text: ``3-5,9``; of very many runs only the first ones."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        elif len(runs) == _RANGES_SHOWN:
            return ",".join([*map(_run, runs), "…"])
        else:
            runs.append([number, number])
    return ",".join(map(_run, runs))


def _run(run: list[int]) -> str:
    first, last = run
    return str(first) if first == last else f"{first}-{last}"


def canonical(detail: Mapping[str, object]) -> str:
    """JSON that is the same for equal values: keys sorted, no spaces, ASCII."""
    return json.dumps(detail, sort_keys=True, separators=(",", ":"), allow_nan=False)


def entry_hash(
    previous: str,
    number: int,
    at: str,
    actor: str,
    action: str,
    subject: str | None,
    detail: Mapping[str, object],
) -> str:
    """SHA-256 over the canonical JSON of an entry and the hash before it, 64 hex digits."""
    whole = {
        "number": number,
        "at": at,
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": detail,
        "previous": previous,
    }
    return hashlib.sha256(canonical(whole).encode("ascii")).hexdigest()


def verify_chain(entries: Iterable[AuditEntry], *, previous: str = CHAIN_START) -> list[Finding]:
    """Whether every entry is as it was written and none is missing in between.

    The chain shows that an entry was changed, exchanged or taken out. Whoever can write the store
    can write a whole new chain: keep the newest hash elsewhere to notice that.

    Args:
        entries: From the first one on, or from the one after `previous`.
        previous: Hash of the entry before.
    """
    number: int | None = None
    for entry in entries:
        expected = 1 if previous == CHAIN_START else entry.number
        expected = expected if number is None else number + 1
        if entry.number != expected:
            return [
                Finding("audit", f"audit entry {expected} must follow, entry {entry.number} does")
            ]
        found = entry_hash(
            previous,
            entry.number,
            entry.at,
            entry.actor,
            entry.action,
            entry.subject,
            entry.detail,
        )
        if not hmac.compare_digest(found, entry.hash):
            return [Finding("audit", f"audit entry {entry.number} is not as it was written")]
        previous, number = entry.hash, entry.number
    return []
