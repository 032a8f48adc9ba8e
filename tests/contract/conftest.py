"""The galleries that one suite holds to the same promises, and a clock they share."""

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.gallery import (
    Gallery,
    MemoryGallery,
    MilvusGallery,
    PostgresGallery,
    SqliteGallery,
    audit,
)
from vultus.types import Embedding, EmbeddingSpace

DIMENSION = 24
BACKENDS = ("memory", "sqlite", "postgres", "milvus")

Make = Callable[..., Gallery]


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Make empty galleries of one backend, ``make(space=None)``; closed at the end."""
    made: list[Gallery] = []
    url = None
    if request.param in ("postgres", "milvus"):
        url = request.getfixturevalue(f"{request.param}_url")

    def build(space: EmbeddingSpace | None = None) -> Gallery:
        if request.param == "memory":
            made.append(MemoryGallery(space))
        elif request.param == "sqlite":
            made.append(SqliteGallery(tmp_path / f"{len(made)}.db", space=space))
        elif request.param == "postgres":
            made.append(PostgresGallery(url(), space=space))
        else:
            made.append(MilvusGallery(url(), space=space))
        return made[-1]

    yield build
    for gallery in made:
        gallery.close()


@pytest.fixture
def gallery(make: Make) -> Gallery:
    return make()


@pytest.fixture
def space() -> EmbeddingSpace:
    return EmbeddingSpace("test", "0" * 64, DIMENSION, "none")


@pytest.fixture
def other_space() -> EmbeddingSpace:
    return EmbeddingSpace("test", "1" * 64, 16, "none")


@pytest.fixture
def unit(space: EmbeddingSpace) -> Callable[..., Embedding]:
    """A random direction for a seed."""

    def make_one(seed: int, where: EmbeddingSpace = space) -> Embedding:
        vector = np.random.default_rng(seed).standard_normal(where.dimension)
        return Embedding(vector / np.linalg.norm(vector), where, raw_norm=1.25)

    return make_one


class Clock:
    """Stands in for `datetime.datetime` in the galleries' log; moves when told to."""

    def __init__(self) -> None:
        self.moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678_901, datetime.UTC)

    def now(self, zone: Any) -> datetime.datetime:
        assert zone is datetime.UTC
        return self.moment

    def tick(self) -> str:
        """A second later; gives that time as galleries write it."""
        self.moment += datetime.timedelta(seconds=1)
        return self.moment.strftime("%Y-%m-%dT%H:%M:%S.678Z")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time stands still until it is told to tick."""
    clock = Clock()
    monkeypatch.setattr(audit, "datetime", clock)
    return clock
