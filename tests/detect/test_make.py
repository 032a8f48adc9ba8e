from __future__ import annotations

import numpy as np
import pytest

from vultus.detect import DetectorOptions, EveryScale, Mtcnn, detector_for
from vultus.detect.haar import Haar
from vultus.detect.retinaface import RetinaFace
from vultus.detect.scrfd import Scrfd
from vultus.detect.ultralight import UltraLight
from vultus.detect.yunet import YuNet
from vultus.errors import CardError, ModelMissingError, RangeError
from vultus.models import Registry, Store
from vultus.types import Frame


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("scrfd-500m", Scrfd),
        ("scrfd-2.5g", Scrfd),
        ("yunet", YuNet),
        ("yunet-2026may", YuNet),
        ("retinaface-mbnet025", RetinaFace),
        ("ultralight-rfb-320", UltraLight),
    ],
)
def test_families_with_weights_of_others(shared_detector, name, kind):
    detector = shared_detector(name, score_threshold=0.25)
    assert type(detector) is kind
    assert detector.name == name
    assert detector.options.score_threshold == 0.25


@pytest.mark.parametrize(("name", "kind"), [("mtcnn", Mtcnn), ("opencv-haar", Haar)])
def test_families_that_are_always_here(name, kind):
    detector = detector_for(Registry().get(name), Store())
    assert type(detector) is kind
    assert detector.name == name


@pytest.mark.parametrize(
    "name", [card.name for card in Registry() if card.kind == "detector" and card.weights]
)
def test_every_card_of_a_detector_has_a_family(name, tmp_path):
    """Without its weight it is told missing: so its family was found."""
    card = Registry().get(name)
    if card.packed:
        assert detector_for(card, Store(tmp_path)).name == name
    else:
        with pytest.raises(ModelMissingError, match=card.weights[0].file):
            detector_for(card, Store(tmp_path))


def test_no_detector():
    with pytest.raises(CardError) as caught:
        detector_for(Registry().get("mobilefacenet"), Store())
    assert caught.value.message == (
        "mobilefacenet is a card of kind embedder, and a detector was asked for"
    )


class TestMtcnn:
    CARD = Registry().get("mtcnn")

    def test_as_its_card_says(self):
        options = detector_for(self.CARD, Store()).options
        assert options.thresholds == (0.6, 0.7, self.CARD.detector.score_threshold)
        assert options.overlap == self.CARD.detector.nms_iou
        assert options.min_face_px == 40

    def test_what_is_asked(self):
        asked = DetectorOptions(min_face_px=20, score_threshold=0.9, nms_iou=0.5, scales="two")
        detector = detector_for(self.CARD, Store(), None, asked)
        assert type(detector) is Mtcnn  # it searches all scales itself
        assert detector.options.thresholds == (0.6, 0.7, 0.9)
        assert (detector.options.overlap, detector.options.min_face_px) == (0.5, 20)

    def test_what_it_cannot(self):
        with pytest.raises(RangeError, match="mtcnn takes pictures of any size, got size_wh"):
            detector_for(self.CARD, Store(), None, DetectorOptions(size_wh=(640, 640)))
        with pytest.raises(RangeError, match="min_face_px must be finite and at least 12"):
            detector_for(self.CARD, Store(), None, DetectorOptions(min_face_px=8))

    def test_many(self, golden_frame):
        detector = detector_for(self.CARD, Store())
        blank = Frame(np.zeros((50, 60, 3), np.uint8))
        found = detector.detect_many([blank, golden_frame, blank])
        assert [len(faces) for faces in found] == [0, 1, 0]
        assert found[1][0].box == detector.detect(golden_frame)[0].box
        assert detector.detect_many([]) == []


class TestScales:
    @pytest.mark.parametrize("scales", ["two", "tiled"])
    def test_wrapped(self, shared_detector, scales):
        detector = shared_detector("yunet", scales=scales)
        assert type(detector) is EveryScale
        assert detector.name == "yunet"
        assert detector.tiled == (scales == "tiled")

    def test_a_network_of_one_size(self, shared_detector):
        with pytest.raises(RangeError, match="ultralight-rfb-320 takes inputs of"):
            shared_detector("ultralight-rfb-320", scales="two")
