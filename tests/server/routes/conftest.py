"""The native API in this process: one application a module, over the samples' two people."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from vultus.server.store import NewApplication

Files = list[tuple[str, tuple[str, bytes]]]


@pytest.fixture(scope="module")
def api(
    _enrolled: Path,
    tmp_path_factory: pytest.TempPathFactory,
    make_key: Callable[..., NewApplication],
    client_for: Callable[..., AbstractContextManager[TestClient]],
) -> Iterator[TestClient]:
    """A client with an admin's key; Barack Obama and Joe Biden are known, each by one face.

    A test that adds something uses ids of its own.
    """
    path = tmp_path_factory.mktemp("api") / "people.vultus"
    shutil.copyfile(_enrolled, path)
    with client_for(path, make_key(path)) as client:
        yield client


@pytest.fixture(scope="module")
def key_for(
    api: TestClient, make_key: Callable[..., NewApplication]
) -> Callable[..., dict[str, str]]:
    """`key_for(scopes="read", tenant="acme")`: headers with another key of the same server."""
    gallery = api.app.state.service.settings.gallery  # type: ignore[attr-defined]

    def made(scopes: str = "admin", tenant: str = "acme") -> dict[str, str]:
        return {"Authorization": f"Bearer {make_key(gallery, tenant, scopes).api_key}"}

    return made


@pytest.fixture(scope="session")
def photo(samples: Path) -> Callable[[str], bytes]:
    """`photo("wall.jpg")`: a sample's bytes, of the photos or of the known."""

    def read(name: str) -> bytes:
        folder = "photos" if (samples / "photos" / name).exists() else "known"
        return (samples / folder / name).read_bytes()

    return read


@pytest.fixture(scope="session")
def parts(photo: Callable[[str], bytes]) -> Callable[..., Files]:
    """`parts("wall.jpg", …)`: samples as parts called ``file``."""

    def made(*names: str) -> Files:
        return [("file", (name, photo(name))) for name in names]

    return made


@pytest.fixture(scope="session")
def text(photo: Callable[[str], bytes]) -> Callable[[str], str]:
    """`text("wall.jpg")`: a sample in base64."""
    return lambda name: base64.b64encode(photo(name)).decode()


@pytest.fixture
def failed() -> Callable[..., dict[str, Any]]:
    """`failed(answer, 404, "person-unknown")`: its details, once all else is right."""

    def check(answer: Any, status: int, code: str) -> dict[str, Any]:
        body = answer.json()
        assert (answer.status_code, body["code"]) == (status, code), answer.text
        assert set(body) == {"code", "message", "details", "request_id"}
        assert body["message"]
        assert body["request_id"] == answer.headers["x-request-id"]
        details: dict[str, Any] = body["details"]
        return details

    return check
