"""The log's chain of hashes, and what it says of nobody."""

import hashlib
import hmac
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.gallery import AuditEntry, Finding, acting_as, verify_chain
from vultus.gallery.audit import actor, entry_hash, now, ranges, subject_of


def chain(length: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number in range(1, length + 1):
        fields = (number, "2026-01-01T00:00:00.000Z", "me", "sample.add", None, {"count": number})
        previous = entries[-1].hash if entries else ""
        entries.append(AuditEntry(*fields, entry_hash(previous, *fields)))
    return entries


def test_a_hash_by_hand() -> None:
    found = entry_hash("ab", 2, "t", "ä", "x", None, {"b": 1, "a": [1, "ü"]})
    text = (
        '{"action":"x","actor":"\\u00e4","at":"t","detail":{"a":[1,"\\u00fc"],"b":1},'
        '"number":2,"previous":"ab","subject":null}'
    )
    assert found == hashlib.sha256(text.encode()).hexdigest()
    assert json.loads(text)["detail"]["a"] == [1, "ü"]


def test_a_subject_by_hand() -> None:
    salt = bytes(range(32))
    expected = hmac.new(salt, "Zoë".encode(), hashlib.sha256).hexdigest()
    assert subject_of(salt, "Zoë") == expected
    assert subject_of(bytes(32), "Zoë") != expected


def test_a_sound_chain() -> None:
    assert verify_chain([]) == []
    assert verify_chain(chain(5)) == []
    entries = chain(5)
    assert verify_chain(entries[2:], previous=entries[1].hash) == []


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2026-01-01T00:00:00.001Z"},
        {"actor": "you"},
        {"action": "sample.remove"},
        {"subject": "0" * 64},
        {"detail": {"count": 4}},
        {"hash": "0" * 64},
    ],
)
def test_a_changed_entry(change: dict[str, object]) -> None:
    entries = chain(5)
    entries[2] = replace(entries[2], **change)  # type: ignore[arg-type]
    assert verify_chain(entries) == [Finding("audit", "audit entry 3 is not as it was written")]


def test_an_entry_taken_out_or_exchanged() -> None:
    entries = chain(5)
    (finding,) = verify_chain(entries[:2] + entries[3:])
    assert finding.message == "audit entry 3 must follow, entry 4 does"
    (finding,) = verify_chain(entries[1:])
    assert finding.message == "audit entry 1 must follow, entry 2 does"
    (finding,) = verify_chain([entries[1], entries[0], *entries[2:]])
    assert finding.code == "audit"
    assert verify_chain(entries[2:], previous=entries[0].hash) != []


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([7], "7"),
        ([1, 2, 3], "1-3"),
        ([1, 3, 4, 9], "1,3-4,9"),
        (range(1, 200, 2), ",".join(map(str, range(1, 128, 2))) + ",…"),
        ([*range(1, 128, 2), 128], ",".join(map(str, range(1, 126, 2))) + ",127-128"),
    ],
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text


@given(st.sets(st.integers(1, 300), max_size=60))
def test_ranges_tell_every_number(numbers: set[int]) -> None:
    told: list[int] = []
    for run in filter(None, ranges(sorted(numbers)).split(",")):
        first, _, last = run.partition("-")
        told += range(int(first), int(last or first) + 1)
    assert told == sorted(numbers)


def test_the_moment() -> None:
    assert len(now()) == len("2026-01-01T00:00:00.000Z")
    assert now() <= now()


def test_an_actor_is_carried_by_the_context() -> None:
    assert actor().startswith("user:")
    with acting_as(" api:1 "):
        assert actor() == "api:1"
    assert actor().startswith("user:")
