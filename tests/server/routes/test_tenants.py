"""Who may do what, and that another tenant's things are not there at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

Failed = Callable[..., dict[str, Any]]

# Every operation with what it needs, as (method, path, scope).
OPERATIONS = [
    ("POST", "/v1/detect", "read"),
    ("POST", "/v1/compare", "read"),
    ("POST", "/v1/verify", "read"),
    ("POST", "/v1/identify", "read"),
    ("POST", "/v1/detect/batch", "read"),
    ("POST", "/v1/identify/batch", "read"),
    ("GET", "/v1/people", "read"),
    ("POST", "/v1/people", "enrol"),
    ("GET", "/v1/people/{person}", "read"),
    ("PUT", "/v1/people/{person}", "enrol"),
    ("PATCH", "/v1/people/{person}", "enrol"),
    ("DELETE", "/v1/people/{person}", "delete"),
    ("POST", "/v1/people/{person}/rename", "enrol"),
    ("POST", "/v1/people/{person}/merge", "delete"),
    ("POST", "/v1/people/{person}/split", "enrol"),
    ("POST", "/v1/people/{person}/faces", "enrol"),
    ("GET", "/v1/groups", "read"),
    ("POST", "/v1/groups", "enrol"),
    ("GET", "/v1/groups/{group}", "read"),
    ("PATCH", "/v1/groups/{group}", "enrol"),
    ("DELETE", "/v1/groups/{group}", "delete"),
    ("GET", "/v1/memberships", "read"),
    ("PUT", "/v1/memberships", "enrol"),
    ("DELETE", "/v1/memberships", "delete"),
    ("GET", "/v1/faces", "read"),
    ("GET", "/v1/faces/{face}", "read"),
    ("DELETE", "/v1/faces/{face}", "delete"),
    ("POST", "/v1/faces/{face}/move", "enrol"),
    ("POST", "/v1/faces/{face}/search", "read"),
    ("POST", "/v1/jobs", "enrol"),
    ("GET", "/v1/jobs", "read"),
    ("GET", "/v1/jobs/{job}", "read"),
    ("POST", "/v1/jobs/{job}/cancel", "enrol"),
    ("GET", "/v1/gallery", "read"),
    ("GET", "/v1/audit", "admin"),
    ("GET", "/v1/export", "admin"),
]
OTHERS = {
    "read": "enrol,delete",
    "enrol": "read,delete",
    "delete": "read,enrol",
    "admin": "read,enrol,delete",
}


def test_every_operation_is_listed_here(api: TestClient) -> None:
    document = api.get("/v1/openapi.json").json()
    found = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert found == {(method, path) for method, path, _ in OPERATIONS}


@pytest.mark.parametrize(("method", "path", "scope"), OPERATIONS)
def test_a_key_is_needed(
    api: TestClient, failed: Failed, method: str, path: str, scope: str
) -> None:
    for value in ("", "Bearer nonsense", "Basic YTpi"):
        answer = api.request(method, path, headers={"authorization": value})
        failed(answer, 401, "unauthorised")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.fixture(scope="module")
def lacking(key_for: Callable[..., dict[str, str]]) -> dict[str, dict[str, str]]:
    """For each scope a key with all the others."""
    return {scope: key_for(others) for scope, others in OTHERS.items()}


@pytest.mark.parametrize(("method", "path", "scope"), OPERATIONS)
def test_a_scope_is_needed(
    api: TestClient,
    failed: Failed,
    lacking: dict[str, dict[str, str]],
    method: str,
    path: str,
    scope: str,
) -> None:
    details = failed(api.request(method, path, headers=lacking[scope]), 403, "forbidden")
    assert details["expected"] == scope


def test_another_tenants_things_are_as_absent_as_what_never_was(
    api: TestClient, parts: Callable[..., Any], key_for: Callable[..., dict[str, str]]
) -> None:
    other = key_for(tenant="other")
    body = api.post(
        "/v1/people/secret/faces", files=parts("obama2.jpg"), data={"group": "vault-1"}
    ).json()
    face = body["faces"][0]["id"]
    job = api.post("/v1/jobs", json={"kind": "verify"}).json()["id"]
    never = "00000000-0000-4000-8000-000000000000"

    def same(method: str, there: str, nowhere: str, **sent: Any) -> None:
        answers = [api.request(method, at, headers=other, **sent) for at in (there, nowhere)]
        bodies = [answer.json() for answer in answers]
        for told, name in zip(bodies, (there, nowhere), strict=True):
            del told["request_id"]
            told["message"] = told["message"].replace(repr(name.split("/")[3]), "X")
            told["details"].pop("name", None)
        assert answers[0].status_code == answers[1].status_code == 404
        assert bodies[0] == bodies[1]

    for method, end, sent in (
        ("GET", "", {}),
        ("DELETE", "", {}),
        ("POST", "/search", {"json": {}}),
        ("POST", "/move", {"json": {"person": "secret"}}),
    ):
        same(method, f"/v1/faces/{face}{end}", f"/v1/faces/{never}{end}", **sent)
    for method, end, sent in (
        ("GET", "", {}),
        ("PATCH", "", {"json": {"name": "x"}}),
        ("DELETE", "", {}),
        ("POST", "/rename", {"json": {"id": "x"}}),
    ):
        same(method, f"/v1/people/secret{end}", f"/v1/people/nobody{end}", **sent)
    same("GET", "/v1/groups/vault-1", "/v1/groups/nowhere")
    same("GET", f"/v1/jobs/{job}", f"/v1/jobs/{never}")
    same("POST", f"/v1/jobs/{job}/cancel", f"/v1/jobs/{never}/cancel")
    for path in ("/v1/people", "/v1/groups", "/v1/memberships", "/v1/faces", "/v1/jobs"):
        assert api.get(path, headers=other).json() == {"items": [], "next": None}
    assert api.get("/v1/gallery", headers=other).json()["faces"] == 0
    found = api.post("/v1/identify", files=parts("obama2.jpg"), headers=other).json()
    assert found["faces"][0]["matches"] == []
    assert api.post("/v1/people", json={"id": "secret"}, headers=other).status_code == 201
    assert api.get(f"/v1/faces/{face}").json()["person"] == "secret"


def test_an_idempotency_key_is_the_applications_own(
    api: TestClient, key_for: Callable[..., dict[str, str]]
) -> None:
    key = {"idempotency-key": "shared-by-chance"}
    mine = api.post("/v1/people", json={"name": "Mine"}, headers=key)
    other = key_for(tenant="third")
    theirs = api.post("/v1/people", json={"name": "Theirs"}, headers={**key, **other})
    assert (mine.json()["name"], theirs.json()["name"]) == ("Mine", "Theirs")
