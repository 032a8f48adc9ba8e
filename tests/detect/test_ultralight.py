"""Ultra-Light's decoding by hand, and against its author's where the weight is present."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vultus import load_image
from vultus.detect import DetectorOptions
from vultus.detect.ultralight import UltraLight
from vultus.errors import InferenceError, RangeError
from vultus.types import Frame

INPUT = """
size_wh = [320, 240]
mean = [127.0, 127.0, 127.0]
std = [128.0, 128.0, 128.0]
"""


class _Network:
    input_names = ("input",)
    providers = ("CPUExecutionProvider",)
    batch_size = 1

    def __init__(self, outputs):
        self.outputs, self.given = outputs, []

    def run(self, inputs, outputs=None):
        self.given.append(inputs["input"])
        return [output[None] for output in self.outputs]


@pytest.fixture
def make(card):
    def build(scores, boxes, **options) -> UltraLight:
        probability = np.stack([1 - np.array(scores), scores], axis=1).astype(np.float32)
        network = _Network([probability, np.array(boxes, np.float32).reshape(-1, 4)])
        detector = UltraLight(network, card("ultralight", input=INPUT), DetectorOptions(**options))
        detector.network = network
        return detector

    return build


def test_by_hand(make):
    """Corners in parts of the input, which the picture fills whatever its shape."""
    detector = make([0.25, 0.75, 0.875], [[0, 0, 1, 1], [0.25, 0.5, 0.5, 1], [0.75, 0, 1, 0.125]])
    first, second = detector.detect(Frame(np.full((800, 400, 3), 255, np.uint8)))
    assert first.box.xyxy == pytest.approx((300, 0, 400, 100))
    assert second.box.xyxy == pytest.approx((100, 400, 200, 800))
    assert (first.score, second.score) == (0.875, 0.75)
    assert first.landmarks is None
    (tensor,) = detector.network.given
    assert tensor.shape == (1, 3, 240, 320)
    assert np.all(tensor == 1.0)  # stretched: no padding


def test_not_a_number(make):
    frame = Frame(np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(InferenceError, match="scores that are not numbers"):
        make([0.9, np.nan], np.zeros((2, 4))).detect(frame)
    with pytest.raises(InferenceError, match="coordinates that are not finite"):
        make([0.9], [[0, 0, np.nan, 1]]).detect(frame)


def test_another_size_is_refused(make):
    with pytest.raises(RangeError, match="takes inputs of 320 × 240 px only"):
        make([0.0], [[0, 0, 0, 0]], size_wh=(640, 480))
    assert make([0.0], [[0, 0, 0, 0]], size_wh=(320, 240)).fixed_size_wh == (320, 240)


def _reference(session, rgb: np.ndarray) -> tuple:
    """After Linzaer's run_video_face_detect_onnx.py with hard_nms."""
    image = (cv2.resize(rgb, (320, 240)) - np.array([127, 127, 127])) / 128
    blob = image.transpose(2, 0, 1)[None].astype(np.float32)
    confidences, boxes = (output[0] for output in session.run({"input": blob}))
    passed = confidences[:, 1] > 0.7
    scores, boxes = confidences[passed, 1], boxes[passed]
    left, picked = np.argsort(scores), []
    while len(left):
        current, left = left[-1], left[:-1]
        picked.append(current)
        low = np.maximum(boxes[left, :2], boxes[current, :2])
        high = np.minimum(boxes[left, 2:], boxes[current, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        areas = (boxes[left, 2:] - boxes[left, :2]).prod(axis=1)
        own = (boxes[current, 2:] - boxes[current, :2]).prod()
        left = left[shared / (areas + own - shared + 1e-5) <= 0.3]
    return boxes[picked] * np.tile(rgb.shape[1::-1], 2), scores[picked], None


@pytest.mark.parametrize("scene", ["couple.jpg", "five.jpg", "horse.jpg", "group_1920x1080.png"])
def test_as_the_reference(shared_detector, shared_data: Path, same_faces, scene):
    detector = shared_detector("ultralight-rfb-320")
    image = load_image(shared_data / "scenes" / scene)
    expected = _reference(detector._session, image)
    same_faces(detector.detect(Frame(image)), *expected, iou=0.999)
