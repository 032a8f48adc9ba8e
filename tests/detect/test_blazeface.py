"""BlazeFace: anchors and decoding as MediaPipe publishes them; what the shipped networks find."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vultus.detect.base import DetectorOptions
from vultus.detect.blazeface import BlazeFace
from vultus.errors import CardError, InferenceError, RangeError
from vultus.models import ModelCard, Registry, Store
from vultus.types import Frame

# Side of the input, strides of the layers, anchors per cell and layer, threshold: MediaPipe,
# modules/face_detection/*.pbtxt and graphs/face_detection/face_detection_back_desktop_live.pbtxt.
VARIANTS = {
    "blazeface-short": (128, (8, 16, 16, 16), 2, 0.5),
    "blazeface-full": (192, (4,), 1, 0.6),
    "blazeface-back": (256, (16, 32, 32, 32), 2, 0.65),
}


def mediapipe_anchors(side: int, strides: tuple[int, ...], each: int) -> list[tuple[float, float]]:
    """Centres in parts of the input, in the order of SsdAnchorsCalculator."""
    anchors = []
    layer = 0
    while layer < len(strides):
        same = layer
        per_cell = 0
        while same < len(strides) and strides[same] == strides[layer]:
            per_cell += each
            same += 1
        cells = math.ceil(side / strides[layer])
        for row in range(cells):
            for column in range(cells):
                for _ in range(per_cell):
                    anchors.append(((column + 0.5) / cells, (row + 0.5) / cells))
        layer = same
    return anchors


def mediapipe_faces(
    name: str, scores: NDArray[np.float32], boxes: NDArray[np.float32]
) -> list[list[float]]:
    """TensorsToDetectionsCalculator and NonMaxSuppressionCalculator (WEIGHTED), in plain Python.

    Returns score, box and points, in parts of the input.
    """
    side, strides, each, threshold = VARIANTS[name]
    found = []
    for (x, y), logit, raw in zip(
        mediapipe_anchors(side, strides, each), scores.tolist(), boxes.tolist(), strict=True
    ):
        score = 1.0 / (1.0 + math.exp(-max(-100.0, min(100.0, logit))))
        if score < threshold:
            continue
        x_center, y_center = raw[0] / side + x, raw[1] / side + y
        w, h = raw[2] / side, raw[3] / side
        detection = [score, x_center - w / 2, y_center - h / 2, x_center + w / 2, y_center + h / 2]
        for k in range(6):
            detection += [raw[4 + 2 * k] / side + x, raw[5 + 2 * k] / side + y]
        found.append(detection)
    found.sort(key=lambda detection: -detection[0])
    output = []
    while found:
        candidates = [d for d in found if similarity(found[0], d) > 0.3]
        rest = [d for d in found if similarity(found[0], d) <= 0.3]
        total = sum(d[0] for d in candidates)
        blended = [sum(d[i] * d[0] for d in candidates) / total for i in range(1, 17)]
        output.append([found[0][0], *blended])
        found = rest
    return output


def similarity(a: list[float], b: list[float]) -> float:
    w = min(a[3], b[3]) - max(a[1], b[1])
    h = min(a[4], b[4]) - max(a[2], b[2])
    if w <= 0 or h <= 0:
        return 0.0
    union = (a[3] - a[1]) * (a[4] - a[2]) + (b[3] - b[1]) * (b[4] - b[2]) - w * h
    return w * h / union


class FakeSession:
    """Gives the same answer for every picture of a batch, and remembers what it saw."""

    input_names = ("input",)
    batch_size = None

    def __init__(self, scores: NDArray[np.float32], boxes: NDArray[np.float32]) -> None:
        self.answer, self.seen = (scores, boxes), np.zeros(0, np.float32)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.seen = inputs["input"]
        return [np.stack([part] * len(self.seen)) for part in self.answer]


def fed(
    name: str, faces: dict[int, tuple[float, Sequence[float]]]
) -> tuple[BlazeFace, FakeSession]:
    """A detector whose network answers at some anchors: number to logit and 16 values."""
    side, strides, each, _ = VARIANTS[name]
    count = len(mediapipe_anchors(side, strides, each))
    scores = np.full(count, -50, np.float32)
    boxes = np.zeros((count, 16), np.float32)
    for anchor, (logit, values) in faces.items():
        scores[anchor], boxes[anchor] = logit, values
    fake = FakeSession(scores, boxes)
    return BlazeFace(fake, Registry().get(name)), fake  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def make() -> Callable[..., BlazeFace]:
    def make(name: str, **options: Any) -> BlazeFace:
        return BlazeFace.from_card(Registry().get(name), Store(), None, DetectorOptions(**options))

    return make


class TestAsMediaPipe:
    @pytest.mark.parametrize("name", VARIANTS)
    def test_the_cards_state_what_mediapipe_publishes(self, name: str) -> None:
        side, strides, each, threshold = VARIANTS[name]
        card = Registry().get(name)
        assert card.detector is not None
        assert card.input.size_wh == (side, side)
        assert card.detector.strides == strides
        assert card.detector.anchors_per_cell == each
        assert (card.detector.score_threshold, card.detector.nms_iou) == (threshold, 0.3)

    @pytest.mark.parametrize(
        ("name", "count"),
        [("blazeface-short", 896), ("blazeface-full", 2304), ("blazeface-back", 896)],
    )
    def test_anchors(self, make: Callable[..., BlazeFace], name: str, count: int) -> None:
        side, strides, each, _ = VARIANTS[name]
        expected = np.array(mediapipe_anchors(side, strides, each)) * side
        assert len(expected) == count
        np.testing.assert_allclose(make(name)._centres, expected)

    def test_anchors_by_hand(self, make: Callable[..., BlazeFace]) -> None:
        centres = make("blazeface-short")._centres
        assert centres[:4].tolist() == [[4, 4], [4, 4], [12, 4], [12, 4]]
        assert centres[512:519].tolist() == [[8, 8]] * 6 + [[24, 8]]
        assert centres[-1].tolist() == [120, 120]

    @pytest.mark.parametrize("name", VARIANTS)
    @pytest.mark.parametrize("seed", range(3))
    def test_decoding(self, name: str, seed: int) -> None:
        side = VARIANTS[name][0]
        generator = np.random.default_rng(seed)
        detector, fake = fed(name, {})
        count = len(fake.answer[0])
        scores = generator.normal(-6, 4, count).astype(np.float32)
        boxes = generator.normal(0, side / 20, (count, 16)).astype(np.float32)
        boxes[:, 2:4] = generator.uniform(side / 10, side / 3, (count, 2))
        fake.answer = (scores, boxes)
        frame = Frame(np.zeros((side, side, 3), np.uint8))
        expected = np.array(mediapipe_faces(name, scores, boxes))
        assert len(expected) > 3
        found = detector.detect_with_keypoints(frame)
        actual = np.array([[f.score, *f.box.xyxy, *points.ravel()] for f, points in found])
        inside = (expected[:, 3:5] > 0).all(axis=1) & (expected[:, 1:3] < 1).all(axis=1)
        np.testing.assert_allclose(actual[:, 0], expected[inside, 0], atol=1e-6)
        np.testing.assert_allclose(actual[:, 1:], expected[inside, 1:] * side, atol=1e-3)


class TestShippedNetworks:
    @pytest.mark.parametrize("name", VARIANTS)
    def test_the_golden_face(
        self,
        make: Callable[..., BlazeFace],
        golden: Mapping[str, NDArray[Any]],
        name: str,
    ) -> None:
        side = VARIANTS[name][0]
        (row,) = [row for row in golden["windows"].tolist() if row[2] == side]
        left, top, _ = row
        window = golden["picture"][top : top + side, left : left + side]
        ((face, points),) = make(name).detect_with_keypoints(Frame(np.ascontiguousarray(window)))
        expected = golden[name.replace("-", "_")]
        assert face.score == pytest.approx(float(expected[0]), abs=1e-4)
        np.testing.assert_allclose(face.box.xyxy, expected[1:5], atol=0.01)
        np.testing.assert_allclose(points.ravel(), expected[5:], atol=0.01)
        # The viewer's left eye is on the left, the mouth below the nose.
        assert points[0, 0] < points[1, 0]
        assert points[3, 1] > points[2, 1]

    @pytest.mark.parametrize("name", VARIANTS)
    def test_the_whole_picture(
        self, make: Callable[..., BlazeFace], golden: Mapping[str, NDArray[Any]], name: str
    ) -> None:
        frame = Frame(golden["picture"])
        (face,) = make(name).detect(frame)
        assert face.landmarks is None
        assert face.frame is frame
        # MTCNN's box, which is less wide: the same middle within a tenth of its height.
        box = golden["mtcnn_boxes"][0]
        middle = (np.array(face.box.xyxy[:2]) + face.box.xyxy[2:]) / 2
        np.testing.assert_allclose(middle, (box[:2] + box[2:]) / 2, atol=12)

    def test_colours_matter(
        self, make: Callable[..., BlazeFace], golden: Mapping[str, NDArray[Any]]
    ) -> None:
        picture = golden["picture"]
        (right,) = make("blazeface-back").detect(Frame(picture))
        frame = Frame(np.ascontiguousarray(picture[..., ::-1]))
        (swapped,) = make("blazeface-back").detect(frame)
        # Measured: 2 px. The golden boxes above are held to a hundredth.
        assert np.abs(np.array(swapped.box.xyxy) - right.box.xyxy).max() > 1

    def test_many_are_as_each(
        self, make: Callable[..., BlazeFace], golden: Mapping[str, NDArray[Any]]
    ) -> None:
        detector = make("blazeface-short")
        frames = [
            Frame(golden["picture"]),
            Frame(np.full((50, 90, 3), 127, np.uint8)),
            Frame(np.ascontiguousarray(golden["picture"][:200])),
        ]
        together = detector.detect_many(frames)
        assert [len(faces) for faces in together] == [1, 0, 1]
        for frame, faces in zip(frames, together, strict=True):
            alone = detector.detect(frame)
            for face, other in zip(faces, alone, strict=True):
                np.testing.assert_allclose(face.box.xyxy, other.box.xyxy, atol=1e-2)

    @pytest.mark.parametrize("name", VARIANTS)
    def test_nobody_there(self, make: Callable[..., BlazeFace], name: str) -> None:
        assert make(name).detect(Frame(np.full((1, 1, 3), 200, np.uint8))) == []
        assert make(name).detect(Frame(np.full((90, 60, 3), 90, np.uint8))) == []
        assert make(name).detect_many([]) == []


class TestLetterbox:
    # Anchor 0 of the short-range model lies at (4, 4); this face is 32 x 24 around (64, 64).
    FACE = (60.0, 60.0, 32.0, 24.0, *((56.0, 58.0) * 6))

    def test_a_wide_picture_is_centred(self) -> None:
        detector, fake = fed("blazeface-short", {0: (3.0, self.FACE)})
        picture = np.full((128, 256, 3), 255, np.uint8)
        ((face, points),) = detector.detect_with_keypoints(Frame(picture))
        # 256 x 128 becomes 128 x 64, 32 black rows above and below.
        assert fake.seen.shape == (1, 128, 128, 3)
        column = fake.seen[0, :, 64, 1]
        np.testing.assert_allclose(column, [-1] * 32 + [1] * 64 + [-1] * 32, atol=1e-6)
        np.testing.assert_allclose(face.box.xyxy, [96, 40, 160, 88])
        np.testing.assert_allclose(points, [[120, 60]] * 6)
        assert face.score == pytest.approx(1 / (1 + math.exp(-3)))

    def test_a_box_without_area_is_no_face(self) -> None:
        detector, _ = fed("blazeface-short", {0: (3.0, [60.0, 60.0, 0.0, 24.0] + [0.0] * 12)})
        frame = Frame(np.zeros((128, 128, 3), np.uint8))
        assert detector.detect(frame) == []
        assert detector.detect_with_keypoints(frame) == []

    def test_the_largest_logit_does_not_overflow(self) -> None:
        detector, _ = fed("blazeface-short", {0: (3e38, self.FACE)})
        (face,) = detector.detect(Frame(np.zeros((128, 128, 3), np.uint8)))
        assert face.score == 1.0


class TestRefusals:
    def test_another_number_of_anchors(self) -> None:
        fake = FakeSession(np.zeros(895, np.float32), np.zeros((895, 16), np.float32))
        detector = BlazeFace(fake, Registry().get("blazeface-short"))  # type: ignore[arg-type]
        with pytest.raises(InferenceError, match="must give 896 predictions, got 895"):
            detector.detect(Frame(np.zeros((9, 9, 3), np.uint8)))

    def test_a_score_that_is_no_number(self) -> None:
        detector, _ = fed("blazeface-short", {7: (math.nan, [0.0] * 16)})
        with pytest.raises(InferenceError, match="scores that are not numbers"):
            detector.detect(Frame(np.zeros((9, 9, 3), np.uint8)))

    def test_a_card_without_a_size(self) -> None:
        card: ModelCard = Registry().get("blazeface-short")
        free = card.model_copy(update={"input": card.input.model_copy(update={"size_wh": None})})
        fake = FakeSession(np.zeros(896, np.float32), np.zeros((896, 16), np.float32))
        with pytest.raises(CardError, match="must state size_wh and strides"):
            BlazeFace(fake, free)  # type: ignore[arg-type]

    def test_another_size(self) -> None:
        with pytest.raises(RangeError, match="takes inputs of 128 × 128 px only"):
            BlazeFace.from_card(
                Registry().get("blazeface"), Store(), None, DetectorOptions(size_wh=(256, 256))
            )
