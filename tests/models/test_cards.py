"""The packaged cards themselves, held against the files they describe."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

import vultus.models
from vultus.models import ModelCard, Registry, Store

CARDS = tuple(Registry(home=Path("/nowhere")))
SHARED = Path(os.environ.get("VULTUS_TEST_MODELS", Path(__file__).parents[3] / "shared" / "models"))
FILES = {
    "yunet_n_dynamic.onnx": "yunet",
    "face_detection_yunet_2026may.onnx": "yunet-2026may",
    "scrfd_500m_bnkps.onnx": "scrfd-500m",
    "scrfd_2.5g_bnkps.onnx": "scrfd-2.5g",
    "retinaface_mbnet0.25.onnx": "retinaface-mbnet025",
    "ultralight_rfb_320.onnx": "ultralight-rfb-320",
    "mobilefacenet_foamliu.onnx": "mobilefacenet",
    "fsanet-1x1-iter-688590.onnx": "fsanet-1x1",
    "fsanet-var-iter-688590.onnx": "fsanet-var",
    "pfld.onnx": "pfld-68",
    "minifasnet_v2.onnx": "minifasnet-v2-alt",
    "minifasnet_v1se.onnx": "minifasnet-v1se-alt",
}


def _ids(card: ModelCard) -> str:
    return card.name


def test_digests_are_there_and_unique() -> None:
    digests = [weight.sha256 for card in CARDS for weight in card.weights]
    assert all(len(digest) == 64 for digest in digests)
    assert len(set(digests)) == len(digests)


def test_addresses_are_unique() -> None:
    urls = [url for card in CARDS for weight in card.weights for url in weight.urls]
    assert len(set(urls)) == len(urls) > 20


def test_the_default_pack_is_free_to_use() -> None:
    packed = [card for card in CARDS if card.packed]
    assert [card.name for card in packed] == [
        "blazeface-back",
        "blazeface-full",
        "blazeface-short",
        "dlib-five-points",
        "dlib-mmod",
        "dlib-resnet-v1",
        "facemesh",
        "facemesh-attention",
        "mtcnn",
    ]
    assert all(card.licence.commercial is True for card in packed)


@pytest.mark.parametrize("card", [card for card in CARDS if card.packed], ids=_ids)
def test_packed_weights_are_what_their_card_says(card: ModelCard) -> None:
    folder = Path(vultus.models.__file__).parent / "weights"
    for weight in card.weights:
        data = (folder / weight.file).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (weight.bytes, weight.sha256)
        assert Store().read(card, weight.role) == data


@pytest.mark.parametrize("card", CARDS, ids=_ids)
def test_research_weights_say_so(card: ModelCard) -> None:
    if "InsightFace" in card.origin.project or "Idiap" in card.origin.project:
        assert card.licence.commercial is False
        assert "non-commercial" in card.licence.note


@pytest.mark.parametrize(
    ("name", "channels", "mean", "std"),
    [
        ("dlib-resnet-v1", "RGB", 0.0, 1.0),
        ("mtcnn", "RGB", 0.0, 1.0),
        ("yunet", "BGR", 0.0, 1.0),
        ("scrfd-10g", "RGB", 127.5, 128.0),
        ("ultralight-rfb-320", "RGB", 127.0, 128.0),
        ("fsanet-var", "BGR", 127.5, 128.0),
        ("pfld-68", "RGB", 0.0, 255.0),
        ("minifasnet-v2", "BGR", 0.0, 1.0),
        ("adaface-ir18", "BGR", 127.5, 127.5),
        ("arcface-r50", "RGB", 127.5, 127.5),
        ("edgeface-s", "RGB", 127.5, 127.5),
        ("sface", "RGB", 0.0, 1.0),
        ("blazeface-short", "RGB", 127.5, 127.5),
        ("facemesh", "RGB", 0.0, 255.0),
    ],
)
def test_pictures_are_fed_as_published(name: str, channels: str, mean: float, std: float) -> None:
    spec = Registry().get(name).input
    assert spec.channels == channels
    assert set(spec.mean) == {mean}
    assert set(spec.std) == {std}


@pytest.mark.parametrize(("file", "name"), sorted(FILES.items()))
def test_files_brought_by_hand_are_recognised(file: str, name: str) -> None:
    path = SHARED / file
    if not path.is_file():
        pytest.skip(f"optional weight {path} is absent (VULTUS_TEST_MODELS names its folder)")
    store = Store()
    state = store.add(path)
    card = Registry().get(name)
    assert (state.card, state.state) == (name, "ok")
    assert store.read(card) == path.read_bytes()
    assert len(store.read(card)) == card.weight().bytes
