"""The index follows the records and reads only what changed, whoever changed it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vultus.gallery import NewSample, SqliteGallery
from vultus.gallery.records import change as _records
from vultus.gallery.records import index as _records_index
from vultus.types import Embedding, EmbeddingSpace

Unit = Callable[..., Embedding]
OTHER = EmbeddingSpace("other", "2" * 64, 16, "none")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the samples whose vectors were read, as they are read."""
    read: list[int] = []
    decode = _records_index.decode_vectors

    def counted(samples: Any, *arguments: Any) -> Any:
        read.extend(samples)
        return decode(samples, *arguments)

    monkeypatch.setattr(_records_index, "decode_vectors", counted)
    return read


def face(seed: int) -> Embedding:
    import numpy as np

    vector = np.random.default_rng(seed).standard_normal(16)
    return Embedding(vector / np.linalg.norm(vector), OTHER)


def everything(gallery: SqliteGallery, query: Embedding) -> list[list[tuple[str, str, int]]]:
    """Who is found, everywhere and in each group."""
    names: list[Any] = [None, *([group.name] for group in gallery.groups())]
    found = [gallery.search(query, 100, groups=groups) for groups in names]
    return [[(m.person, m.name, m.sample) for m in matches] for matches in found]


@pytest.mark.parametrize(
    ("change", "read"),
    [
        (lambda g, u: g.add("new", u(90)), [21]),
        (lambda g, u: g.add("new", u(90), group="g1"), [21]),
        (lambda g, u: g.remove("p3"), []),
        (lambda g, u: g.remove_samples([4, 14]), []),
        (lambda g, u: g.rename("p3", "z3"), []),
        (lambda g, u: g.put_person("p3", name="Three"), []),
        (lambda g, u: g.join("p3", "g2"), []),
        (lambda g, u: g.leave("p1", "g1"), []),
        (lambda g, u: g.merge("p3", "p4"), []),
        (lambda g, u: g.split("p3", [4], "new"), []),
        (lambda g, u: g.move_samples([1, 2, 3], "p9"), []),
        (lambda g, u: g.move_person("p1", "g1", "g2"), []),
        (lambda g, u: g.copy_person("p1", "g1", "g2"), [21, 22]),
        (lambda g, u: g.remove_group("g1"), []),
        (lambda g, u: g.rename_group("g1", "g9"), []),
        (lambda g, u: g.add_group("g9"), []),
        (lambda g, u: g.replace("p3", [NewSample("p3", u(91))]), [21]),
        (lambda g, u: g.put_embeddings(g.space, [(7, u(92)), (3, u(93))]), [3, 7]),
        (lambda g, u: g.optimise(), []),
        (lambda g, u: g.add_space(OTHER), []),
    ],
)
def test_another_gallery_reads_only_what_changed(
    tmp_path: Path, unit: Unit, reads: list[int], change: Callable[..., object], read: list[int]
) -> None:
    path = tmp_path / "people.db"
    with SqliteGallery(path) as one, SqliteGallery(path) as two:
        for group in ("g1", "g2"):
            one.add_group(group)
        scopes = {1: "g1", 2: "g2"}
        one.add_many(
            [NewSample(f"p{i % 10}", unit(i), group=scopes.get(i % 10)) for i in range(20)]
        )
        everything(two, unit(0))
        assert sorted(reads) == list(range(1, 21))
        everything(one, unit(0))
        reads.clear()
        change(one, unit)
        found = [everything(two, unit(seed)) for seed in (0, 92)]
        assert sorted(reads) == read
        with SqliteGallery(path) as fresh:
            assert [everything(fresh, unit(seed)) for seed in (0, 92)] == found
        reads.clear()
        everything(two, unit(0))
        assert reads == []


def test_another_space_is_read_wholly(tmp_path: Path, unit: Unit, reads: list[int]) -> None:
    path = tmp_path / "people.db"
    with SqliteGallery(path) as one, SqliteGallery(path) as two:
        one.add_many([NewSample(f"p{i}", unit(i)) for i in range(5)])
        two.search(unit(0))
        one.add_space(OTHER)
        one.put_embeddings(OTHER, [(n, face(n)) for n in (1, 2, 3)])
        reads.clear()
        two.search(unit(0))
        assert reads == []
        one.activate(OTHER, allow_missing=True)
        assert [m.sample for m in two.search(face(2), 1)] == [2]
        assert sorted(reads) == [1, 2, 3]
        reads.clear()
        one.put_embeddings(OTHER, [(5, face(5))])
        one.put_embeddings(OTHER, [(4, face(4))])
        assert [m.sample for m in two.search(face(4), 1)] == [4]
        assert sorted(reads) == [4, 5]


def test_who_is_too_far_behind_reads_everything(
    tmp_path: Path, unit: Unit, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_records, "CHANGES_KEPT", 3)
    path = tmp_path / "people.db"
    with SqliteGallery(path) as one, SqliteGallery(path) as two:
        one.add_many([NewSample(f"p{i}", unit(i)) for i in range(9)])
        two.search(unit(0))
        reads.clear()
        for i in range(2):  # a person and a sample each
            one.remove(f"p{i}")
        assert len(two.search(unit(0), 100)) == 7
        assert sorted(reads) == list(range(3, 10))
        reads.clear()
        one.rename("p2", "z")
        assert "z" in {m.person for m in two.search(unit(0), 100)}
        assert reads == []
        one.remove_samples(range(4, 9))  # more than are kept, in one change
        assert [m.sample for m in two.search(unit(0), 100)] == [
            m.sample for m in one.search(unit(0), 100)
        ]
        assert len(two.search(unit(0), 100)) == 2


def test_a_change_of_nothing_is_none(tmp_path: Path, unit: Unit, reads: list[int]) -> None:
    with SqliteGallery(tmp_path / "people.db") as gallery:
        gallery.add("a", unit(1), group="g")
        before = list(gallery.dump())[0:1], gallery.audit()
        gallery.rename("a", "a")
        gallery.join("a", "g")
        gallery.move_samples([1], "a")
        gallery.remove_samples([])
        gallery.put_person("a", name="a")
        assert (list(gallery.dump())[0:1], gallery.audit()) == before
