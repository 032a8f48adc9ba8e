from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from vultus.errors import (
    InsufficientDataError,
    NoFaceError,
    RefusedFaceError,
    SeveralFacesError,
    SpaceMismatchError,
)
from vultus.gallery import MemoryGallery, NewSample
from vultus.pipeline import Recognizer
from vultus.server.errors import RequestError
from vultus.server.metrics import Metrics
from vultus.server.routes._body import Upload
from vultus.server.routes._flow import Flow
from vultus.server.service import Service
from vultus.server.settings import Settings
from vultus.types import Embedding, EmbeddingSpace


@pytest.fixture(scope="module")
def service(recognizer: Recognizer) -> Service:
    made: Any = SimpleNamespace(settings=Settings(), recognizer=recognizer, metrics=Metrics())
    return cast("Service", made)


@pytest.fixture(scope="module")
def wall(samples: Path) -> Upload:
    return Upload((samples / "photos" / "wall.jpg").read_bytes(), "wall.jpg")


@pytest.fixture(scope="module")
def rocket(samples: Path) -> Upload:
    return Upload((samples / "photos" / "rocket.jpg").read_bytes())


def test_the_one_face_of_a_picture(service: Service, wall: Upload, rocket: Upload) -> None:
    flow = Flow(service)
    assert flow.one(wall).box.x1 == pytest.approx(1172, abs=5)
    with pytest.raises(SeveralFacesError, match=r"wall\.jpg must show one face, 3 were found"):
        flow.one(wall, largest=False)
    with pytest.raises(NoFaceError, match="the picture must show a face, none was found"):
        flow.one(rocket)
    with pytest.raises(NoFaceError, match="picture 2 must show a face"):
        flow.one(rocket, label="picture 2")


def test_a_threshold_of_ones_own(service: Service, recognizer: Recognizer) -> None:
    flow = Flow(service, threshold=0.5)
    assert flow.judge([]) is None
    with pytest.raises(RequestError, match="threshold: no threshold 'often' was measured"):
        Flow(service, threshold="often")
    with pytest.raises(InsufficientDataError, match="takes 30,000,000,000,000 impostor"):
        Flow(service, threshold="fmr=1e-12")


def test_the_gate_refuses_by_name(service: Service, wall: Upload) -> None:
    small = min(Flow(service).see(wall).faces, key=lambda face: face.visible_area_px)
    with pytest.raises(RefusedFaceError, match=r"wall\.jpg must pass the gate 'high'") as caught:
        Flow(service, gate="high").admit(small)
    assert "too-small" in cast("list[str]", caught.value.fields["reasons"])
    assert Flow(service).admit(small) == (None, None)


def test_verifying_takes_the_best_face_that_counts(service: Service, wall: Upload) -> None:
    flow = Flow(service)
    faces = flow.see(wall).faces
    embeddings = service.recognizer.embed(faces)
    gallery = MemoryGallery()
    for embedding, group in zip(embeddings, ("a", "b", None), strict=True):
        gallery.add("x", embedding, group=group)
    person = gallery.person("x")
    for i, numbers in enumerate(([1], [2], [3])):
        found = flow.verify(gallery, person, faces[i], None, None)
        assert found is not None
        assert [found.sample] == numbers
        assert found.similarity == pytest.approx(1.0, abs=1e-6)
        assert found.same
    within = flow.verify(gallery, person, faces[0], ["b"], None)
    assert within is not None
    expected = max(float(embeddings[0].vector @ embeddings[n].vector) for n in (1, 2))
    assert within.similarity == pytest.approx(expected, abs=1e-6)
    gallery.remove_samples([1, 2, 3])
    assert flow.verify(gallery, person, faces[0], None, None) is None


def test_embeddings_of_another_model_are_not_compared(service: Service, wall: Upload) -> None:
    space = EmbeddingSpace("other", "0" * 64, 128, "whole")
    vector = np.zeros(128, np.float32)
    vector[0] = 1
    gallery = MemoryGallery()
    gallery.add("x", Embedding(vector, space))
    flow = Flow(service)
    with pytest.raises(SpaceMismatchError):
        flow.verify(gallery, gallery.person("x"), flow.one(wall), None, None)
    with pytest.raises(SpaceMismatchError):
        flow.identify(gallery, flow.see(wall).faces, k=1, groups=None, once=False)


def test_a_sample_keeps_name_and_quality(service: Service, wall: Upload) -> None:
    made = Flow(service, gate="normal").sample(" x ", wall, largest=True, group="g", label="one")
    assert isinstance(made, NewSample)
    assert (made.person, made.source, made.group) == ("x", "wall.jpg", "g")
    assert made.quality is not None
    assert 0.5 < cast("dict[str, float]", made.quality)["score"] <= 1
    plain = Flow(service).sample("x", wall, largest=True, group=None)
    assert plain.quality is None
    assert plain.source_digest == made.source_digest
