"""Keys, tokens and signatures that are forged, old or used twice."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import Any

import httpx

from vultus.server.secrets import Secrets
from vultus.server.store import Tokens
from vultus.server.wire.baidu.signature import SeenSignatures, parse_authorization, sign

V3 = "/rest/2.0/face/v3/"
SOON_S = 10.0
"""However hostile, an answer comes within this time, also on a busy machine."""


def _bearer(one: Any, key: str) -> Any:
    return one.told("GET", "/v1/people", headers={b"authorization": f"Bearer {key}".encode()})


def test_forged_keys(place: Any, one: Any) -> None:
    good = one.keys.api_key
    for key in (
        str(uuid.uuid4()),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.upper(),
        good + "\0",
        one.keys.sk,
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "' OR '1'='1",
        "x" * 10_000,
    ):
        with contextlib.suppress(httpx.LocalProtocolError):  # what no client can send
            assert _bearer(one, key).native == (401, "unauthorised")
    assert one.told("GET", "/v1/people").failed == (401, "unauthorised")
    assert one.told("GET", "/v1/people", params={"access_token": one.token}).status == 401
    assert one.told("GET", "/v1/people", headers={"authorization": "Basic eDp5"}).status == 401
    answer = one.told("GET", "/api/v1/recognition/subjects", headers={"x-api-key": one.keys.sk})
    assert answer.failed == (400, 26)


def _with_token(one: Any, token: str) -> Any:
    return one.told("POST", f"{V3}faceset/group/getlist", params={"access_token": token})


def test_forged_and_expired_tokens(place: Any, one: Any, two: Any) -> None:
    known = place.keys.by_ak(one.keys.ak)
    assert known is not None
    assert _with_token(one, one.token).code is None
    head, mark, lifetime, expiry, app_id = one.token.split(".")
    forged = [
        f"{head}.{mark}.{lifetime}.{int(expiry) + 1}.{app_id}",
        f"{head}.{mark}.{int(lifetime) * 2}.{expiry}.{app_id}",
        f"{head}.{mark}.{lifetime}.{expiry}.{two.keys.app_id}",
        f"{head}.{'0' * 32}.{lifetime}.{expiry}.{app_id}",
        Tokens(place.keys, Secrets(b"another server's secret" * 2)).issue(known),
        one.token + "0",
        one.token.upper() + " ",
        "24.x",
        "' OR 1=1 --",
        "x" * 5000,
        one.keys.api_key,
    ]
    for token in forged:
        answer = _with_token(one, token)
        assert answer.failed == (200, 110)
        assert set(answer.body) == {"error_code", "error_msg"}
    old = place.tokens.issue(known, now_s=time.time() - 31 * 86_400)
    assert _with_token(one, old).failed == (200, 111)
    assert one.told("POST", f"{V3}faceset/group/getlist").failed == (200, 100)


def test_a_token_ends_with_the_key_it_was_made_for(place: Any, one: Any) -> None:
    made = place.keys.create("one", {"read"})
    tenant = type(one)(one.http, made, "one")
    assert tenant.v3("faceset/group/getlist").code is None
    place.keys.revoke(made.app_id)
    deadline = time.monotonic() + SOON_S
    while (code := tenant.v3("faceset/group/getlist").code) is None:
        assert time.monotonic() < deadline  # other processes follow within two seconds
        time.sleep(0.1)
    assert code == 110
    assert tenant.native("GET", "people").native == (401, "unauthorised")


def test_wrong_credentials_for_a_token(one: Any) -> None:
    for ak, sk in ((one.keys.ak, "0" * 32), ("0" * 32, one.keys.sk), ("", ""), ("' OR 1=1", "x")):
        query = {"grant_type": "client_credentials", "client_id": ak, "client_secret": sk}
        answer = one.told("POST", "/oauth/2.0/token", data=query)
        assert answer.body["error"] == "invalid_client"
        assert "access_token" not in answer.body


def _signed(one: Any, path: str, at_s: float, ak: str, sk: str, query: str = "") -> dict[str, str]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
    header = f"bce-auth-v1/{ak}/{stamp}/1800/host;x-bce-date/"
    parts = parse_authorization(header + "0" * 64)
    assert parts is not None
    headers = {"host": one.http.base_url.host, "x-bce-date": stamp}
    return {**headers, "authorization": header + sign(sk, parts, "POST", path, query, headers)}


def test_replayed_and_forged_signatures(one: Any, two: Any) -> None:
    path, other = f"{V3}faceset/group/getlist", f"{V3}faceset/group/getusers"
    ak, sk, moment = one.keys.ak, one.keys.sk, time.time()

    def ask(address: str, headers: dict[str, str], **options: Any) -> object:
        return one.told("POST", address, headers=headers, json={}, **options).code

    good = _signed(one, path, moment, ak, sk)
    assert ask(path, good) is None
    assert ask(other, good) == 14  # for another method
    assert ask(path, good, params={"start": "1"}) == 14  # with another query
    assert ask(path, {**good, "host": "elsewhere"}) == 14
    assert ask(path, _signed(one, path, moment - 1860, ak, sk)) == 14  # half an hour ago
    assert ask(path, _signed(one, path, moment + 1860, ak, sk)) == 14
    assert ask(path, _signed(one, path, moment, ak, two.keys.sk)) == 14
    assert ask(path, _signed(one, path, moment, two.keys.ak, sk)) == 14
    assert ask(path, {**good, "authorization": good["authorization"][:-1] + "x"}) == 14
    for header in ("bce-auth-v1", "bce-auth-v1/////", "bce-auth-v1/a/b/c/d/e", "bce-auth-v9/x"):
        assert ask(path, {"authorization": header}) == 14


def test_a_signature_lasts_seconds_not_the_half_hour_it_claims() -> None:
    seen = SeenSignatures()
    assert seen.admit("a", 1000.0)
    assert seen.admit("a", 1005.0)  # a client that makes several calls in a second signs alike
    assert not seen.admit("a", 1011.0)
    assert not seen.admit("a", 2700.0)
    assert seen.admit("b", 2700.0)
