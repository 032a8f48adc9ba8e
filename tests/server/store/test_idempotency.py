from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vultus.errors import RangeError
from vultus.server.errors import IdempotencyError
from vultus.server.places import Places
from vultus.server.secrets import Secrets
from vultus.server.store import open_store
from vultus.server.store.idempotency import Idempotency, Kept

ANSWER = Kept(201, "application/json", b'{"a": 1}', {"location": "/v1/x"})


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def known(gallery_path: Path, clock: list[float]) -> Iterator[Idempotency]:
    store = open_store(Places(str(gallery_path)), Secrets(b"s" * 32))
    yield Idempotency(store, 60, lambda: clock[0])
    store.close()


def test_the_second_time_gets_the_first_answer(known: Idempotency):
    assert known.begin("1", "k", "digest") is None
    known.keep("1", "k", ANSWER)
    assert known.begin("1", "k", "digest") == ANSWER
    assert known.begin("2", "k", "digest") is None  # another application's key


def test_a_key_stands_for_one_request(known: Idempotency):
    known.begin("1", "k", "digest")
    known.keep("1", "k", ANSWER)
    with pytest.raises(IdempotencyError, match="one request only"):
        known.begin("1", "k", "other")


def test_a_running_request_is_not_made_twice_unless_it_died(known: Idempotency, clock: list[float]):
    assert known.begin("1", "k", "digest") is None
    with pytest.raises(IdempotencyError, match="still running"):
        known.begin("1", "k", "digest")
    clock[0] += 61
    assert known.begin("1", "k", "digest") is None


def test_a_failed_one_may_be_tried_again(known: Idempotency):
    known.begin("1", "k", "digest")
    known.forget("1", "k")
    assert known.begin("1", "k", "other") is None


def test_a_day_later_it_is_forgotten(known: Idempotency, clock: list[float]):
    known.begin("1", "k", "digest")
    known.keep("1", "k", ANSWER)
    clock[0] += 86_401
    assert known.begin("1", "k", "other") is None


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_keys_have_a_length(known: Idempotency, key: str):
    with pytest.raises(RangeError, match="1 to 200 characters"):
        known.begin("1", key, "digest")
