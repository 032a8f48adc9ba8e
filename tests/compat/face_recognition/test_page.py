"""The page on migrating tells the truth: its snippets print what is shown."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "migrating" / "face_recognition.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("known", "photos"):
        shutil.copytree(samples / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python(workplace: Path):
    blocks = FENCE.findall(PAGE.read_text(encoding="utf-8"))
    ran = 0
    for (language, code), (_, shown) in pairwise(blocks):
        if language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(code, str(PAGE), "exec"), {})  # noqa: S102 - our own page
            assert output.getvalue() == shown
            ran += 1
    assert ran == 1


def test_commands(workplace: Path, vultus):
    ran = 0
    for language, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language != "console":
            continue
        parts = re.split(r"^\$ vultus (.+)\n", text, flags=re.MULTILINE)
        for command, shown in zip(parts[1::2], parts[2::2], strict=True):
            ended = vultus(*shlex.split(command))
            assert ended.code == 0
            assert shown in {ended.out, "…\n"}
            ran += 1
    assert ran == 5
