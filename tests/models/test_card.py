from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from vultus.errors import CardError
from vultus.models import ModelCard, load_card, parse_card


def test_a_card_is_read(make_card: Callable[..., str]) -> None:
    card = parse_card(make_card(more='role = "net"\nbytes = 1048576\n'), "some-net.toml")
    assert card.name == "some-net"
    assert card.licence.commercial is True
    assert card.input.size_wh == (112, 112)
    assert card.input.mean == (0.0, 0.0, 0.0)
    assert card.input.std == (1.0, 1.0, 1.0)
    assert card.embedding is not None
    assert (card.embedding.dimension, card.embedding.alignment) == (4, "arcface-112")
    assert card.weight().bytes == 1048576
    assert card.weight("net") is card.weight()
    assert not card.packed


def test_a_card_is_frozen(card: ModelCard) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        card.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('name = "some-net"', 'name = "Some Net"'), "name: String should match"),
        (('title = "A net"', 'titel = "A net"'), "titel: Extra inputs are not permitted"),
        (('kind = "embedder"', 'kind = "oracle"'), "kind: Input should be 'detector'"),
        (('kind = "embedder"', 'kind = "pose"'), "exactly the cards of kind `embedder`"),
        (('kind = "embedder"', 'kind = "detector"'), "exactly the cards of kind `detector`"),
        (('sha256 = "', 'sha256 = "x'), "weights.0.sha256: String should match"),
        (('file = "some', 'file = "../some'), "weights.0.file: String should match"),
        (("commercial = true\nnote", "nota"), "licence.nota: Extra inputs"),
        (('commercial = true\nnote = "Says Somebody."', ""), "licence: a licence that does not"),
        (('channels = "RGB"', 'channels = "GBR"'), "input.channels: Input should be 'RGB'"),
        (('channels = "RGB"', 'channels = "RGB"\nstd = [1, 0, 1]'), "std must not contain 0"),
        (('channels = "RGB"', 'channels = "RGB"\nmultiple_of = 32'), "must be a multiple of 32"),
        (('alignment = "arcface-112"', 'alignment = "any"'), "embedding.alignment: Input"),
        (('file = "', 'urls = ["http://example.org/a"]\nfile = "'), "weights.0.urls.0: String"),
        (('file = "', 'bytes = 0\nfile = "'), "weights.0.bytes: Input should be greater than 0"),
        (("dimension = 4", "dimension ="), "must be TOML"),
    ],
)
def test_a_wrong_card_says_where_and_what(
    make_card: Callable[..., str], change: tuple[str, str], problem: str
) -> None:
    text = make_card()
    assert change[0] in text
    with pytest.raises(CardError) as caught:
        parse_card(text.replace(*change, 1), "here/some-net.toml")
    assert problem in caught.value.message
    assert caught.value.message.startswith("here/some-net.toml")
    assert caught.value.fields["path"] == "here/some-net.toml"


def test_a_packed_weight_needs_a_digest(make_card: Callable[..., str]) -> None:
    with pytest.raises(CardError, match="a packed weight must state its sha256"):
        parse_card(make_card(sha256="", more="packed = true\n"), "some-net.toml")


def test_thresholds_belong_to_the_cards_alignment(make_card: Callable[..., str]) -> None:
    row = (
        '[[thresholds]]\npolicy = "fmr=1e-3"\nvalue = 0.4\nfmr = 0.001\nfnmr = 0.02\n'
        'source = "LFW"\npreprocessing = "{}"\n'
    )
    card = parse_card(make_card(more=row.format("arcface-112+mirror")), "some-net.toml")
    (threshold,) = card.thresholds
    assert (threshold.value, threshold.fmr, threshold.fnmr) == (0.4, 0.001, 0.02)
    with pytest.raises(CardError, match="must start with 'arcface-112', got 'dlib-5'"):
        parse_card(make_card(more=row.format("dlib-5")), "some-net.toml")
    with pytest.raises(CardError, match=r"thresholds\.0\.value: Input should be less than"):
        parse_card(make_card(more=row.format("arcface-112").replace("0.4", "1.4")), "x.toml")


def test_roles_are_unique(make_card: Callable[..., str]) -> None:
    with pytest.raises(CardError, match="roles must be unique, got"):
        parse_card(make_card(more='[[weights]]\nfile = "b.onnx"\n'), "some-net.toml")


def test_a_role_must_exist(make_card: Callable[..., str]) -> None:
    card = parse_card(make_card(more='[[weights]]\nrole = "two"\nfile = "b.onnx"\n'), "some-net")
    assert card.weight("two").file == "b.onnx"
    with pytest.raises(CardError, match="some-net has the weights net, two, got None"):
        card.weight()
    with pytest.raises(CardError, match="got 'three'"):
        card.weight("three")


def test_a_missing_digest_can_be_vouched_for(make_card: Callable[..., str]) -> None:
    card = parse_card(make_card(sha256=""), "some-net.toml")
    assert card.weight().sha256 == ""
    assert card.pinned({}) == card
    assert card.pinned({"net": "AB" * 32}).weight().sha256 == "ab" * 32
    with pytest.raises(CardError, match="must be 64 hexadecimal digits, got 'abc'"):
        card.pinned({"net": "abc"})
    with pytest.raises(CardError, match="the card of some-net states SHA-256 abab"):
        card.pinned({"net": "ab" * 32}).pinned({"net": "cd" * 32})


def test_a_card_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"none\.toml cannot be read"):
        load_card(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(CardError, match=r"bytes\.toml cannot be read"):
        load_card(tmp_path / "bytes.toml")
