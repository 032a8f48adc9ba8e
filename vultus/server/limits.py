"""How much a key may ask for: requests a second, and requests a day."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from vultus.server.errors import QuotaError, RateLimitError

__all__ = ["RateLimiter", "check_daily"]

_BURST_S = 1.0  # a key may use a second's worth at once
_REMEMBERED = 10_000


class RateLimiter:
    """A token bucket for each name.

    Args:
        clock: Tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, rate_per_s: float) -> None:
        """Take one.

        Raises:
            RateLimitError: There is none left; the field ``retry_after_s`` says when there is.
        """
        size = max(1.0, rate_per_s * _BURST_S)
        moment = self._clock()
        with self._lock:
            left, since = self._buckets.get(name, (size, moment))
            left = min(size, left + (moment - since) * rate_per_s)
            enough = left >= 1.0
            self._buckets[name] = (left - 1.0 if enough else left, moment)
            self._buckets.move_to_end(name)
            while len(self._buckets) > _REMEMBERED:
                self._buckets.popitem(last=False)
        if not enough:
            raise RateLimitError(
                f"at most {rate_per_s:g} requests a second may be made with this key",
                limit=rate_per_s,
                retry_after_s=round((1.0 - left) / rate_per_s, 3),
            )


def check_daily(allowed: bool, limit: int, seconds_left: float) -> None:
    """Refuse when the day's requests are used up.

    Raises:
        QuotaError: They are.
    """
    if not allowed:
        raise QuotaError(
            f"at most {limit} requests a day may be made with this key",
            limit=limit,
            retry_after_s=round(seconds_left),
        )
