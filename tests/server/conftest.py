"""What the server's tests share: galleries, keys, applications, clients, running servers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="install the server: pip install 'vultus[server]'")
pytest.importorskip("httpx", reason="install httpx: pip install 'vultus[test]'")

with warnings.catch_warnings():  # Starlette 1.1 would rather have httpx's successor
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

from vultus.gallery import Gallery, open_gallery
from vultus.pipeline import Recognizer
from vultus.server import Settings, create_app
from vultus.server.places import Places
from vultus.server.secrets import load_secrets
from vultus.server.store import Keys, NewApplication, open_store
from vultus.sources import people_tree

READY_S = 60.0


@pytest.fixture(scope="session")
def clients() -> Path:
    """The folder of the unmodified clients: ``baidu-aip-2``, ``baidu-aip-4``, ``compreface``."""
    default = Path(sys.prefix) / "clients"
    folder = Path(os.environ.get("VULTUS_TEST_CLIENTS") or default)
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; run scripts/test_clients {folder}")
    return folder


@pytest.fixture(scope="session")
def _enrolled(
    samples: Path, recognizer: Recognizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("enrolled") / "people.vultus"
    with open_gallery(path) as gallery:
        for name, pictures in people_tree(samples / "known"):
            recognizer.enroll(gallery, name, list(pictures))
    return path


@pytest.fixture
def gallery_path(tmp_path: Path) -> Path:
    """Where a new, empty gallery may be made."""
    return tmp_path / "people.vultus"


@pytest.fixture
def enrolled_path(_enrolled: Path, tmp_path: Path) -> Path:
    """A gallery of one's own with the people of the samples enrolled."""
    path = tmp_path / "people.vultus"
    shutil.copyfile(_enrolled, path)
    return path


@pytest.fixture
def postgres_source(postgres_url: Callable[[], str], postgres_server: Any) -> Iterator[str]:
    """Address of an empty gallery in PostgreSQL; its access data go with the test."""
    import psycopg

    source = postgres_url()
    yield source
    name = Places(source).access_schema
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = error")
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


@contextmanager
def opened_keys(gallery: str | Path) -> Iterator[Keys]:
    """The access data of a gallery, without a server."""
    places = Places(str(gallery))
    secrets = load_secrets(places.secret)
    store = open_store(places, secrets)
    try:
        yield Keys(store, secrets)
    finally:
        store.close()


@pytest.fixture(scope="session")
def make_key() -> Callable[..., NewApplication]:
    """`make_key(gallery, tenant="acme", scopes="admin")`: an application with its keys."""

    def make(
        gallery: str | Path, tenant: str = "acme", scopes: str = "admin", **options: Any
    ) -> NewApplication:
        with opened_keys(gallery) as keys:
            return keys.create(tenant, frozenset(scopes.split(",")), **options)

    return make


def bearer(key: NewApplication | str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {key if isinstance(key, str) else key.api_key}"}


def wait_until_ready(client: Any) -> None:
    """Until ``/health/ready`` answers 200."""
    deadline = time.monotonic() + READY_S
    while (answer := client.get("/health/ready")).status_code != 200:
        assert answer.json()["reason"] == "loading", answer.text
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.02)


@pytest.fixture(scope="session")
def client_for() -> Callable[..., AbstractContextManager[TestClient]]:
    """`with client_for(gallery, key, **settings) as client:` an application in this process.

    Without a key the application is anonymous. `client.app.state.service` is its `Service`.
    """

    @contextmanager
    def made(
        gallery: str | Path, key: NewApplication | str | None = None, **settings: Any
    ) -> Iterator[TestClient]:
        given = {"gallery": str(gallery), "threads": 2, "anonymous": key is None, **settings}
        app = create_app(Settings(**given))
        headers = {} if key is None else bearer(key)
        with TestClient(
            app,
            base_url="http://127.0.0.1",
            headers=headers,
            raise_server_exceptions=False,
        ) as client:
            wait_until_ready(client)
            yield client

    return made


