"""Copying a gallery into another backend, and noticing when something did not arrive."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vultus.errors import GalleryError
from vultus.gallery import (
    EmbeddingRecord,
    Gallery,
    MemoryGallery,
    MilvusGallery,
    NewSample,
    PersonRecord,
    PostgresGallery,
    Record,
    SampleRecord,
    SqliteGallery,
)
from vultus.gallery.copy import copy_gallery
from vultus.types import Embedding, EmbeddingSpace

Unit = Callable[[int], Embedding]


def fill(gallery: Gallery, unit: Unit) -> None:
    """Something of everything."""
    other = EmbeddingSpace("other", "1" * 64, 16, "none")
    gallery.add_many(
        [
            NewSample("Zoë", unit(1), "d1", "a.jpg", group="staff", crop=b"\x00\xff" * 40),
            NewSample("Ada", unit(2), quality={"score": 0.1 + 0.2, "blur": 1e-300}),
            NewSample("Ada", Embedding(unit(3).vector, unit(3).space, raw_norm=17.25)),
        ]
    )
    gallery.put_person("Bea", name="Beatrix", consent="form 12")
    gallery.add_group("guests", "of 'today' % ? \\ \"x\"")
    gallery.join("Bea", "guests", "since Monday")
    gallery.add_space(other)
    gallery.put_embeddings(other, [(2, Embedding(unit(5).vector, other))])
    gallery.remove_samples([3])


@pytest.fixture
def source(tmp_path: Path, unit: Unit) -> Iterator[SqliteGallery]:
    with SqliteGallery(tmp_path / "source.db") as gallery:
        fill(gallery, unit)
        yield gallery


@pytest.mark.parametrize("backend", ["memory", "sqlite", "postgres", "milvus"])
def test_everything_arrives_and_comes_back(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    source: SqliteGallery,
    unit: Unit,
    backend: str,
) -> None:
    target: Gallery
    if backend == "memory":
        target = MemoryGallery()
    elif backend == "sqlite":
        target = SqliteGallery(tmp_path / "target.db")
    elif backend == "postgres":
        target = PostgresGallery(request.getfixturevalue("postgres_url")())
    else:
        target = MilvusGallery(request.getfixturevalue("milvus_url")())
    seen: list[int] = []
    with target, SqliteGallery(tmp_path / "back.db") as back:
        assert copy_gallery(source, target, seen.append) == Counter(
            GalleryRecord=1,
            SpaceRecord=2,
            GroupRecord=2,
            PersonRecord=3,
            Membership=2,
            SampleRecord=2,
            EmbeddingRecord=3,
            AuditEntry=len(source.audit()),
        )
        assert seen == list(range(1, 16 + len(source.audit())))
        assert target.search(unit(1)) == source.search(unit(1))
        assert target.people() == source.people()
        assert target.samples() == source.samples()
        assert target.crop(1) == b"\x00\xff" * 40
        assert target.audit() == source.audit()
        assert target.verify() == []
        assert target.add("Cleo", unit(9)) == 4  # number 3 was given out before
        copy_gallery(source, back)
        assert [r for r in back.dump() if not isinstance(r, EmbeddingRecord)] == [
            r for r in source.dump() if not isinstance(r, EmbeddingRecord)
        ]


def test_an_empty_gallery(tmp_path: Path) -> None:
    with SqliteGallery(tmp_path / "a.db") as source, MemoryGallery() as target:
        assert copy_gallery(source, target) == Counter(GalleryRecord=1)
        assert target.people() == []


def test_a_target_in_use_is_refused(source: SqliteGallery, unit: Unit) -> None:
    with MemoryGallery() as target:
        target.add("Ada", unit(1))
        with pytest.raises(GalleryError, match="never held anything"):
            copy_gallery(source, target)
        assert len(target) == 1


def changed(record: Record) -> Record:
    """A record that says a little less than it did."""
    if isinstance(record, EmbeddingRecord) and record.number == 1:
        vector = record.embedding.vector.copy()
        vector[0] += 1e-7
        return EmbeddingRecord(1, Embedding(vector, record.embedding.space))
    if isinstance(record, SampleRecord) and record.quality:
        return replace(record, quality={**record.quality, "score": 0.3})
    if isinstance(record, PersonRecord) and record.consent:
        return replace(record, consent="form 13")
    return record


@pytest.mark.parametrize("kind", [EmbeddingRecord, SampleRecord, PersonRecord])
def test_a_copy_that_differs_is_noticed(
    source: SqliteGallery, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MemoryGallery() as target:
        true = target.dump
        monkeypatch.setattr(
            target,
            "dump",
            lambda: (changed(r) if isinstance(r, kind) else r for r in true()),
        )
        with pytest.raises(GalleryError, match=r"it differs \(in content\); discard"):
            copy_gallery(source, target)


def test_a_copy_that_lacks_something_is_noticed(
    source: SqliteGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MemoryGallery() as target:
        true = target.dump
        monkeypatch.setattr(
            target, "dump", lambda: (r for r in true() if not isinstance(r, EmbeddingRecord))
        )
        with pytest.raises(GalleryError, match="0 of 3 EmbeddingRecord") as caught:
            copy_gallery(source, target)
        assert caught.value.fields["expected"]["EmbeddingRecord"] == 3
