"""Groups: who is in them, what is noted, which faces count where."""

from collections.abc import Callable
from typing import Any

import pytest

from vultus.errors import (
    DtypeError,
    GroupExistsError,
    RangeError,
    UnknownGroupError,
    UnknownPersonError,
)
from vultus.gallery import Gallery, Group, Membership, NewSample
from vultus.types import Embedding

Unit = Callable[..., Embedding]


def scopes(gallery: Gallery) -> list[tuple[int, str, str | None]]:
    return [(s.number, s.person, s.group) for s in gallery.samples()]


def found(gallery: Gallery, face: Embedding, *groups: str) -> list[tuple[str, int]]:
    """People and samples found in these groups, everywhere without any."""
    return [(m.person, m.sample) for m in gallery.search(face, 100, groups=groups or None)]


# -- groups themselves ----------------------------------------------------------------------------


def test_groups_are_made_changed_and_renamed(gallery: Gallery, clock: Any) -> None:
    at = clock.tick()
    assert gallery.groups() == []
    assert gallery.add_group(" staff ", "who works here") == Group("staff", "who works here", 0, at)
    gallery.add_group("guests")
    clock.tick()
    assert gallery.update_group("staff", note="") == Group("staff", "", 0, at)
    assert gallery.rename_group("staff", "team") == Group("team", "", 0, at)
    assert gallery.rename_group("team", "team").name == "team"
    assert gallery.groups() == [Group("guests", "", 0, at), Group("team", "", 0, at)]
    assert gallery.group("team").name == "team"
    with pytest.raises(GroupExistsError, match="called 'team' already") as caught:
        gallery.add_group("team")
    assert caught.value.fields == {"name": "team"}
    with pytest.raises(GroupExistsError):
        gallery.rename_group("guests", "team")


def test_groups_come_in_pages(gallery: Gallery) -> None:
    for name in ("b", "a", "Z", "ä"):
        gallery.add_group(name)
    assert [g.name for g in gallery.groups()] == ["Z", "a", "b", "ä"]
    assert [g.name for g in gallery.groups(after="Z", limit=2)] == ["a", "b"]
    assert gallery.groups(after="ä") == []


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 257])
def test_bad_names_of_groups(gallery: Gallery, name: str) -> None:
    for use in (gallery.add_group, gallery.group, gallery.remove_group):
        with pytest.raises(RangeError, match="a group's name must"):
            use(name)


def test_notes_are_bounded(gallery: Gallery) -> None:
    gallery.add_group("g", "x" * 1024)
    with pytest.raises(RangeError, match="a note must have 0 to 1024 bytes"):
        gallery.update_group("g", note="x" * 1025)


def test_unknown_groups(gallery: Gallery, unit: Unit) -> None:
    gallery.add("a", unit(1), group="staff")
    uses: list[Callable[[], object]] = [
        lambda: gallery.group("stuff"),
        lambda: gallery.update_group("stuff", note=""),
        lambda: gallery.rename_group("stuff", "x"),
        lambda: gallery.remove_group("stuff"),
        lambda: gallery.join("a", "stuff"),
        lambda: gallery.leave("a", "stuff"),
        lambda: gallery.set_info("a", "stuff", ""),
        lambda: gallery.memberships(group="stuff"),
        lambda: gallery.samples(group="stuff"),
        lambda: gallery.copy_person("a", "stuff", "staff"),
        lambda: gallery.copy_person("a", "staff", "stuff"),
        lambda: gallery.move_person("a", "staff", "stuff"),
        lambda: gallery.search(unit(1), groups=["staff", "stuff"]),
    ]
    for use in uses:
        with pytest.raises(UnknownGroupError, match="did you mean 'staff'") as caught:
            use()
        assert caught.value.fields == {"name": "stuff", "close": ["staff"]}


# -- memberships ----------------------------------------------------------------------------------


def test_join_and_leave(gallery: Gallery, clock: Any, unit: Unit) -> None:
    gallery.add("a", unit(1))
    gallery.add_group("g")
    at = clock.tick()
    gallery.join("a", "g", " room 1 ")
    assert gallery.memberships() == [Membership("a", "g", "room 1")]
    assert (gallery.person("a").groups, gallery.person("a").updated_at) == (("g",), at)
    assert gallery.group("g").people == 1
    clock.tick()
    gallery.join("a", "g", "room 1")
    assert gallery.person("a").updated_at == at  # nothing new
    gallery.join("a", "g", "room 2")
    gallery.set_info("a", "g", "room 3")
    assert gallery.memberships(person="a") == [Membership("a", "g", "room 3")]
    assert gallery.leave("a", "g") == 0
    assert gallery.memberships() == []
    assert gallery.group("g").people == 0
    for use in (lambda: gallery.leave("a", "g"), lambda: gallery.set_info("a", "g", "")):
        with pytest.raises(UnknownPersonError, match="'a' is not in the group 'g'"):
            use()


