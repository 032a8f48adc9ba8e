"""What the tests of facenet's commands share."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus import Recognizer, load
from vultus.compat.facenet.talk import Talk


@dataclass
class Heard:
    """Collects a command's words."""

    parts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def talk(self) -> Talk:
        return Talk(self.parts.append, self.notes.append)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="session")
def plain() -> Recognizer:
    """What facenet's commands use, put together by another way: 20 px, no mirror image."""
    return load(min_face_px=20, mirror=False)


@pytest.fixture(scope="session")
def photos(samples: Path) -> Path:
    return samples / "photos"


@pytest.fixture(scope="session")
def tree(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes: three pictures of one man, two of another; and a file beside them."""
    root = tmp_path_factory.mktemp("facenet") / "tree"
    (root / "Barack_Obama").mkdir(parents=True)
    (root / "Joe_Biden").mkdir()
    shutil.copy(samples / "known" / "Barack Obama.jpg", root / "Barack_Obama" / "a.jpg")
    shutil.copy(samples / "photos" / "obama2.jpg", root / "Barack_Obama" / "b.jpg")
    shutil.copy(samples / "photos" / "obama3.jpg", root / "Barack_Obama" / "c.jpg")
    shutil.copy(samples / "known" / "Joe Biden.jpg", root / "Joe_Biden" / "a.jpg")
    with Image.open(samples / "known" / "Joe Biden.jpg") as picture:
        darker = (np.asarray(picture) * 0.8).astype(np.uint8)
    Image.fromarray(darker).save(root / "Joe_Biden" / "b.png")
    (root / "readme.txt").write_text("no class")
    (root / "Joe_Biden" / ".hidden").write_text("no picture")
    return root
