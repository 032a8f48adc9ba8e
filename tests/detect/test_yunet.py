"""YuNet's decoding by hand, and against OpenCV's own detector where the weights are present."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from vultus import load_image
from vultus.detect import DetectorOptions
from vultus.detect.yunet import YuNet
from vultus.errors import InferenceError
from vultus.types import Frame

CELLS = (64, 16, 4)  # of an input of 64 × 64 px
FRAME = Frame(np.zeros((64, 64, 3), np.uint8))


def _outputs() -> list[np.ndarray]:
    return [np.zeros((cells, width), np.float32) for width in (1, 1, 4, 10) for cells in CELLS]


def _put(outputs, level, column, row, kind, thing, code, way=(0.0,) * 10):
    i = row * (8, 4, 2)[level] + column
    for part, values in enumerate((kind, thing, code, way)):
        outputs[3 * part + level][i] = values


class _Network:
    """Adds the batch axis that YuNet's exports have."""

    input_names = ("input",)
    providers = ("CPUExecutionProvider",)

    def __init__(self, outputs, batch_size=None):
        self.outputs, self.batch_size = outputs, batch_size
        self.shapes: list[tuple[int, ...]] = []

    def run(self, inputs, outputs=None):
        (tensor,) = inputs.values()
        self.shapes.append(tensor.shape)
        return [np.stack([output] * len(tensor)) for output in self.outputs]


@pytest.fixture
def make(card):
    def build(outputs, batch_size=None, **options) -> YuNet:
        network = _Network(outputs, batch_size)
        detector = YuNet(
            network, card("yunet", "strides = [8, 16, 32]"), DetectorOptions(**options)
        )
        detector.network = network
        return detector

    return build


class TestByHand:
    def test_one_face_of_each_level(self, make):
        outputs = _outputs()
        # Stride 8, cell (3, 2): centre (3.5, 2.25) cells, 2 × 3 cells.
        way = [-1, -1, 1, -1, 0, 0, -1, 1, 1, 1]
        _put(outputs, 0, 3, 2, 0.81, 1.0, [0.5, 0.25, math.log(2), math.log(3)], way)
        _put(outputs, 2, 1, 1, 0.64, 0.64, [0.5, 0.5, 0, 0])  # a score of 0.64
        first, second = make(outputs).detect(FRAME)
        assert first.box.xyxy == pytest.approx((20, 6, 36, 30), abs=1e-5)
        assert first.score == pytest.approx(0.9)
        assert first.points.tolist() == [[16, 8], [32, 8], [24, 16], [16, 24], [32, 24]]
        assert second.box.xyxy == (32, 32, 64, 64)
        assert second.score == pytest.approx(0.64)
        assert second.points.tolist() == [[32, 32]] * 5

    def test_the_score_is_the_root_of_the_product(self, make):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0.25, 0.36, [0.5, 0.5, 0, 0])  # 0.3
        assert make(outputs).detect(FRAME) == []
        (face,) = make(outputs, score_threshold=0.29).detect(FRAME)
        assert face.score == pytest.approx(0.3)

    def test_scores_above_one_are_cut_off(self, make):
        """As OpenCV does; quantised exports overshoot."""
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 1.02, 1.01, [0.5, 0.5, 0, 0])
        assert [face.score for face in make(outputs).detect(FRAME)] == [1.0]


class TestBatches:
    def test_together_and_in_order(self, make):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 1.0, 1.0, [0.5, 0.5, 0, 0])
        detector = make(outputs)
        found = detector.detect_many([FRAME] * 3)
        assert [len(faces) for faces in found] == [1, 1, 1]
        assert detector.network.shapes == [(3, 3, 64, 64)]

    def test_sizes_are_not_mixed(self, make):
        """Pictures of 50 and 64 px make inputs of one size."""
        other = Frame(np.zeros((50, 40, 3), np.uint8))
        detector = make(_outputs())
        assert detector.detect_many([FRAME, other, FRAME]) == [[], [], []]
        assert detector.network.shapes == [(3, 3, 64, 64)]

    @pytest.mark.parametrize(
        ("limit", "provider"),
        [("_CPU_BATCH_PX", "CPUExecutionProvider"), ("_BATCH_PX", "CUDAExecutionProvider")],
    )
    def test_a_batch_is_bounded(self, make, monkeypatch, limit, provider):
        monkeypatch.setattr(f"vultus.detect._single_shot.{limit}", 2 * 64 * 64)
        detector = make(_outputs())
        detector.network.providers = (provider,)
        assert detector.detect_many([FRAME] * 5) == [[]] * 5
        assert [shape[0] for shape in detector.network.shapes] == [2, 2, 1]


