from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from vultus.gallery import MemoryGallery
from vultus.pipeline import Recognizer
from vultus.server.batching import Batcher
from vultus.server.metrics import Metrics
from vultus.server.recognizer import ServingRecognizer, timed
from vultus.sources import Limits

COUNT = "vultus_stage_seconds_count"


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


def test_batches_give_what_single_calls_give(recognizer: Recognizer, samples: Path):
    metrics, pictures = Metrics(), sorted((samples / "photos").glob("*.jpg"))
    serving = ServingRecognizer(
        recognizer,
        Limits(),
        metrics,
        Batcher(recognizer.detector.detect_many, 8, 0.5, lambda: 99, metrics.batch.observe),
        Batcher(recognizer.embedder.embed, 8, 0.5, lambda: 99, metrics.batch.observe),
    )
    with ThreadPoolExecutor(len(pictures)) as pool:
        together = list(pool.map(serving.detect, pictures))
        embedded = list(pool.map(serving.embed, [faces for faces in together if faces]))
    alone = [recognizer.detect(picture) for picture in pictures]
    assert [[f.box for f in faces] for faces in together] == [
        [f.box for f in faces] for faces in alone
    ]
    for found, faces in zip(embedded, [faces for faces in alone if faces], strict=True):
        for one, face in zip(found, faces, strict=True):
            assert one.similarity(recognizer.embed(face)) > 0.999999
    assert [f.box for f in serving.detect(pictures[-1], largest=True)] == [
        f.box for f in recognizer.detect(pictures[-1], largest=True)
    ]
