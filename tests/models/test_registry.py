from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vultus.errors import CardError, UnknownModelError
from vultus.models import ModelCard, Registry, parse_card
from vultus.models import registry as module


def _own(home: Path, text: str, name: str = "some-net") -> Path:
    path = home / "cards" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_packaged_cards_are_found_by_name_and_alias() -> None:
    registry = Registry()
    assert registry.get("dlib-resnet-v1").kind == "embedder"
    assert registry.get("buffalo-l").name == "arcface-r50"
    assert registry.get(" Buffalo_L ").name == "arcface-r50"


def test_a_name_costs_one_card(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def spy(text: str, path: str) -> ModelCard:
        parsed.append(path)
        return parse_card(text, path)

    monkeypatch.setattr(module, "parse_card", spy)
    registry = Registry()
    registry.get("mtcnn")
    registry.get("mtcnn")
    assert len(parsed) == 1


def test_an_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(UnknownModelError) as caught:
        Registry().get("scrfd-10")
    assert caught.value.message == "no model is called 'scrfd-10'"
    assert caught.value.remedy.startswith("did you mean scrfd-10g or ")
    assert "vultus models list" in caught.value.remedy
    with pytest.raises(UnknownModelError, match=r"called '\.\./\.\./etc/passwd'; `vultus"):
        Registry().get("../../etc/passwd")


def test_iteration_is_sorted() -> None:
    names = [card.name for card in Registry()]
    assert names == sorted(names)
    assert {"mtcnn", "dlib-resnet-v1", "dlib-five-points"} <= set(names)


def test_own_cards_and_extra_folders_count(
    home: Path, tmp_path: Path, make_card: Callable[..., str]
) -> None:
    _own(home, make_card())
    _own(tmp_path / "more", make_card(name="other-net"), "other-net")
    assert Registry().get("some-net").title == "A net"
    registry = Registry(extra_dirs=[tmp_path / "more" / "cards"])
    assert registry.get("other-net").name == "other-net"
    with pytest.raises(UnknownModelError):
        Registry(home=tmp_path / "elsewhere").get("some-net")


def test_one_name_has_one_card(home: Path, tmp_path: Path, make_card: Callable[..., str]) -> None:
    _own(home, make_card())
    _own(tmp_path / "more", make_card())
    with pytest.raises(CardError, match=r"must have one card, got two of some-net: .*home"):
        Registry(extra_dirs=[tmp_path / "more" / "cards"]).get("some-net")


def test_an_alias_belongs_to_one_model(home: Path, make_card: Callable[..., str]) -> None:
    aliased = make_card().replace('title = "A net"', 'title = "A net"\naliases = ["mtcnn"]')
    _own(home, aliased)
    with pytest.raises(CardError, match="'mtcnn' must belong to one model, got mtcnn and some-net"):
        list(Registry())


def test_a_card_is_named_after_its_model(home: Path, make_card: Callable[..., str]) -> None:
    _own(home, make_card(), "other")
    with pytest.raises(CardError, match=r"other\.toml must be called some-net\.toml"):
        Registry().get("other")


def test_only_vultus_packs(home: Path, make_card: Callable[..., str]) -> None:
    _own(home, make_card(more="packed = true\n"))
    with pytest.raises(CardError, match="must not set `packed`"):
        Registry().get("some-net")


def test_a_digest_finds_its_card(
    home: Path, make_card: Callable[..., str], card: ModelCard
) -> None:
    _own(home, make_card())
    registry = Registry()
    found = registry.by_digest(card.weight().sha256.upper())
    assert found is not None
    assert found[0].name == "some-net"
    assert found[1].file == "some_net.onnx"
    assert registry.by_digest("0" * 64) is None
    assert registry.by_digest("") is None


def test_pins_fill_missing_digests(home: Path, make_card: Callable[..., str]) -> None:
    _own(home, make_card(sha256=""))
    (home / "pins.json").write_text('{"some-net": {"net": "%s"}}' % ("ab" * 32))
    assert Registry().get("some-net").weight().sha256 == "ab" * 32


@pytest.mark.parametrize("text", ["{", "[]", '{"some-net": "x"}', '{"some-net": {"net": "x"}}'])
def test_damaged_pins_are_named(home: Path, make_card: Callable[..., str], text: str) -> None:
    _own(home, make_card(sha256=""))
    (home / "pins.json").write_text(text)
    with pytest.raises(CardError, match=r"pins\.json must"):
        Registry().get("some-net")
