"""Requests a day, counted together by all processes without a write for each request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy import Connection, delete, insert, select, update

from vultus.server.store.database import Store
from vultus.server.store.schema import usage

__all__ = ["DAY_S", "Quotas"]

DAY_S = 86_400
_SHARE = 100  # a process takes a hundredth of what is left at once,
_MOST_AT_ONCE = 256  # and no more than this
_KEPT_DAYS = 3


class Quotas:
    """How often each application was used today (UTC).

    Never more than the quota is let through, whatever number of processes count. A process that
    dies takes with it what it had taken from the quota and not used, a hundredth at most.

    Args:
        store: The access data.
        clock: Tells Unix time.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, tuple[int, int]] = {}  # application -> day, requests in hand

    def seconds_left(self) -> float:
        """Until the next day begins."""
        return DAY_S - self._clock() % DAY_S

    def take_held(self, app_id: str) -> bool:
        """Take a request from what this process has in hand; asks no database."""
        day = int(self._clock() // DAY_S)
        with self._lock:
            held_day, left = self._held.get(app_id, (day, 0))
            if held_day != day or left < 1:
                return False
            self._held[app_id] = (day, left - 1)
            return True

    def take(self, app_id: str, limit: int) -> bool:
        """Take a request; ``False`` when the day's are used up."""
        if self.take_held(app_id):
            return True
        day = int(self._clock() // DAY_S)
        with self._store.writing(alone=True) as connection:
            taken = _taken(connection, app_id, day)
            share = min(_MOST_AT_ONCE, max(1, (limit - taken) // _SHARE), limit - taken)
            if share < 1:
                return False
            _put(connection, app_id, day, taken + share, new=taken == 0)
        with self._lock:
            held_day, left = self._held.get(app_id, (day, 0))
            self._held[app_id] = (day, (left if held_day == day else 0) + share - 1)
        return True

    def used(self, app_id: str) -> int:
        """Requests of today that were let through, or are in some process's hand."""
        with self._store.reading() as connection:
            return _taken(connection, app_id, int(self._clock() // DAY_S))

    def give_back(self) -> None:
        """Put what is in hand back, at the end of the process."""
        day = int(self._clock() // DAY_S)
        with self._lock:
            held, self._held = self._held, {}
        back = {app_id: left for app_id, (d, left) in held.items() if d == day and left}
        if not back:
            return
        with self._store.writing(alone=True) as connection:
            for app_id, left in back.items():
                taken = _taken(connection, app_id, day)
                _put(connection, app_id, day, max(0, taken - left), new=False)


def _span(day: int) -> str:
    return f"day:{day}"


def _taken(connection: Connection, app_id: str, day: int) -> int:
    query = select(usage.c.taken).where(usage.c.app_id == app_id, usage.c.span == _span(day))
    return int(connection.execute(query).scalar() or 0)


def _put(connection: Connection, app_id: str, day: int, taken: int, *, new: bool) -> None:
    where = (usage.c.app_id == app_id, usage.c.span == _span(day))
    changed = connection.execute(update(usage).where(*where).values(taken=taken)).rowcount
    if not changed and new:
        connection.execute(insert(usage).values(app_id=app_id, span=_span(day), taken=taken))
        old = [_span(d) for d in range(day - 400, day - _KEPT_DAYS)]
        connection.execute(delete(usage).where(usage.c.app_id == app_id, usage.c.span.in_(old)))
