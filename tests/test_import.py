from __future__ import annotations

import json
import subprocess
import sys

import pytest

import vultus

HEAVY = ("numpy", "onnxruntime", "cv2", "PIL", "torch", "pydantic", "typer", "rich", "sqlite3")

SCRIPT = """
import json, sys, time
start = time.perf_counter()
import vultus
took_s = time.perf_counter() - start
print(json.dumps({"modules": sorted(sys.modules), "took_s": took_s}))
"""


def _run(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout


def test_importing_loads_nothing_heavy():
    found = json.loads(_run(SCRIPT))
    loaded = {name.partition(".")[0] for name in found["modules"]}
    assert loaded.isdisjoint(HEAVY)
    assert found["took_s"] < 0.3


@pytest.mark.parametrize("name", vultus.__all__)
def test_every_public_name_resolves(name):
    assert getattr(vultus, name) is not None


def test_names_come_from_their_home():
    from vultus.errors import VultusError
    from vultus.pipeline import load
    from vultus.types import Box

    assert vultus.load is load
    assert vultus.Box is Box
    assert vultus.VultusError is VultusError


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'vultus' has no attribute 'recognise'"):
        vultus.recognise  # noqa: B018


def test_dir_lists_the_public_names():
    assert dir(vultus) == sorted(vultus.__all__)


def test_star_import():
    out = _run("from vultus import *; print(load.__module__, Box.__module__)")
    assert out.split() == ["vultus.pipeline.load", "vultus.types"]


def test_version_is_the_distribution_s():
    from importlib.metadata import version

    assert vultus.__version__ == version("vultus")
