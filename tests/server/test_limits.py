from __future__ import annotations

import pytest

from vultus.server.errors import QuotaError, RateLimitError
from vultus.server.limits import RateLimiter, check_daily


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_second_worth_may_come_at_once_and_then_the_rate_holds():
    clock = Clock()
    limiter = RateLimiter(clock)
    for _ in range(4):
        limiter.take("a", 4.0)
    with pytest.raises(RateLimitError) as caught:
        limiter.take("a", 4.0)
    assert caught.value.fields == {"limit": 4.0, "retry_after_s": 0.25}
    limiter.take("b", 4.0)  # somebody else's bucket
    clock.now += 0.25
    limiter.take("a", 4.0)
    with pytest.raises(RateLimitError):
        limiter.take("a", 4.0)


def test_a_rate_below_one_lets_one_through():
    clock = Clock()
    limiter = RateLimiter(clock)
    limiter.take("a", 0.1)
    clock.now += 9.9
    with pytest.raises(RateLimitError):
        limiter.take("a", 0.1)
    clock.now += 0.2
    limiter.take("a", 0.1)


def test_a_bucket_never_holds_more_than_a_second():
    clock = Clock()
    limiter = RateLimiter(clock)
    limiter.take("a", 2.0)
    clock.now += 1000
    limiter.take("a", 2.0)
    limiter.take("a", 2.0)
    with pytest.raises(RateLimitError):
        limiter.take("a", 2.0)


def test_a_used_up_day_says_when_the_next_begins():
    check_daily(True, 5, 10.0)
    with pytest.raises(QuotaError, match="at most 5 requests a day") as caught:
        check_daily(False, 5, 3599.6)
    assert caught.value.fields["retry_after_s"] == 3600
