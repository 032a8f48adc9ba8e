from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vultus.server.places import Places
from vultus.server.secrets import Secrets
from vultus.server.store import Store, open_store
from vultus.server.store.quotas import DAY_S, Quotas


@pytest.fixture
def store(gallery_path: Path) -> Iterator[Store]:
    made = open_store(Places(str(gallery_path)), Secrets(b"s" * 32))
    yield made
    made.close()


def test_exactly_so_many_are_let_through(store: Store):
    quotas = Quotas(store, lambda: 5 * DAY_S)
    assert [quotas.take("a", 3) for _ in range(5)] == [True, True, True, False, False]
    assert quotas.take("b", 1)
    assert quotas.used("a") == 3


def test_processes_share_a_quota(store: Store):
    one, other = (Quotas(store, lambda: 5 * DAY_S) for _ in range(2))
    taken = [q.take("a", 1000) for _ in range(600) for q in (one, other)]
    assert sum(taken) == 1000


def test_what_is_in_hand_needs_no_database(store: Store):
    quotas = Quotas(store, lambda: 5 * DAY_S)
    assert not quotas.take_held("a")
    assert quotas.take("a", 1000)  # takes a hundredth of what is left
    assert quotas.used("a") == 10
    assert [quotas.take_held("a") for _ in range(10)] == [True] * 9 + [False]


def test_a_new_day_begins_anew(store: Store):
    clock = [5.0 * DAY_S]
    quotas = Quotas(store, lambda: clock[0])
    assert [quotas.take("a", 1), quotas.take("a", 1)] == [True, False]
    clock[0] += DAY_S - 10
    assert not quotas.take("a", 1)
    assert quotas.seconds_left() == 10
    clock[0] += 10
    assert quotas.take("a", 1)


def test_what_was_not_used_is_given_back(store: Store):
    quotas = Quotas(store, lambda: 5 * DAY_S)
    quotas.take("a", 1000)
    quotas.give_back()
    assert quotas.used("a") == 1
    assert not quotas.take_held("a")
