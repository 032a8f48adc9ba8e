"""People and their samples: made known, renamed, joined into one, split, erased."""

from collections.abc import Callable
from typing import Any

import pytest

from vultus.errors import (
    DtypeError,
    DuplicateSampleError,
    PersonExistsError,
    RangeError,
    UnknownGroupError,
    UnknownPersonError,
    UnknownSampleError,
)
from vultus.gallery import Gallery, Membership, NewSample, Person, Sample
from vultus.types import Embedding, Match, Occlusion, Pose, Quality

Unit = Callable[..., Embedding]


def owners(gallery: Gallery) -> list[tuple[int, str, str | None]]:
    """Every sample with its person and scope."""
    return [(s.number, s.person, s.group) for s in gallery.samples()]


# -- made known -----------------------------------------------------------------------------------


def test_a_person_without_faces(gallery: Gallery, clock: Any, unit: Unit) -> None:
    at = clock.tick()
    ada = Person("ada", "Ada Lovelace", 0, (), "form 12", at, at)
    assert gallery.put_person(" ada\n", name="Ada Lovelace", consent="form 12") == ada
    assert gallery.person("ada") == ada
    assert gallery.people() == [ada]
    assert "ada" in gallery
    assert len(gallery) == 0
    assert gallery.space is None
    assert gallery.search(unit(1)) == []


def test_what_is_known_of_a_person_changes(gallery: Gallery, clock: Any, unit: Unit) -> None:
    made = clock.tick()
    gallery.add("ada", unit(1))
    assert gallery.person("ada") == Person("ada", "ada", 1, (), None, made, made)
    changed = clock.tick()
    gallery.put_person("ada", name="Ada")
    assert gallery.person("ada") == Person("ada", "Ada", 1, (), None, made, changed)
    clock.tick()
    assert gallery.put_person("ada", name="Ada").updated_at == changed  # nothing new
    assert gallery.put_person("ada", consent="c1").name == "Ada"
    assert gallery.put_person("ada", consent="c2").consent == "c2"
    cleared = gallery.put_person("ada", name="", consent="")
    assert (cleared.name, cleared.consent) == ("ada", None)


def test_names_need_not_be_unique_and_come_with_matches(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many([NewSample("id1", unit(1)), NewSample("id2", unit(2))])
    gallery.search(unit(1))
    gallery.put_person("id1", name="Kim")
    gallery.put_person("id2", name="Kim")
    assert [(m.person, m.name) for m in gallery.search(unit(1))] == [("id1", "Kim"), ("id2", "Kim")]


def test_adding_faces_touches_a_person(gallery: Gallery, clock: Any, unit: Unit) -> None:
    made = clock.tick()
    gallery.put_person("ada")
    added = clock.tick()
    gallery.add("ada", unit(1))
    assert gallery.person("ada") == Person("ada", "ada", 1, (), None, made, added)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "a\nb"}, r"a name must hold no control characters, got U\+000A"),
        ({"name": "x" * 257}, "a name must have 0 to 256 bytes"),
        ({"consent": "ä" * 129}, "a consent must have 0 to 256 bytes of UTF-8, got 258"),
    ],
)
def test_bad_names_and_consents(gallery: Gallery, arguments: Any, message: str) -> None:
    with pytest.raises(RangeError, match=message):
        gallery.put_person("ada", **arguments)
    assert gallery.people() == []


# -- listed ---------------------------------------------------------------------------------------


def test_people_come_in_pages_by_code_points(gallery: Gallery, unit: Unit) -> None:
    ids = ["Zoe", "ada", "Ärger", "Ada", "ada2", "日本", "😀"]
    gallery.add_many([NewSample(name, unit(i)) for i, name in enumerate(ids)])
    listed = [person.id for person in gallery.people()]
    assert listed == sorted(ids)
    pages, after = [], None
    while page := gallery.people(after=after, limit=3):
        pages.append([person.id for person in page])
        after = page[-1].id
    assert pages == [listed[:3], listed[3:6], listed[6:]]
    assert [p.id for p in gallery.people(after="ada", limit=1)] == ["ada2"]
    assert gallery.people(after="😀") == []
    with pytest.raises(RangeError, match="limit must be at least 1"):
        gallery.people(limit=0)


