from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from vultus.server.places import Places
from vultus.server.secrets import Secrets
from vultus.server.store import Store, open_store
from vultus.server.wire.baidu.signature import (
    SeenSignatures,
    Signed,
    parse_authorization,
    seen_signature,
    sign,
    signature_fits,
)

SK = "0123456789abcdef0123456789abcdef"
AT = "2018-04-01T08:00:00Z"
AT_S = datetime(2018, 4, 1, 8, tzinfo=UTC).timestamp()
PATH = "/rest/2.0/face/v2/detect"
QUERY = "aipVersion=2_2_2&aipSdk=python"
HEADERS = {"host": "aip.baidubce.com", "x-bce-date": AT}


def header(signature: str = "0" * 64, expire: str = "1800", names: str = "host;x-bce-date") -> str:
    return f"bce-auth-v1/ak/{AT}/{expire}/{names}/{signature}"


def fits(
    path: str = PATH, query: str = QUERY, now_s: float = AT_S, method: str = "POST", **changed: str
) -> bool:
    """Whether a request signed as `PATH` with `QUERY` fits one that arrived as told."""
    blank = parse_authorization(header())
    assert blank is not None
    signature = sign(SK, blank, "POST", PATH, QUERY, HEADERS)
    signed = parse_authorization(header(signature))
    assert signed is not None
    return signature_fits(SK, signed, method, path, query, {**HEADERS, **changed}, now_s)


def test_a_signature_as_the_client_makes_it():
    # Made by baidu-aip 2.2.2.0's `_getAuthHeaders` for these very values; see
    # test_sdk_v2.py for whole requests.
    signed = Signed("ak", AT, 1800, ("host", "x-bce-date"), "")
    assert sign(SK, signed, "POST", PATH, QUERY, HEADERS) == GOLDEN


GOLDEN = "bbda0633eab4107a878739ca06adb3328ac9ef8812f51faa7087feb96031ddce"


def test_order_of_parameters_and_names_does_not_matter():
    assert fits()
    assert fits(query="aipSdk=python&aipVersion=2_2_2")


def test_another_request_does_not_fit():
    assert not fits(path="/rest/2.0/face/v2/faceset/user/delete")
    assert not fits(query="aipSdk=python")
    assert not fits(query=QUERY + "&uid=x")
    assert not fits(method="GET")
    assert not fits(host="127.0.0.1")


@pytest.mark.parametrize(
    ("shift_s", "expected"), [(-1801, False), (-1800, True), (1800, True), (1801, False)]
)
def test_clocks_may_differ_by_half_an_hour(shift_s: float, expected: bool):
    assert fits(now_s=AT_S + shift_s) is expected


def test_a_longer_life_is_not_granted():
    signed = Signed("ak", AT, 86400, ("host", "x-bce-date"), "")
    whole = Signed("ak", AT, 86400, signed.headers, sign(SK, signed, "POST", PATH, QUERY, HEADERS))
    assert signature_fits(SK, whole, "POST", PATH, QUERY, HEADERS, AT_S + 1799)
    assert not signature_fits(SK, whole, "POST", PATH, QUERY, HEADERS, AT_S + 1801)


def test_the_host_must_be_signed():
    bare = Signed("ak", AT, 1800, ("x-bce-date",), "")
    whole = Signed("ak", AT, 1800, bare.headers, sign(SK, bare, "POST", PATH, QUERY, HEADERS))
    assert not signature_fits(SK, whole, "POST", PATH, QUERY, HEADERS, AT_S)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer x",
        "bce-auth-v2/ak/t/1800/host/s",
        "bce-auth-v1/ak/t/x/host/s",
        "bce-auth-v1/ak/t/1800/host",
        "bce-auth-v1/ak/t/999999999/host/s",
        f"bce-auth-v1/ak/{AT}/1800/{';'.join('abcdefghijklmnopqrstuvwxyz')}/s",
    ],
)
def test_other_headers_are_none(text: str):
    assert parse_authorization(text) is None


def test_a_timestamp_that_is_none():
    signed = parse_authorization("bce-auth-v1/ak/yesterday/1800/host/s")
    assert signed is not None
    assert signed.time_s is None
    assert not signature_fits(SK, signed, "POST", PATH, QUERY, HEADERS, AT_S)


@pytest.fixture(params=["sqlite", "postgres"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    source = str(tmp_path / "people.vultus")
    if request.param == "postgres":
        source = request.getfixturevalue("postgres_source")
    opened = open_store(Places(source), Secrets(b"0123456789abcdef0123456789abcdef"))
    yield opened
    opened.close()


def test_a_signature_may_be_used_again_for_ten_seconds(store: Store):
    seen = SeenSignatures(store)
    assert seen.admit("a", 100.0)
    assert seen.admit("a", 100.0)  # calls of one second are signed alike
    assert seen.admit("a", 110.0)
    assert not seen.admit("a", 110.1)
    assert not seen.admit("a", 1900.0)
    assert seen.admit("b", 1900.0)


def test_processes_tell_one_another(store: Store):
    first, second = SeenSignatures(store), SeenSignatures(store)
    assert first.admit("a", 100.0)
    assert second.admit("a", 105.0)
    assert not second.admit("a", 111.0)
    assert not SeenSignatures(store).admit("a", 111.0)


def test_what_memory_forgets_the_database_knows(store: Store):
    seen = SeenSignatures(store, most=1)
    assert seen.admit("a", 0.0)
    assert seen.admit("b", 1.0)
    assert not seen.admit("a", 60.0)


def test_what_cannot_fit_any_more_is_forgotten(store: Store):
    SeenSignatures(store).admit("a", 0.0)
    seen = SeenSignatures(store)
    seen.admit("b", 3601.0)
    with store.reading() as connection:
        marks = connection.execute(select(seen_signature.c.first_s)).scalars().all()
    assert marks == [3601.0]
