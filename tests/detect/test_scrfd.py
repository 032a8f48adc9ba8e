"""SCRFD's decoding by hand, and against InsightFace's own where the weights are present."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vultus import load_image
from vultus.detect import DetectorOptions
from vultus.detect.scrfd import Scrfd
from vultus.errors import InferenceError, RangeError
from vultus.types import Frame

STRIDES = "strides = [8, 16, 32]\nanchors_per_cell = 2"
CELLS = (64, 16, 4)  # of an input of 64 × 64 px
ORIGIN = [0.0] * 10


def _outputs() -> list[np.ndarray]:
    """Scores, distances and points of three levels, all silent."""
    return [np.zeros((2 * cells, width), np.float32) for width in (1, 4, 10) for cells in CELLS]


def _put(outputs, level, column, row, anchor, score, distances, points=ORIGIN):
    columns = (8, 4, 2)[level]
    i = 2 * (row * columns + column) + anchor
    outputs[level][i] = score
    outputs[3 + level][i] = distances
    outputs[6 + level][i] = points


@pytest.fixture
def make(network, card):
    def build(outputs, batch_size=1, **options) -> Scrfd:
        net = network(outputs, batch_size)
        detector = Scrfd(net, card("scrfd", STRIDES), DetectorOptions(**options))
        detector.network = net
        return detector

    return build


FRAME = Frame(np.zeros((64, 64, 3), np.uint8))


def _rows(faces) -> list[list[float]]:
    return [[*face.box.xyxy, round(face.score, 4)] for face in faces]


class TestByHand:
    def test_nothing(self, make):
        assert make(_outputs()).detect(FRAME) == []

    def test_one_face_of_each_level(self, make):
        outputs = _outputs()
        # Cell (3, 2) of stride 8 has its corner at (24, 16).
        _put(
            outputs,
            0,
            3,
            2,
            1,
            0.75,
            [1, 1, 1.5, 2],
            [-0.5, -0.25, 0.5, -0.25, 0, 0, -0.5, 1, 0.5, 1],
        )
        _put(outputs, 1, 3, 3, 0, 0.875, [0.5, 0.5, 0.5, 0.5])  # (48, 48)
        _put(outputs, 2, 0, 1, 1, 0.625, [0, 0.25, 0.5, 0.75])  # (0, 32)
        faces = make(outputs).detect(FRAME)
        assert _rows(faces) == [
            [40, 40, 56, 56, 0.875],
            [16, 8, 36, 32, 0.75],
            [0, 24, 16, 56, 0.625],
        ]
        assert faces[1].points.tolist() == [[20, 14], [28, 14], [24, 16], [20, 24], [28, 24]]
        assert faces[0].points.tolist() == [[48, 48]] * 5
        assert faces[0].frame is FRAME

    def test_the_weaker_of_two_is_dropped(self, make):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0, 0.75, [2, 2, 2, 2])
        _put(outputs, 0, 3, 3, 0, 0.625, [2, 2, 2, 2])  # 8 px below: overlap 24 / 40 = 0.6
        assert len(make(outputs).detect(FRAME)) == 1
        assert len(make(outputs, nms_iou=0.65).detect(FRAME)) == 2

    def test_thresholds(self, make):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0, 0.5, [1, 1, 1, 1])
        _put(outputs, 1, 3, 3, 0, 0.4375, [1, 1, 1, 1])
        assert [face.score for face in make(outputs).detect(FRAME)] == [0.5]  # from, not above
        assert len(make(outputs, score_threshold=0.4375).detect(FRAME)) == 2
        assert make(outputs, score_threshold=0.75).detect(FRAME) == []
        assert len(make(outputs, score_threshold=0.0).detect(FRAME)) == 2  # a score of 0 is none

    def test_smallest_face(self, make):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0, 0.75, [1, 1, 1, 2])  # 16 × 24 px
        assert len(make(outputs, min_face_px=16).detect(FRAME)) == 1
        assert make(outputs, min_face_px=16.1).detect(FRAME) == []

    def test_boxes_without_area_or_outside_are_no_faces(self, make):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0, 0.75, [1, 1, -1, 1])
        _put(outputs, 0, 3, 5, 0, 0.75, [1, 1, -2, 1])
        _put(outputs, 2, 0, 0, 0, 0.75, [1, 1, -0.5, 1])  # left of the picture
        assert make(outputs).detect(FRAME) == []

    def test_back_to_a_shrunk_picture(self, make):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0, 0.75, [1, 1, 1, 1], [0.0] * 10)
        frame = Frame(np.zeros((64, 128, 3), np.uint8))  # becomes 64 × 32 in 64 × 64
        (face,) = make(outputs, size_wh=(64, 64)).detect(frame)
        assert face.box.xyxy == (32, 16, 64, 48)
        assert face.points.tolist() == [[48, 32]] * 5

    def test_what_the_network_is_given(self, make):
        detector = make(_outputs())
        image = np.zeros((64, 64, 3), np.uint8)
        image[..., 0] = 255
        detector.detect(Frame(image))
        (tensor,) = detector.network.given
        assert tensor.shape == (1, 3, 64, 64)
        assert tensor.dtype == np.float32
        assert tensor[0, :, 0, 0].tolist() == [255, 0, 0]


class TestBatches:
    def test_no_frames(self, make):
        assert make(_outputs()).detect_many([]) == []

    def test_one_at_a_time_where_the_network_takes_no_more(self, make):
        detector = make(_outputs())
        assert detector.detect_many([FRAME] * 3) == [[], [], []]
        assert [tensor.shape for tensor in detector.network.given] == [(1, 3, 64, 64)] * 3

    def test_an_export_with_a_batch_axis(self, make, network, card):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0, 0.75, [1, 1, 1, 1])

        class Batched(network):
            def run(self, inputs, outputs=None):
                return [np.stack([o] * len(inputs["input"])) for o in self.outputs]

        detector = Scrfd(Batched(outputs, None), card("scrfd", STRIDES))
        assert [len(faces) for faces in detector.detect_many([FRAME] * 3)] == [1, 1, 1]


class TestBadOutputs:
    @pytest.mark.parametrize("kind", [0, 1, 2])
    def test_not_a_number(self, make, kind):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0, 0.75, [1, 1, 1, 1])
        outputs[3 * kind][2 * (2 * 8 + 3)] = np.nan
        with pytest.raises(InferenceError, match=r"test-scrfd gave .* not"):
            make(outputs).detect(FRAME)

    def test_infinite(self, make):
        outputs = _outputs()
        _put(outputs, 0, 3, 2, 0, 0.75, [1, 1, np.inf, 1])
        with pytest.raises(InferenceError, match="coordinates that are not finite"):
            make(outputs).detect(FRAME)

    def test_another_number_of_cells(self, make):
        with pytest.raises(InferenceError) as caught:
            make(_outputs()).detect(Frame(np.zeros((64, 96, 3), np.uint8)))
        assert caught.value.message == (
            "test-scrfd must give [192, 48, 12] predictions for 96 × 64 px, got [128, 32, 8]"
        )

    def test_another_family(self, make):
        with pytest.raises(InferenceError, match="must be those of the family scrfd"):
            make(_outputs()[:6]).detect(FRAME)

    def test_everything_passes(self, make):
        """More candidates than a picture can have faces: an answer, in time."""
        outputs = _outputs()
        for level in range(3):
            outputs[level][:] = 0.9
            outputs[3 + level][:] = 0.25
        faces = make(outputs).detect(FRAME)
        assert 0 < len(faces) <= sum(CELLS)


@pytest.mark.parametrize("size", [(640, 100), (100, 640), (33, 32)])
def test_size_must_suit_the_strides(make, size):
    with pytest.raises(RangeError, match="size_wh of test-scrfd must be multiples of 32, got"):
        make(_outputs(), size_wh=size)


def _reference(session, bgr: np.ndarray, size_wh: tuple[int, int] | None) -> tuple:
    """After InsightFace's detection/scrfd/tools/scrfd.py, with its threshold and overlap."""
    height, width = bgr.shape[:2]
    if size_wh is None:
        size_wh, new = (-(-width // 32) * 32, -(-height // 32) * 32), (width, height)
    elif height / width > size_wh[1] / size_wh[0]:
        new = (int(size_wh[1] / (height / width)), size_wh[1])
    else:
        new = (size_wh[0], int(size_wh[0] * (height / width)))
    scale = new[1] / height
    canvas = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    canvas[: new[1], : new[0]] = bgr if new == (width, height) else cv2.resize(bgr, new)
    blob = cv2.dnn.blobFromImage(canvas, 1 / 128, size_wh, (127.5,) * 3, swapRB=True)
    outputs = session.run({session.input_names[0]: blob})
    scores, boxes, points = [], [], []
    for level, stride in enumerate((8, 16, 32)):
        rows, columns = size_wh[1] // stride, size_wh[0] // stride
        center = np.stack(np.mgrid[:rows, :columns][::-1], axis=-1).reshape(-1, 2) * stride
        center = np.stack([center] * 2, axis=1).reshape(-1, 2)
        distance, way = outputs[level + 3] * stride, outputs[level + 6] * stride
        box = np.hstack([center - distance[:, :2], center + distance[:, 2:]])
        passed = np.where(outputs[level] >= 0.5)[0]
        scores.append(outputs[level][passed])
        boxes.append(box[passed])
        points.append((center[:, None] + way.reshape(-1, 5, 2))[passed])
    scores, boxes, points = np.vstack(scores).ravel(), np.vstack(boxes), np.vstack(points)
    order = scores.argsort()[::-1]
    boxes, points, kept = boxes[order] / scale, points[order] / scale, []
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    left = np.arange(len(boxes))
    while left.size:
        first, left = left[0], left[1:]
        kept.append(first)
        low = np.maximum(boxes[first, :2], boxes[left, :2])
        high = np.minimum(boxes[first, 2:], boxes[left, 2:])
        shared = np.clip(high - low + 1, 0, None).prod(axis=1)
        left = left[shared / (area[first] + area[left] - shared) <= 0.4]
    return boxes[kept], scores[order][kept], points[kept]


@pytest.mark.parametrize("size_wh", [None, (640, 640)], ids=["own size", "640"])
@pytest.mark.parametrize(
    ("name", "scene"),
    [
        ("scrfd-500m", "couple.jpg"),
        ("scrfd-500m", "five.jpg"),
        ("scrfd-500m", "horse.jpg"),
        ("scrfd-500m", "group_1920x1080.png"),
        ("scrfd-2.5g", "couple.jpg"),
        ("scrfd-2.5g", "obama_partial_face.jpg"),
    ],
)
def test_as_the_reference(shared_detector, shared_data: Path, same_faces, name, scene, size_wh):
    detector = shared_detector(name, size_wh=size_wh)
    image = load_image(shared_data / "scenes" / scene)
    expected = _reference(detector._session, np.ascontiguousarray(image[..., ::-1]), size_wh)
    # The original cuts the resized width to whole pixels and scales by the height alone, which
    # puts its points up to a pixel of the input off; hence the looser bound at 640.
    same_faces(
        detector.detect(Frame(image)), *expected, iou=0.98, eye_part=0.02 if size_wh else 1e-3
    )
