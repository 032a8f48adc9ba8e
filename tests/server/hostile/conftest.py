"""A running server with two tenants for bad input over all of its interfaces.

Nothing breaks the server (no 5xx), nothing of what was sent comes back as anything but data, and
another tenant's things look like things that are not there.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from vultus.samples import photos_dir
from vultus.server.places import Places
from vultus.server.secrets import load_secrets
from vultus.server.store import Keys, NewApplication, Tokens, open_store

V2, V3 = "/rest/2.0/face/v2/", "/rest/2.0/face/v3/"


@dataclass
class Told:
    """An answer, whoever gave it.

    Attributes:
        status: Of HTTP.
        code: Of the interface; ``None`` for a success.
        body: Parsed.
        raw: The answer itself.
    """

    status: int
    code: object
    body: Any = field(repr=False)
    raw: httpx.Response = field(repr=False)

    @property
    def failed(self) -> tuple[int, object]:
        """Status and code."""
        return self.status, self.code

    @property
    def native(self) -> tuple[int, object]:
        """The same of an error of the native API, which has its shape."""
        assert set(self.body) == {"code", "message", "details", "request_id"}
        return self.failed


def told(answer: httpx.Response) -> Told:
    """An answer taken apart, and what holds of every answer required of it."""
    assert answer.status_code < 500, answer.text[:500]
    kind = answer.headers["content-type"]
    assert kind.startswith("application/json"), kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    body = answer.json()
    code = None
    if isinstance(body, dict):
        code = body.get("code", body.get("error_code") or body.get("error"))
    return Told(answer.status_code, code, body, answer)


@dataclass
class Tenant:
    """One tenant's way to all interfaces.

    Attributes:
        http: Speaks HTTP with the server.
        keys: Theirs.
        name: Theirs.
    """

    http: httpx.Client
    keys: NewApplication
    name: str
    _token: str = ""

    @property
    def token(self) -> str:
        """An access token."""
        if not self._token:
            query = {
                "grant_type": "client_credentials",
                "client_id": self.keys.ak,
                "client_secret": self.keys.sk,
            }
            self._token = self.http.get("/oauth/2.0/token", params=query).json()["access_token"]
        return self._token

    def told(self, method: str, path: str, **options: Any) -> Told:
        """An answer to somebody without a key."""
        return told(self.http.request(method, path, **options))

    def native(self, method: str, path: str, **options: Any) -> Told:
        """The native API."""
        headers = {"authorization": f"Bearer {self.keys.api_key}", **options.pop("headers", {})}
        return told(self.http.request(method, f"/v1/{path}", headers=headers, **options))

    def v2(self, path: str, **fields: Any) -> Told:
        """Face V2, a form."""
        query = {"access_token": self.token}
        return told(self.http.post(V2 + path, params=query, data=fields))

    def v3(self, path: str, body: object = None, **fields: Any) -> Told:
        """Face V3, JSON."""
        query = {"access_token": self.token}
        return told(self.http.post(V3 + path, params=query, json=fields if body is None else body))

    def compreface(self, method: str, path: str, **options: Any) -> Told:
        """CompreFace's."""
        headers = {"x-api-key": self.keys.api_key, **options.pop("headers", {})}
        return told(self.http.request(method, f"/api/v1/{path}", headers=headers, **options))

    def pictures(self, data: bytes, name: str = "a.jpg") -> dict[str, Told]:
        """The answers of every interface to one picture."""
        text = base64.b64encode(data).decode()
        return {
            "native multipart": self.native("POST", "detect", files={"file": (name, data)}),
            "native JSON": self.native("POST", "detect", json={"image": text}),
            "v2": self.v2("detect", image=text),
            "v3": self.v3("detect", image=text, image_type="BASE64"),
            "compreface": self.compreface("POST", "detection/detect", files={"file": (name, data)}),
            "compreface JSON": self.compreface("POST", "detection/detect", json={"file": text}),
        }

    def post_everywhere(self, content: Any, kind: str | None) -> dict[str, Told]:
        """The answers of every interface to one body."""
        headers = {} if kind is None else {"content-type": kind}
        query = {"access_token": self.token}
        options = {"content": content, "headers": headers}
        return {
            "native": self.native("POST", "detect", **options),
            "v2": told(self.http.post(f"{V2}detect", params=query, **options)),
            "v3": told(self.http.post(f"{V3}detect", params=query, **options)),
            "compreface": self.compreface("POST", "detection/detect", **options),
        }


@dataclass
class Place:
    """A running server with two tenants.

    Attributes:
        running: Its process.
        one: Owns the gallery of the samples.
        two: Another.
        tokens: Made with the server's own secret.
        keys: Access data.
    """

    running: Any
    one: Tenant
    two: Tenant
    tokens: Tokens
    keys: Keys


@pytest.fixture(scope="session")
def place(
    _enrolled: Path,
    make_key: Callable[..., NewApplication],
    serving: Callable[..., AbstractContextManager[Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """One server for all of these tests: what one does to it, the next one sees."""
    path = tmp_path_factory.mktemp("hostile") / "people.vultus"
    path.write_bytes(_enrolled.read_bytes())
    one, two = make_key(path, "one"), make_key(path, "two")
    places = Places(str(path))
    secrets = load_secrets(places.secret)
    store = open_store(places, secrets)
    keys = Keys(store, secrets)
    with (
        serving(path, "--threads", 2, key=one) as running,
        httpx.Client(base_url=running.url, timeout=60) as http,
    ):
        yield Place(
            running,
            Tenant(http, one, "one"),
            Tenant(http, two, "two"),
            Tokens(keys, secrets),
            keys,
        )
    store.close()


@pytest.fixture(scope="session")
def one(place: Place) -> Tenant:
    """The tenant who owns the sample gallery."""
    return place.one


@pytest.fixture(scope="session")
def two(place: Place) -> Tenant:
    """Another tenant."""
    return place.two


@pytest.fixture(scope="session")
def obama() -> bytes:
    """A picture with one face, small enough to be looked at often."""
    picture = Image.open(photos_dir() / "obama2.jpg")
    picture.thumbnail((320, 320))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()
