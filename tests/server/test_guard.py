from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

ClientFor = Callable[..., AbstractContextManager[TestClient]]


def _answer(connection: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Status, headers (small letters) and JSON body of what a server says before it closes."""
    received = b""
    while b"\r\n\r\n" not in received and (piece := connection.recv(65536)):
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    while len(body) < int(headers["content-length"]) and (piece := connection.recv(65536)):
        body += piece
    return int(lines[0].split()[1]), headers, json.loads(body)


def test_every_answer_carries_its_id_and_the_security_headers(client: TestClient):
    headers = client.get("/health/live", headers={"x-request-id": "a b<c>: d"}).headers
    assert len(headers["x-request-id"]) == 32  # not the client's: it could break a log
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "server" not in headers
    assert "strict-transport-security" not in headers  # no TLS here


def test_a_large_body_is_refused_by_its_length_and_by_its_bytes(
    client_for: ClientFor, gallery_path: Path
):
    with client_for(gallery_path, max_body_bytes=2048) as client:
        stated = client.post("/v1/detect", content=b"x" * 2049)
        counted = client.post("/v1/detect", content=iter([b"x" * 1500, b"x" * 1500]))
    for answer in (stated, counted):
        assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
        assert answer.json()["details"] == {"limit": 2048}


def test_bodies_together_are_bounded(client_for: ClientFor, gallery_path: Path):
    with client_for(gallery_path, max_held_bytes=4096) as client:
        answer = client.post("/v1/detect", content=b"x" * 5000)
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert answer.headers["retry-after"] == "2"
        again = client.post("/v1/detect", content=b"x" * 4000)  # the first was let go
        assert again.status_code not in {413, 503}


def test_an_anonymous_server_keeps_strangers_pages_out(client_for: ClientFor, gallery_path: Path):
    with client_for(gallery_path, cors_origins=("https://desk.example",)) as client:
        rebound = client.get("/health/live", headers={"host": "evil.example"})
        assert (rebound.status_code, rebound.json()["code"]) == (403, "forbidden")
        page = client.get("/health/live", headers={"origin": "https://evil.example"})
        assert page.status_code == 403
        assert client.get("/health/live", headers={"origin": "http://127.0.0.1:9"}).is_success
        desk = client.get("/health/live", headers={"origin": "https://desk.example"})
        assert desk.headers["access-control-allow-origin"] == "https://desk.example"


def test_cors_is_closed_unless_opened(client: TestClient):
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    answer = client.options("/v1/detect", headers=asked)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in client.get("/health/live", headers=asked).headers


def test_a_breaking_route_tells_nothing_but_the_id(client: TestClient):
    app: Any = client.app

    async def breaks() -> None:
        raise ValueError("a secret")

    app.add_api_route("/v1/breaks", breaks)
    answer = client.get("/v1/breaks")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.fixture(scope="module")
def impatient(
    serving: Callable[..., AbstractContextManager[Any]], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    path = tmp_path_factory.mktemp("impatient") / "people.vultus"
    limits = {"HEADER_TIMEOUT_S": "0.5", "BODY_TIMEOUT_S": "0.5", "MAX_BODY_BYTES": "100000"}
    with serving(path, **{f"VULTUS_SERVER_{n}": v for n, v in limits.items()}) as running:
        yield running


def test_a_head_that_dribbles_in_is_cut_off(
    impatient: Any, raw_connection: Callable[[Any], socket.socket]
):
    connection = raw_connection(impatient)
    connection.settimeout(0.1)
    head = itertools.chain(b"GET / HTTP/1.1\r\nX-Slow: ", itertools.repeat(ord("a")))
    began = time.monotonic()
    while time.monotonic() < began + 10:
        try:
            connection.sendall(bytes([next(head)]))
            if connection.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except OSError:  # reset
            break
    assert 0.3 < time.monotonic() - began < 5


def test_a_body_that_dribbles_in_is_cut_off(
    impatient: Any, raw_connection: Callable[[Any], socket.socket]
):
    connection = raw_connection(impatient)
    head = "POST /v1/detect HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    key = f"Authorization: Bearer {impatient.key.api_key}\r\n"
    connection.sendall(f"{head}{key}Content-Length: 1000\r\n\r\n{{".encode())
    began = time.monotonic()
    status, headers, body = _answer(connection)
    assert time.monotonic() - began < 5
    assert (status, body["code"]) == (408, "upload-timeout")
    assert headers["connection"] == "close"


def test_the_answer_to_a_large_body_arrives(
    impatient: Any, raw_connection: Callable[[Any], socket.socket]
):
    connection = raw_connection(impatient)
    connection.sendall(b"POST /v1/detect HTTP/1.1\r\nHost: a\r\nContent-Length: 150000\r\n\r\n")
    connection.sendall(b"x" * 150000)
    status, headers, body = _answer(connection)
    assert (status, body["code"]) == (413, "body-too-large")
    assert headers["connection"] == "close"
