from __future__ import annotations

from pathlib import Path

import pytest

from vultus.compat.facenet.freeze import card_text, freeze, operator_count
from vultus.compat.facenet.model import find_model
from vultus.errors import CardError, ModelError, OutputError
from vultus.models import Registry, Store, parse_card


def test_a_model_and_its_card(tmp_path: Path, heard):
    path = tmp_path / "new" / "net.onnx"
    done = freeze("dlib-resnet-v1", path, talk=heard.talk)
    card = Registry().get("dlib-resnet-v1")
    assert path.read_bytes() == Store().read(card)
    again = find_model(str(path)).card
    assert again.weight().file == "net.onnx"
    assert (again.weight().sha256, again.weight().bytes) == (
        card.weight().sha256,
        path.stat().st_size,
    )
    for name in ("name", "title", "summary", "origin", "licence", "input", "embedding"):
        assert getattr(again, name) == getattr(card, name), name
    assert again.thresholds == card.thresholds
    assert not again.packed
    assert heard.lines == [
        "Model filename: dlib-resnet-v1",
        f"{done.operators} ops in the final graph: {path}",
    ]


def test_a_frozen_model_can_be_frozen(tmp_path: Path, heard):
    freeze("dlib-resnet-v1", tmp_path / "a" / "net.onnx", talk=heard.talk)
    freeze(str(tmp_path / "a"), tmp_path / "b" / "other.onnx", talk=heard.talk)
    first, second = (tmp_path / "a" / "net.toml", tmp_path / "b" / "other.toml")
    assert second.read_text() == first.read_text().replace("net.onnx", "other.onnx")


@pytest.mark.parametrize("name", ["dlib-resnet-v1", "mtcnn", "facemesh"])
def test_operators_as_onnx_counts_them(name):
    onnx = pytest.importorskip("onnx", reason="pip install onnx")
    card = Registry().get(name)
    data = Store().read(card, card.weights[0].role)
    assert operator_count(data) == len(onnx.load_from_string(data).graph.node) > 0


@pytest.mark.parametrize("data", [b"\x3a\xff", b"\xff" * 20, b"\x0b\x0c", b"\x3a\x05\x0a\x09ab"])
def test_operators_of_nonsense(data):
    with pytest.raises(ModelError, match="no ONNX file"):
        operator_count(data)


PACKAGED = Registry(home=Path(__file__).parent)  # where no cards lie


@pytest.mark.parametrize(
    "name", [card.name for card in PACKAGED if card.kind == "embedder" and not card.composite]
)
def test_every_embedders_card_survives(name):
    card = Registry().get(name)
    if not card.weight().sha256:
        card = card.pinned({card.weight().role: "ab" * 32})
    again = parse_card(card_text(card, "x.onnx", 7), "x.toml")
    assert again.model_dump(exclude={"weights", "golden"}) == card.model_dump(
        exclude={"weights", "golden"}
    )


def test_refused(tmp_path: Path, heard):
    out = tmp_path / "a.onnx"
    with pytest.raises(OutputError, match=r"must end in \.onnx"):
        freeze("dlib-resnet-v1", tmp_path / "a.pb", talk=heard.talk)
    with pytest.raises(ModelError, match="vultus has no trainer yet"):
        freeze("model-90.pt", out, talk=heard.talk)
    with pytest.raises(ModelError, match="TensorFlow"):
        freeze("model-1.ckpt-90.meta", out, talk=heard.talk)
    with pytest.raises(CardError, match="joins several networks"):
        freeze("dlib-mobilefacenet", out, talk=heard.talk)
    assert list(tmp_path.iterdir()) == []
