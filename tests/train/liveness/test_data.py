from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vultus.errors import InsufficientDataError
from vultus.evaluate.protocols.liveness import Presentation
from vultus.train.liveness.data import augmented, load_crops, nuaa_session
from vultus.types import Box, Face, Frame


class Middle:
    """Finds a face of 40 by 40 in the middle of bright pictures."""

    name = "middle"

    def detect(self, frame: Frame) -> list[Face]:
        if frame.image.mean() < 5:
            return []
        x, y = frame.width_px / 2, frame.height_px / 2
        return [Face(Box(x - 20, y - 20, x + 20, y + 20), 0.9, None, frame)]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Presentation]:
    found = []
    for person in ("ann", "bob"):
        for kind, grey in ((None, 200), ("print", 80)):
            path = tmp_path / f"{person}-{kind}.png"
            cv2.imwrite(str(path), np.full((90, 120, 3), grey, np.uint8))
            found.append(Presentation(path, person, kind))
    return found


def test_crops(pictures: list[Presentation], tmp_path: Path):
    dark, broken = tmp_path / "dark.png", tmp_path / "broken.jpg"
    cv2.imwrite(str(dark), np.zeros((90, 120, 3), np.uint8))
    broken.write_bytes(b"\xff\xd8\xff")
    more = [*pictures, Presentation(dark, "cy", None), Presentation(broken, "cy", "print")]
    told: list[tuple[int, int]] = []
    found = load_crops(more, Middle(), 32, 1.0, progress=lambda *n: told.append(n))
    assert found.pixels.shape == (4, 32, 32, 3)
    assert found.pixels[:, 16, 16, 0].tolist() == [200, 80, 200, 80]
    assert found.live.tolist() == [True, False, True, False]
    assert found.people == found.sessions == ("ann", "ann", "bob", "bob")
    reasons = dict(found.missing)
    assert reasons[str(dark)] == "no-face"
    assert reasons[str(broken)].startswith("image")
    assert told[-1] == (6, 6)
    assert found.part(np.array([False, True, False, True])).people == ("ann", "bob")
    assert len(load_crops(pictures, Middle(), 32, 1.0, limit=1)) == 2


def test_nothing_to_learn_from(pictures: list[Presentation]):
    with pytest.raises(InsufficientDataError, match="found 2 and 0"):
        load_crops(pictures[::2], Middle(), 32, 1.0)


def test_sessions_of_nuaa():
    path = Path("ClientRaw/0001/0001_00_00_02_109.jpg")
    assert nuaa_session(Presentation(path, "0001", None)) == "02"
    assert nuaa_session(Presentation(Path("a.jpg"), "ann", None)) == "ann"


def test_augmentation_keeps_the_cue():
    """Fine stripes, as of a screen, stay as strong beside the brightness as they were."""
    image = np.full((1, 64, 64, 3), 110, np.uint8)
    image[:, ::2] = 130
    random = np.random.default_rng(0)
    changed = np.concatenate([augmented(image, random) for _ in range(30)])
    assert changed.shape == (30, 3, 64, 64)
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 255
    inner = changed[:, :, 8:-8, 8:-8]
    stripes = np.abs(np.diff(inner, axis=2)).mean(axis=(1, 2, 3))
    assert stripes.min() > 8  # 20 before, contrast and gamma aside; a blur would leave 0
    assert np.abs(np.diff(inner, axis=3)).max() < 1e-3  # and none appear across
    assert inner.mean(axis=(1, 2, 3)).std() > 10  # while brightness does change
    again = augmented(image, np.random.default_rng(0))
    np.testing.assert_array_equal(again, changed[:1])
