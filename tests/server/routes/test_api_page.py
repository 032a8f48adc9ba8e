"""docs/api.md tells the truth: its examples are run, and it lists what there is."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from vultus.server.store import NewApplication

PAGE = Path(__file__).resolve().parents[3] / "docs" / "api.md"
BLOCK = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANY = "…"
NAMES = ("person", "group", "face", "job")


def examples() -> Iterator[tuple[str, str]]:
    """Each command with the reply shown below it, if any."""
    for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        found = re.split(r"^\$ (.+)\n", block, flags=re.MULTILINE)
        yield from zip(found[1::2], found[2::2], strict=True)


def words_of(command: str, variables: dict[str, str]) -> list[str]:
    """A command's words, as the shell would hand them to curl."""
    for name, value in variables.items():
        command = command.replace(f"${name}", value)
    return shlex.split(command)


class Curl:
    """What curl would send."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.method, self.headers, self.body = "", {}, None
        self.fields: dict[str, list[str]] = {}
        self.files: list[tuple[str, tuple[str, bytes]]] = []
        self.url = self.output = ""
        rest = iter(words[1:])
        for word in rest:
            if word == "-X":
                self.method = next(rest)
            elif word == "-H":
                name, _, value = next(rest).partition(": ")
                self.headers[name] = value
            elif word == "-d":
                self.body = next(rest)
            elif word == "-o":
                self.output = next(rest)
            elif word == "-F":
                self._form(next(rest), folder)
            else:
                assert not word.startswith("-"), word
                self.url = word
        writes = self.body is not None or self.fields or self.files
        self.method = self.method or ("POST" if writes else "GET")

    def _form(self, field: str, folder: Path) -> None:
        name, _, value = field.partition("=")
        if value.startswith("@"):
            path = folder / value[1:]
            self.files.append((name, (path.name, path.read_bytes())))
        else:
            self.fields.setdefault(name, []).append(value)

    def send(self, client: TestClient) -> Any:
        return client.request(
            self.method,
            self.url,
            headers=self.headers,
            content=self.body,
            data=self.fields or None,
            files=self.files or None,
        )


def differences(shown: Any, found: Any, where: str = "reply") -> Iterator[str]:
    """What differs; `ANY` stands for any text or value, further items, or further fields."""
    if isinstance(shown, dict) and isinstance(found, dict):
        wanted = [name for name in shown if name != ANY]
        if ANY in shown:
            missing = [name for name in wanted if name not in found]
        else:
            missing = sorted(set(shown) ^ set(found))
        if missing:
            yield f"{where}: {missing}"
        for name in wanted:
            if name in found:
                yield from differences(shown[name], found[name], f"{where}.{name}")
    elif isinstance(shown, list) and isinstance(found, list):
        more = bool(shown) and shown[-1] == ANY
        if len(shown) - more != len(found) and not more:
            yield f"{where} has {len(found)} items"
        for number, (one, other) in enumerate(zip(shown[: len(shown) - more], found, strict=False)):
            yield from differences(one, other, f"{where}[{number}]")
    elif isinstance(shown, str):
        pattern = ".*".join(re.escape(part) for part in shown.split(ANY))
        if shown != ANY and not (isinstance(found, str) and re.fullmatch(pattern, found)):
            yield f"{where} is {found!r}"
    elif type(shown) in {int, float} and type(found) in {int, float}:
        if shown != pytest.approx(found, rel=5e-3):
            yield f"{where} is {found}"
    elif shown != found:
        yield f"{where} is {found!r}"


@pytest.fixture
def workplace(samples: Path, tmp_path: Path) -> Path:
    for name in ("known", "photos"):
        shutil.copytree(samples / name, tmp_path / name)
    return tmp_path


def operation_of(method: str, url: str, document: dict[str, Any]) -> tuple[str, str]:
    """The documented operation that a request asks for."""
    path = url.partition("?")[0]
    for template, methods in document["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in methods:
            return method, template
    raise AssertionError(f"{method} {path} is not in the OpenAPI document")


def settled(client: TestClient, url: str, headers: dict[str, str]) -> None:
    """Wait for a job, as a reader's fingers do."""
    deadline = time.monotonic() + 30
    while client.get(url, headers=headers).json()["state"] in {"waiting", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_example_answers_as_shown(
    workplace: Path,
    make_key: Callable[..., NewApplication],
    client_for: Callable[..., AbstractContextManager[TestClient]],
) -> None:
    gallery = workplace / "people.vultus"
    key = make_key(gallery)
    variables = {"URL": "", "AUTH": f"Authorization: Bearer {key.api_key}"}
    wrong: list[str] = []
    with client_for(gallery, key) as client:
        document = client.get("/v1/openapi.json").json()
        seen = set()
        for command, shown in examples():
            stored = re.fullmatch(r"(\w+)=\$\((curl .+) \| jq -r \.items\[0\]\.id\)", command)
            words = words_of(stored[2] if stored else command, variables)
            assert words[0] == "curl", command
            asked = Curl(words, workplace)
            seen.add(operation_of(asked.method, asked.url, document))
            if "/jobs/" in asked.url:
                settled(client, asked.url.removesuffix("/cancel"), asked.headers)
            answer = asked.send(client)
            if stored:
                variables[stored[1]] = answer.json()["items"][0]["id"]
            elif shown:
                wrong += [f"{command}\n{d}" for d in differences(json.loads(shown), answer.json())]
            else:
                assert asked.output, command
                assert answer.status_code == 200
        every = {
            (method.upper(), path)
            for path, methods in document["paths"].items()
            for method in methods
        }
        assert not wrong, "\n".join(wrong)
        assert every == seen


def test_the_errors_are_those_of_the_openapi_document(api: TestClient) -> None:
    document = api.get("/v1/openapi.json").json()
    told: dict[str, set[int]] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                for code in re.findall(r"`([a-z]+(?:-[a-z]+)*)`", answer["description"]):
                    if int(status) >= 400 and code not in {"verify", "optimise", "admin"}:
                        told.setdefault(code, set()).add(int(status))
    rows = re.findall(r"^\| (\d{3}) \| (.+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed: dict[str, set[int]] = {}
    for status, codes in rows:
        for code in re.findall(r"`([\w-]+)`", codes):
            listed.setdefault(code, set()).add(int(status))
    assert listed.pop("method-not-allowed") == {405}
    assert listed == told


def test_every_operation_is_described(api: TestClient) -> None:
    document = api.get("/v1/openapi.json").json()
    ids: list[str] = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            ids.append(operation["operationId"])
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert operation["tags"], (method, path)
            assert operation["security"], (method, path)
            assert {"401", "403", "422", "429", "500", "503"} <= set(operation["responses"])
            for parameter in operation.get("parameters", []):
                assert parameter["description"], (method, path, parameter["name"])
            if method == "get" or "requestBody" not in operation:
                continue
            for media in operation["requestBody"]["content"].values():
                for name, field in media["schema"].get("properties", {}).items():
                    assert field.get("description") or field.get("examples"), (
                        method, path, name,
                    )  # fmt: skip
    assert len(ids) == len(set(ids)) == 36
    assert {"HTTPBearer", "APIKeyHeader"} == set(document["components"]["securitySchemes"])
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert references == set(document["components"]["schemas"])


def test_the_names_clients_are_generated_from_stay(api: TestClient) -> None:
    document = api.get("/v1/openapi.json").json()
    ids = {o["operationId"] for methods in document["paths"].values() for o in methods.values()}
    assert ids == {
        "cancelJob", "compareFaces", "createGroup", "createPerson", "deleteFace", "deleteGroup",
        "deleteMembership", "deletePerson", "detectFaces", "detectFacesBatch", "enrolFaces",
        "exportGallery", "getFace", "getGallery", "getGroup", "getJob", "getPerson",
        "identifyFaces", "identifyFacesBatch", "listAudit", "listFaces", "listGroups", "listJobs",
        "listMemberships", "listPeople", "mergePeople", "moveFace", "patchGroup", "patchPerson",
        "putMembership", "putPerson", "renamePerson", "searchByFace", "splitPerson", "startJob",
        "verifyPerson",
    }  # fmt: skip
