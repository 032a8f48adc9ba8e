"""The best examples of a gallery that searches by person."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.gallery import MemoryGallery, NewSample
from vultus.server.wire.compreface import search
from vultus.server.wire.compreface.search import best_examples
from vultus.types import Embedding, EmbeddingSpace

SPACE = EmbeddingSpace("test", "0" * 64, 8, "none")


def unit(seed: int) -> Embedding:
    vector = np.random.default_rng(seed).standard_normal(8)
    return Embedding(vector / np.linalg.norm(vector), SPACE)


def test_an_empty_gallery_has_no_examples() -> None:
    gallery = MemoryGallery()
    assert best_examples(gallery, [unit(1), unit(2)], 3) == [[], []]
    assert best_examples(gallery, [], 3) == []
    gallery.add("a", unit(1))
    gallery.remove("a")
    assert best_examples(gallery, [unit(1)], 3) == [[]]


def test_one_entry_per_example_not_per_person() -> None:
    gallery = MemoryGallery()
    gallery.add_many([NewSample("a", unit(1)), NewSample("a", unit(1)), NewSample("b", unit(2))])
    gallery.put_person("nobody")
    (found,) = best_examples(gallery, [unit(1)], 2)
    assert [(example.subject, example.number) for example in found] == [("a", 1), ("a", 2)]
    assert [example.cosine for example in found] == pytest.approx([1.0, 1.0], abs=1e-6)
    (found,) = best_examples(gallery, [unit(1)], 9)
    assert [example.subject for example in found] == ["a", "a", "b"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=25), st.integers(1, 30), st.integers(0, 9))
def test_the_same_as_looking_at_every_example(owners: list[int], count: int, seed: int) -> None:
    gallery = MemoryGallery()
    if owners:
        gallery.add_many(NewSample(f"p{owner}", unit(100 + i)) for i, owner in enumerate(owners))
    wanted = [unit(seed), unit(seed + 50)]
    found = best_examples(gallery, wanted, count)
    for embedding, examples in zip(wanted, found, strict=True):
        expected = sorted(
            (-float(embedding.vector.astype(float) @ unit(100 + i).vector.astype(float)), i + 1)
            for i in range(len(owners))
        )[:count]
        assert [example.number for example in examples] == [number for _, number in expected]
        assert [-example.cosine for example in examples] == pytest.approx(
            [value for value, _ in expected], abs=1e-12
        )


def test_people_who_cannot_be_among_the_best_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gallery = MemoryGallery()
    gallery.add_many(NewSample("a", unit(1)) for _ in range(5))
    gallery.add_many(NewSample(f"p{i}", unit(i)) for i in range(10, 30))
    looked = []
    samples_of = search.samples_of
    monkeypatch.setattr(
        search, "samples_of", lambda g, person: looked.append(person) or samples_of(g, person)
    )
    (found,) = best_examples(gallery, [unit(1)], 5)
    assert [example.subject for example in found] == ["a"] * 5
    assert looked == ["a"]


def test_no_more_than_a_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_EXAMPLES", 3)
    gallery = MemoryGallery()
    gallery.add_many(NewSample("a", unit(i)) for i in range(6))
    assert len(best_examples(gallery, [unit(1)], 2_000_000_000)[0]) == 3