class TestBadOutputs:
    @pytest.mark.parametrize("part", [0, 1, 2, 3])
    def test_not_a_number(self, make, part):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0.8, 0.8, [0.5, 0.5, 0, 0])
        outputs[3 * part][2 * 8 + 3] = np.nan
        with pytest.raises(InferenceError, match=r"test-yunet gave .* not"):
            make(outputs).detect(FRAME)

    def test_a_size_beyond_all_numbers(self, make):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0.8, 0.8, [0.5, 0.5, 1e4, 0])
        with pytest.raises(InferenceError, match="coordinates that are not finite"):
            make(outputs).detect(FRAME)

    def test_too_few_outputs(self, make):
        with pytest.raises(InferenceError, match="must be those of the family yunet"):
            make(_outputs()[:9]).detect(FRAME)


def _post_process(outputs, size_wh, threshold):
    """After OpenCV's FaceDetectorYNImpl::postProcess, cell by cell."""
    rows = []
    for level, stride in enumerate((8, 16, 32)):
        columns = size_wh[0] // stride
        kind, thing, code, way = (outputs[3 * part + level][0] for part in range(4))
        for i in range(len(kind)):
            score = math.sqrt(min(max(kind[i, 0], 0), 1) * min(max(thing[i, 0], 0), 1))
            if score < threshold:
                continue
            row, column = divmod(i, columns)
            x, y = (column + code[i, 0]) * stride, (row + code[i, 1]) * stride
            w, h = math.exp(code[i, 2]) * stride, math.exp(code[i, 3]) * stride
            five = [
                ((way[i, 2 * k] + column) * stride, (way[i, 2 * k + 1] + row) * stride)
                for k in range(5)
            ]
            rows.append(((x - w / 2, y - h / 2, w, h), score, five))
    boxes, scores, points = zip(*rows, strict=True)
    kept = cv2.dnn.NMSBoxes(boxes, scores, threshold, 0.3)
    xyxy = [(x, y, x + w, y + h) for x, y, w, h in (boxes[i] for i in kept)]
    return np.array(xyxy), np.array(scores)[kept], np.array(points)[kept]


@pytest.mark.parametrize("name", ["yunet", "yunet-2026may"])
@pytest.mark.parametrize("scene", ["couple.jpg", "obama_partial_face.jpg"])
def test_as_the_definition(shared_detector, shared_data: Path, same_faces, name, scene):
    detector = shared_detector(name)
    image = load_image(shared_data / "scenes" / scene)
    height, width = (-(-side // 32) * 32 for side in image.shape[:2])
    padded = np.zeros((1, 3, height, width), np.float32)
    padded[0, :, : image.shape[0], : image.shape[1]] = image[..., ::-1].transpose(2, 0, 1)
    outputs = detector._session.run({detector._session.input_names[0]: padded})
    expected = _post_process(outputs, (width, height), 0.6)
    same_faces(detector.detect(Frame(image)), *expected, iou=0.999, eye_part=1e-3)


@pytest.mark.parametrize(
    "scene", ["astronaut.png", "couple.jpg", "five.jpg", "horse.jpg", "group_1920x1080.png"]
)
def test_as_opencv(shared_detector, shared_data, shared_models, same_faces, scene):
    detector = shared_detector("yunet-2026may")
    path = shared_data / "scenes" / scene
    bgr = cv2.imread(str(path))
    weight = shared_models / "face_detection_yunet_2026may.onnx"
    reference = cv2.FaceDetectorYN.create(str(weight), "", bgr.shape[1::-1], 0.6, 0.3, 5000)
    _, rows = reference.detect(bgr)
    rows = np.zeros((0, 15), np.float32) if rows is None else rows
    boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
    found = detector.detect(Frame(np.ascontiguousarray(bgr[..., ::-1])))
    same_faces(found, boxes, rows[:, 14], rows[:, 4:14].reshape(-1, 5, 2), 0.999, 1e-3)
