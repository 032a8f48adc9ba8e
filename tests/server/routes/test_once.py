"""Writes that are sent twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

Failed = Callable[..., dict[str, Any]]


def test_the_same_request_brings_the_same_reply(api: TestClient) -> None:
    key = {"idempotency-key": "one"}
    first = api.post("/v1/people", json={"name": "Once"}, headers=key)
    second = api.post("/v1/people", json={"name": "Once"}, headers=key)
    assert first.status_code == second.status_code == 201
    assert second.content == first.content
    for name in ("etag", "location", "content-type"):
        assert second.headers[name] == first.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    names = [person["name"] for person in api.get("/v1/people").json()["items"]]
    assert names.count("Once") == 1


def test_the_same_key_with_another_request_is_refused(api: TestClient, failed: Failed) -> None:
    key = {"idempotency-key": "two"}
    assert api.post("/v1/people", json={"id": "two"}, headers=key).status_code == 201
    for answer in (
        api.post("/v1/people", json={"id": "two-b"}, headers=key),
        api.post("/v1/groups", json={"id": "two"}, headers=key),
        api.delete("/v1/people/two", headers=key),
    ):
        failed(answer, 409, "idempotency")
    assert api.get("/v1/people/two").status_code == 200


def test_pictures_count_and_the_boundary_does_not(
    api: TestClient, parts: Callable[..., Any], failed: Failed
) -> None:
    key = {"idempotency-key": "three"}
    address = "/v1/people/three/faces"
    first = api.post(address, files=parts("obama2.jpg"), headers=key)
    assert first.status_code == 201
    again = api.post(address, files=parts("obama2.jpg"), headers=key)
    assert again.content == first.content
    failed(api.post(address, files=parts("obama3.jpg"), headers=key), 409, "idempotency")
    assert api.get("/v1/people/three").json()["faces"] == 1


def test_a_failed_write_may_be_tried_again(api: TestClient, failed: Failed) -> None:
    key = {"idempotency-key": "four"}
    failed(api.patch("/v1/people/four", json={"name": "F"}, headers=key), 404, "person-unknown")
    api.post("/v1/people", json={"id": "four"})
    unmet = {**key, "if-match": '"x"'}
    answer = api.patch("/v1/people/four", json={"name": "F"}, headers=unmet)
    failed(answer, 412, "precondition-failed")
    answer = api.patch("/v1/people/four", json={"name": "F"}, headers=key)
    assert answer.json()["name"] == "F"


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_keys_nobody_may_use(api: TestClient, failed: Failed, key: str) -> None:
    answer = api.post("/v1/people", json={"id": "five"}, headers={"idempotency-key": key})
    assert answer.status_code == 422
    assert api.get("/v1/people/five").status_code == 404


def test_two_at_the_same_time_change_one_thing(api: TestClient) -> None:
    codes: list[int] = []

    def send() -> None:
        key = {"idempotency-key": "six"}
        codes.append(api.post("/v1/people", json={"name": "Six"}, headers=key).status_code)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {201, 409}
    assert 201 in codes
    names = [person["name"] for person in api.get("/v1/people").json()["items"]]
    assert names.count("Six") == 1
