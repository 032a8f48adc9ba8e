"""The Click objects that code around face_recognition imports."""

from __future__ import annotations

import builtins
import importlib
import sys
from pathlib import Path

import pytest

from vultus.errors import MissingExtraError

MODULES = [
    f"vultus.compat.face_recognition.{name}"
    for name in ("_click", "face_recognition_cli", "face_detection_cli")
]


@pytest.fixture
def invoke():
    testing = pytest.importorskip("click.testing", reason="install click: pip install click")

    def run(name: str, *arguments: object):
        main = importlib.import_module(f"vultus.compat.face_recognition.{name}").main
        return testing.CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("face_recognition_cli", ["--cpus", "--tolerance", "--show-distance"]),
        ("face_detection_cli", ["--cpus", "--model"]),
    ],
)
def test_help(invoke, name: str, options: list[str]):
    ended = invoke(name, "--help")
    assert ended.exit_code == 0
    assert "Show this message and exit." in ended.output
    assert all(option in ended.output for option in options)


def test_recognition(invoke, samples: Path):
    known, photo = samples / "known", samples / "photos" / "obama2.jpg"
    ended = invoke("face_recognition_cli", known, photo, "--show-distance", "1")
    assert ended.exit_code == 0
    assert ended.output.startswith(f"{photo},Barack Obama,0.34")


def test_detection(invoke, samples: Path):
    photo = samples / "photos" / "obama2.jpg"
    ended = invoke("face_detection_cli", photo)
    assert (ended.exit_code, ended.output) == (0, f"{photo},302,474,611,164\n")


def test_wrong_use(invoke, samples: Path):
    ended = invoke("face_recognition_cli", samples)
    assert ended.exit_code == 2
    assert "Error: Missing argument 'IMAGE_TO_CHECK'." in ended.output
    ended = invoke("face_detection_cli", samples, "--cpus", 0)
    assert ended.exit_code == 2
    assert "--cpus must be at least 1" in ended.output


def test_failures(invoke, samples: Path, tmp_path: Path):
    ended = invoke("face_detection_cli", tmp_path / "none.jpg")
    assert ended.exit_code == 1
    assert "none.jpg: No such file or directory" in ended.output
    ended = invoke("face_recognition_cli", tmp_path / "nobody", samples)
    assert ended.exit_code == 1
    assert "nobody: No such file or directory" in ended.output


def test_without_click(monkeypatch: pytest.MonkeyPatch):
    original = builtins.__import__

    def without(name: str, *rest: object, **more: object):
        if name == "click":
            raise ModuleNotFoundError("No module named 'click'", name="click")
        return original(name, *rest, **more)

    for module in MODULES:
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'vultus\[face-recognition\]'"):
        importlib.import_module(MODULES[1])
