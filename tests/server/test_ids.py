from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.server.ids import SampleIds
from vultus.server.secrets import Secrets

IDS = SampleIds(Secrets(b"s" * 32), "acme")


@given(st.integers(0, 2**63 - 1))
def test_every_number_comes_back_from_its_uuid(number: int):
    text = IDS.to_uuid(number)
    made = uuid.UUID(text)
    assert (made.version, made.variant) == (4, uuid.RFC_4122)
    assert IDS.number(text) == number
    assert IDS.number(text.upper()) == number


@given(st.integers(0, 2**63 - 1), st.integers(0, 127))
def test_a_changed_bit_makes_it_nobodys(number: int, bit: int):
    forged = uuid.UUID(int=uuid.UUID(IDS.to_uuid(number)).int ^ (1 << bit))
    assert IDS.number(str(forged)) is None


def test_another_tenants_and_another_servers_are_nobodys():
    text = IDS.to_uuid(7)
    assert SampleIds(Secrets(b"s" * 32), "other").number(text) is None
    assert SampleIds(Secrets(b"t" * 32), "acme").number(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "../7",
        "45719f00-601c-4a7a-abe6-e160c15fe24f",
        "aa1e6228-e66e-11f1-a01a-02fc00000001",
        "{" + IDS.to_uuid(7) + "}",
        "é" * 36,
    ],
)
def test_what_is_none_of_ours_is_nobodys(text: str):
    assert IDS.number(text) is None


def test_neighbours_look_nothing_alike():
    first, second = (uuid.UUID(IDS.to_uuid(n)).int for n in (1, 2))
    assert 30 < (first ^ second).bit_count() < 92  # of 122 free bits
