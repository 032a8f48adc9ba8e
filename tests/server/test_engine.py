from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from vultus.server.engine import Engine
from vultus.server.errors import BusyError, JobTimeoutError, NotReadyError
from vultus.server.metrics import Metrics

WHO: ContextVar[str] = ContextVar("who", default="nobody")


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine(2, 3, Metrics())
    yield made
    made.close(5)


def test_a_call_gives_its_value_on_another_thread_in_its_callers_context(engine: Engine):
    async def ask() -> tuple[str, bool]:
        WHO.set("anna")
        here = threading.get_ident()
        return await engine.run(lambda: (WHO.get(), threading.get_ident() != here), 5)

    assert asyncio.run(ask()) == ("anna", True)


def test_a_calls_error_is_its_callers(engine: Engine):
    def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        asyncio.run(engine.run(fails, 5))
    assert asyncio.run(engine.run(lambda: 1, 5)) == 1


def test_a_timeout_of_the_calls_own_is_not_ours(engine: Engine):
    def fails() -> None:
        raise TimeoutError("own")

    with pytest.raises(TimeoutError, match="own"):
        asyncio.run(engine.run(fails, 5))


def test_a_full_queue_refuses_at_once_and_finishes_what_it_took(engine: Engine):
    go = threading.Event()

    def wait() -> str:
        assert go.wait(10)
        return "done"

    async def flood() -> tuple[list[str], float, BusyError]:
        taken = [asyncio.create_task(engine.run(wait, 10)) for _ in range(2 + 3)]
        while engine.waiting > 3:  # until both threads have one
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        began = time.perf_counter()
        with pytest.raises(BusyError) as caught:
            await engine.run(wait, 10)
        took = time.perf_counter() - began
        go.set()
        return await asyncio.gather(*taken), took, caught.value

    answers, took, error = asyncio.run(flood())
    assert answers == ["done"] * 5
    assert took < 0.1
    assert float(str(error.fields["retry_after_s"])) > 0
    assert engine.waiting == 0


def test_what_takes_too_long_is_given_up_and_what_waits_behind_it_is_not_begun(engine: Engine):
    go, begun = threading.Event(), []

    def wait() -> None:
        go.wait(10)

    async def ask() -> None:
        slow = [asyncio.create_task(engine.run(wait, 5)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(JobTimeoutError, match=r"within 0\.05 s"):
            await engine.run(lambda: begun.append(1), 0.05)
        go.set()
        await asyncio.gather(*slow)
        await engine.run(lambda: None, 5)

    asyncio.run(ask())
    assert begun == []


def test_closing_finishes_what_was_taken_and_takes_no_more():
    engine = Engine(1, 3, Metrics())
    done: list[int] = []

    async def ask() -> None:
        tasks = [
            asyncio.create_task(engine.run(lambda i=i: (time.sleep(0.05), done.append(i)), 5))
            for i in range(3)
        ]
        await asyncio.sleep(0.02)
        assert await asyncio.to_thread(engine.close, 5)
        with pytest.raises(NotReadyError):
            await engine.run(lambda: None, 5)
        await asyncio.gather(*tasks)

    asyncio.run(ask())
    assert done == [0, 1, 2]


def test_queue_and_waiting_are_counted(engine: Engine):
    metrics = Metrics()
    own = Engine(1, 2, metrics)
    asyncio.run(own.run(lambda: None, 5))
    own.close(5)
    page = metrics.page().decode()
    assert 'vultus_stage_seconds_count{stage="queue"} 1.0' in page
    assert "vultus_queue_depth 0.0" in page