def test_what_is_noted_is_bounded(gallery: Gallery) -> None:
    gallery.put_person("a")
    gallery.add_group("g")
    gallery.join("a", "g", "ä" * 128)
    for use in (gallery.join, gallery.set_info):
        with pytest.raises(RangeError, match="an info must have 0 to 256 bytes of UTF-8, got 258"):
            use("a", "g", "ä" * 129)
        with pytest.raises(RangeError, match=r"U\+0000"):
            use("a", "g", "a\0b")


def test_joining_makes_neither_person_nor_group(gallery: Gallery) -> None:
    gallery.put_person("a")
    with pytest.raises(UnknownGroupError):
        gallery.join("a", "g")
    gallery.add_group("g")
    with pytest.raises(UnknownPersonError):
        gallery.join("b", "g")
    assert gallery.memberships() == []


def test_memberships_come_in_pages(gallery: Gallery) -> None:
    for person in "ba":
        gallery.put_person(person)
    for group in "yx":
        gallery.add_group(group)
        for person in "ab":
            gallery.join(person, group, person + group)
    pairs = [(m.person, m.group) for m in gallery.memberships()]
    assert pairs == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    page = gallery.memberships(after=("a", "x"), limit=2)
    assert [(m.person, m.group, m.info) for m in page] == [("a", "y", "ay"), ("b", "x", "bx")]
    assert [m.person for m in gallery.memberships(group="x")] == ["a", "b"]
    assert [m.person for m in gallery.memberships(group="x", after=("a", "x"))] == ["b"]
    assert [m.group for m in gallery.memberships(person="b")] == ["x", "y"]
    assert gallery.memberships(person="b", group="y") == [Membership("b", "y", "by")]


# -- what counts where ----------------------------------------------------------------------------


def test_a_search_within_groups(gallery: Gallery, unit: Unit) -> None:
    face = unit(1)
    gallery.add_many(
        [
            NewSample("a", face),
            NewSample("b", face, group="g1"),
            NewSample("b", face, group="g2"),
            NewSample("c", face),
        ]
    )
    gallery.join("a", "g1")
    assert found(gallery, face) == [("a", 1), ("b", 2), ("c", 4)]
    assert found(gallery, face, "g1") == [("a", 1), ("b", 2)]
    assert found(gallery, face, "g2") == [("b", 3)]
    assert found(gallery, face, "g2", "g1", "g2") == [("a", 1), ("b", 2)]
    assert [s.number for s in gallery.samples(group="g1")] == [1, 2]
    assert [s.number for s in gallery.samples(group="g2")] == [3]
    assert [s.number for s in gallery.samples(group="g1", person="b")] == [2]


def test_a_filtered_search_follows_every_change(gallery: Gallery, unit: Unit) -> None:
    face = unit(1)
    gallery.add_many([NewSample("a", face), NewSample("b", face)])
    gallery.add_group("g")
    assert found(gallery, face, "g") == []
    gallery.join("a", "g")
    assert found(gallery, face, "g") == [("a", 1)]
    gallery.rename_group("g", "h")
    assert found(gallery, face, "h") == [("a", 1)]
    gallery.rename("a", "z")
    assert found(gallery, face, "h") == [("z", 1)]
    gallery.join("b", "h")
    assert found(gallery, face, "h") == [("b", 2), ("z", 1)]
    gallery.leave("z", "h")
    assert found(gallery, face, "h") == [("b", 2)]
    gallery.remove("b")
    assert found(gallery, face, "h") == []
    gallery.add("b", face, group="h")
    assert found(gallery, face, "h") == [("b", 3)]
    gallery.remove_group("h")
    gallery.add_group("h")
    assert found(gallery, face, "h") == []
    assert found(gallery, face) == [("z", 1)]


def test_wrong_sets_of_groups(gallery: Gallery, unit: Unit) -> None:
    gallery.add("a", unit(1), group="g")
    with pytest.raises(RangeError, match="at least one group; pass None"):
        gallery.search(unit(1), groups=[])
    with pytest.raises(DtypeError, match=r"several names, got 'g'; pass \['g'\]"):
        gallery.search(unit(1), groups="g")


def test_leaving_erases_the_faces_of_that_scope(gallery: Gallery, unit: Unit) -> None:
    face = unit(1)
    gallery.add_many(
        [NewSample("a", face, "d"), NewSample("a", face, "d", group="g"), NewSample("b", face)]
    )
    assert gallery.leave("a", "g") == 1
    assert scopes(gallery) == [(1, "a", None), (3, "b", None)]
    assert gallery.add("a", face, "d", group="g") == 4
    assert found(gallery, face, "g") == [("a", 1)]


# -- removed --------------------------------------------------------------------------------------


