"""A small web server that can misbehave on purpose, and cards to pull from it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vultus.models import ModelCard

CONTENT = bytes(range(256)) * 4096  # 1 MiB: several chunks
CARD = """
name = "{name}"
kind = "embedder"
title = "A net"
summary = "For tests."
[origin]
project = "Somebody"
url = "https://example.org/net"
[licence]
spdx = "MIT"
commercial = {commercial}
note = "Says Somebody."
training_data = "none"
[input]
size_wh = [112, 112]
layout = "NCHW"
channels = "RGB"
[embedding]
dimension = 4
alignment = "arcface-112"
[[weights]]
file = "{file}"
sha256 = "{sha256}"
"""


def card_text(
    content: bytes = CONTENT,
    *,
    name: str = "some-net",
    file: str = "some_net.onnx",
    sha256: str | None = None,
    commercial: str = "true",
    more: str = "",
) -> str:
    digest = hashlib.sha256(content).hexdigest() if sha256 is None else sha256
    return CARD.format(name=name, file=file, sha256=digest, commercial=commercial) + more


@dataclass
class Page:
    """What the server answers for one path."""

    content: bytes = field(default=b"", repr=False)
    status: int = 200
    ranges: bool = True
    wrong_range: bool = False
    location: str = ""
    announce: bool = True  # whether to send Content-Length
    cuts: list[int] = field(default_factory=list)  # bytes to send before hanging up, per request
    statuses: list[int] = field(default_factory=list)  # statuses of the first requests


@dataclass
class Server:
    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def put(self, path: str, content: bytes = CONTENT, **options: Any) -> Page:
        self.pages[path] = Page(content, **options)
        return self.pages[path]

    @property
    def ranges(self) -> list[str | None]:
        return [wanted for _, wanted in self.requests]


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.requests.append((self.path, wanted))
            page = server.pages.get(self.path, Page(status=404))
            status = page.statuses.pop(0) if page.statuses else page.status
            if page.location:
                self.send_response(302)
                self.send_header("Location", page.location)
                self.end_headers()
                return
            if status != 200:
                self.send_error(status)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            self._send(page, start if page.ranges else 0)

        def _send(self, page: Page, start: int) -> None:
            if start and start >= len(page.content):
                self.send_error(416)
                return
            body = page.content[start:]
            self.send_response(206 if start else 200)
            if start:
                told = 0 if page.wrong_range else start
                size = len(page.content)
                self.send_header("Content-Range", f"bytes {told}-{size - 1}/{size}")
            if page.announce:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: page.cuts.pop(0)] if page.cuts else body)

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server("")
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found))
    found.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def content() -> bytes:
    return CONTENT


@pytest.fixture
def make_card() -> Callable[..., str]:
    return card_text


@pytest.fixture
def card() -> ModelCard:
    from vultus.models import parse_card

    return parse_card(card_text(), "some-net.toml")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees, or touches, the models of whoever runs it."""
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VULTUS_OFFLINE", raising=False)
    monkeypatch.delenv("VULTUS_MIRROR", raising=False)
    return tmp_path / "home"
