"""Embedding spaces side by side: how a gallery moves to another model and back."""

from collections.abc import Callable

import pytest

from vultus.errors import GalleryError, SpaceMismatchError, UnknownSampleError
from vultus.gallery import Gallery, NewSample, SpaceInfo
from vultus.types import Embedding, EmbeddingSpace, Match

Unit = Callable[..., Embedding]


@pytest.fixture
def filled(gallery: Gallery, unit: Unit) -> Gallery:
    """Three people, searched once."""
    gallery.add_many([NewSample(name, unit(i), f"d{i}") for i, name in enumerate("abc")])
    gallery.search(unit(1))
    return gallery


def test_the_first_space_is_active(
    gallery: Gallery, space: EmbeddingSpace, other_space: EmbeddingSpace
) -> None:
    assert gallery.spaces() == []
    gallery.add_space(space)
    gallery.add_space(space)
    gallery.add_space(other_space)
    assert gallery.space == space
    assert gallery.spaces() == [SpaceInfo(space, 0, True), SpaceInfo(other_space, 0, False)]


def test_a_move_to_another_space_and_back(
    filled: Gallery, space: EmbeddingSpace, other_space: EmbeddingSpace, unit: Unit
) -> None:
    new = [(n, unit(100 - n, other_space)) for n in (1, 2, 3)]
    before = filled.search(unit(1))
    filled.add_space(other_space)
    assert [s.number for s in filled.pending(other_space)] == [1, 2, 3]
    assert [s.number for s in filled.pending(other_space, after=1, limit=1)] == [2]
    assert filled.put_embeddings(other_space, new[:2]) == 2
    assert [s.number for s in filled.pending(other_space)] == [3]
    assert filled.spaces() == [SpaceInfo(space, 3, True), SpaceInfo(other_space, 2, False)]
    assert filled.sample(1).spaces == (space.id, other_space.id)
    assert filled.sample(3).spaces == (space.id,)
    assert filled.search(unit(1)) == before
    with pytest.raises(GalleryError, match=r"must have an embedding of .*, 1 have none") as caught:
        filled.activate(other_space)
    assert caught.value.fields == {"missing": 1, "space": other_space.id}
    assert filled.space == space
    filled.put_embeddings(other_space, new[2:])
    filled.activate(other_space)
    assert filled.space == other_space
    assert filled.search(new[0][1], 1) == [Match("a", pytest.approx(1.0), 1)]
    with pytest.raises(SpaceMismatchError):
        filled.search(unit(1))
    with pytest.raises(SpaceMismatchError):
        filled.add("d", unit(1))
    filled.activate(other_space)
    filled.activate(space)
    assert filled.search(unit(1)) == before
    assert filled.verify() == []


def test_embeddings_of_each_space(
    filled: Gallery, space: EmbeddingSpace, other_space: EmbeddingSpace, unit: Unit
) -> None:
    filled.add_space(other_space)
    filled.put_embeddings(other_space, [(2, unit(7, other_space))])
    assert (filled.embedding(2).vector == unit(1).vector).all()
    assert (filled.embedding(2, space).vector == unit(1).vector).all()
    assert (filled.embedding(2, other_space).vector == unit(7, other_space).vector).all()
    with pytest.raises(SpaceMismatchError, match="sample 1 has no embedding of test/1111"):
        filled.embedding(1, other_space)


def test_new_samples_after_a_move_lack_the_former_space(
    filled: Gallery, space: EmbeddingSpace, other_space: EmbeddingSpace, unit: Unit
) -> None:
    filled.add_space(other_space)
    filled.activate(other_space, allow_missing=True)
    assert filled.search(unit(1, other_space)) == []
    assert filled.add("d", unit(1, other_space)) == 4
    assert [m.person for m in filled.search(unit(1, other_space))] == ["d"]
    filled.put_embeddings(other_space, [(2, unit(1, other_space))])  # an older one comes later
    assert [m.person for m in filled.search(unit(1, other_space))] == ["b", "d"]
    filled.put_embeddings(other_space, [(2, unit(2, other_space))])  # and is replaced
    assert [m.person for m in filled.search(unit(2, other_space), 1)] == ["b"]
    assert [m.person for m in filled.search(unit(1, other_space), 1)] == ["d"]
    assert [s.number for s in filled.pending(space)] == [4]
    filled.activate(space, allow_missing=True)
    assert {m.person for m in filled.search(unit(1))} == {"a", "b", "c"}
    assert filled.spaces() == [SpaceInfo(space, 3, True), SpaceInfo(other_space, 2, False)]
    assert filled.verify() == []


def test_erasing_takes_every_space(
    filled: Gallery, space: EmbeddingSpace, other_space: EmbeddingSpace, unit: Unit
) -> None:
    filled.add_space(other_space)
    filled.put_embeddings(other_space, [(n, unit(n, other_space)) for n in (1, 2, 3)])
    filled.remove("b")
    filled.remove_samples([3])
    assert filled.spaces() == [SpaceInfo(space, 1, True), SpaceInfo(other_space, 1, False)]
    assert filled.verify() == []


def test_drop_a_space(
    filled: Gallery, space: EmbeddingSpace, other_space: EmbeddingSpace, unit: Unit
) -> None:
    filled.add_space(other_space)
    filled.put_embeddings(other_space, [(1, unit(1, other_space))])
    with pytest.raises(GalleryError, match="is searched and must stay; activate another"):
        filled.drop_space(space)
    assert filled.drop_space(other_space) == 1
    assert filled.spaces() == [SpaceInfo(space, 3, True)]
    filled.add_space(other_space)
    assert filled.spaces()[1] == SpaceInfo(other_space, 0, False)
    assert len(filled.search(unit(1))) == 3


def test_unknown_spaces(
    filled: Gallery, space: EmbeddingSpace, other_space: EmbeddingSpace, unit: Unit
) -> None:
    uses: list[Callable[[], object]] = [
        lambda: filled.pending(other_space),
        lambda: filled.put_embeddings(other_space, [(1, unit(1, other_space))]),
        lambda: filled.activate(other_space),
        lambda: filled.drop_space(other_space),
        lambda: filled.embedding(1, other_space),
    ]
    for use in uses:
        with pytest.raises(SpaceMismatchError, match="keeps no embeddings of test/1111") as caught:
            use()
        assert caught.value.fields == {"expected": [space.id], "actual": other_space.id}


def test_wrong_embeddings_change_nothing(
    filled: Gallery, space: EmbeddingSpace, other_space: EmbeddingSpace, unit: Unit
) -> None:
    filled.add_space(other_space)
    with pytest.raises(SpaceMismatchError):
        filled.put_embeddings(other_space, [(1, unit(1, other_space)), (2, unit(2))])
    with pytest.raises(UnknownSampleError, match="has the number 9"):
        filled.put_embeddings(other_space, [(1, unit(1, other_space)), (9, unit(2, other_space))])
    assert filled.put_embeddings(other_space, []) == 0
    assert filled.spaces()[1] == SpaceInfo(other_space, 0, False)
