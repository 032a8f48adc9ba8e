from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from vultus.server.service import Service
from vultus.server.store import NewApplication

MakeKey = Callable[..., NewApplication]
ClientFor = Callable[..., AbstractContextManager[TestClient]]


def _service(client: TestClient) -> Service:
    app: Any = client.app
    service: Service = app.state.service
    return service


def test_a_key_is_needed_and_must_be_known(client: TestClient):
    none = client.get("/v1/people", headers={"Authorization": ""})
    assert (none.status_code, none.json()["code"]) == (401, "unauthorised")
    assert none.headers["www-authenticate"] == "Bearer"
    for key in (str(uuid.uuid4()), "x" * 500, "\x7f", "' OR 1=1 --"):
        answer = client.get("/v1/people", headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorised")
        assert key not in answer.text


def test_one_key_serves_as_bearer_and_as_x_api_key(client: TestClient):
    key = client.headers["authorization"].removeprefix("Bearer ")
    del client.headers["authorization"]
    assert client.get("/v1/people", headers={"x-api-key": key}).status_code == 200
    assert client.get("/v1/people", headers={"Authorization": f"bearer {key}"}).status_code == 200
    assert client.get("/v1/people", headers={"Authorization": f"Basic {key}"}).status_code == 401


def test_scopes_are_kept(enrolled_path: Path, make_key: MakeKey, client_for: ClientFor):
    reader = make_key(enrolled_path, scopes="read")
    enroller = make_key(enrolled_path, scopes="enrol")
    with client_for(enrolled_path, reader) as client:
        assert client.get("/v1/people").status_code == 200
        refused = client.delete("/v1/people/Joe%20Biden")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert refused.json()["details"] == {"expected": "delete", "actual": ["read"]}
        client.headers["authorization"] = f"Bearer {enroller.api_key}"
        assert client.get("/v1/people").status_code == 403


def test_a_revoked_key_ends_in_a_running_server(
    enrolled_path: Path, make_key: MakeKey, client_for: ClientFor
):
    key = make_key(enrolled_path)
    with client_for(enrolled_path, key) as client:
        assert client.get("/v1/people").status_code == 200
        _service(client).keys.revoke(key.app_id)
        assert client.get("/v1/people").status_code == 401


def test_rate_and_quota_of_a_key(enrolled_path: Path, make_key: MakeKey, client_for: ClientFor):
    with client_for(enrolled_path, make_key(enrolled_path, rate_per_s=0.5)) as client:
        assert client.get("/v1/people").status_code == 200
        refused = client.get("/v1/people")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate-limited")
        assert refused.headers["retry-after"] == "2"
        daily = make_key(enrolled_path, daily=2)
        headers = {"Authorization": f"Bearer {daily.api_key}"}
        codes = [client.get("/v1/people", headers=headers).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        answer = client.get("/v1/people", headers=headers)
        assert answer.json()["code"] == "quota-exceeded"
        left = 86_400 - time.time() % 86_400
        assert abs(int(answer.headers["retry-after"]) - left) < 5


def test_the_servers_own_limits_hold_for_keys_without(
    enrolled_path: Path, make_key: MakeKey, client_for: ClientFor
):
    with client_for(enrolled_path, make_key(enrolled_path), rate_per_s=0.1) as client:
        assert [client.get("/v1/people").status_code for _ in range(2)] == [200, 429]


def test_each_tenant_sees_its_own_gallery_only(
    enrolled_path: Path, make_key: MakeKey, client_for: ClientFor
):
    first, second = make_key(enrolled_path, "first"), make_key(enrolled_path, "second")
    with client_for(enrolled_path, first) as client:
        service = _service(client)
        names = [p.id for p in service.gallery("first").people()]
        assert "Joe Biden" in names  # the first tenant owns what the command line filled
        assert service.gallery("second").people() == []
        service.gallery("second").put_person("Kim")
        assert "Kim" not in service.gallery("first")
        theirs = client.get("/v1/people/Kim")
        nobody = client.get("/v1/people/Kam")
        assert theirs.status_code == nobody.status_code == 404
        assert theirs.json()["code"] == nobody.json()["code"]
        client.headers["authorization"] = f"Bearer {second.api_key}"
        assert client.get("/v1/people/Kim").status_code == 200
    folder = enrolled_path.with_name("people.tenants")
    assert [p.name.split("_")[0] for p in folder.glob("*.db")] == ["second"]
    assert folder.stat().st_mode & 0o077 == 0


def test_anonymous_owns_the_main_gallery(enrolled_path: Path, client_for: ClientFor):
    with client_for(enrolled_path) as client:
        assert client.get("/v1/people").status_code == 200
        assert client.get("/v1/people", headers={"x-api-key": str(uuid.uuid4())}).status_code == 401


def test_metrics_are_for_this_machine_and_admins(
    enrolled_path: Path, make_key: MakeKey, client_for: ClientFor
):
    reader = make_key(enrolled_path, scopes="read")
    with client_for(enrolled_path, make_key(enrolled_path)) as client:  # comes from "testclient"
        assert client.get("/metrics").status_code == 200
        bearer = {"Authorization": f"Bearer {reader.api_key}"}
        assert client.get("/metrics", headers=bearer).status_code == 403
        assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401
    with client_for(enrolled_path, reader, metrics_public=True) as client:
        assert client.get("/metrics", headers={"Authorization": ""}).status_code == 200


@pytest.mark.parametrize("scope", ["read", "enrol", "delete"])
def test_who_writes_is_in_the_galleries_log(
    scope: str, enrolled_path: Path, make_key: MakeKey, client_for: ClientFor
):
    key = make_key(enrolled_path)
    with client_for(enrolled_path, key) as client:
        gallery = _service(client).gallery("acme")
        before = len(gallery.audit(limit=10_000))
        if scope == "enrol":
            assert client.post("/v1/groups", json={"id": "staff"}).is_success
        if scope == "delete":
            assert client.delete("/v1/people/Joe%20Biden").is_success
        entries = gallery.audit(limit=10_000)[before:]
        assert {entry.actor for entry in entries} == (
            set() if scope == "read" else {f"app:{key.app_id}"}
        )
