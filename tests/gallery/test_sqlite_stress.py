"""Threads and processes at once: the benchmark `gallery_stress.py`, for a short while."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gallery_stress.py"


@pytest.mark.slow
@pytest.mark.skipif(not SCRIPT.is_file(), reason="the benchmarks are not part of this copy")
def test_no_error_no_lost_change_no_stale_answer(tmp_path: Path) -> None:
    options = ["--seconds", "8", "--out", str(tmp_path), "--strict"]
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads((tmp_path / "gallery_stress.json").read_text(encoding="utf-8"))["results"]
    for what in ("errors", "stale answers", "lost changes", "findings"):
        assert found[what] == []
    assert found["samples"] > 0
    assert {"added one", "added five", "erased", "given away"} <= found["counts"].keys()
