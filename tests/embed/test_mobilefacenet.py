"""A real optional model, brought by hand: ArcFace template, mean and std, batches of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from vultus import Recognizer, load
from vultus.decide import DEFAULT_POLICY
from vultus.errors import CardError, ModelMissingError
from vultus.models import Store


@pytest.fixture(scope="module")
def brought(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with nothing but MobileFaceNet."""
    file = shared_models / "mobilefacenet_foamliu.onnx"
    if not file.is_file():
        pytest.skip(f"{file} is absent; set VULTUS_TEST_MODELS to where it lies")
    store = Store(tmp_path_factory.mktemp("home"))
    assert store.add(file).state == "ok"
    return store


@pytest.fixture(scope="module")
def found(brought: Store) -> Recognizer:
    return load(embedder="mobilefacenet", threshold=0.4, store=brought)


def test_tells_people_apart(found: Recognizer, samples: Path):
    photos = samples / "photos"
    same = found.verify(photos / "obama2.jpg", photos / "obama3.jpg")
    other = found.verify(photos / "obama2.jpg", photos / "astronaut.png")
    assert same.same is True
    assert other.same is False
    assert same.similarity > 0.6
    assert other.similarity < 0.3
    assert (same.threshold.value, same.threshold.policy) == (0.4, "user")
    assert same.threshold.space.startswith("mobilefacenet/b7120c095d60/128/arcface-112+mirror")


def test_several_faces_at_once(found: Recognizer, samples: Path):
    faces = found.detect(samples / "photos" / "wall.jpg")
    together = found.embed(faces)
    for face, embedding in zip(faces, together, strict=True):
        assert found.embed(face).similarity(embedding) > 0.99999


def test_through_the_environment(brought: Store, monkeypatch: pytest.MonkeyPatch, samples: Path):
    monkeypatch.setenv("VULTUS_HOME", str(brought.root))
    v = load(embedder="mobilefacenet", threshold=0.4, mirror=False)
    photo = samples / "photos" / "obama2.jpg"
    assert v.verify(photo, photo).similarity == pytest.approx(1.0, abs=1e-5)


def test_a_threshold_nobody_measured(brought: Store):
    with pytest.raises(CardError) as caught:
        load(embedder="mobilefacenet", store=brought, threshold="strictest")
    assert caught.value.message.startswith(
        "no threshold 'strictest' was measured for mobilefacenet with arcface-112+mirror "
    )
    assert caught.value.remedy.startswith("give a number: threshold=0.9")


def test_the_default_policy(brought: Store, samples: Path):
    """Its card has thresholds of its own, measured with and without the mirror image."""
    photos = samples / "photos"
    for mirror in (True, False):
        v = load(embedder="mobilefacenet", store=brought, mirror=mirror)
        assert v.threshold.policy == DEFAULT_POLICY
        assert 0.2 < v.threshold.value < 0.4
        assert v.verify(photos / "obama2.jpg", photos / "obama3.jpg").same is True
        assert v.verify(photos / "obama2.jpg", photos / "astronaut.png").same is False


def test_without_its_weight(tmp_path: Path, samples: Path):
    v = load(embedder="mobilefacenet", threshold=0.4, store=Store(tmp_path))
    photo = samples / "photos" / "obama2.jpg"
    with pytest.raises(ModelMissingError, match=r"mobilefacenet needs mobilefacenet_foamliu\.onnx"):
        v.verify(photo, photo)
