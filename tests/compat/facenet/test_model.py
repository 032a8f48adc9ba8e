from __future__ import annotations

import importlib.resources
import shutil
from pathlib import Path

import numpy as np
import pytest

from vultus.compat.facenet.freeze import freeze
from vultus.compat.facenet.model import find_model, load_model
from vultus.errors import (
    CardError,
    ModelError,
    ModelMissingError,
    UnknownModelError,
    WeightDamagedError,
)
from vultus.models import Registry


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default embedder as a file with its card."""
    from vultus.compat.facenet.talk import Talk

    path = tmp_path_factory.mktemp("frozen") / "net.onnx"
    freeze("dlib-resnet-v1", path, talk=Talk(lambda _: None, lambda _: None))
    return path


def test_by_name_by_file_and_by_folder(frozen: Path, plain, photos: Path, heard):
    (face,) = plain.detect(photos / "obama2.jpg")
    expected = plain.embed(face)
    for named, words in {
        "dlib-resnet-v1": "Model filename: dlib-resnet-v1\n",
        "DLIB": "Model filename: dlib-resnet-v1\n",  # an alias
        str(frozen): f"Model filename: {frozen}\n",
        str(frozen.parent): f"Model directory: {frozen.parent}\nModel filename: {frozen}\n",
    }.items():
        model = load_model(named)
        assert model.space == expected.space
        assert np.allclose(model.embed([face]), expected.vector, atol=1e-6)
        heard.parts.clear()
        model.announce(heard.talk)
        assert heard.text == words


def test_no_faces_make_no_rows():
    assert load_model("dlib-resnet-v1").embed([]).shape == (0, 128)


def test_the_home_is_expanded(frozen: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(frozen.parent))
    monkeypatch.setenv("USERPROFILE", str(frozen.parent))
    assert find_model("~/net.onnx").file == frozen


def test_thresholds_are_the_models_own(frozen: Path):
    measured = {
        (t.policy, t.preprocessing): t.value for t in Registry().get("dlib-resnet-v1").thresholds
    }
    for named in ("dlib-resnet-v1", str(frozen)):
        value, source = load_model(named).threshold(0.5)
        assert (value, source) == (measured["fmr=1e-3", "dlib-10"], "fmr=1e-3 of dlib-resnet-v1")


def test_a_model_nobody_measured(frozen: Path, tmp_path: Path):
    card = frozen.with_suffix(".toml").read_text().partition("[[thresholds]]")[0]
    digest = "0123456789abcdef"
    assert digest not in card
    shutil.copy(frozen, tmp_path / "own.onnx")
    lines = [line for line in card.splitlines() if not line.startswith("sha256")]
    text = "\n".join(lines).replace('"dlib-resnet-v1"', '"my-own"')
    (tmp_path / "own.toml").write_text(text)
    model = load_model(str(tmp_path / "own.onnx"))
    assert model.space.model == "my-own"  # the card without a digest takes the file's
    assert model.space.digest == Registry().get("dlib-resnet-v1").weight().sha256
    assert model.threshold(0.55)[0] == 0.55


def test_another_alignment(shared_models: Path, photos: Path, plain, tmp_path: Path):
    """An ONNX file of one's own with its card: MobileFaceNet, ArcFace's template."""
    card = Registry().get("mobilefacenet")
    shutil.copy(shared_models / card.weight().file, tmp_path / "net.onnx")
    packaged = importlib.resources.files("vultus.models").joinpath("cards", "mobilefacenet.toml")
    (tmp_path / "net.toml").write_bytes(packaged.read_bytes())
    model = load_model(str(tmp_path / "net.onnx"))
    assert (model.space.model, model.space.preprocessing) == ("mobilefacenet", "arcface-112")
    one, same, other = (
        model.embed(plain.detect(photos / name)[:1])[0]
        for name in ("obama2.jpg", "obama3.jpg", "astronaut.png")
    )
    limit, _ = model.threshold(0.5)
    assert one @ same > limit > one @ other


@pytest.mark.parametrize("name", ["m.pb", "model-1.ckpt-90.index", "m.meta", "m.H5"])
def test_tensorflow_is_refused(name):
    with pytest.raises(ModelError, match="is a TensorFlow model") as caught:
        find_model(name)
    assert "docs/migrating.md" in caught.value.remedy


def test_a_folder_of_tensorflow(tmp_path: Path):
    (tmp_path / "model.meta").touch()
    (tmp_path / "checkpoint").touch()
    with pytest.raises(ModelError, match="is a TensorFlow model"):
        find_model(str(tmp_path))


def test_a_folder_without_exactly_one(tmp_path: Path):
    with pytest.raises(ModelError, match=r"exactly one \.onnx file, .* holds 0"):
        find_model(str(tmp_path))
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"exactly one \.onnx file, .* holds 2"):
        find_model(str(tmp_path))


def test_names_of_nothing(tmp_path: Path):
    with pytest.raises(UnknownModelError, match="no model is called 'facenet-none'"):
        find_model("facenet-none")
    with pytest.raises(ModelMissingError, match="there is no model"):
        find_model(str(tmp_path / "no.onnx"))
    with pytest.raises(CardError, match="of kind detector"):
        find_model("mtcnn")


def test_no_card_beside_the_file(frozen: Path, tmp_path: Path):
    shutil.copy(frozen, tmp_path / "a.onnx")
    with pytest.raises(CardError, match=r"needs a card beside it, a\.toml"):
        find_model(str(tmp_path / "a.onnx"))
    (tmp_path / "a.toml").write_text("not a card")
    with pytest.raises(CardError, match="must be TOML"):
        find_model(str(tmp_path / "a.onnx"))


def test_another_file_than_the_cards(frozen: Path, tmp_path: Path):
    (tmp_path / "a.onnx").write_bytes(frozen.read_bytes() + b"x")
    shutil.copy(frozen.with_suffix(".toml"), tmp_path / "a.toml")
    with pytest.raises(WeightDamagedError, match="must have the SHA-256"):
        load_model(str(tmp_path / "a.onnx"))
