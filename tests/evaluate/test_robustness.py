from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from vultus.errors import InsufficientDataError
from vultus.evaluate import robustness as room
from vultus.evaluate.robustness import _dimensions, _tar, measure_robustness
from vultus.types import Box, Embedding, EmbeddingSpace, Face, Frame

SPACE = EmbeddingSpace("test", "ab" * 32, 12, "none")
FACE = Face(Box(10, 20, 50, 70), 0.9, None, Frame(np.zeros((90, 60, 3), np.uint8)))


def _noise(height: int = 90, width: int = 60) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


class TestDegradations:
    def test_jpeg_loses_more_at_lower_quality(self):
        image = _noise()
        lost = [np.abs(room._jpeg(image, FACE, q).astype(int) - image).mean() for q in (10, 50, 90)]
        assert lost[0] > lost[1] > lost[2] > 0

    def test_colours_stay_in_order(self):
        red = np.zeros((32, 32, 3), np.uint8)
        red[..., 0] = 200
        assert room._jpeg(red, FACE, 90)[16, 16].tolist() == pytest.approx([200, 0, 0], abs=6)

    def test_pixels_of_the_face(self):
        # The face has 40 x 50 = 2000 px; 500 of them take half the scale.
        assert room._pixels(_noise(), FACE, 500).shape == (45, 30, 3)
        assert room._pixels(_noise(), FACE, 1e6).shape == (90, 60, 3)  # never enlarged

    def test_a_turn_keeps_the_face_s_middle(self):
        image = np.zeros((90, 60, 3), np.uint8)
        image[43:48, 28:33] = 255
        turned = room._turned(image, FACE, 90)
        assert turned[45, 30].tolist() == [255, 255, 255]
        assert np.array_equal(room._turned(image, FACE, 0), image)

    def test_blur_smooths(self):
        image = _noise()
        assert room._blurred(image, FACE, 4).std() < 0.6 * image.std()
        assert np.array_equal(room._blurred(image, FACE, 0), image)

    def test_cover_hides_the_lower_part_of_the_face_only(self):
        image = _noise()
        covered = room._covered(image, FACE, 20)
        assert (covered[60:70, 10:50] == 128).all()
        changed = (covered != image).any(axis=2)
        assert changed.sum() <= 10 * 40
        assert np.array_equal(room._covered(image, FACE, 0), image)


class TestRate:
    def test_is_that_of_a_plain_loop(self):
        random = np.random.default_rng(3)
        names = np.repeat(np.arange(40), 3)
        centres = random.standard_normal((40, 12))
        rows = centres[names] + 0.9 * random.standard_normal((120, 12))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        column = [None if i in (4, 50) else row.astype(np.float32) for i, row in enumerate(rows)]
        genuine, impostor = [], []
        for i, j in itertools.combinations(range(120), 2):
            if names[i] == names[j]:
                lost = column[i] is None or column[j] is None
                genuine.append(-2.0 if lost else float(rows[i] @ rows[j]))
            elif column[i] is not None and column[j] is not None:
                impostor.append(float(rows[i] @ rows[j]))
        allowed = int(1e-3 * len(impostor))
        limit = sorted(impostor, reverse=True)[allowed - 1]
        expected = np.mean(np.array(genuine) >= limit - 1e-7)
        assert _tar(column, names) == pytest.approx(expected, abs=1e-9)

    def test_nothing_found(self):
        assert _tar([None] * 6, np.array([0, 0, 1, 1, 2, 2])) == 0.0

    def test_all_dimensions_are_the_embedding_itself(self):
        random = np.random.default_rng(4)
        names = np.repeat(np.arange(60), 2)
        rows = random.standard_normal((60, 12))[names] + 0.5 * random.standard_normal((120, 12))
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        sweep = _dimensions(list(rows), names)
        assert sweep.x == (8.0, 12.0)
        assert sweep.tar[-1] == _tar(list(rows), names)
        assert sweep.tar[0] < sweep.tar[-1]


class Stub:
    """Sees every picture of 20 px and more; embeds the mean colour of its corners."""

    def detect(self, image: object) -> list[Face]:
        frame = image if isinstance(image, Frame) else None
        assert frame is not None
        if min(frame.width_px, frame.height_px) < 20:
            return []
        box = Box(0, 0, frame.width_px, frame.height_px)
        return [Face(box, 0.9, None, frame)]

    def embed(self, face: Face) -> Embedding:
        image = face.frame.image
        half_y, half_x = image.shape[0] // 2, image.shape[1] // 2
        parts = [
            image[y, x].reshape(-1, 3).mean(axis=0)
            for y in (slice(half_y), slice(half_y, None))
            for x in (slice(half_x), slice(half_x, None))
        ]
        vector = np.concatenate(parts) - 127.5
        return Embedding(vector / np.linalg.norm(vector), SPACE)


@pytest.fixture
def people(tmp_path: Path) -> tuple[list[Path], list[str]]:
    random = np.random.default_rng(6)
    paths, names = [], []
    for person in range(30):
        colours = random.integers(0, 256, (2, 2, 3), np.uint8)
        picture = cv2.resize(colours, (80, 100), interpolation=cv2.INTER_NEAREST)
        for number in range(2):
            path = tmp_path / f"{person}-{number}.png"
            cv2.imwrite(str(path), picture)
            paths.append(path)
            names.append(f"p{person}")
    return paths, names


def test_every_kind_is_measured(people: tuple[list[Path], list[str]]):
    steps: list[tuple[int, int]] = []
    sweeps = measure_robustness(
        *people,
        Stub(),  # type: ignore[arg-type]
        jobs=1,
        progress=lambda *step: steps.append(step),
    )
    assert [sweep.title for sweep in sweeps] == [
        "JPEG quality", "Pixels of the face", "Turn", "Blur", "Cover", "Dimensions",
    ]  # fmt: skip
    assert steps[-1] == (60, 60)
    by_title = {sweep.title: sweep for sweep in sweeps}
    assert by_title["Turn"].tar[0] == by_title["Blur"].tar[0] == 1.0
    assert by_title["Turn"].tar[-1] <= by_title["Turn"].tar[0]
    for sweep in sweeps:
        assert len(sweep.x) == len(sweep.tar) == len(sweep.lost)
        assert sweep.to_dict()["title"] == sweep.title


def test_a_face_that_is_lost_counts_as_rejected(
    people: tuple[list[Path], list[str]], monkeypatch: pytest.MonkeyPatch
):
    tiny = room._Kind("Tiny", "px", (100.0, 8000.0), room._pixels, "")
    monkeypatch.setattr(room, "_KINDS", (tiny,))
    sweep = measure_robustness(*people, Stub(), jobs=1)[0]  # type: ignore[arg-type]
    assert sweep.lost == (60, 0)
    assert sweep.tar.tolist() == [0.0, 1.0]


def test_too_few_pictures(people: tuple[list[Path], list[str]]):
    paths, names = people
    with pytest.raises(InsufficientDataError, match="at least 50"):
        measure_robustness(paths[:40], names[:40], Stub(), jobs=1)  # type: ignore[arg-type]
    with pytest.raises(InsufficientDataError):
        measure_robustness(paths, [str(p) for p in paths], Stub(), jobs=1)  # type: ignore[arg-type]
