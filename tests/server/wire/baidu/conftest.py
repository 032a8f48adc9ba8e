"""What the tests of Baidu's interface share: tenants of their own, small pictures, real clients."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from vultus.server.store import Application, NewApplication

_HEIGHT_PX = 240
_SDK = Path(__file__).with_name("sdk_run.py")


@dataclass
class Tenant:
    """One tenant's application and a client that speaks for it.

    `v2` and `v3` give the decoded reply, whatever it says.
    """

    client: TestClient
    key: NewApplication
    name: str
    token: str

    @property
    def service(self) -> Any:
        return self.client.app.state.service  # type: ignore[attr-defined]

    @property
    def tools(self) -> Any:
        return self.client.app.state.baidu.tools  # type: ignore[attr-defined]

    @property
    def gallery(self) -> Any:
        return self.service.gallery(self.name)

    @property
    def application(self) -> Application:
        found = self.service.keys.by_ak(self.key.ak)
        assert found is not None
        return found

    def v2(self, path: str, **fields: object) -> dict[str, Any]:
        """A form, as the V2 clients send it."""
        return self.post(f"v2/{path}", data=fields)

    def v3(self, path: str, body: object = None, **fields: object) -> dict[str, Any]:
        """JSON, as the V3 clients send it."""
        content = json.dumps(fields if body is None else body, ensure_ascii=False).encode()
        return self.post(f"v3/{path}", content=content)

    def post(self, path: str, **options: Any) -> dict[str, Any]:
        options.setdefault("params", {"access_token": self.token})
        answer = self.client.post(f"/rest/2.0/face/{path}", **options)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        told = answer.json()
        assert isinstance(told, dict)
        return told

    def enrol(self, group: str, user: str, picture: str, info: str = "") -> str:
        """Enrol a picture by V3; gives the face token."""
        told = self.v3(
            "faceset/user/add",
            image=picture,
            image_type="BASE64",
            group_id=group,
            user_id=user,
            user_info=info,
        )
        assert told["error_code"] == 0, told
        return str(told["result"]["face_token"])


@pytest.fixture(scope="session")
def application(
    client_for: Callable[..., AbstractContextManager[TestClient]],
    make_key: Callable[..., NewApplication],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TestClient]:
    """One application in this process for all these tests."""
    path = tmp_path_factory.mktemp("baidu") / "people.vultus"
    with client_for(path, make_key(path, "first")) as client:
        client.headers.pop("authorization")
        yield client


@pytest.fixture(scope="session")
def make_tenant(application: TestClient) -> Callable[..., Tenant]:
    """`make_tenant(scopes="admin", name=None)`: an application, of a new tenant without a name."""
    numbers = itertools.count(1)

    def make(scopes: str = "admin", name: str | None = None, **options: Any) -> Tenant:
        name = name or f"tenant{next(numbers)}"
        keys = application.app.state.service.keys  # type: ignore[attr-defined]
        key = keys.create(name, frozenset(scopes.split(",")), **options)
        told = application.get(
            "/oauth/2.0/token",
            params={
                "grant_type": "client_credentials",
                "client_id": key.ak,
                "client_secret": key.sk,
            },
        ).json()
        return Tenant(application, key, name, told["access_token"])

    return make


@pytest.fixture
def tenant(make_tenant: Callable[..., Tenant]) -> Tenant:
    """A tenant of the test's own, with an empty library."""
    return make_tenant()


@pytest.fixture(scope="module")
def shared(make_tenant: Callable[..., Tenant], pictures: Mapping[str, str]) -> Tenant:
    """A library for the tests of a file that only read.

    Group `g1`: obama (two faces), biden; `g2`: obama; `empty`.
    """
    made = make_tenant()
    made.enrol("g1", "obama", pictures["obama"], "总统")
    made.enrol("g1", "obama", pictures["obama2"])
    made.enrol("g2", "obama", pictures["obama"], "in g2")
    made.enrol("g1", "biden", pictures["biden"], "vice")
    assert made.v3("faceset/group/add", group_id="empty")["error_code"] == 0
    return made


class Pictures(dict[str, str]):
    """Base64 of small pictures by name: obama, obama2, obama3, biden, pair, wall, nobody."""

    def bytes(self, name: str) -> bytes:
        return base64.b64decode(self[name])


@pytest.fixture(scope="session")
def pictures(samples: Path) -> Pictures:
    """See `Pictures`: JPEG, 240 px high; `pair` shows Obama, larger, and Biden."""
    files = {
        "obama": "known/Barack Obama.jpg",
        "obama2": "photos/obama2.jpg",
        "obama3": "photos/obama3.jpg",
        "biden": "known/Joe Biden.jpg",
    }
    shrunk = {name: _shrunk(samples / path, _HEIGHT_PX) for name, path in files.items()}
    pair = Image.new("RGB", (shrunk["obama"].width + 200, _HEIGHT_PX), "grey")
    pair.paste(shrunk["obama"], (0, 0))
    small = _shrunk(samples / files["biden"], 200)
    pair.paste(small.crop((0, 0, 200, 200)), (shrunk["obama"].width, 20))
    shrunk["pair"] = pair
    shrunk["nobody"] = Image.radial_gradient("L").convert("RGB").resize((120, 120))
    return Pictures({name: encoded(image) for name, image in shrunk.items()})


def _shrunk(path: Path, height_px: int) -> Image.Image:
    with Image.open(path) as image:
        width = round(image.width * height_px / image.height)
        return image.convert("RGB").resize((width, height_px))


def encoded(image: Image.Image, kind: str = "JPEG") -> str:
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="session")
def encode() -> Callable[..., str]:
    """`encode(image, kind="JPEG")`: base64 of a Pillow picture."""
    return encoded


@pytest.fixture(scope="session")
def sdk(clients: Path) -> Callable[..., list[Any]]:
    """`sdk("baidu-aip-2", url, key, calls, …)`: what the unmodified client gives for each call.

    Calls are ``[method, *arguments]``; ``{"bytes": base64}`` stands for bytes. A call that raises
    gives ``{"raised": …}``. Further keyword arguments: see sdk_run.py.
    """

    def run(client: str, url: str, key: Any, calls: list[list[Any]], **options: Any) -> list[Any]:
        job = {"url": url, "ak": key.ak, "sk": key.sk, "app_id": key.app_id, "calls": calls}
        ended = subprocess.run(
            [sys.executable, str(_SDK)],
            input=json.dumps({**job, **options}).encode(),
            env={**os.environ, "PYTHONPATH": str(clients / client), "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr.decode()[-3000:]
        found: list[Any] = json.loads(ended.stdout)
        assert len(found) == len(calls)
        return found

    return run
