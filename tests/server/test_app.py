from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from fastapi.testclient import TestClient


def test_a_live_server_becomes_ready(
    client_for: Callable[..., AbstractContextManager[TestClient]], gallery_path: Path
):
    with client_for(gallery_path) as client:
        assert client.get("/health/live").json() == {"status": "live"}
        assert client.get("/health/ready").json() == {"status": "ready"}


def test_what_is_not_there_is_told_in_the_one_shape(client: TestClient):
    answer = client.get("/v1/nothing", headers={"x-request-id": "abcdefgh-1"})
    assert answer.status_code == 404
    assert answer.json() == {
        "code": "not-found",
        "message": "there is nothing at this address",
        "details": {},
        "request_id": "abcdefgh-1",
    }
    assert answer.headers["x-request-id"] == "abcdefgh-1"


def test_the_console_is_left_free(client: TestClient):
    assert client.get("/console").status_code == 404
