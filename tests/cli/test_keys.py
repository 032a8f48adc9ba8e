from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

for _module in ("fastapi", "sqlalchemy", "uvicorn", "prometheus_client"):
    pytest.importorskip(_module, reason="install the server: pip install 'vultus[server]'")

Run = Callable[..., Any]


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "people.vultus"
    monkeypatch.setenv("VULTUS_SERVER_GALLERY", str(path))
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    return path


def test_keys_are_shown_once(vultus: Run, gallery: Path):
    made = vultus("keys", "create", "--tenant", "acme", "--name", "gate [4]")
    assert made.code == 0
    shown = dict(re.findall(r"^(\w+) +(\S+)$", made.out, re.MULTILINE))
    assert list(shown) == ["api_key", "app_id", "ak", "sk"]
    assert "not shown again" in made.out
    listed = vultus("keys", "list").out
    assert f"{shown['app_id']}  acme  read  " in listed
    assert listed.rstrip().endswith("gate [4]")
    assert shown["api_key"] not in listed
    assert gallery.with_name("people.server.db").exists()
    assert not gallery.exists()  # it is made when there is somebody to enrol


def test_the_life_of_a_key(vultus: Run, gallery: Path):
    create = ("keys", "create", "--tenant", "acme", "--scopes", "read,enrol,delete,admin")
    made = json.loads(vultus(*create, "--rate", 2.5, "--daily", 100, "--json").out)
    (listed,) = map(json.loads, vultus("keys", "list", "--json").out.splitlines())
    assert listed == {
        "app_id": made["app_id"], "tenant": "acme", "name": "", "ak": made["ak"],
        "scopes": ["admin", "delete", "enrol", "read"], "revoked": False,
        "created_at": listed["created_at"], "rate_per_s": 2.5, "daily": 100,
    }  # fmt: skip
    again = json.loads(vultus("keys", "rotate", made["app_id"], "--json").out)
    assert again["api_key"] != made["api_key"]
    assert json.loads(vultus("keys", "revoke", made["app_id"], "--json").out)["revoked"]
    assert "  revoked" in vultus("keys", "list").out
    assert vultus("keys", "list", "--tenant", "other").out == ""
    entries = [json.loads(line) for line in vultus("keys", "log", "--json").out.splitlines()]
    assert [entry["action"] for entry in entries] == [
        "tenant.create", "key.create", "key.rotate", "key.revoke",
    ]  # fmt: skip
    assert {entry["tenant"] for entry in entries} == {"acme"}
    assert made["app_id"] in vultus("keys", "log").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "--tenant", "a/b"), "a tenant's name must be"),
        (("create", "--tenant", "a", "--scopes", "write"), "scopes must be some of"),
        (("create", "--tenant", "a", "--scopes", ","), "got none"),
        (("rotate", "12345678"), "there is no application '12345678'"),
        (("list", "--gallery", ":memory:"), "needs a gallery that lasts"),
        (("list", "--gallery", "nowhere/people.vultus"), "cannot be read or made"),
    ],
)
def test_what_cannot_be_is_told(
    vultus: Run, gallery: Path, arguments: tuple[str, ...], message: str,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.chdir(gallery.parent)
    ended = vultus("keys", *arguments)
    assert ended.code == 4
    assert message in " ".join(ended.err.split())


def test_without_a_gallery_it_is_asked_for(vultus: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VULTUS_SERVER_GALLERY", raising=False)
    ended = vultus("keys", "list")
    assert ended.code == 2
    assert "--gallery" in ended.err
