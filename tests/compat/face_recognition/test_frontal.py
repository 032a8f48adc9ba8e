from __future__ import annotations

import hashlib
import importlib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from vultus.align import eye_mouth_square
from vultus.compat.face_recognition import _frontal
from vultus.compat.face_recognition._frontal import FrontalTemplates
from vultus.types import Frame


@pytest.fixture(scope="module")
def templates() -> FrontalTemplates:
    return FrontalTemplates.shipped()


@pytest.fixture(scope="module")
def golden_squares(golden_frame: Frame, make_detector) -> np.ndarray:
    return eye_mouth_square(np.stack([f.points for f in make_detector().detect(golden_frame)]))


def test_levels_of_the_pyramid_have_dlibs_sizes():
    # pyramid_up doubles 250 to 502 and 501; each level is (5 * side) // 6 of the one before.
    sizes = _frontal._level_sizes((250, 250), 1)
    assert sizes[:4] == [(502, 501), (418, 417), (348, 347), (290, 289)]
    assert min(sizes[-1]) >= 64
    assert 5 * min(sizes[-1]) // 6 < 64
    assert _frontal._level_sizes((20, 10), 0) == [(20, 10)]


def test_boxes_are_rounded_as_dlib_does():
    rects = [_frontal._rect(np.array([10, 10]), level, 1) for level in range(12)]
    sides = [(right - left, bottom - top) for left, top, right, bottom in rects]
    # Sides that dlib's boxes have on LFW and on face_recognition's own test pictures.
    assert sides == [
        (36, 36), (43, 43), (52, 51), (62, 62), (75, 75), (89, 90), (108, 107), (129, 129),
        (155, 154), (186, 186), (222, 223), (268, 267),
    ]  # fmt: skip


def test_direction_of_a_gradient():
    table = _frontal._direction_table()

    def direction(x: int, y: int) -> int:
        return int(table[(x + 255) * 511 + y + 255])

    assert [direction(9, 0), direction(-9, 0)] == [0, 9]
    # 90 degrees lies between 80 and 100; the first of equals counts.
    assert [direction(0, 9), direction(0, -9)] == [4, 13]
    assert [direction(10, 4), direction(-10, -4)] == [1, 10]
    assert direction(0, 0) == 0


def test_gradient_of_the_strongest_colour():
    pixels = np.zeros((3, 3, 3), np.uint8)
    pixels[1, 2] = (5, 9, 7)
    pixels[2, 1] = (1, 2, 3)
    best, x, y = _frontal._strongest(pixels)
    assert (best.item(), x.item(), y.item()) == (85.0, 9.0, 2.0)


def test_a_pixel_counts_in_the_four_nearest_cells():
    strength = np.zeros((24, 24), np.float32)
    direction = np.zeros((24, 24), np.uint8)
    strength[9, 13], direction[9, 13] = 64.0, 7  # 9.5 / 8 - 0.5 = 0.6875, 13.5 / 8 - 0.5 = 1.1875
    found = _frontal._histograms(strength, direction, 3)
    assert found.shape == (18, 3, 3)
    assert found.sum() == pytest.approx(64.0)
    assert found[7, 0, 1] == pytest.approx(64 * 0.3125 * 0.8125)
    assert found[7, 1, 2] == pytest.approx(64 * 0.6875 * 0.1875)


def test_nothing_outside_counts():
    strength = np.ones((8, 8), np.float32)
    found = _frontal._histograms(strength, np.zeros((8, 8), np.uint8), 1)
    # Of a lone cell's pixels the share that would go to its neighbours is dropped: (6 / 8)².
    assert found[0, 0, 0] == pytest.approx(64 * 0.75**2)


def test_the_window_of_a_known_face(templates, golden_frame, golden_squares):
    for doublings in (0, 1):
        (window,) = templates.best(golden_frame.image, golden_squares[:1], doublings)
        assert window is not None
        assert window.score > 0.5
        square = golden_squares[0]
        center = (window.rect[0] + window.rect[2]) / 2, (window.rect[1] + window.rect[3]) / 2
        assert np.abs(center - (square[:2] + square[2:]) / 2).max() < 0.2 * (square[2] - square[0])


def test_no_window_of_that_size(templates, golden_frame):
    assert templates.best(golden_frame.image, np.zeros((0, 4)), 1) == []
    tiny = np.array([[10.0, 10.0, 14.0, 14.0], [5.0, 5.0, 5.0, 5.0]])
    assert templates.best(golden_frame.image, tiny, 1) == [None, None]


def test_a_plain_picture_fits_no_template(templates):
    grey = np.full((200, 200, 3), 90, np.uint8)
    (window,) = templates.best(grey, np.array([[50.0, 50.0, 150.0, 150.0]]), 1)
    assert window is not None
    assert window.score < 0


@pytest.mark.parametrize("place", [(-80.0, -80.0), (150.0, 60.0), (500.0, 500.0)])
def test_squares_over_the_edge_and_outside(templates, place):
    noise = np.random.default_rng(0).integers(0, 255, (200, 180, 3), np.uint8)
    (window,) = templates.best(noise, np.array([[*place, place[0] + 120, place[1] + 120]]), 1)
    assert window is not None
    assert np.isfinite(window.score)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 300, 3), (64, 64, 3)])
def test_pictures_of_any_size(templates, shape):
    image = np.zeros(shape, np.uint8)
    found = templates.best(image, np.array([[0.0, 0.0, 80.0, 80.0]]), 0)
    assert len(found) == 1


def test_the_shipped_templates_are_those_the_notice_names():
    folder = files("vultus.compat.face_recognition")
    digest = hashlib.sha256(folder.joinpath("frontal_templates.npz").read_bytes()).hexdigest()
    assert digest in folder.joinpath("NOTICE.md").read_text(encoding="utf-8")


def test_the_templates_are_rebuilt_to_the_byte(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("dlib", reason="install dlib: pip install 'vultus[convert]'")
    scripts = Path(__file__).resolve().parents[3] / "scripts"
    if not scripts.is_dir():
        pytest.skip("the scripts are not part of this copy")
    monkeypatch.syspath_prepend(str(scripts))
    made = importlib.import_module("convert_frontal_templates").templates()
    shipped = files("vultus.compat.face_recognition").joinpath("frontal_templates.npz")
    assert shipped.read_bytes() == made
