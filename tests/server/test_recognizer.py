from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus.errors import DegenerateLandmarksError
from vultus.gallery import MemoryGallery
from vultus.pipeline import Recognizer
from vultus.server.metrics import Metrics
from vultus.server.recognizer import Batcher, ServingRecognizer, load_liveness, timed
from vultus.sources import Limits

COUNT = "vultus_stage_seconds_count"


class Adder:
    """Stands for an embedder: a face is a number, its embedding one more."""

    space: Any = None

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def embed(self, faces: Sequence[Any]) -> list[Any]:
        self.sizes.append(len(faces))
        if -1 in faces:
            raise DegenerateLandmarksError("the landmarks must not coincide")
        return [face + 1 for face in faces]


def test_faces_that_come_together_are_embedded_together():
    adder, gate = Adder(), threading.Barrier(4)
    batcher = Batcher(adder, 8, 0.5, Metrics())

    def ask(face: Any) -> Any:
        gate.wait(10)
        return batcher.embed([face, face + 10])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, [1, 2, 3, 4]))
    assert found == [[2, 12], [3, 13], [4, 14], [5, 15]]
    assert sum(adder.sizes) == 8
    assert len(adder.sizes) < 4


def test_a_full_batch_does_not_wait():
    adder = Adder()
    assert Batcher(adder, 2, 60.0, Metrics()).embed([1, 2, 3]) == [2, 3, 4]  # type: ignore[list-item]


def test_one_requests_bad_face_is_not_the_others_failure():
    adder, gate = Adder(), threading.Barrier(2)
    batcher = Batcher(adder, 2, 5.0, Metrics())

    def ask(face: Any) -> Any:
        gate.wait(10)
        return batcher.embed([face])

    with ThreadPoolExecutor(2) as pool:
        bad, good = pool.submit(ask, -1), pool.submit(ask, 1)
        assert good.result(10) == [2]
        with pytest.raises(DegenerateLandmarksError):
            bad.result(10)


def test_the_serving_recogniser_answers_as_the_plain_one_and_times_its_stages(
    recognizer: Recognizer, samples: Path
):
    metrics = Metrics()
    serving = ServingRecognizer(recognizer, Limits(), metrics)
    picture = next((samples / "photos").glob("*.jpg"))
    gallery = timed(MemoryGallery(), metrics)
    plain, served = recognizer.detect(picture), serving.detect(picture)
    assert [face.box for face in served] == [face.box for face in plain]
    serving.enroll(gallery, "Kim", served[0])
    (found, *_) = serving.identify(gallery, picture)
    assert found.person == "Kim"
    expected = recognizer.embed(plain[0]).vector
    assert np.array_equal(serving.embed(served[0]).vector, expected)
    page = metrics.page().decode()
    for stage, count in {"decode": 2, "detect": 2, "embed": 3, "search": 1}.items():
        assert f'{COUNT}{{stage="{stage}"}} {count:.1f}' in page
    assert len(gallery) == 1
    assert "Kim" in gallery


def test_liveness_is_told_only_where_a_model_is_installed(monkeypatch: pytest.MonkeyPatch):
    assert load_liveness() is None  # tests see no models but those that ship

    class Model:
        def scores(self, faces: Sequence[Any]) -> Any:
            return np.asarray([0.25] * len(faces))

    monkeypatch.setattr("vultus.assess.liveness.installed_liveness", lambda **_: Model())
    found = load_liveness()
    assert found is not None
    faces: list[Any] = [object(), object()]
    assert found.score(faces) == [0.25, 0.25]
    assert found.score([]) == []
