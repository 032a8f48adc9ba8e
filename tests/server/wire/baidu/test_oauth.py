from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

PATH = "/oauth/2.0/token"


def asked(key: Any, **changed: str) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": key.ak,
        "client_secret": key.sk,
        **changed,
    }


@pytest.mark.parametrize("way", ["get", "post-query", "post-form", "post-json"])
def test_keys_get_a_token_however_they_come(tenant: Any, way: str):
    fields = asked(tenant.key)
    options: Mapping[str, Any] = {
        "get": {"params": fields},
        "post-query": {"params": fields},
        "post-form": {"data": fields},
        "post-json": {"json": fields},
    }[way]
    answer = tenant.client.request("GET" if way == "get" else "POST", PATH, **options)
    assert answer.status_code == 200
    told = answer.json()
    form = rf"24\.[0-9a-f]{{32}}\.2592000\.\d{{10}}\.{tenant.key.app_id}"
    assert re.fullmatch(form, told["access_token"])
    assert told["expires_in"] == 2592000
    assert "brain_all_scope" in told["scope"].split(" ")
    assert {"refresh_token", "session_key", "session_secret"} <= set(told)
    tenant.token = told["access_token"]
    assert tenant.v2("faceset/group/getlist")["result"] == []


def test_wrong_keys(tenant: Any):
    told = tenant.client.get(PATH, params=asked(tenant.key, client_id="f" * 32)).json()
    assert told == {"error": "invalid_client", "error_description": "unknown client id"}
    wrong = {"client_secret": "f" * 32}
    told = tenant.client.get(PATH, params=asked(tenant.key, **wrong)).json()
    assert told == {
        "error": "invalid_client",
        "error_description": "Client authentication failed",
    }
    told = tenant.client.get(PATH, params=asked(tenant.key, **{"client_secret": "组"})).json()
    assert told["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "invalid_client"),
    ],
)
def test_other_requests(tenant: Any, fields: dict[str, str], error: str):
    assert tenant.client.post(PATH, data=fields).json()["error"] == error


def test_bodies_that_are_none(tenant: Any):
    assert tenant.client.post(PATH, content=b"{").json()["error"] == "invalid_request"
    assert tenant.client.delete(PATH).json()["error"] == "invalid_request"


def test_a_revoked_application_gets_no_token_and_has_none(make_tenant: Callable[..., Any]):
    made = make_tenant()
    made.service.keys.revoke(made.key.app_id)
    told = made.client.get(PATH, params=asked(made.key)).json()
    assert told["error_description"] == "unknown client id"
    assert made.v2("faceset/group/getlist") == {
        "error_code": 110,
        "error_msg": "Access token invalid or no longer valid",
    }


def test_rotated_keys_end_tokens(make_tenant: Callable[..., Any]):
    made = make_tenant()
    new = made.service.keys.rotate(made.key.app_id)
    assert made.v3("faceset/group/getlist")["error_code"] == 110
    told = made.client.get(PATH, params=asked(made.key)).json()
    assert told["error_description"] == "Client authentication failed"
    made.token = made.client.get(PATH, params=asked(new)).json()["access_token"]
    assert made.v3("faceset/group/getlist")["error_code"] == 0


def test_where_nobody_needs_a_key_any_keys_will_do(
    client_for: Callable[..., AbstractContextManager[TestClient]], gallery_path: Path
):
    with client_for(gallery_path) as client:
        fields = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
        token = client.get(PATH, params=fields).json()["access_token"]
        path = "/rest/2.0/face/v3/faceset/group/getlist"
        assert client.post(path, params={"access_token": token}).json()["error_code"] == 0
        assert client.post(path).json()["result"] == {"group_id_list": []}
        forged = token.replace(".00000000", ".12345678")
        assert client.post(path, params={"access_token": forged}).json()["error_code"] == 110


def test_such_a_token_is_worth_nothing_elsewhere(tenant: Any):
    tenant.token = f"24.{'0' * 32}.2592000.9999999999.00000000"
    assert tenant.v3("faceset/group/getlist")["error_code"] == 110
