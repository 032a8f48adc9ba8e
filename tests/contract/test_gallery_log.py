"""The log of changes, verification, and a gallery as a stream of records."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vultus.errors import DuplicateSampleError, GalleryError, RangeError
from vultus.gallery import (
    AuditEntry,
    EmbeddingRecord,
    Gallery,
    GalleryRecord,
    GroupRecord,
    Membership,
    NewSample,
    PersonRecord,
    Record,
    SampleRecord,
    SpaceRecord,
    acting_as,
    verify_chain,
)
from vultus.types import Embedding, EmbeddingSpace

Unit = Callable[..., Embedding]
Make = Callable[..., Gallery]


def actions(gallery: Gallery, person: str | None = None) -> list[tuple[str, dict[str, object]]]:
    return [(entry.action, entry.detail) for entry in gallery.audit(person=person)]


def plain(record: Record) -> object:
    """A record that can be compared."""
    if isinstance(record, EmbeddingRecord):
        face = record.embedding
        return record.number, face.vector.tobytes(), face.space, face.raw_norm
    return record


# -- the log --------------------------------------------------------------------------------------


def test_every_change_is_on_record(
    gallery: Gallery, clock: Any, unit: Unit, space: EmbeddingSpace
) -> None:
    assert gallery.audit() == []
    at = clock.tick()
    with acting_as("api:key-7"):
        gallery.add_many([NewSample("a", unit(1)), NewSample("b", unit(2), group="g")])
    assert actions(gallery) == [
        ("space.add", {"space": space.id}),
        ("group.add", {"group": "g"}),
        ("sample.add", {"count": 1, "samples": "1", "new": True}),
        ("sample.add", {"count": 1, "samples": "2", "new": True, "groups": ["g"]}),
    ]
    entries = gallery.audit()
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert {entry.at for entry in entries} == {at}
    assert {entry.actor for entry in entries} == {"api:key-7"}
    assert verify_chain(entries) == []
    assert [entry.number for entry in gallery.audit(after=1, limit=2)] == [2, 3]


def test_what_each_change_writes(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many([NewSample("a", unit(i)) for i in (1, 2, 3)])
    seen = len(gallery.audit())

    def written(change: Callable[[], object]) -> list[tuple[str, dict[str, object]]]:
        nonlocal seen
        change()
        found = actions(gallery)[seen:]
        seen += len(found)
        for _, detail in found:  # what stands for a person differs from gallery to gallery
            for key in ("to", "of", "other", "into"):
                if key in detail and len(str(detail[key])) == 64:
                    detail[key] = "…"
        return found

    for change, expected in [
        (lambda: gallery.put_person("b"), [("person.add", {})]),
        (lambda: gallery.put_person("b", name="B"), [("person.update", {"changed": ["name"]})]),
        (lambda: gallery.put_person("b", name="B"), []),
        (
            lambda: gallery.move_samples([3, 1], "b"),
            [
                ("sample.give", {"count": 2, "samples": "1,3", "to": "…"}),
                ("sample.take", {"count": 2, "samples": "1,3"}),
            ],
        ),
        (
            lambda: gallery.split("b", [3], "c"),
            [
                ("person.split", {"samples": "3", "to": "…"}),
                ("person.split", {"samples": "3", "of": "…"}),
            ],
        ),
        (
            lambda: gallery.merge("b", "c"),
            [
                ("person.merge", {"moved": "3", "dropped": "", "other": "…"}),
                ("person.merge", {"moved": "3", "dropped": "", "into": "…"}),
            ],
        ),
        (lambda: gallery.rename("b", "d"), [("person.rename", {"to": "…"})]),
        (lambda: gallery.add_group("g"), [("group.add", {"group": "g"})]),
        (lambda: gallery.update_group("g", note="n"), [("group.update", {"group": "g"})]),
        (lambda: gallery.rename_group("g", "h"), [("group.rename", {"group": "g", "to": "h"})]),
        (lambda: gallery.join("d", "h"), [("group.join", {"group": "h"})]),
        (lambda: gallery.set_info("d", "h", "i"), [("group.info", {"group": "h"})]),
        (lambda: gallery.set_info("d", "h", "i"), []),
        (
            lambda: gallery.leave("d", "h"),
            [("group.leave", {"group": "h", "count": 0, "samples": ""})],
        ),
        (
            lambda: gallery.remove_group("h"),
            [("group.remove", {"group": "h", "people": 0, "removed": 0})],
        ),
        (
            lambda: gallery.remove_samples([2]),
            [("sample.remove", {"count": 1, "samples": "2"})],
        ),
        (lambda: gallery.remove("d"), [("person.remove", {"count": 2})]),
        (lambda: gallery.remove_samples([]), []),
    ]:
        assert written(change) == expected
    assert verify_chain(gallery.audit()) == []


def test_the_log_of_somebody_who_is_gone(gallery: Gallery, unit: Unit) -> None:
    gallery.add("Ada Lovelace", unit(1))
    gallery.add("Bea", unit(2))
    gallery.remove("Ada Lovelace")
    about = gallery.audit(person="Ada Lovelace")
    assert [entry.action for entry in about] == ["sample.add", "person.remove"]
    assert "Ada" not in repr(gallery.audit())
    assert gallery.audit(person="Ada") == []


def test_what_fails_is_not_on_record(gallery: Gallery, unit: Unit) -> None:
    gallery.add("a", unit(1), "d1")
    before = gallery.audit()
    with pytest.raises(DuplicateSampleError):
        gallery.add_many([NewSample("b", unit(2)), NewSample("a", unit(2), "d1")])
    assert gallery.audit() == before


def test_the_default_actor_is_the_systems_user(gallery: Gallery) -> None:
    gallery.put_person("a")
    with acting_as("outer"):
        with acting_as("inner"):
            gallery.put_person("b")
        gallery.put_person("c")
    mine, *others = [entry.actor for entry in gallery.audit()]
    assert mine.startswith("user:")
    assert others == ["inner", "outer"]
    with pytest.raises(RangeError, match="an actor's name must have 1 to 256 bytes"):
        acting_as("").__enter__()


# -- as a stream ----------------------------------------------------------------------------------


def fill(gallery: Gallery, unit: Unit, other: EmbeddingSpace) -> None:
    """A bit of everything, and gaps in the numbers."""
    gallery.add("b", unit(1), "d1", "x.jpg", group="g2", quality={"score": 0.5}, crop=b"\0c")
    gallery.add_many([NewSample("a", unit(i)) for i in (2, 3, 4)])
    gallery.put_person("nobody", name="No Body", consent="c1")
    gallery.add_group("g1", "a note")
    gallery.join("a", "g1", "room 1")
    gallery.remove_samples([2, 4])
    gallery.add_space(other)
    gallery.put_embeddings(other, [(3, unit(9, other))])


def test_dump(
    gallery: Gallery, clock: Any, unit: Unit, space: EmbeddingSpace, other_space: EmbeddingSpace
) -> None:
    at = clock.tick()
    fill(gallery, unit, other_space)
    first, *records = gallery.dump()
    assert isinstance(first, GalleryRecord)
    assert first.last_sample == 4
    assert len(first.salt) == 32
    audit = gallery.audit()
    assert [plain(record) for record in records] == [
        SpaceRecord(space, True),
        SpaceRecord(other_space, False),
        GroupRecord("g1", "a note", at),
        GroupRecord("g2", "", at),
        PersonRecord("a", "a", None, at, at),
        PersonRecord("b", "b", None, at, at),
        PersonRecord("nobody", "No Body", "c1", at, at),
        Membership("a", "g1", "room 1"),
        Membership("b", "g2", ""),
        SampleRecord(1, "b", "g2", "d1", "x.jpg", {"score": 0.5}, b"\0c", at),
        SampleRecord(3, "a", None, None, None, None, None, at),
        (1, unit(1).vector.tobytes(), space, 1.25),
        (3, unit(3).vector.tobytes(), space, 1.25),
        (3, unit(9, other_space).vector.tobytes(), other_space, 1.25),
        *audit,
    ]


def test_what_was_dumped_can_be_restored(
    make: Make, unit: Unit, other_space: EmbeddingSpace
) -> None:
    old, new = make(), make()
    fill(old, unit, other_space)
    new.restore(old.dump())
    assert [plain(r) for r in new.dump()] == [plain(r) for r in old.dump()]
    assert new.search(unit(3)) == old.search(unit(3))
    assert new.search(unit(3), groups=["g1"]) == old.search(unit(3), groups=["g1"])
    assert new.audit(person="a") == old.audit(person="a")
    assert new.verify() == []
    assert new.add("c", unit(5)) == 5  # numbers and log go on
    assert [entry.number for entry in new.audit()] == list(range(1, len(old.audit()) + 2))
    assert new.verify() == []


def test_an_empty_gallery_can_be_dumped_and_restored(make: Make) -> None:
    old, new = make(), make()
    (record,) = old.dump()
    new.restore([record])
    assert list(new.dump()) == [record]
    assert new.people() == []


def test_only_an_unused_gallery_takes_records(make: Make, unit: Unit) -> None:
    old, new = make(), make()
    old.add("a", unit(1))
    records = list(old.dump())
    new.put_person("b")
    new.remove("b")
    with pytest.raises(GalleryError, match="never held anything"):
        new.restore(records)
    assert new.people() == []


def test_a_dump_is_of_one_moment(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(5)])
    stream = gallery.dump()
    head = next(stream)
    gallery.remove("p1")
    gallery.add("p9", unit(9))
    people = [r.id for r in stream if isinstance(r, PersonRecord)]
    assert head.last_sample == 5
    assert people == [f"p{i}" for i in range(5)]


def broken(records: list[Record], space: EmbeddingSpace) -> dict[str, list[Record]]:
    """Streams that make no sound gallery, by what is said of them."""
    place = {type(record): i for i, record in reversed(list(enumerate(records)))}
    head, person = records[0], records[place[PersonRecord]]
    sample, audit = place[SampleRecord], place[AuditEntry]
    face = records[place[EmbeddingRecord]]
    assert isinstance(face, EmbeddingRecord)

    def changed(index: int, **fields: Any) -> list[Record]:
        return [*records[:index], replace(records[index], **fields), *records[index + 1 :]]

    lost = EmbeddingRecord(99, face.embedding)
    return {
        "there are none": [],
        "a SpaceRecord comes out of order": records[1:],
        "comes twice or out of order": [head, *records],
        "a PersonRecord comes out of order": [*records, person],
        "names 'z', which no record": changed(sample, person="z"),
        "names 99, which no record": [*records[:audit], lost, *records[audit:]],
        r"names \('b', 'g1'\), which no record": changed(sample, group="g1"),
        "a record's number is none": changed(sample, number=0),
        "no space is active": changed(place[SpaceRecord], active=False),
        "a record's salt is none": changed(0, salt=b"short"),
        "'yesterday' is no time": changed(0, created_at="yesterday"),
        "'2026-13-01T00:00:00.000Z' is no time": changed(0, created_at="2026-13-01T00:00:00.000Z"),
        "must hold no control characters": changed(place[PersonRecord], name="a\nb"),
        "' b' is not in the form": changed(place[PersonRecord], name=" b"),
        "is not as it was written": changed(audit, actor="somebody else"),
        "audit entry 1 must follow": [*records[:audit], *records[audit + 1 :]],
        "a str is no record": [*records, "end"],  # type: ignore[list-item]
    }


def test_records_that_make_no_gallery_leave_none(
    make: Make, unit: Unit, space: EmbeddingSpace, other_space: EmbeddingSpace
) -> None:
    old, new = make(), make()
    fill(old, unit, other_space)
    for message, records in broken(list(old.dump()), space).items():
        with pytest.raises(GalleryError, match=f"cannot be restored: .*{message}"):
            new.restore(records)
        assert (new.people(), new.groups(), new.spaces(), new.audit()) == ([], [], [], [])
    new.restore(old.dump())
    assert new.verify() == []


# -- verified -------------------------------------------------------------------------------------


def test_a_sound_gallery(gallery: Gallery, unit: Unit, other_space: EmbeddingSpace) -> None:
    assert gallery.verify() == []
    fill(gallery, unit, other_space)
    gallery.search(unit(1))
    assert gallery.verify() == []
    rng = np.random.default_rng(1)
    for step in range(40):
        gallery.add_many([NewSample(f"p{rng.integers(9)}", unit(step)) for _ in range(5)])
        if step % 4 == 3:
            gallery.remove(gallery.people()[0].id)
    assert gallery.verify() == []
