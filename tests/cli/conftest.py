"""A small gallery of made-up embeddings, for the commands that need no model."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vultus.gallery import NewSample, SqliteGallery, acting_as
from vultus.types import Embedding, EmbeddingSpace

SPACE = EmbeddingSpace("test", "0" * 64, 4, "none")


def unit(*values: float) -> Embedding:
    vector = np.array(values, np.float64)
    return Embedding((vector / np.linalg.norm(vector)).astype(np.float32), SPACE)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Type something at the keyboard: `answer("y\\n")`."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture
def people_db(tmp_path: Path) -> Path:
    """Ada (faces 1, 2; the second in staff alone), Béa [b] (face 3) and Zoe, who has no face."""
    path = tmp_path / "people.db"
    with acting_as("test"), SqliteGallery(path) as gallery:
        gallery.add_group("staff", "who works here")
        gallery.add_group("guests")
        gallery.add_many(
            [
                NewSample("Ada", unit(1, 0, 0, 0), "d1", "ada.jpg", quality={"score": 0.5}),
                NewSample("Ada", unit(0, 1, 0, 0), "d2", group="staff"),
                NewSample("Béa [b]", unit(0.6, 0.8, 0, 0), "d3"),
            ]
        )
        gallery.put_person("Béa [b]", name="Beatrice", consent="form 7")
        gallery.put_person("Zoe")
        gallery.set_info("Ada", "staff", "night shift")
        gallery.join("Béa [b]", "guests", "till May")
    return path
