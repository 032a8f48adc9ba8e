"""Detectors with real weights where present, and networks that answer what they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.detect import Detector, DetectorOptions, detector_for
from vultus.models import ModelCard, Registry, Store, parse_card
from vultus.types import Box

CARD = """
name = "test-{family}"
kind = "detector"
title = "t"
summary = "s"
[origin]
project = "p"
url = "https://example.org/x"
[licence]
spdx = "MIT"
commercial = true
training_data = "none"
[input]
layout = "NCHW"
channels = "RGB"
{input}
[detector]
family = "{family}"
landmarks = true
{detector}
score_threshold = 0.5
nms_iou = 0.4
threshold_source = "t"
[[weights]]
file = "net.onnx"
sha256 = "{sha}"
"""


class Network:
    """Stands in for a session: gives prepared outputs, remembers what it was given."""

    input_names = ("input",)
    providers = ("CPUExecutionProvider",)
    output_names = ("output",)

    def __init__(self, outputs: Sequence[np.ndarray], batch_size: int | None = 1) -> None:
        self.outputs = [np.asarray(output) for output in outputs]
        self.batch_size = batch_size
        self.given: list[np.ndarray] = []

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Any = None) -> list[np.ndarray]:
        (tensor,) = inputs.values()
        self.given.append(tensor)
        # As ONNX Runtime does: arrays of their own each time, of one row per picture.
        return [
            output.copy() if output.ndim == 2 else np.repeat(output[None], len(tensor), axis=0)
            for output in self.outputs
        ]


@pytest.fixture
def network() -> type[Network]:
    return Network


@pytest.fixture
def card() -> Callable[..., ModelCard]:
    """`card("scrfd", detector="strides = [8]", input="multiple_of = 32")`."""

    def make(family: str, detector: str = "", input: str = "multiple_of = 32") -> ModelCard:  # noqa: A002
        text = CARD.format(family=family, detector=detector, input=input, sha="0" * 64)
        return parse_card(text, "test.toml")

    return make


@pytest.fixture(scope="session")
def shared_store(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that has whatever optional detectors are present."""
    store = Store(tmp_path_factory.mktemp("store"))
    for card in Registry():
        for weight in card.weights:
            path = shared_models / weight.file
            if card.kind == "detector" and path.is_file():
                store.add(path)
    return store


@pytest.fixture(scope="session")
def shared_detector(shared_store: Store) -> Callable[..., Detector]:
    """`shared_detector("yunet", score_threshold=…)`; skips where the weight is absent."""

    def make(name: str, **options: Any) -> Detector:
        card = Registry().get(name)
        if not shared_store.has(card):
            pytest.skip(f"{card.weights[0].file} is not among the shared models")
        return detector_for(card, shared_store, None, DetectorOptions(**options))

    return make


@pytest.fixture
def same_faces() -> Callable[..., None]:
    """`same_faces(faces, boxes, scores, points, iou=0.95, eye_part=0.02)` compares all of them."""

    def compare(faces, boxes, scores, points, iou=0.95, eye_part=0.02) -> None:
        assert len(faces) == len(boxes)
        for face in faces:
            overlaps = [face.box.iou(Box(*map(float, box))) for box in boxes]
            best = int(np.argmax(overlaps))
            assert overlaps[best] >= iou
            assert face.score == pytest.approx(float(scores[best]), abs=1e-3)
            if points is None:
                assert face.landmarks is None
                continue
            eyes = np.linalg.norm(points[best][0] - points[best][1])
            off = np.linalg.norm(face.points - points[best], axis=1).max()
            assert off <= eye_part * eyes

    return compare
