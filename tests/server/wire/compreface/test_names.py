"""Subjects' names: what is allowed, and finding them whatever their case."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.gallery import MemoryGallery
from vultus.server.wire.compreface import names
from vultus.server.wire.compreface.errors import CompreFaceError
from vultus.server.wire.compreface.names import check_new_name, find_subject, same_name

CASED = st.text("aAbBkKsSſıiIİßςσΣǅǆǄ0 é", min_size=1, max_size=5)


def gallery_of(*people: str) -> MemoryGallery:
    gallery = MemoryGallery()
    for person in people:
        gallery.put_person(person)
    return gallery


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("alice", "Alice"),
        ("ALICE", "Alice"),
        ("  aLiCe ", "Alice"),
        ("Alice", "Alice"),
        ("alic", None),
        ("alice2", None),
        ("ЖУК", "Жук"),
        ("éTÉ", "Été"),
        ("张三", "张三"),
        ("ß", None),  # its upper case is two letters, so it is none
        ("", None),
        ("a\0b", None),
    ],
)
def test_a_subject_is_found_whatever_its_case(name: str, found: str | None) -> None:
    people = ["Alice", "Alicf", "AlIcd", "alicia", "Жук", "Été", "SS", "张三", "0", "~"]
    assert find_subject(gallery_of(*people), name) == found


def test_the_same_spelling_comes_first() -> None:
    gallery = gallery_of("ann", "Ann", "ANN")
    assert [find_subject(gallery, name) for name in ("ann", "Ann", "ANN", "aNn")] == [
        "ann",
        "Ann",
        "ANN",
        "ANN",
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(CASED, max_size=12), CASED)
def test_leaps_find_what_reading_everything_finds(people: list[str], wanted: str) -> None:
    gallery = MemoryGallery()
    for person in people:
        if person.strip():
            gallery.put_person(person)
    stored = [person.id for person in gallery.people()]
    if not wanted.strip():
        assert find_subject(gallery, wanted) is None
        return
    clean = names.clean_name(wanted)
    same = [person for person in stored if same_name(person, clean)]
    expected = clean if clean in same else (same[0] if same else None)
    assert find_subject(gallery, wanted) == expected


def test_many_names_that_are_nearly_the_same_are_read_page_by_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "_LEAPS", 3)
    monkeypatch.setattr(names, "_PAGE", 7)
    near = [format(i, "08b").translate({48: "a", 49: "A"}) + "b" for i in range(256)]
    gallery = gallery_of(*near, "aAaAaAaAc")
    assert find_subject(gallery, "AAAAAAAAC") == "aAaAaAaAc"
    assert find_subject(gallery, "AAAAAAAAD") is None


def test_few_look_ups_are_enough_among_many() -> None:
    gallery = gallery_of(*(f"Person {i}" for i in range(2000)))
    asked = []

    class Counting:
        def __contains__(self, person: object) -> bool:
            asked.append(person)
            return person in gallery

        def people(self, **options: object) -> object:
            asked.append(options)
            return gallery.people(**options)

    assert find_subject(Counting(), "PERSON 1234") == "Person 1234"
    assert find_subject(Counting(), "PERSON x") is None
    assert len(asked) < 40


@pytest.mark.parametrize("name", [None, "", "  ", "\t"])
def test_a_new_name_is_not_blank(name: object) -> None:
    with pytest.raises(CompreFaceError, match=r"^Subject name cannot be empty$") as raised:
        check_new_name(name)
    assert (raised.value.status, raised.value.number) == (400, 26)


def test_a_new_name_has_at_most_50_characters_of_java() -> None:
    assert check_new_name("x" * 50) == "x" * 50
    assert check_new_name("😀" * 25) == "😀" * 25
    for name in ("x" * 51, "😀" * 26):
        with pytest.raises(CompreFaceError, match=r"must be between 1 and 50$") as raised:
            check_new_name(name)
        assert raised.value.number == 26


@pytest.mark.parametrize("name", ["a;b", "a/b", "a\\b", "../etc/passwd"])
def test_a_new_name_holds_no_separators(name: str) -> None:
    text = "The name cannot contain the following special characters: ';', '/', '\\'"
    with pytest.raises(CompreFaceError, match=f"^{re.escape(text)}$") as raised:
        check_new_name(name)
    assert (raised.value.status, raised.value.number) == (400, 36)


def test_a_new_name_is_one_that_the_gallery_keeps() -> None:
    assert check_new_name("  e\u0301  ") == "\xe9"
    for name in ("a\0", "a\nb", "\u202eevil", "\ud800"):
        with pytest.raises(CompreFaceError, match="control characters") as raised:
            check_new_name(name)
        assert raised.value.number == 26
    with pytest.raises(CompreFaceError) as raised:
        check_new_name(["a"])
    assert raised.value.number == 0
