"""What tests of several rooms share: data that may be absent, golden outputs, loaded models."""

from __future__ import annotations

import importlib.resources
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from vultus.detect import Mtcnn, MtcnnOptions
from vultus.models import Registry, Store
from vultus.pipeline import Recognizer, load
from vultus.types import Frame

SHARED = Path(__file__).resolve().parents[2] / "shared"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def _folder(variable: str, default: Path) -> Path:
    path = Path(os.environ.get(variable) or default)
    if not path.is_dir():
        pytest.skip(f"{path} is absent; set {variable} to where the shared files lie")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Pictures for tests that are no part of the project."""
    return _folder("VULTUS_TEST_DATA", SHARED / "data")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Optional weights for tests that are no part of the project."""
    return _folder("VULTUS_TEST_MODELS", SHARED / "models")


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test sees, or touches, the models of whoever runs it."""
    home = tmp_path_factory.mktemp("vultus-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VULTUS_HOME", str(home))
        patch.delenv("VULTUS_OFFLINE", raising=False)
        patch.delenv("VULTUS_MIRROR", raising=False)
        yield home


@pytest.fixture(scope="session")
def samples() -> Path:
    """The public-domain pictures that ship with vultus: ``known/`` and ``photos/``."""
    return Path(str(importlib.resources.files("vultus.samples")))


@pytest.fixture(scope="session")
def golden() -> Mapping[str, NDArray[Any]]:
    """What the original implementations gave for one picture; see the weights' NOTICE."""
    packed = importlib.resources.files("vultus.models").joinpath("weights", "golden_pack.npz")
    with np.load(io.BytesIO(packed.read_bytes()), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    for array in found.values():
        array.flags.writeable = False
    return found


@pytest.fixture(scope="session")
def golden_frame(golden: Mapping[str, NDArray[Any]]) -> Frame:
    return Frame(golden["picture"], "golden")


@pytest.fixture(scope="session")
def make_detector() -> Callable[..., Mtcnn]:
    """`make_detector(min_face_px=…, …)`; loading takes a few milliseconds."""

    def make(**options: Any) -> Mtcnn:
        return Mtcnn.from_card(Registry().get("mtcnn"), Store(), None, MtcnnOptions(**options))

    return make


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """The default recogniser."""
    return load()


@pytest.fixture
def vultus(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ended]]:
    """Run the command line in this process: `vultus("detect", path)`."""
    from vultus.cli import main

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # Typer sets its own
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert "Traceback" not in said.err
        return Ended(code, said.out, said.err)

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def vultus_process() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start ``python -m vultus`` for real; none outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "vultus", *map(str, arguments)],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
