"""Connections that are cut, slow, or say what is no HTTP."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

V2, V3 = "/rest/2.0/face/v2/", "/rest/2.0/face/v3/"
SOON_S = 10.0
"""However hostile, an answer comes within this time, also on a busy machine."""


def _say(place: Any, said: bytes, wait_s: float = 5.0) -> bytes:
    """What the server answers to raw bytes until it closes, or is silent for so long."""
    host, _, port = place.running.url.partition("://")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=wait_s) as connection:
        connection.sendall(said)
        heard = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while part := connection.recv(65_536):
                heard += part
                if b"\r\n\r\n" in heard and b"400" in heard[:20]:
                    break
        return heard


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"GARBAGE\r\n\r\n",
    ],
    ids=lambda head: repr(head[:50]),
)
def test_heads_that_are_none(place: Any, head: bytes) -> None:
    heard = _say(place, head)
    assert heard == b"" or heard.startswith(b"HTTP/1.1 400")
    assert place.running.request("/health/ready")[0] == 200


def test_a_request_hidden_in_another_is_not_answered(place: Any) -> None:
    hidden = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Hidden: 1\r\n\r\n"
    said = (
        b"POST /v1/detect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\nContent-Type: application/json\r\n\r\n0\r\n\r\n" + hidden
    )
    heard = _say(place, said, 2.0)
    assert heard.count(b"HTTP/1.1 200") == 0
    assert b"live" not in heard


def test_clients_that_go_away(place: Any, one: Any) -> None:
    host, _, port = place.running.url.partition("://")[2].rpartition(":")
    key = one.keys.api_key
    for path in ("/v1/detect", f"{V2}detect?access_token={one.token}", "/api/v1/detection/detect"):
        for kind in ("application/json", "multipart/form-data; boundary=x"):
            head = (
                f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
                f"x-api-key: {key}\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n--x"
            )
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.sendall(head.encode())
                time.sleep(0.05)
    assert place.running.request("/health/ready")[0] == 200
    # That nothing of this is an error in the log, `test_the_log_tells_nothing` sees.


def test_heads_without_end(place: Any) -> None:
    head = b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 200_000
    heard = _say(place, head, 3.0)
    assert b" 200 " not in heard[:20]
    many = b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + b"X-A: a\r\n" * 20_000
    heard = _say(place, many, 3.0)
    assert b" 200 " not in heard[:20]
    assert place.running.request("/health/ready")[0] == 200


@pytest.mark.slow
def test_slow_uploads_are_cut_off_while_others_are_served(
    serving: Callable[..., AbstractContextManager[Any]], gallery_path: Path, obama: bytes
) -> None:
    limits = {"VULTUS_SERVER_BODY_TIMEOUT_S": "2", "VULTUS_SERVER_HEADER_TIMEOUT_S": "2"}
    with serving(gallery_path, **limits) as running:
        key = running.key.api_key
        token = json.loads(
            running.request(
                "/oauth/2.0/token?grant_type=client_credentials"
                f"&client_id={running.key.ak}&client_secret={running.key.sk}"
            )[2]
        )["access_token"]
        auth = f"Authorization: Bearer {key}\r\nx-api-key: {key}\r\n"
        body = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
        heads = {
            "head": "GET /v1/people HTTP/1.1\r\nHost: x\r\nX-Slow: ",
            "native": f"POST /v1/detect HTTP/1.1\r\n{auth}{body}\r\n",
            "v2": f"POST {V2}detect?access_token={token} HTTP/1.1\r\n{body}\r\n",
            "v3": f"POST {V3}detect?access_token={token} HTTP/1.1\r\n{body}\r\n",
            "compreface": f"POST /api/v1/detection/detect HTTP/1.1\r\n{auth}{body}\r\n",
            "nobody": f"POST /v1/detect HTTP/1.1\r\n{body}\r\n",
        }
        with ThreadPoolExecutor(2 * len(heads)) as pool:
            slow = {name: pool.submit(_drip, running, head) for name, head in heads.items()}
            # Two of each kind occupy the server; others are answered all the same.
            more = [pool.submit(_drip, running, head) for head in heads.values()]
            headers = {"x-api-key": key, "content-type": "application/json"}
            picture = json.dumps({"file": base64.b64encode(obama).decode()}).encode()
            began = time.monotonic()
            for _ in range(3):
                answer = running.request("/api/v1/detection/detect", picture, headers)
                assert answer[0] == 200
            assert time.monotonic() - began < SOON_S
            heard = {name: future.result() for name, future in slow.items()}
            for future in more:
                future.result()
        for name, (said, taken_s) in heard.items():
            assert taken_s < 15, name
            status = said.split(b"\r\n", 1)[0]
            if name == "head":
                assert said == b"" or b" 408 " in status or b" 400 " in status
            elif name == "native":
                assert b" 408 " in status
                assert b'"upload-timeout"' in said
            elif name in {"v2", "v3"}:
                assert b" 200 " in status
                assert b'"error_code":2,' in said.replace(b": ", b":")
            elif name == "compreface":
                assert b" 400 " in status
                assert b'"code":0' in said.replace(b": ", b":")
        assert running.request("/health/ready")[0] == 200


def _drip(running: Any, head: str) -> tuple[bytes, float]:
    """Send a head at once and then a byte every half second, until the server has had enough."""
    host, _, port = running.url.partition("://")[2].rpartition(":")
    began = time.monotonic()
    heard = b""
    with socket.create_connection((host, int(port)), timeout=0.5) as connection:
        connection.sendall(head.encode())
        while time.monotonic() - began < 20:
            with contextlib.suppress(TimeoutError):
                part = connection.recv(65_536)
                if not part:
                    break
                heard += part
            if heard:
                continue  # the answer came; the connection is to be closed
            try:
                connection.sendall(b"a")
            except OSError:
                break
    return heard, time.monotonic() - began