def test_people_of_a_group(gallery: Gallery, unit: Unit) -> None:
    gallery.add("ada", unit(1), group="staff")
    gallery.add("bea", unit(2), group="guests")
    gallery.add("cleo", unit(3))
    gallery.join("cleo", "staff")
    assert [p.id for p in gallery.people(group="staff")] == ["ada", "cleo"]
    assert [p.id for p in gallery.people(group="staff", after="ada")] == ["cleo"]
    with pytest.raises(UnknownGroupError, match="did you mean 'staff'"):
        gallery.people(group="stuff")


def test_unknown_people(gallery: Gallery, unit: Unit) -> None:
    gallery.add("Ada", unit(1))
    uses: list[Callable[[], object]] = [
        lambda: gallery.person("Adda"),
        lambda: gallery.rename("Adda", "x"),
        lambda: gallery.merge("Adda", "Ada"),
        lambda: gallery.merge("Ada", "Adda"),
        lambda: gallery.split("Adda", [1], "x"),
        lambda: gallery.move_samples([1], "Adda"),
        lambda: gallery.samples(person="Adda"),
        lambda: gallery.memberships(person="Adda"),
        lambda: gallery.replace("Adda", []),
    ]
    for use in uses:
        with pytest.raises(UnknownPersonError, match="did you mean 'Ada'"):
            use()
    assert owners(gallery) == [(1, "Ada", None)]


# -- samples --------------------------------------------------------------------------------------


