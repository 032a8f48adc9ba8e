from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from vultus.server import pictures
from vultus.server.errors import UrlRefusedError
from vultus.server.pictures import fetch_picture

ALLOWED = ("pictures.example",)


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        steps = {
            "/moved": "http://pictures.example/a.jpg",
            "/away": "http://other.example/a.jpg",
            "/inside": "http://127.0.0.1/a.jpg",
            "/circle": "/circle",
        }
        if self.path in steps:
            self.send_response(302)
            self.send_header("Location", steps[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = b"x" * (2000 if self.path == "/large" else 10)
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode() if self.path == "/host" else body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A host whose public address leads here; gives the names that were resolved."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    asked: list[str] = []
    connect = pictures.socket.create_connection

    def here(address: tuple[str, int], timeout: float) -> Any:
        assert address[0] == "93.184.215.14"
        return connect(server.server_address[:2], timeout)

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"]

    monkeypatch.setattr(pictures.socket, "create_connection", here)
    monkeypatch.setattr(pictures, "_addresses", resolve)
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_allowed_host_gives_its_picture(site: list[str]):
    assert fetch_picture("http://pictures.example/a.jpg", ALLOWED, 1000) == b"x" * 10
    assert fetch_picture("http://PICTURES.example/moved", ALLOWED, 1000) == b"x" * 10
    assert fetch_picture("http://pictures.example/host", ALLOWED, 1000) == b"pictures.example"[:10]
    assert site == ["pictures.example"] * 4  # once for each connection


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("away", "allowed hosts only"),
        ("inside", "allowed hosts only"),
        ("circle", "more than three times"),
        ("large", "at most 1000 bytes"),
        ("none", "status 404"),
    ],
)
def test_what_leads_away_or_is_too_much_is_refused(site: list[str], path: str, message: str):
    with pytest.raises(UrlRefusedError, match=message):
        fetch_picture(f"http://pictures.example/{path}", ALLOWED, 1000)


def test_a_redirect_to_another_allowed_host_is_refused(site: list[str]):
    with pytest.raises(UrlRefusedError, match="lead to another host"):
        fetch_picture("http://pictures.example/away", (*ALLOWED, "other.example"), 1000)


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/a.jpg",
        "http://pictures.example.evil.example/a.jpg",
        "http://pictures.example@evil.example/a.jpg",
        "http://user@pictures.example/a.jpg",
        "http://pictures.example:8080/a.jpg",
        "file:///etc/passwd",
        "ftp://pictures.example/a.jpg",
        "//pictures.example/a.jpg",
        "http://pictures.example:x/",
        "http://[::1/",
        "",
    ],
)
def test_no_other_address_is_even_resolved(url: str):
    def resolve(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    with pytest.raises(UrlRefusedError):
        fetch_picture(url, ALLOWED, 1000, resolve=resolve)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",  # noqa: S104
     "100.64.0.1", "224.0.0.1", "::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1",
     "2002:7f00:1::", "64:ff9b::7f00:1"],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused(address: str):
    for found in ([address], ["93.184.215.14", address]):
        with pytest.raises(UrlRefusedError, match="public addresses only"):
            fetch_picture(
                "https://pictures.example/a", ALLOWED, 1000, resolve=lambda h, p, f=found: f
            )
