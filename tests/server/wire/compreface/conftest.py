"""A server with two tenants for the tests of CompreFace's interface."""

import importlib.resources
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vultus.gallery import Gallery


@dataclass(frozen=True)
class Api:
    """CompreFace's interface as one tenant sees it.

    Attributes:
        client: Speaks HTTP.
        key: The tenant's.
        tenant: Their name.
    """

    client: Any
    key: str
    tenant: str

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        """An answer with this tenant's key."""
        headers = {"x-api-key": self.key, **options.pop("headers", {})}
        return self.client.request(method, f"/api/v1/{path}", headers=headers, **options)

    @property
    def service(self) -> Any:
        """The server's."""
        return self.client.app.state.service

    @property
    def gallery(self) -> Gallery:
        """The tenant's."""
        found: Gallery = self.service.gallery(self.tenant)
        return found

    def send(self, path: str, picture: bytes, name: str = "face.jpg", **query: Any) -> Any:
        """Post a picture as a part called ``file``."""
        return self("POST", path, params=query, files={"file": (name, picture)})

    def add(self, subject: str, picture: bytes) -> str:
        """Keep an example."""
        answer = self.send("recognition/faces", picture, subject=subject)
        assert answer.status_code == 201, answer.text
        image_id: str = answer.json()["image_id"]
        return image_id


@dataclass(frozen=True)
class Pictures:
    """Encoded pictures that ship with vultus.

    Attributes:
        obama: One face.
        obama2: One face, another picture.
        biden: One face.
        wall: Three faces: the largest is Obama's, then Biden's, then a stranger's.
        nobody: No face.
    """

    obama: bytes
    obama2: bytes
    biden: bytes
    wall: bytes
    nobody: bytes


@pytest.fixture(scope="session")
def pictures() -> Pictures:
    """Pictures to send."""
    root = Path(str(importlib.resources.files("vultus.samples")))
    known, photos = root / "known", root / "photos"
    return Pictures(
        (known / "Barack Obama.jpg").read_bytes(),
        (photos / "obama2.jpg").read_bytes(),
        (known / "Joe Biden.jpg").read_bytes(),
        (photos / "wall.jpg").read_bytes(),
        (photos / "rocket.jpg").read_bytes(),
    )


@pytest.fixture(scope="session")
def tenants(
    make_key: Callable[..., Any],
    client_for: Callable[..., AbstractContextManager[Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Api, Api]]:
    """Two tenants of one server that keeps crops."""
    path = tmp_path_factory.mktemp("compreface") / "people.vultus"
    one, two = make_key(path, "one"), make_key(path, "two")
    with client_for(path, one, keep_crops=True) as client:
        del client.headers["authorization"]
        yield Api(client, one.api_key, "one"), Api(client, two.api_key, "two")


@pytest.fixture
def api(tenants: tuple[Api, Api]) -> Api:
    """The first tenant; nobody is enrolled, with either."""
    for tenant in tenants:
        for person in tenant.gallery.people():
            tenant.gallery.remove(person.id)
        for group in tenant.gallery.groups():
            tenant.gallery.remove_group(group.name)
    return tenants[0]


@pytest.fixture
def other(api: Api, tenants: tuple[Api, Api]) -> Api:
    """The second tenant."""
    return tenants[1]


def failed(answer: Any) -> tuple[int, int, str]:
    """Status, code and message of an error, which has nothing else."""
    body = answer.json()
    assert set(body) == {"message", "code"}
    return answer.status_code, body["code"], body["message"]
