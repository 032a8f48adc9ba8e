"""Which detector is chosen; named ones stand in for those with real weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vultus import load_image
from vultus.detect import AutoDetector, DetectorOptions, EveryScale, Mtcnn
from vultus.errors import RangeError
from vultus.models import Registry, Store
from vultus.types import Frame


class _Named:
    """Remembers the sizes it was asked for."""

    def __init__(self, name: str, options: DetectorOptions) -> None:
        self.name, self.options, self.asked = name, options, []

    def detect(self, frame):
        return self.detect_many([frame])[0]

    def detect_many(self, frames):
        self.asked.append([frame.width_px for frame in frames])
        return [[f"{self.name} {frame.width_px}"] for frame in frames]


@pytest.fixture
def auto(monkeypatch, tmp_path):
    """`auto({"yunet"}, min_face_px=40)`: with only these installed, besides what ships."""

    def make(installed: set[str], **options) -> AutoDetector:
        installed = {*installed, "mtcnn"}
        monkeypatch.setattr(Store, "has", lambda _, card: card.name in installed)
        made = []

        def detector_for(card, store, session_options, options):
            made.append(_Named(card.name, options))
            return made[-1]

        monkeypatch.setattr("vultus.detect.auto.detector_for", detector_for)
        detector = AutoDetector(Registry(), Store(tmp_path), None, DetectorOptions(**options))
        detector.made = made
        return detector

    return make


def _frame(width: int, height: int) -> Frame:
    return Frame(np.zeros((height, width, 3), np.uint8))


SMALL, LARGE, HUGE = _frame(640, 480), _frame(1920, 1080), _frame(4000, 30)


class TestPick:
    @pytest.mark.parametrize(
        ("installed", "small", "large"),
        [
            (set(), "mtcnn", "mtcnn"),
            ({"yunet"}, "yunet", "yunet"),
            ({"yunet", "yunet-2026may"}, "yunet", "yunet"),
            ({"yunet", "scrfd-500m"}, "scrfd-500m", "scrfd-500m"),
            ({"scrfd-2.5g", "yunet"}, "scrfd-2.5g", "yunet"),
            ({"scrfd-2.5g"}, "scrfd-2.5g", "mtcnn"),
            ({"scrfd-10g", "scrfd-500m"}, "scrfd-10g", "scrfd-500m"),
            ({"ultralight-rfb-320"}, "mtcnn", "mtcnn"),
        ],
    )
    def test_by_what_is_installed(self, auto, installed, small, large):
        detector = auto(installed)
        assert detector.pick(SMALL).detector.name == small
        assert detector.pick(LARGE).detector.name == large

    @pytest.mark.parametrize(
        ("frame", "min_face_px", "scales"),
        [
            (SMALL, None, "two"),
            (LARGE, None, "two"),
            (_frame(2000, 20), None, "two"),
            (_frame(2001, 20), None, "tiled"),
            (HUGE, 40, "two"),  # 40 px of 4,000 are 20 of 2,048
            (HUGE, 30, "tiled"),
        ],
    )
    def test_looks(self, auto, frame, min_face_px, scales):
        detector = auto({"yunet"}, min_face_px=min_face_px, score_threshold=0.75)
        options = detector.pick(frame).detector.options
        assert options.scales == scales
        assert (options.min_face_px, options.score_threshold) == (min_face_px, 0.75)

    def test_says_why(self, auto):
        detector = auto({"scrfd-2.5g", "yunet"})
        assert detector.pick(SMALL).reason == (
            "scrfd-2.5g for 640 × 480 px: the most accurate on this machine; "
            "a second look at 320 px for huge faces"
        )
        assert detector.pick(_frame(4000, 3000)).reason == (
            "yunet for 4000 × 3000 px: the most accurate of the fast ones on this machine; "
            "tile by tile for tiny faces"
        )
        assert auto(set()).pick(SMALL).reason == (
            "mtcnn for 640 × 480 px: the most accurate on this machine"
        )

    def test_made_once(self, auto):
        detector = auto({"yunet"})
        assert detector.pick(SMALL).detector is detector.pick(LARGE).detector
        assert len(detector.made) == 1


class TestDetect:
    def test_one(self, auto):
        assert auto({"yunet"}).detect(SMALL) == ["yunet 640"]

    def test_many_in_order_and_together(self, auto):
        detector = auto({"scrfd-2.5g", "yunet"})
        found = detector.detect_many([SMALL, LARGE, _frame(100, 100), LARGE])
        assert found == [["scrfd-2.5g 640"], ["yunet 1920"], ["scrfd-2.5g 100"], ["yunet 1920"]]
        assert [d.asked for d in detector.made] == [[[640, 100]], [[1920, 1920]]]

    def test_none(self, auto):
        assert auto({"yunet"}).detect_many([]) == []


def test_an_input_of_fixed_size_is_refused():
    with pytest.raises(RangeError, match=r"auto chooses the size of the input, got size_wh"):
        AutoDetector(Registry(), Store(), None, DetectorOptions(size_wh=(640, 640)))


def test_what_ships_is_enough(tmp_path: Path, samples: Path):
    detector = AutoDetector(Registry(), Store(tmp_path))
    frame = Frame(load_image(samples / "photos" / "astronaut.png"))
    assert type(detector.pick(frame).detector) is Mtcnn
    assert len(detector.detect(frame)) == 1
    assert detector.name == "auto"


def test_real_weights(shared_store: Store, samples: Path, shared_detector):
    shared_detector("scrfd-500m")  # skips where it is absent
    detector = AutoDetector(Registry(), shared_store)
    frame = Frame(load_image(samples / "photos" / "astronaut.png"))
    assert type(detector.pick(frame).detector) is EveryScale
    (face,) = detector.detect(frame)
    assert face.box.center_xy == (pytest.approx(222, abs=8), pytest.approx(120, abs=10))
