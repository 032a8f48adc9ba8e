from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from vultus.errors import OutputError
from vultus.gallery import AuditEntry, open_gallery, verify_chain
from vultus.gallery.archive import read_archive

Failed = Callable[..., dict[str, Any]]


def test_the_gallery_at_a_glance(api: TestClient, key_for: Callable[..., Any]) -> None:
    answer = api.get("/v1/gallery", headers=key_for("read"))
    body = answer.json()
    assert (body["people"], body["faces"], body["groups"]) == (2, 2, 0)
    assert body["space"].startswith("dlib-resnet-v1/")
    assert body["spaces"] == [{"id": body["space"], "faces": 2, "active": True}]
    assert (body["search"]["kind"], body["search"]["recall"]) == ("exact", 1.0)
    assert "people.vultus" not in answer.text
    tag = {"if-none-match": answer.headers["etag"]}
    assert api.get("/v1/gallery", headers=tag).status_code == 304


def test_the_log(api: TestClient, failed: Failed) -> None:
    api.post("/v1/people", json={"id": "logged"})
    api.delete("/v1/people/logged")
    entries: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = api.get("/v1/audit", params=params).json()
        entries += page["items"]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    assert verify_chain([AuditEntry(**entry) for entry in entries]) == []
    own = api.get("/v1/audit", params={"person": "logged"}).json()["items"]
    assert [entry["action"] for entry in own] == ["person.add", "person.remove"]
    assert own[0]["subject"] not in {None, "logged"}
    assert "logged" not in api.get("/v1/audit").text
    (app,) = {entry["actor"] for entry in own}
    assert app.startswith("app:")
    text = {"cursor": "ImEi"}  # a page of people's cursor
    failed(api.get("/v1/audit", params=text), 422, "request-invalid")


def test_an_export_brings_everything_back(
    api: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    answer = api.get("/v1/export")
    assert answer.headers["content-type"] == "application/zip"
    assert "gallery.vultus.zip" in answer.headers["content-disposition"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert list(folder.iterdir()) == []
    archive = tmp_path / "gallery.zip"
    archive.write_bytes(answer.content)
    with open_gallery(tmp_path / "copy.vultus") as copy:
        read_archive(archive, copy)
        assert [person.id for person in copy.people()] == ["Barack Obama", "Joe Biden"]
        assert copy.verify() == []


def test_an_export_that_fails_leaves_nothing_behind(
    api: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: Failed
) -> None:
    def refuse(*_: object) -> None:
        raise OutputError("disk /secret/place is full", path="/secret/place")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("vultus.server.routes.export.write_archive", refuse)
    answer = api.get("/v1/export")
    assert failed(answer, 500, "internal") == {}
    assert "secret" not in answer.text
    assert list(tmp_path.iterdir()) == []
