from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from vultus import load_image
from vultus.detect import DetectorOptions, detector_for
from vultus.detect.haar import Haar
from vultus.errors import ModelMissingError, RangeError
from vultus.models import Registry, Store
from vultus.types import Frame

CARD = Registry().get("opencv-haar")


def _make(**options) -> Haar:
    return Haar.from_card(CARD, Store(), None, DetectorOptions(**options))


@pytest.fixture(scope="module")
def astronaut(samples: Path) -> Frame:
    return Frame(load_image(samples / "photos" / "astronaut.png"))


def test_a_face(astronaut: Frame):
    (face,) = _make().detect(astronaut)
    assert face.box.center_xy == (pytest.approx(222, abs=8), pytest.approx(120, abs=15))
    assert face.box.width_px == face.box.height_px == pytest.approx(100, rel=0.15)
    assert face.landmarks is None
    assert face.frame is astronaut


def test_as_opencv_and_its_score_is_the_formula(astronaut: Frame):
    path = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
    grey = cv2.equalizeHist(cv2.cvtColor(astronaut.image, cv2.COLOR_RGB2GRAY))
    boxes, _, weights = cv2.CascadeClassifier(str(path)).detectMultiScale3(
        grey, 1.1, 3, 0, (24, 24), (0, 0), True
    )
    expected = sorted(
        (round(1 / (1 + np.exp(-(weight - 4.2) / 1.5)), 6), (x, y, x + w, y + h))
        for (x, y, w, h), weight in zip(boxes.tolist(), np.ravel(weights), strict=True)
    )
    found = [(round(f.score, 6), f.box.xyxy) for f in _make(score_threshold=0.0).detect(astronaut)]
    assert found == expected[::-1]


def test_thresholds(astronaut: Frame):
    every = _make(score_threshold=0.0).detect(astronaut)
    scores = [face.score for face in every]
    assert scores == sorted(scores, reverse=True)
    assert len(_make(score_threshold=scores[0]).detect(astronaut)) == 1
    assert _make(min_face_px=200).detect(astronaut) == []


def test_a_shrunk_picture(astronaut: Frame):
    (face,) = _make().detect(astronaut)
    (small,) = _make(max_side_px=300).detect(astronaut)
    assert small.box.iou(face.box) > 0.7


@pytest.mark.parametrize("shape", [(1, 1), (23, 23), (24, 24), (20, 20_000), (20_000, 20)])
def test_tiny_and_narrow(shape):
    assert _make().detect(Frame(np.full((*shape, 3), 90, np.uint8))) == []


def test_many(astronaut: Frame, samples: Path):
    rocket = Frame(load_image(samples / "photos" / "rocket.jpg"))
    found = _make().detect_many([astronaut, rocket, astronaut])
    assert [len(faces) for faces in found] == [1, 0, 1]
    assert _make().detect_many([]) == []


def test_eight_threads_see_the_same(astronaut: Frame):
    detector = _make()
    expected = detector.detect(astronaut)[0].box
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(detector.detect, [astronaut] * 16))
    assert [faces[0].box for faces in found] == [expected] * 16


def test_what_it_cannot():
    with pytest.raises(RangeError, match="takes pictures of any size, got size_wh"):
        _make(size_wh=(640, 640))


@pytest.mark.parametrize("text", [None, "<opencv_storage></opencv_storage>", "no XML"])
def test_no_cascade(tmp_path: Path, text, capfd):
    path = tmp_path / "cascade.xml"
    if text:
        path.write_text(text)
    with pytest.raises(ModelMissingError, match="is absent or damaged") as caught:
        Haar(path, CARD)
    assert caught.value.fields["path"] == str(path)


def test_needs_no_store(tmp_path: Path):
    assert detector_for(CARD, Store(tmp_path)).name == "opencv-haar"
    assert Store(tmp_path).has(CARD)
