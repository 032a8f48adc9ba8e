"""CenterFace's decoding by hand and against its authors' loop; its weight is not among the shared
models."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vultus.detect import DetectorOptions
from vultus.detect.centerface import CenterFace
from vultus.errors import InferenceError
from vultus.types import Frame

FRAME = Frame(np.zeros((32, 64, 3), np.uint8))


class _Network:
    input_names = ("input.1",)
    providers = ("CPUExecutionProvider",)
    batch_size = None

    def __init__(self, outputs):
        self.outputs = outputs

    def run(self, inputs, outputs=None):
        return [np.stack([o] * len(inputs["input.1"])) for o in self.outputs]


def _outputs() -> list[np.ndarray]:
    return [np.zeros((channels, 8, 16), np.float32) for channels in (1, 2, 2, 10)]


@pytest.fixture
def make(card):
    def build(outputs, **options) -> CenterFace:
        own = card("centerface", "strides = [4]")
        return CenterFace(_Network(outputs), own, DetectorOptions(**options))

    return build


class TestByHand:
    def test_one_face(self, make):
        outputs = _outputs()
        heat, scale, offset, landmark = outputs
        heat[0, 3, 5] = 0.75
        scale[:, 3, 5] = (math.log(3), math.log(2))  # height 12, width 8
        offset[:, 3, 5] = (0.25, -0.25)  # y, x: centre (5.25 × 4, 3.75 × 4) = (21, 15)
        landmark[:, 3, 5] = (0.25, 0.25, 0.25, 0.75, 0.5, 0.5, 0.75, 0.25, 0.75, 0.75)
        (face,) = make(outputs).detect(FRAME)
        assert face.box.xyxy == pytest.approx((17, 9, 25, 21), abs=1e-5)
        assert face.score == 0.75
        expected = [[19, 12], [23, 12], [21, 15], [19, 18], [23, 18]]
        np.testing.assert_allclose(face.points, expected, atol=1e-5)

    def test_cut_off_at_the_edge_as_published(self, make):
        outputs = _outputs()
        outputs[0][0, 0, 0] = 0.75
        outputs[1][:, 0, 0] = math.log(4)  # 16 px about (2, 2)
        (face,) = make(outputs).detect(FRAME)
        assert face.box.xyxy == pytest.approx((0, 0, 16, 16))

    def test_nothing(self, make):
        assert make(_outputs()).detect_many([FRAME, FRAME]) == [[], []]


def _published(heat, scale, offset, landmark, size_hw, threshold):
    """After Star-Clouds' prj-python/centerface.py, without its suppression."""
    found = []
    for r, c in zip(*np.where(heat[0] > threshold), strict=True):
        s0, s1 = np.exp(scale[0, r, c]) * 4, np.exp(scale[1, r, c]) * 4
        o0, o1 = offset[0, r, c], offset[1, r, c]
        x1, y1 = max(0, (c + o1 + 0.5) * 4 - s1 / 2), max(0, (r + o0 + 0.5) * 4 - s0 / 2)
        x1, y1 = min(x1, size_hw[1]), min(y1, size_hw[0])
        box = (x1, y1, min(x1 + s1, size_hw[1]), min(y1 + s0, size_hw[0]))
        five = [
            (landmark[2 * j + 1, r, c] * s1 + x1, landmark[2 * j, r, c] * s0 + y1) for j in range(5)
        ]
        found.append((box, heat[0, r, c], five))
    return [np.array(part) for part in zip(*found, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_as_published(make, same_faces, seed):
    rng = np.random.default_rng(seed)
    outputs = [rng.normal(0, 0.5, o.shape).astype(np.float32) for o in _outputs()]
    outputs[0] = rng.uniform(0, 0.4, outputs[0].shape).astype(np.float32)
    for row, column in ((1, 2), (4, 9), (6, 14)):  # too far apart to suppress each other
        outputs[0][0, row, column] = rng.uniform(0.6, 1)
    expected = _published(*outputs, (32, 64), 0.5)
    same_faces(make(outputs).detect(FRAME), *expected, iou=0.999, eye_part=1e-3)


class TestBadOutputs:
    def test_not_a_number(self, make):
        outputs = _outputs()
        outputs[0][0, 2, 2] = np.nan
        with pytest.raises(InferenceError, match="scores that are not numbers"):
            make(outputs).detect(FRAME)

    def test_another_size(self, make):
        with pytest.raises(InferenceError, match=r"must give \[256\] predictions for 64 × 64 px"):
            make(_outputs()).detect(Frame(np.zeros((64, 64, 3), np.uint8)))