@pytest.fixture
def client(
    enrolled_path: Path,
    make_key: Callable[..., NewApplication],
    client_for: Callable[..., AbstractContextManager[TestClient]],
) -> Iterator[TestClient]:
    """An application over the sample gallery; the client carries an admin's key."""
    with client_for(enrolled_path, make_key(enrolled_path)) as made:
        yield made


@dataclass
class Running:
    """A server in a process of its own.

    Attributes:
        url: ``http://127.0.0.1:PORT``.
        process: The process.
        key: An admin's keys of the tenant ``acme``, who owns the gallery.
        gallery: Path or URL of the gallery.
        log: What it writes.
    """

    url: str
    process: subprocess.Popen[bytes]
    key: NewApplication
    gallery: str
    log: Path = field(repr=False)

    def request(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
        timeout_s: float = 30,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (small letters), body."""
        request = urllib.request.Request(  # noqa: S310
            self.url + path, data=body, headers=dict(headers or {}), method=method
        )
        try:
            context = ssl._create_unverified_context()  # noqa: S323  (test_tls looks)
            with urllib.request.urlopen(request, timeout=timeout_s, context=context) as answer:  # noqa: S310
                return (
                    answer.status,
                    {k.lower(): v for k, v in answer.headers.items()},
                    answer.read(),
                )
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def json(self, path: str, **options: Any) -> Any:
        """The body of an answer with the admin's key, as JSON."""
        headers = {**bearer(self.key), **options.pop("headers", {})}
        return json.loads(self.request(path, headers=headers, **options)[2])


@contextmanager
def serving_process(
    gallery: str | Path, key: NewApplication, log: Path, *arguments: object, **variables: str
) -> Iterator[Running]:
    """A real server on a free port, ready; it is ended, in peace, with the block."""
    command = [sys.executable, "-m", "vultus", "serve", "--gallery", str(gallery), "--port", "0"]
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*command, *map(str, arguments)], stderr=written, stdout=written,
            env={**os.environ, **variables},
        )  # fmt: skip
    try:
        running = Running(_address(process, log), process, key, str(gallery), log)
        _wait(running)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"listens on (https?://\S+)", log.read_text(errors="replace"))
        if found:
            return found[1]
        time.sleep(0.02)
    pytest.fail("the server did not start: " + log.read_text(errors="replace")[-3000:])


def _wait(running: Running) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and running.process.poll() is None:
        with contextlib.suppress(OSError):
            if running.request("/health/ready")[0] == 200:
                return
        time.sleep(0.02)
    pytest.fail("the server is not ready: " + running.log.read_text(errors="replace")[-3000:])


@pytest.fixture(scope="session")
def serving(
    make_key: Callable[..., NewApplication], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[Running]]:
    """`with serving(gallery, "--workers", 2, VULTUS_SERVER_…="…") as running:`."""

    @contextmanager
    def start(
        gallery: str | Path, *arguments: object, key: NewApplication | None = None, **variables: str
    ) -> Iterator[Running]:
        key = key or make_key(gallery)
        log = tmp_path_factory.mktemp("server") / "log"
        with serving_process(gallery, key, log, *arguments, **variables) as running:
            yield running

    return start


@pytest.fixture(scope="session")
def server(
    _enrolled: Path,
    serving: Callable[..., AbstractContextManager[Running]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """One running server over the sample gallery for all tests that only read, or clean up."""
    path = tmp_path_factory.mktemp("served") / "people.vultus"
    shutil.copyfile(_enrolled, path)
    with serving(path) as running:
        yield running


@pytest.fixture
def raw_connection() -> Iterator[Callable[[Running], socket.socket]]:
    """`raw_connection(running)`: a socket to say anything to a server; closed with the test."""
    opened: list[socket.socket] = []

    def connect(running: Running) -> socket.socket:
        host, _, port = running.url.partition("://")[2].rpartition(":")
        made = socket.create_connection((host, int(port)), timeout=30)
        opened.append(made)
        return made

    yield connect
    for made in opened:
        made.close()


def is_readable(connection: socket.socket, timeout_s: float) -> bool:
    """Whether the other side said something, or closed, in time."""
    return bool(select.select([connection], [], [], timeout_s)[0])


__all__ = ["Gallery", "Running", "bearer", "is_readable", "opened_keys", "wait_until_ready"]
