from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vultus
from vultus.assess.attributes import DEFAULT_MODEL, AttributeReader
from vultus.errors import CardError, ModelMissingError
from vultus.models import Registry, Store
from vultus.pipeline import Recognizer
from vultus.types import Box, Face, Frame, Landmarks

MEAN = (103.939, 116.779, 123.68)


class FakeNet:
    """A network that is sure of an age, and as sure of a man as it is told.

    Args:
        ages: Probability per age.
        male: Per face, in turn.
    """

    def __init__(self, ages: dict[int, float], male: list[float]) -> None:
        self.row = np.zeros(100, np.float32)
        for age, probability in ages.items():
            self.row[age - 1] = probability
        self.male = male
        self.batches: list[np.ndarray] = []

    def run(self, inputs: dict[str, Any], outputs: tuple[str, ...]) -> list[np.ndarray]:
        assert outputs == ("age", "sex")
        batch = inputs["input"]
        assert batch.dtype == np.float32
        assert batch.shape[1:] == (224, 224, 3)
        done = sum(map(len, self.batches))
        self.batches.append(batch)
        male = self.male[done : done + len(batch)]
        return [np.tile(self.row, (len(batch), 1)), np.array(male, np.float32)[:, None]]


def _reader(net: FakeNet) -> AttributeReader:
    return AttributeReader(net, Registry().get(DEFAULT_MODEL))  # type: ignore[arg-type]


def _face(color: tuple[int, int, int] = (200, 100, 50)) -> Face:
    frame = Frame(np.full((120, 120, 3), color, np.uint8))
    return Face(Box(30, 30, 90, 90), 1.0, None, frame)


def test_the_age_is_the_expected_value():
    (read,) = _reader(FakeNet({20: 0.5, 30: 0.5}, [0.9])).read([_face()])
    assert read.age.value == pytest.approx(25.0)
    assert read.age.confidence is None
    assert read.age.model == "faceres-deep"
    assert "5.3 years" in read.age.quality
    assert (read.expression, read.glasses) == (None, None)


@pytest.mark.parametrize(
    ("male", "word", "confidence"), [(0.9, "male", 0.9), (0.2, "female", 0.8), (0.5, "male", 0.5)]
)
def test_the_sex_with_the_networks_own_belief(male, word, confidence):
    (read,) = _reader(FakeNet({1: 1.0}, [male])).read([_face()])
    assert read.sex.value == word
    assert read.sex.confidence == pytest.approx(confidence)
    assert "86 % right" in read.sex.quality


def test_it_is_fed_blue_green_red_less_the_mean():
    net = FakeNet({1: 1.0}, [0.5])
    _reader(net).read([_face((200, 100, 50))])
    np.testing.assert_allclose(net.batches[0][0, 0, 0], np.array([50, 100, 200]) - MEAN, rtol=1e-6)


def test_a_leaning_face_is_turned_upright():
    image = np.zeros((200, 200, 3), np.uint8)
    image[:100] = 255  # the upper half of the picture, the left half of a face that lies
    points = [[100, 120], [100, 80], [110, 100], [130, 115], [130, 85]]
    face = Face(Box(60, 60, 140, 140), 1.0, Landmarks(np.array(points)), Frame(image))
    net = FakeNet({1: 1.0}, [0.5])
    _reader(net).read([face])
    green = net.batches[0][0, :, :, 1] + MEAN[1]
    np.testing.assert_allclose(green[:, :100], 0.0, atol=1e-3)
    np.testing.assert_allclose(green[:, 124:], 255.0, atol=1e-3)


def test_many_faces_in_order():
    male = [i / 40 for i in range(40)]
    net = FakeNet({40: 1.0}, male)
    found = _reader(net).read([_face()] * 40)
    assert [len(batch) for batch in net.batches] == [16, 16, 8]
    assert [read.sex.value for read in found] == ["female"] * 20 + ["male"] * 20


def test_no_faces():
    assert _reader(FakeNet({1: 1.0}, [])).read([]) == []


def test_a_missing_model_says_how_to_get_it(tmp_path: Path):
    card = Registry().get(DEFAULT_MODEL)
    with pytest.raises(ModelMissingError, match="not on this machine") as caught:
        AttributeReader.from_card(card, Store(root=tmp_path))
    assert "vultus models add" in str(caught.value)
    assert "scripts/convert_attributes.py" in str(caught.value)


def test_a_card_of_another_kind(tmp_path: Path):
    with pytest.raises(CardError, match="must be a model of kind attributes, it is of kind det"):
        AttributeReader.from_card(Registry().get("mtcnn"), Store(root=tmp_path))


def test_the_card_says_what_the_reader_needs():
    card = Registry().get(DEFAULT_MODEL)
    assert card.kind == "attributes"
    assert (card.input.size_wh, card.input.layout) == ((224, 224), "NHWC")
    assert (card.input.channels, card.input.mean) == ("BGR", MEAN)
    assert card.licence.commercial is None
    assert not card.packed


class TestRecognizer:
    """Through `vultus.load`, where attributes are off unless asked for."""

    @pytest.fixture
    def recognizer(self, monkeypatch: pytest.MonkeyPatch) -> Recognizer:
        reader = _reader(FakeNet({30: 1.0}, [0.9, 0.2, 0.3] * 9))
        monkeypatch.setattr(AttributeReader, "from_card", lambda *_: reader)
        return vultus.load()

    def test_off_unless_asked_for(self, recognizer: Recognizer, samples: Path):
        faces = recognizer.detect(samples / "photos" / "wall.jpg")
        assert [face.attributes for face in faces] == [None] * 3

    def test_the_same_faces_with_their_own_attributes(self, recognizer: Recognizer, samples: Path):
        faces = recognizer.detect(samples / "photos" / "wall.jpg")
        read = recognizer.with_attributes(faces)
        assert [face.attributes.sex.value for face in read] == ["male", "female", "female"]
        assert [face.attributes.age.value for face in read] == [30.0] * 3
        assert [face.box for face in read] == [face.box for face in faces]
        assert all(face.frame is faces[0].frame for face in read)
        assert faces[0].attributes is None
        assert recognizer.with_attributes([]) == []

    def test_an_identification_hands_them_on(self, recognizer: Recognizer, samples: Path):
        faces = recognizer.with_attributes(recognizer.detect(samples / "photos" / "astronaut.png"))
        with vultus.open_gallery(":memory:") as gallery:
            (plain,) = recognizer.identify(gallery, samples / "photos" / "astronaut.png")
            (asked,) = recognizer.identify(gallery, faces)
        assert plain.face.attributes is None
        assert asked.face.attributes.sex.value == "male"

    @pytest.mark.parametrize("faces", [[], [_face()]])
    def test_nothing_is_guessed_without_the_model(self, faces):
        with pytest.raises(ModelMissingError, match=r"faceres-deep needs faceres_deep\.onnx"):
            vultus.load().with_attributes(faces)

    def test_a_recogniser_of_own_parts_without_a_reader(self):
        own = Recognizer(lambda: None, lambda: None, lambda: None)  # type: ignore[arg-type]
        with pytest.raises(ModelMissingError, match="made without a reader of attributes"):
            own.with_attributes([])
