from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from vultus.pipeline import Recognizer
from vultus.server.routes import _measure
from vultus.server.schemas.pictures import DetectOptions
from vultus.types import Attributes, Face, Reading


@pytest.fixture(scope="module")
def faces(recognizer: Recognizer, samples: Path) -> list[Face]:
    return recognizer.detect(samples / "photos" / "wall.jpg")


def test_no_faces() -> None:
    assert _measure.measured([], DetectOptions(pose=True)) == []


def test_nothing_is_measured_that_was_not_asked_for(
    faces: list[Face], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> None:
        raise AssertionError("no mesh was asked for")

    monkeypatch.setattr(_measure, "_mesh", never)
    (first, *_) = _measure.measured(faces, DetectOptions())
    assert (first.pose, first.quality, first.dense) == (None, None, None)
    (first, *_) = _measure.measured(faces, DetectOptions(quality=True))
    assert first.quality is not None
    assert first.gate is None


class _Reader:
    def read(self, faces: Sequence[Face]) -> list[Attributes]:
        age = Reading(41.5, None, "mean error 5 years", "net")
        return [Attributes(age=age, sex=Reading("female", 0.8, "90 % right", "net")) for _ in faces]


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_measure, "_reader", _Reader)


@pytest.mark.usefixtures("reader")
def test_attributes_of_an_installed_model_are_told_where_asked_for(faces: list[Face]) -> None:
    (first, *_) = _measure.measured(faces, DetectOptions(attributes=True))
    assert first.attributes is not None
    assert first.attributes.model_dump() == {
        "age": {
            "value": 41.5,
            "confidence": None,
            "quality": "mean error 5 years",
            "model": "net",
        },
        "sex": {
            "value": "female",
            "confidence": 0.8,
            "quality": "90 % right",
            "model": "net",
        },
    }
    (first, *_) = _measure.measured(faces, DetectOptions())
    assert first.attributes is None


def test_without_a_model_there_is_no_reader(tmp_path: Path) -> None:
    assert _measure._reader_in(tmp_path) is None
