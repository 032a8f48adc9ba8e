"""What a person at a terminal sees while a bar is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX")


def test_results_stand_above_the_bar_on_lines_of_their_own(samples: Path):
    parent, child = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vultus", "detect", str(samples / "photos"), "-j", "1"],
        stdin=subprocess.DEVNULL,
        stdout=child,
        stderr=child,
        env=environment,
    )
    os.close(child)
    seen = b""
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(parent)
    assert process.wait(timeout=60) == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    lines = [line.strip() for line in re.split(r"[\r\n]+", plain) if line.strip()]
    told = [line for line in lines if "face" in line and "pictures" not in line]
    assert [line.rsplit("/", 1)[-1] for line in told] == [
        "astronaut.png  1 face",
        "obama2.jpg  1 face",
        "obama3.jpg  1 face",
        "rocket.jpg  no faces",
        "wall.jpg  3 faces",
    ]
    assert all(line.startswith("/") for line in told)  # nothing of the bar before them
    assert any(re.search(r"detecting .*\d/5", line) for line in lines)
