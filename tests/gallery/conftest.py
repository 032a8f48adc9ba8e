"""Helpers for the rooms of the gallery: embeddings, child processes, an ordinary user."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

import vultus.errors
from vultus.types import Embedding, EmbeddingSpace

NOBODY = 65534

# What every child script starts with; kept beside `unit` below, which it must equal.
PREAMBLE = """
import os
import sys
import numpy as np
from vultus.gallery import NewSample, SqliteGallery
from vultus.types import Embedding, EmbeddingSpace

SPACE = EmbeddingSpace("test", "0" * 64, 16, "none")

def unit(seed):
    vector = np.random.default_rng(seed).standard_normal(16)
    return Embedding(vector / np.linalg.norm(vector), SPACE)

def say(*words):
    # One call of the system: an interrupt leaves a whole line or none, never half of one.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""


@pytest.fixture
def space() -> EmbeddingSpace:
    return EmbeddingSpace("test", "0" * 64, 16, "none")


@pytest.fixture
def unit(space: EmbeddingSpace) -> Callable[[int], Embedding]:
    """A random direction for a seed."""

    def make(seed: int) -> Embedding:
        vector = np.random.default_rng(seed).standard_normal(space.dimension)
        return Embedding(vector / np.linalg.norm(vector), space)

    return make


@pytest.fixture
def child() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start Python processes that share the preamble; none outlives the test."""
    started: list[subprocess.Popen[str]] = []
    root = str(Path(vultus.errors.__file__).parents[1])

    def start(script: str, *arguments: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def as_user() -> Callable[[], AbstractContextManager[None]]:
    """Drop root's rights for a while: root may write everything."""

    @contextmanager
    def drop() -> Iterator[None]:
        if os.name != "posix":
            pytest.skip("permissions of files and folders are tested on POSIX systems")
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return drop


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)