def crowd(gallery: Gallery, unit: Unit) -> None:
    """`a` in both groups, `b` in g1 only, `c` in none."""
    gallery.add_many(
        [
            NewSample("a", unit(1)),
            NewSample("a", unit(2), group="g1"),
            NewSample("a", unit(3), group="g2"),
            NewSample("b", unit(4), group="g1"),
            NewSample("b", unit(5)),
            NewSample("c", unit(6)),
        ]
    )
    gallery.search(unit(1))


def test_remove_a_group_and_keep_its_people(gallery: Gallery, unit: Unit) -> None:
    crowd(gallery, unit)
    assert gallery.remove_group("g1") == 2
    assert [g.name for g in gallery.groups()] == ["g2"]
    assert scopes(gallery) == [(1, "a", None), (3, "a", "g2"), (5, "b", None), (6, "c", None)]
    assert [(p.id, p.groups) for p in gallery.people()] == [("a", ("g2",)), ("b", ()), ("c", ())]
    assert found(gallery, unit(3), "g2") == [("a", 3)]
    assert {person for person, _ in found(gallery, unit(4))} == {"a", "b", "c"}
    assert gallery.verify() == []


def test_remove_a_group_with_those_who_are_in_no_other(gallery: Gallery, unit: Unit) -> None:
    crowd(gallery, unit)
    assert gallery.remove_group("g1", people="remove-orphans") == 3
    assert [p.id for p in gallery.people()] == ["a", "c"]
    assert scopes(gallery) == [(1, "a", None), (3, "a", "g2"), (6, "c", None)]
    assert {m.person for m in gallery.search(unit(4))} == {"a", "c"}
    with pytest.raises(RangeError, match="'keep' or 'remove-orphans', got 'all'"):
        gallery.remove_group("g2", people="all")  # type: ignore[arg-type]


# -- from group to group --------------------------------------------------------------------------


def test_copy_a_person(gallery: Gallery, clock: Any, unit: Unit) -> None:
    gallery.add("a", unit(1), "d1", "x.jpg", group="g1", crop=b"c", quality={"score": 0.5})
    gallery.add_many(
        [
            NewSample("a", unit(2), "d2", group="g1"),
            NewSample("a", unit(3), "d2", group="g2"),
            NewSample("a", unit(4), "d3"),
            NewSample("a", unit(5), group="g1"),
        ]
    )
    gallery.set_info("a", "g1", "room 1")
    gallery.set_info("a", "g2", "room 2")
    gallery.search(unit(1))
    at = clock.tick()
    assert gallery.copy_person("a", "g1", "g2") == 2
    assert scopes(gallery)[5:] == [(6, "a", "g2"), (7, "a", "g2")]
    copy = gallery.sample(6)
    assert (copy.source_digest, copy.source, copy.quality) == ("d1", "x.jpg", {"score": 0.5})
    assert (copy.created_at, gallery.crop(6)) == (at, b"c")
    assert (gallery.embedding(6).vector == unit(1).vector).all()
    assert gallery.memberships() == [
        Membership("a", "g1", "room 1"),
        Membership("a", "g2", "room 1"),
    ]
    assert found(gallery, unit(1), "g2") == [("a", 6)]
    assert gallery.copy_person("a", "g1", "g2") == 1  # the one without a digest
    gallery.add_group("g3")
    assert gallery.copy_person("a", "g1", "g3") == 3
    assert gallery.person("a").groups == ("g1", "g2", "g3")
    assert gallery.verify() == []


def test_move_a_person(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many(
        [
            NewSample("a", unit(1), "d1", group="g1"),
            NewSample("a", unit(2), "d2", group="g1"),
            NewSample("a", unit(3), "d2", group="g2"),
            NewSample("a", unit(4)),
        ]
    )
    gallery.set_info("a", "g1", "room 1")
    gallery.search(unit(1))
    assert gallery.move_person("a", "g1", "g2") == 1
    assert scopes(gallery) == [(1, "a", "g2"), (3, "a", "g2"), (4, "a", None)]
    assert gallery.memberships() == [Membership("a", "g2", "room 1")]
    assert found(gallery, unit(1), "g2") == [("a", 1)]
    assert found(gallery, unit(1), "g1") == []
    assert gallery.verify() == []


def test_from_group_to_group_needs_a_member_and_two_groups(gallery: Gallery, unit: Unit) -> None:
    gallery.add("a", unit(1))
    for group in ("g1", "g2"):
        gallery.add_group(group)
    for use in (gallery.copy_person, gallery.move_person):
        with pytest.raises(UnknownPersonError, match="'a' is not in the group 'g1'"):
            use("a", "g1", "g2")
        with pytest.raises(RangeError, match="must be two groups, got 'g1' twice"):
            use("a", "g1", "g1")
    assert gallery.memberships() == []
