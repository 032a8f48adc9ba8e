from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from vultus.cli.models import app
from vultus.errors import CardError, DownloadError, OfflineError, UnknownModelError, VultusError
from vultus.models import Registry

# tests/models/test_cards.py says which these are.
PACKED = [card.name for card in Registry(home=Path("/nowhere")) if card.packed]
CONTENT = b"a net" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
CARD = f"""
name = "mine"
kind = "quality"
title = "A net of [mine]"
summary = "For tests."
[origin]
project = "Somebody"
url = "https://example.org/net"
[licence]
spdx = "CC-BY-NC-4.0"
commercial = false
note = "Only for [research]."
training_data = "none"
[input]
layout = "NCHW"
channels = "RGB"
[[weights]]
file = "mine.onnx"
sha256 = "{DIGEST}"
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VULTUS_OFFLINE", raising=False)
    monkeypatch.delenv("VULTUS_MIRROR", raising=False)
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mirror").mkdir()
    path = tmp_path / "mirror" / "mine.onnx"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.toml"
    path.write_text(CARD)
    return path


@pytest.fixture
def mirror(file: Path) -> Iterator[str]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(file.parent)))
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def document(*words: object, code: int = 0) -> Any:
    return json.loads(run(*words, "--json", code=code).stdout)


def test_list_shows_every_model_in_full() -> None:
    lines = run("list").stdout.splitlines()
    assert lines[0].split() == ["name", "kind", "here", "size", "commercial", "what"]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert rows["dlib-resnet-v1"].split()[1:6] == ["embedder", "ships", "11.2", "MB", "allowed"]
    assert rows["retinaface-mbnet025"].split()[1:3] == ["detector", "–"]
    assert "not allowed" in rows["arcface-r50"]
    assert "unclear" in rows["adaface-ir18"]


def test_list_one_kind_as_json() -> None:
    models = document("list", "--kind", "pose")
    assert [model["name"] for model in models] == ["fsanet-1x1", "fsanet-var"]
    assert models[0] == {
        "name": "fsanet-1x1",
        "kind": "pose",
        "title": "FSA-Net head pose, 1x1 scoring",
        "installed": False,
        "packed": False,
        "bytes": 1247488,
        "licence": "MIT",
        "commercial": None,
    }
    assert "one of detector, embedder" in run("list", "--kind", "nose", code=2).stderr


def test_show_tells_what_is_known() -> None:
    text = run("show", "Buffalo_L").stdout
    assert text.startswith("arcface-r50: ArcFace ResNet-50")
    assert "commercial use not allowed" in text
    assert "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43: not here" in text
    shown = document("show", "mtcnn")
    assert shown["licence"]["spdx"] == "MIT"
    assert set(shown["paths"]) == {"pnet", "rnet", "onet"}
    assert shown["paths"]["pnet"].endswith("mtcnn_pnet.onnx")


def test_an_unknown_name_is_an_error_for_the_boundary() -> None:
    with pytest.raises(UnknownModelError, match="did you mean mtcnn"):
        run("show", "mtcn")


def test_add_with_a_card_then_use_it(home: Path, file: Path, card: Path) -> None:
    with pytest.raises(UnknownModelError, match="describe it in a card"):
        run("add", file)
    assert f"mine: mine.onnx is here and verified ({home / 'weights' / DIGEST})" in run(
        "add", file, "--card", card
    ).stdout.replace("\n", "")
    assert document("show", "mine")["paths"] == {"net": str(home / "weights" / DIGEST)}
    assert "A net of [mine]" in run("list").stdout
    assert "mine" in run("verify").stdout


def test_pull_from_a_mirror(home: Path, card: Path, mirror: str) -> None:
    (home / "cards").mkdir(parents=True)
    (home / "cards" / "mine.toml").write_text(CARD)
    result = run("pull", "mine", "--mirror", mirror)
    assert "mine: mine.onnx is here and verified" in result.stdout
    assert (
        "mine: licence CC-BY-NC-4.0, commercial use not allowed. Only for [research]."
        in result.stderr
    )
    assert "mine.onnx" in result.stderr
    assert (home / "weights" / DIGEST).read_bytes() == CONTENT
    assert run("pull", "mine", "--offline").exit_code == 0


def test_pull_refuses_what_it_cannot_do(home: Path, mirror: str) -> None:
    (home / "cards").mkdir(parents=True)
    (home / "cards" / "mine.toml").write_text(CARD)
    with pytest.raises(OfflineError, match="drop --offline"):
        run("pull", "mine", "--offline", "--mirror", mirror)
    with pytest.raises(DownloadError, match="no address is known"):
        run("pull", "mine")
    with pytest.raises(CardError, match="states SHA-256"):
        run("pull", "mine", "--sha256", "ab" * 32, "--mirror", mirror)
    assert "goes with one model" in run("pull", "mine", "yunet", "--sha256", "x", code=2).stderr
    assert run("pull", "mtcnn").stderr == ""


def test_verify_finds_damage(home: Path, file: Path, card: Path) -> None:
    run("verify")
    run("add", file, "--card", card)
    states = document("verify")
    assert {state["state"] for state in states} == {"ok"}
    assert {state["model"] for state in states} == {*PACKED, "mine"}
    (home / "weights" / DIGEST).write_bytes(b"damaged")
    (state,) = document("verify", "mine", code=1)
    assert state == {
        "model": "mine",
        "role": "net",
        "file": "mine.onnx",
        "state": "damaged",
        "path": str(home / "weights" / DIGEST),
        "expected": DIGEST,
        "actual": hashlib.sha256(b"damaged").hexdigest(),
    }
    assert "damaged" in run("verify", code=1).stdout
    assert "missing" in run("verify", "yunet", code=1).stdout


def test_remove(home: Path, file: Path, card: Path) -> None:
    run("add", file, "--card", card)
    assert "mine: deleted" in run("remove", "mine").stdout
    assert "mine: nothing was here" in run("remove", "mine").stdout
    assert not (home / "weights" / DIGEST).exists()
    with pytest.raises(VultusError, match="part of the package"):
        run("remove", "mtcnn")


def test_licenses_lists_all_terms() -> None:
    text = run("licenses").stdout
    assert "CC-BY-NC-SA-4.0" in text
    models = {model["name"]: model for model in document("licenses")}
    assert models["scrfd-10g"]["verdict"] == "not allowed"
    assert models["sface"]["verdict"] == "unclear"
    assert models["dlib-resnet-v1"]["installed"] is True


def test_the_default_pack_passes_the_commercial_policy() -> None:
    found = document("licenses", "--policy", "commercial")
    assert found["allowed"] is True
    assert [model["name"] for model in found["models"]] == PACKED
    assert "the only policy" in run("licenses", "--policy", "evil", code=2).stderr


@pytest.mark.parametrize(
    ("terms", "verdict"), [("commercial = false", "not allowed"), ("", "unclear")]
)
def test_the_commercial_policy_stops_the_rest(
    file: Path, card: Path, terms: str, verdict: str
) -> None:
    card.write_text(CARD.replace("commercial = false", terms))
    run("add", file, "--card", card)
    result = run("licenses", "--policy", "commercial", code=1)
    assert f"Not cleared for commercial use: mine ({verdict})" in result.stderr
    found = document("licenses", "--policy", "commercial", code=1)
    assert found["allowed"] is False
    assert {m["name"]: m["verdict"] for m in found["models"]}["mine"] == verdict


def test_help_names_the_commands() -> None:
    text = run("--help").stdout
    for command in ("list", "show", "pull", "add", "remove", "verify", "licenses"):
        assert command in text
