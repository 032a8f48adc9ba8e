"""One heap for all threads, where the C library offers it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vultus.runtime import use_one_heap

SCRIPT = """
import re, threading
from vultus.runtime import use_one_heap
assert use_one_heap()
hold = threading.Barrier(5)
def work():
    kept = [bytes(1000) for _ in range(100)]
    hold.wait()
    hold.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
hold.wait()
import ctypes, tempfile, os
libc = ctypes.CDLL(None)
with tempfile.NamedTemporaryFile() as f:
    libc.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.fopen(f.name.encode(), b"w"))
    libc.malloc_info(0, stream); libc.fclose(stream)
    print(len(re.findall("<heap ", open(f.name).read())))
hold.wait()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_threads_share_one_heap():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "1"


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert use_one_heap() is False
