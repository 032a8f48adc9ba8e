"""Answers to writes, kept for a day: a repeated request gets the first one's answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import delete, insert, select, update

from vultus.errors import RangeError
from vultus.server.errors import IdempotencyError
from vultus.server.store.database import Store
from vultus.server.store.schema import idempotency

__all__ = ["Idempotency", "Kept"]

_KEPT_S = 86_400.0
_LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given.

    Attributes:
        status: HTTP status.
        media_type: Of the body.
        body: As it was sent.
        headers: Others that belong to it (``Location``, ``ETag``).
    """

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Idempotency:
    """Which writes were made under which key of the client's.

    Args:
        store: The access data.
        running_s: After this long a request that never ended is taken for dead.
        clock: Tells Unix time.
    """

    def __init__(
        self, store: Store, running_s: float = 120.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._running_s = running_s
        self._clock = clock

    def begin(self, app_id: str, key: str, request: str) -> Kept | None:
        """Ask before a write.

        Args:
            app_id: Whose key it is.
            key: The client's ``Idempotency-Key``, 1 to 200 characters.
            request: Digest of method, path and body: the same key may not stand for another.

        Returns:
            The answer of the first time; ``None`` when this is it: then `keep` or `forget`.

        Raises:
            IdempotencyError: The key stood for another request, or its request is still running.
            RangeError: The key is empty or too long.
        """
        if not 1 <= len(key) <= _LONGEST_KEY:
            raise RangeError(f"an idempotency key must have 1 to {_LONGEST_KEY} characters")
        moment = self._clock()
        where = (idempotency.c.app_id == app_id, idempotency.c.key == key)
        with self._store.writing(alone=True) as connection:
            old = idempotency.c.at_s < moment - _KEPT_S
            connection.execute(delete(idempotency).where(old))
            row = connection.execute(select(idempotency).where(*where)).first()
            if row is None:
                connection.execute(
                    insert(idempotency).values(app_id=app_id, key=key, request=request, at_s=moment)
                )
                return None
            if row.request != request:
                raise IdempotencyError("an idempotency key must stand for one request only")
            if row.status is None:
                if row.at_s > moment - self._running_s:
                    raise IdempotencyError(
                        "a request with this idempotency key is still running",
                        remedy="wait for its answer, or repeat this in a moment",
                    )
                connection.execute(update(idempotency).where(*where).values(at_s=moment))
                return None
        headers = json.loads(row.headers or "{}")
        return Kept(row.status, row.media_type, bytes(row.body), headers)

    def keep(self, app_id: str, key: str, answer: Kept) -> None:
        """Keep the answer of a write that was made."""
        with self._store.writing() as connection:
            connection.execute(
                update(idempotency)
                .where(idempotency.c.app_id == app_id, idempotency.c.key == key)
                .values(
                    status=answer.status,
                    media_type=answer.media_type,
                    body=answer.body,
                    headers=json.dumps(dict(answer.headers)),
                )
            )

    def forget(self, app_id: str, key: str) -> None:
        """Forget a write that failed, so that it can be tried again."""
        with self._store.writing() as connection:
            connection.execute(
                delete(idempotency).where(idempotency.c.app_id == app_id, idempotency.c.key == key)
            )
