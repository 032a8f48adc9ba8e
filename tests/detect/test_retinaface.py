"""RetinaFace's decoding by hand, and against biubug6's where the weights are present."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from vultus import load_image
from vultus.detect import DetectorOptions
from vultus.detect.retinaface import RetinaFace
from vultus.errors import CardError, InferenceError
from vultus.models import Registry
from vultus.types import Frame

ANCHORS = """
strides = [8, 16]
anchor_sizes_px = [[16.0, 32.0], [64.0]]
variances = [0.1, 0.2]
"""
COUNT = 2 * 64 + 16  # of an input of 64 × 64 px
FRAME = Frame(np.zeros((64, 64, 3), np.uint8))


def _outputs() -> list[np.ndarray]:
    probability = np.tile(np.array([1, 0], np.float32), (1, COUNT, 1))
    return [np.zeros((1, COUNT, 4), np.float32), probability, np.zeros((1, COUNT, 10), np.float32)]


def _put(outputs, i, score, code, way=(0.0,) * 10):
    outputs[0][0, i] = code
    outputs[1][0, i] = (1 - score, score)
    outputs[2][0, i] = way


class _Network:
    input_names = ("input",)
    providers = ("CPUExecutionProvider",)
    batch_size = None

    def __init__(self, outputs):
        self.outputs = outputs

    def run(self, inputs, outputs=None):
        count = len(inputs["input"])
        return [np.repeat(output, count, axis=0) for output in self.outputs]


@pytest.fixture
def make(card):
    def build(outputs, **options) -> RetinaFace:
        own = card("retinaface", ANCHORS)
        return RetinaFace(_Network(outputs), own, DetectorOptions(**options))

    return build


class TestByHand:
    def test_nothing(self, make):
        assert make(_outputs()).detect_many([FRAME, FRAME]) == [[], []]

    def test_anchors_of_several_sizes(self, make):
        outputs = _outputs()
        # Stride 8, cell (3, 2): middle (28, 20), second anchor 32 px; moved by 0.1 × 32 × 2.5.
        _put(outputs, 2 * (2 * 8 + 3) + 1, 0.75, [2.5, -2.5, 0, math.log(2) / 0.2],
             [-2.5, -2.5, 2.5, -2.5, 0, 0, -2.5, 2.5, 2.5, 2.5])  # fmt: skip
        # Stride 16, cell (3, 3): middle (56, 56), 64 px, halved.
        _put(outputs, 128 + 15, 0.625, [0, 0, math.log(0.5) / 0.2, math.log(0.5) / 0.2])
        first, second = make(outputs).detect(FRAME)
        assert first.box.xyxy == pytest.approx((20, -20, 52, 44), abs=1e-4)
        assert first.score == 0.75
        expected = [[20, 12], [36, 12], [28, 20], [20, 28], [36, 28]]  # from the anchor's middle
        np.testing.assert_allclose(first.points, expected, atol=1e-5)
        assert second.box.xyxy == pytest.approx((40, 40, 72, 72), abs=1e-4)
        assert second.points.tolist() == [[56, 56]] * 5

    def test_several_pictures(self, make):
        outputs = _outputs()
        _put(outputs, 0, 0.75, [0, 0, 0, 0])
        found = make(outputs).detect_many([FRAME] * 3)
        assert [[face.box.xyxy for face in faces] for faces in found] == [[(-4, -4, 12, 12)]] * 3


class TestBadOutputs:
    @pytest.mark.parametrize("kind", [0, 1, 2])
    def test_not_a_number(self, make, kind):
        outputs = _outputs()
        _put(outputs, 5, 0.75, [0, 0, 0, 0])
        outputs[kind][0, 5] = np.nan
        with pytest.raises(InferenceError, match=r"test-retinaface gave .* not"):
            make(outputs).detect(FRAME)

    def test_a_size_beyond_all_numbers(self, make):
        outputs = _outputs()
        _put(outputs, 5, 0.75, [0, 0, 1e4, 0])
        with pytest.raises(InferenceError, match="not finite"):
            make(outputs).detect(FRAME)

    def test_another_number_of_anchors(self, make):
        with pytest.raises(InferenceError, match=r"must give \[192, 24\] predictions for 96 × 64"):
            make(_outputs()).detect(Frame(np.zeros((64, 96, 3), np.uint8)))


def test_a_card_without_anchors(card):
    with pytest.raises(CardError, match="must state anchor_sizes_px and variances"):
        RetinaFace(_Network(_outputs()), card("retinaface", "strides = [8, 16]"))


@pytest.mark.parametrize("name", ["retinaface-mbnet025", "retinaface-mnet025", "retinaface-r50"])
def test_cards_of_all_backbones_state_the_same_anchors(name):
    card = Registry().get(name)
    assert card.detector.anchor_sizes_px == ((16, 32), (64, 128), (256, 512))
    assert card.detector.variances == (0.1, 0.2)
    assert (card.input.channels, card.input.mean) == ("BGR", (104, 117, 123))


def _reference(session, bgr: np.ndarray) -> tuple:
    """After biubug6's detect.py, PriorBox and decode, in parts of the picture."""
    height, width = (-(-side // 32) * 32 for side in bgr.shape[:2])
    image = np.zeros((height, width, 3), np.float32)
    image[: bgr.shape[0], : bgr.shape[1]] = bgr
    image -= (104, 117, 123)
    outputs = session.run({"input": np.ascontiguousarray(image.transpose(2, 0, 1)[None])})
    location, probability, way = (output[0] for output in outputs)
    priors = []
    for step, sizes in zip((8, 16, 32), ((16, 32), (64, 128), (256, 512)), strict=True):
        for i, j in product(range(math.ceil(height / step)), range(math.ceil(width / step))):
            for size in sizes:
                middle = ((j + 0.5) * step / width, (i + 0.5) * step / height)
                priors.append((*middle, size / width, size / height))
    priors = np.array(priors)
    center = priors[:, :2] + location[:, :2] * 0.1 * priors[:, 2:]
    size = priors[:, 2:] * np.exp(location[:, 2:] * 0.2)
    boxes = np.hstack([center - size / 2, center + size / 2]) * np.tile((width, height), 2)
    points = priors[:, None, :2] + way.reshape(-1, 5, 2) * 0.1 * priors[:, None, 2:]
    scores = probability[:, 1]
    order = np.where(scores > 0.5)[0]
    order = order[scores[order].argsort()[::-1]]
    boxes, points, scores = boxes[order], points[order] * (width, height), scores[order]
    kept, area = [], (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)
    for i, box in enumerate(boxes):
        low = np.maximum(box[:2], boxes[kept, :2])
        shared = np.clip(np.minimum(box[2:], boxes[kept, 2:]) - low + 1, 0, None).prod(axis=1)
        if not (shared / (area[i] + area[kept] - shared) > 0.4).any():
            kept.append(i)
    return boxes[kept], scores[kept], points[kept]


@pytest.mark.parametrize("scene", ["astronaut.png", "couple.jpg", "horse.jpg", "obama2.jpg"])
def test_as_the_reference(shared_detector, shared_data: Path, same_faces, scene):
    detector = shared_detector("retinaface-mbnet025")
    image = load_image(shared_data / "scenes" / scene)
    expected = _reference(detector._session, image[..., ::-1])
    same_faces(detector.detect(Frame(image)), *expected, iou=0.999, eye_part=1e-3)
