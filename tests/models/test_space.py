from __future__ import annotations

from collections.abc import Callable

import pytest

from vultus.errors import CardError
from vultus.models import ModelCard, Registry, parse_card, space_of


def test_the_space_names_everything_that_matters(card: ModelCard) -> None:
    space = space_of(card, mirror=True)
    assert space.model == "some-net"
    assert space.digest == card.weight().sha256
    assert space.dimension == 4
    assert space.preprocessing == "arcface-112+mirror"
    assert space_of(card, mirror=False).preprocessing == "arcface-112"
    assert space_of(card, mirror=False) != space


def test_several_weights_make_one_digest(make_card: Callable[..., str]) -> None:
    second = '[[weights]]\nrole = "two"\nfile = "b.onnx"\nsha256 = "' + "cd" * 32 + '"\n'
    one = space_of(parse_card(make_card(more=second), "a"), mirror=False).digest
    two = space_of(parse_card(make_card(more=second.replace("cd", "ef")), "a"), mirror=False).digest
    assert len(one) == 64
    assert one != two


def test_only_an_embedder_with_a_digest_has_a_space(make_card: Callable[..., str]) -> None:
    with pytest.raises(CardError, match="mtcnn is a model of kind detector, not an embedder"):
        space_of(Registry().get("mtcnn"), mirror=False)
    with pytest.raises(CardError, match="some-net has a weight without SHA-256"):
        space_of(parse_card(make_card(sha256=""), "a"), mirror=False)
