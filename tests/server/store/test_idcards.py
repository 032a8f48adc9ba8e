from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import RangeError
from vultus.server.places import Places
from vultus.server.secrets import Secrets
from vultus.server.store import Store, open_store
from vultus.server.store.idcards import IdCard, IdCards, clean_number
from vultus.types import Embedding, EmbeddingSpace

SECRETS = Secrets(b"0123456789abcdef0123456789abcdef")
SPACE = EmbeddingSpace("model", "0" * 64, 2, "plain")
NUMBER, NAME = "11010519491231002X", "张三"


@pytest.fixture(params=["sqlite", "postgres"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    source = str(tmp_path / "people.vultus")
    if request.param == "postgres":
        source = request.getfixturevalue("postgres_source")
    opened = open_store(Places(source), SECRETS)
    yield opened
    opened.close()


on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def cards(store: Store) -> IdCards:
    return IdCards(store, SECRETS)


def card(number: str = NUMBER, name: str = NAME, x: float = 0.6) -> IdCard:
    vector = np.array([x, (1 - x * x) ** 0.5], np.float32)
    return IdCard(number, name, Embedding(vector, SPACE, 3.0))


def test_a_card_is_found_by_number_and_name(cards: IdCards):
    cards.put("acme", [card()])
    found = cards.find("acme", "11010519491231002x ", f" {NAME}", SPACE)
    assert found is not None
    assert found.name_fits
    assert found.embedding is not None
    assert found.embedding.vector.tolist() == pytest.approx([0.6, 0.8])
    assert found.embedding.raw_norm == 3.0
    other = cards.find("acme", NUMBER, "李四", SPACE)
    assert other is not None
    assert not other.name_fits
    assert cards.find("acme", "110105194912310011", NAME, SPACE) is None


def test_of_one_number_the_newer_card_counts(cards: IdCards):
    cards.put("acme", [card(x=0.6), card(x=0.8)])
    cards.put("acme", [card(name="李四", x=1.0)])
    assert cards.count("acme") == 1
    found = cards.find("acme", NUMBER, "李四", SPACE)
    assert found is not None
    assert found.name_fits
    assert found.embedding is not None
    assert found.embedding.vector[0] == 1.0


def test_tenants_have_registries_of_their_own(cards: IdCards):
    cards.put("acme", [card()])
    assert cards.find("other", NUMBER, NAME, SPACE) is None
    assert (cards.count("acme"), cards.count("other")) == (1, 0)
    assert not cards.remove("other", NUMBER)
    assert cards.clear("other") == 0
    assert cards.remove("acme", NUMBER)
    assert cards.count("acme") == 0
    cards.put("acme", [card(), card("110105491231002")])
    assert cards.clear("acme") == 2
    cards.put("acme", [])
    assert cards.count("acme") == 0


def test_a_photo_of_another_model_is_of_no_use(cards: IdCards):
    cards.put("acme", [card()])
    found = cards.find("acme", NUMBER, NAME, EmbeddingSpace("other", "0" * 64, 2, "plain"))
    assert found is not None
    assert (found.name_fits, found.embedding) == (True, None)


@on_sqlite
def test_neither_number_nor_name_lies_in_the_file(cards: IdCards, store: Store, tmp_path: Path):
    cards.put("acme", [card()])
    store.close()
    files = b"".join(path.read_bytes() for path in tmp_path.glob("people.server.db*"))
    assert b"id_card" in files
    for text in (NUMBER.encode(), NAME.encode(), b"11010519491231002"):
        assert text not in files


@pytest.mark.parametrize(
    "number", ["", "9", "1" * 16, "1" * 19, "a" * 18, "1" * 17 + "Y", "１" * 18]
)
def test_no_number(cards: IdCards, number: str):
    with pytest.raises(RangeError, match="15 digits, or 17 and a digit or X") as caught:
        clean_number(number)
    assert number == "" or number not in str(caught.value)
    with pytest.raises(RangeError):
        cards.put("acme", [card(number)])


@pytest.mark.parametrize("name", ["", "  ", "x" * 257])
def test_no_name(cards: IdCards, name: str):
    with pytest.raises(RangeError, match="1 to 256 bytes"):
        cards.put("acme", [card(name=name)])