def test_a_sample_keeps_what_came_with_it(
    gallery: Gallery, clock: Any, unit: Unit, space: Any
) -> None:
    at = clock.tick()
    quality = Quality(
        0.5, 0.25, 120.0, 0.5, 90.0, None, 1.0,
        occlusion=Occlusion(0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5), pose=Pose(10.0, -5.0, 1.0, "mesh"),
    )  # fmt: skip
    gallery.add("ada", unit(1), "d1", "a.jpg", group="staff", quality=quality, crop=b"\0crop\xff")
    gallery.add("ada", unit(2), quality={"score": 1})
    record = {
        "score": 0.5, "blur": 0.25, "illumination": 120.0, "contrast": 0.5, "face_px": 90.0,
        "completeness": 1.0, "occlusion.left_eye": 0.0, "occlusion.right_eye": 1.0,
        "occlusion.nose": 0.0, "occlusion.mouth": 0.0, "occlusion.left_cheek": 0.0,
        "occlusion.right_cheek": 0.0, "occlusion.chin": 0.5, "pose.yaw_deg": 10.0,
        "pose.pitch_deg": -5.0, "pose.roll_deg": 1.0,
    }  # fmt: skip
    spaces = (space.id,)
    first = Sample(1, "ada", "staff", "d1", "a.jpg", record, True, spaces, at)
    second = Sample(2, "ada", None, None, None, {"score": 1.0}, False, spaces, at)
    assert gallery.samples() == [first, second]
    assert gallery.sample(1) == first
    assert gallery.crop(1) == b"\0crop\xff"
    assert gallery.crop(2) is None
    kept = gallery.embedding(1)
    assert kept.space == space
    assert kept.raw_norm == 1.25
    assert (kept.vector == unit(1).vector).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"quality": {"score": float("nan")}}, RangeError, "quality 'score' must be finite"),
        ({"quality": {"score": "good"}}, DtypeError, "quality 'score' must be a number, got str"),
        ({"quality": {"": 1.0}}, RangeError, "a quality's name must have 1 to 256 bytes"),
        ({"quality": {f"q{i}": 1.0 for i in range(65)}}, RangeError, "at most 64 numbers"),
        ({"crop": "text"}, DtypeError, "a crop must be bytes, got str"),
        ({"crop": b"x" * (8 * 2**20 + 1)}, RangeError, "at most 8388608 bytes, got 8388609"),
        ({"group": " "}, RangeError, "a group's name must have 1 to 256 bytes"),
        ({"group": 3}, DtypeError, "a group's name must be a string, got int"),
    ],
)
def test_what_cannot_be_kept_with_a_sample(
    gallery: Gallery, unit: Unit, arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gallery.add("ada", unit(1), **arguments)
    assert gallery.people() == []
    assert gallery.groups() == []


def test_samples_come_in_pages(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many([NewSample("ab"[i % 2], unit(i)) for i in range(7)])
    assert [s.number for s in gallery.samples(limit=3)] == [1, 2, 3]
    assert [s.number for s in gallery.samples(after=5, limit=3)] == [6, 7]
    assert [s.number for s in gallery.samples(person="b", after=2)] == [4, 6]
    assert gallery.samples(after=7) == []
    for wrong in ({"after": -1}, {"limit": 0}):
        with pytest.raises(RangeError, match="must be at least"):
            gallery.samples(**wrong)


def test_unknown_samples(gallery: Gallery, unit: Unit) -> None:
    gallery.add("ada", unit(1))
    for number in (0, 2, -1, 2**70):
        uses: list[Callable[[int], object]] = [
            gallery.sample,
            gallery.embedding,
            gallery.crop,
            lambda n: gallery.remove_samples([1, n]),
            lambda n: gallery.move_samples([1, n], "ada"),
            lambda n: gallery.split("ada", [1, n], "bea"),
        ]
        for use in uses:
            with pytest.raises(UnknownSampleError, match=f"has the number {number}") as caught:
                use(number)
            assert caught.value.fields == {"number": number}
    with pytest.raises(DtypeError, match="must be an int, got str"):
        gallery.sample("1")  # type: ignore[arg-type]
    assert len(gallery) == 1
    assert "bea" not in gallery


def test_samples_are_erased_and_their_person_stays(
    gallery: Gallery, clock: Any, unit: Unit
) -> None:
    gallery.add_many([NewSample("ab"[i % 2], unit(i), f"d{i}") for i in range(4)])
    at = clock.tick()
    assert gallery.remove_samples([3, 1, 3]) == 2
    assert gallery.remove_samples([]) == 0
    assert [(p.id, p.samples, p.updated_at == at) for p in gallery.people()] == [
        ("a", 0, True),
        ("b", 2, False),
    ]
    assert [m.person for m in gallery.search(unit(0))] == ["b"]
    assert gallery.add("a", unit(0), "d0") == 5


def test_samples_change_hands(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many([NewSample("a", unit(i), f"d{i}", group="g1") for i in range(2)])
    gallery.add("b", unit(9), "d1")
    gallery.add("c", unit(8))
    gallery.search(unit(0))
    assert gallery.move_samples([1, 2, 4], "b") == 3
    assert owners(gallery) == [(1, "b", "g1"), (2, "b", "g1"), (3, "b", None), (4, "b", None)]
    assert gallery.person("b").groups == ("g1",)  # where the scope needs it
    assert [(p.id, p.samples) for p in gallery.people()] == [("a", 0), ("b", 4), ("c", 0)]
    assert [(m.person, m.sample) for m in gallery.search(unit(0))] == [("b", 1)]
    assert gallery.move_samples([1], "b") == 0


def test_a_picture_that_is_held_does_not_change_hands(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many([NewSample("a", unit(1), "d1"), NewSample("a", unit(2), "d2")])
    gallery.add("b", unit(3), "d2")
    with pytest.raises(DuplicateSampleError, match="'b' already holds") as caught:
        gallery.move_samples([1, 2], "b")
    assert caught.value.fields == {"name": "b", "source_digest": "d2", "sample": 2}
    assert owners(gallery) == [(1, "a", None), (2, "a", None), (3, "b", None)]
    gallery.add("c", unit(3), "d1")
    with pytest.raises(DuplicateSampleError):  # of two that come at once
        gallery.move_samples([1, 4], "b")


# -- duplicates -----------------------------------------------------------------------------------


def test_the_same_picture_counts_once_per_scope(gallery: Gallery, unit: Unit) -> None:
    gallery.add("a", unit(1), "d1")
    gallery.add("a", unit(1), "d1", group="g1")
    gallery.add("a", unit(1), "d1", group="g2")
    with pytest.raises(DuplicateSampleError):
        gallery.add("a", unit(1), "d1", group="g2")
    assert owners(gallery) == [(1, "a", None), (2, "a", "g1"), (3, "a", "g2")]


def test_duplicates_on_purpose(gallery: Gallery, unit: Unit) -> None:
    assert gallery.add("a", unit(1), "d1", allow_duplicates=True) == 1
    batch = [NewSample("a", unit(2), "d1"), NewSample("a", unit(3), "d1")]
    assert gallery.add_many(batch, allow_duplicates=True) == [2, 3]
    gallery.remove_samples([1, 2])
    with pytest.raises(DuplicateSampleError):  # one is still held
        gallery.add("a", unit(4), "d1")


def test_a_large_batch_is_looked_through(gallery: Gallery, unit: Unit) -> None:
    face = unit(1)
    gallery.add_many([NewSample(f"p{i % 400}", face, f"d{i}") for i in range(1200)])
    new = [NewSample(f"p{i % 400}", face, f"e{i}") for i in range(1000)]
    new.append(NewSample("p399", face, "d1199"))
    with pytest.raises(DuplicateSampleError, match="'p399'") as caught:
        gallery.add_many(new)
    assert caught.value.fields["position"] == 1000
    assert len(gallery) == 1200
    assert gallery.add_many(new[:-1]) == list(range(1201, 2201))


# -- replaced -------------------------------------------------------------------------------------


def test_replace(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many(
        [NewSample("a", unit(i), f"d{i}", group=[None, "g1"][i % 2]) for i in range(4)]
    )
    gallery.search(unit(0))
    new = [NewSample("a", unit(9), "d1", group="g1")]
    assert gallery.replace("a", new, group="g1") == [5]
    assert owners(gallery) == [(1, "a", None), (3, "a", None), (5, "a", "g1")]
    assert gallery.search(unit(9), 1)[0].sample == 5
    assert gallery.replace("a", [NewSample("a", unit(8))]) == [6]
    assert owners(gallery) == [(6, "a", None)]
    assert gallery.replace("b", [NewSample("b", unit(7))]) == [7]
    assert gallery.replace("a", []) == []
    assert gallery.person("a").samples == 0


def test_replace_is_one_change(gallery: Gallery, unit: Unit) -> None:
    gallery.add("a", unit(1), "d1")
    twice = [NewSample("a", unit(2), "d2"), NewSample("a", unit(3), "d2")]
    with pytest.raises(DuplicateSampleError):
        gallery.replace("a", twice)
    with pytest.raises(RangeError, match="must be of 'a'"):
        gallery.replace("a", [NewSample("b", unit(2))])
    with pytest.raises(RangeError, match="in the scope 'g1'"):
        gallery.replace("a", [NewSample("a", unit(2))], group="g1")
    with pytest.raises(UnknownGroupError):
        gallery.replace("a", [], group="g1")
    assert owners(gallery) == [(1, "a", None)]
    assert gallery.search(unit(1)) == [Match("a", pytest.approx(1.0), 1)]


# -- renamed --------------------------------------------------------------------------------------


def test_rename(gallery: Gallery, clock: Any, unit: Unit) -> None:
    made = clock.tick()
    gallery.add("ada", unit(1), group="staff")
    gallery.put_person("bea", name="Bea")
    gallery.search(unit(1))
    at = clock.tick()
    new = Person("anna", "anna", 1, ("staff",), None, made, at)
    assert gallery.rename("ada", "anna") == new  # a name that was the id follows
    assert gallery.people()[0] == new
    assert "ada" not in gallery
    assert gallery.search(unit(1)) == [Match("anna", pytest.approx(1.0), 1)]
    assert gallery.rename("bea", "b").name == "Bea"
    assert gallery.rename("b", "b").id == "b"
    with pytest.raises(PersonExistsError, match="called 'b' already; choose another id") as caught:
        gallery.rename("anna", "b")
    assert caught.value.fields == {"name": "b"}
    assert gallery.samples(person="anna")[0].number == 1


def test_equal_similarities_follow_new_ids(gallery: Gallery, unit: Unit) -> None:
    gallery.add_many([NewSample("a", unit(1)), NewSample("b", unit(1))])
    assert [m.person for m in gallery.search(unit(1))] == ["a", "b"]
    gallery.rename("a", "z")
    assert [m.person for m in gallery.search(unit(1))] == ["b", "z"]


# -- merged and split -----------------------------------------------------------------------------


def test_merge(gallery: Gallery, clock: Any, unit: Unit) -> None:
    gallery.add_many(
        [
            NewSample("a", unit(1), "d1", group="g1"),
            NewSample("b", unit(2), "d1", group="g1"),
            NewSample("b", unit(3), "d1"),
            NewSample("b", unit(4)),
        ]
    )
    for group in ("g2", "g3"):
        gallery.add_group(group)
    gallery.join("a", "g2")
    gallery.join("b", "g2", "noted with b")
    gallery.join("b", "g3", "also b")
    gallery.set_info("a", "g1", "noted with a")
    gallery.set_info("b", "g1", "lost")
    gallery.put_person("b", consent="c")
    gallery.search(unit(1))
    at = clock.tick()
    assert gallery.merge("a", "b") == 2
    assert owners(gallery) == [(1, "a", "g1"), (3, "a", None), (4, "a", None)]
    assert gallery.memberships() == [
        Membership("a", "g1", "noted with a"),
        Membership("a", "g2", "noted with b"),
        Membership("a", "g3", "also b"),
    ]
    merged = gallery.person("a")
    assert (merged.samples, merged.consent, merged.updated_at) == (3, "c", at)
    assert "b" not in gallery
    assert [(m.person, m.sample) for m in gallery.search(unit(4))] == [("a", 4)]
    assert [m.person for m in gallery.search(unit(4), groups=["g3"])] == ["a"]
    with pytest.raises(RangeError, match="cannot be merged with themselves"):
        gallery.merge("a", "a")


def test_split(gallery: Gallery, clock: Any, unit: Unit) -> None:
    gallery.add_many([NewSample("a", unit(i), f"d{i}", group="g1") for i in range(3)])
    gallery.add("b", unit(9))
    gallery.join("a", "g1", "noted")
    gallery.search(unit(1))
    at = clock.tick()
    assert gallery.split("a", [2], "c") == Person("c", "c", 1, ("g1",), None, at, at)
    assert owners(gallery) == [(1, "a", "g1"), (2, "c", "g1"), (3, "a", "g1"), (4, "b", None)]
    assert gallery.memberships() == [Membership("a", "g1", "noted"), Membership("c", "g1", "")]
    assert gallery.search(unit(1), 1, groups=["g1"]) == [Match("c", pytest.approx(1.0), 2)]
    with pytest.raises(PersonExistsError):
        gallery.split("a", [1], "b")
    with pytest.raises(UnknownSampleError, match="no sample of 'a' has the number 4"):
        gallery.split("a", [1, 4], "d")
    assert "d" not in gallery


# -- erased ---------------------------------------------------------------------------------------


def test_remove_erases_everything_of_a_person(gallery: Gallery, unit: Unit) -> None:
    gallery.add("a", unit(1), "d1", group="g1", crop=b"crop", quality={"score": 0.5})
    gallery.add("a", unit(2))
    gallery.add("b", unit(3))
    gallery.put_person("nobody", consent="c")
    gallery.search(unit(1))
    assert gallery.remove("a") == 2
    assert gallery.remove("nobody") == 0
    assert [p.id for p in gallery.people()] == ["b"]
    assert gallery.memberships() == []
    assert gallery.group("g1").people == 0
    assert owners(gallery) == [(3, "b", None)]
    assert [m.person for m in gallery.search(unit(1))] == ["b"]
    assert gallery.search(unit(1), groups=["g1"]) == []
    assert gallery.verify() == []
    gallery.add("a", unit(4), "d1", group="g1")
    assert gallery.person("a").samples == 1
    assert gallery.search(unit(4), groups=["g1"])[0].sample == 4
