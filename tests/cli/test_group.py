from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from vultus.gallery import SqliteGallery

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")


def rows(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def cells(text: str) -> list[list[str]]:
    """The cells of a printed table, headings first."""
    return [[c.strip() for c in line.split("  ") if c.strip()] for line in text.split("\n")]


class TestList:
    def test_for_people(self, vultus, people_db: Path):
        ended = vultus("group", "list", people_db)
        assert (ended.code, ended.err) == (0, "")
        head, guests, staff, end = cells(ended.out)
        assert head == ["group", "people", "note", "since"]
        assert guests[:3] == ["guests", "1", "–"]
        assert staff[:3] == ["staff", "1", "who works here"]
        assert TIME.fullmatch(staff[3])
        assert end == []

    def test_json(self, vultus, people_db: Path):
        guests, staff = rows(vultus("group", "list", people_db, "--json").out)
        assert list(guests) == ["name", "note", "people", "created_at"]
        assert (guests["name"], guests["note"], guests["people"]) == ("guests", "", 1)
        assert (staff["name"], staff["note"], staff["people"]) == ("staff", "who works here", 1)

    @pytest.mark.parametrize(
        ("options", "names"),
        [
            (["--limit", "1"], ["guests"]),
            (["--after", "guests"], ["staff"]),
            (["--after", "guests", "--limit", "1"], ["staff"]),
            (["--after", "staff"], []),
        ],
    )
    def test_pages(self, vultus, people_db: Path, options, names):
        ended = vultus("group", "list", people_db, *options, "--json")
        assert [row["name"] for row in rows(ended.out)] == names

    def test_none(self, vultus, tmp_path: Path):
        SqliteGallery(tmp_path / "empty.db").close()
        assert vultus("group", "list", tmp_path / "empty.db").out == "no groups\n"
        assert vultus("group", "list", tmp_path / "empty.db", "--json").out == ""

    def test_no_gallery(self, vultus, tmp_path: Path):
        ended = vultus("group", "list", tmp_path / "none.db", "--json")
        assert ended.code == 4
        assert json.loads(ended.out)["error"]["code"] == "gallery-file"
        assert not (tmp_path / "none.db").exists()

    def test_a_gallery_in_memory_makes_no_sense(self, vultus):
        ended = vultus("group", "add", ":memory:", "x")
        assert ended.code == 4
        assert ended.err.startswith("error gallery-file: a gallery in memory would be gone")


class TestAdd:
    def test_it_makes_the_gallery_too(self, vultus, tmp_path: Path):
        path = tmp_path / "new.db"
        ended = vultus("group", "add", path, " Küche [red] ", "--note", "hot")
        assert ended == (0, "Küche [red]: made\n", "")
        with SqliteGallery(path) as gallery:
            (group,) = gallery.groups()
            (entry,) = gallery.audit()
        assert (group.name, group.note) == ("Küche [red]", "hot")
        assert entry.actor.startswith("cli:")

    def test_json(self, vultus, people_db: Path):
        (said,) = rows(vultus("group", "add", people_db, "vip", "--json").out)
        assert (said["group"]["name"], said["group"]["note"]) == ("vip", "")

    @pytest.mark.parametrize(
        ("name", "code"),
        [("staff", "group-exists"), ("", "value-range"), ("a\nb", "value-range")],
    )
    def test_names_that_cannot_be(self, vultus, people_db: Path, name, code):
        ended = vultus("group", "add", people_db, name, "--json")
        assert ended.code == 4
        assert json.loads(ended.out)["error"]["code"] == code


class TestShow:
    def test_for_people(self, vultus, people_db: Path):
        first, second = vultus("group", "show", people_db, "staff").out.splitlines()
        assert first.startswith("staff  1 person, since 20")
        assert second == "who works here"

    def test_json(self, vultus, people_db: Path):
        (said,) = rows(vultus("group", "show", people_db, "staff", "--json").out)
        assert list(said) == ["name", "note", "people", "created_at"]
        assert (said["name"], said["people"]) == ("staff", 1)

    def test_unknown(self, vultus, people_db: Path):
        ended = vultus("group", "show", people_db, "stuff")
        assert ended.code == 4
        assert ended.err.splitlines() == [
            "error group-unknown: no group of this gallery is called 'stuff'",
            "  → did you mean 'staff'?",
        ]


class TestMembers:
    def test_for_people(self, vultus, people_db: Path):
        vultus("person", "join", people_db, "Béa [b]", "staff")
        lines = cells(vultus("group", "members", people_db, "staff").out)
        assert lines == [
            ["person", "name", "faces", "info"],
            ["Ada", "–", "2", "night shift"],
            ["Béa [b]", "Beatrice", "1", "–"],
            [],
        ]

    def test_json(self, vultus, people_db: Path):
        (said,) = rows(vultus("group", "members", people_db, "guests", "--json").out)
        assert said == {"person": "Béa [b]", "name": "Beatrice", "samples": 1, "info": "till May"}

    def test_pages_keep_people_and_notes_together(self, vultus, tmp_path: Path):
        with SqliteGallery(tmp_path / "many.db") as gallery:
            gallery.add_group("all")
            for i in range(7):
                gallery.put_person(f"p{i}")
                gallery.join(f"p{i}", "all", f"note {i}")
        seen, after = [], []
        while page := rows(
            vultus(
                "group", "members", tmp_path / "many.db", "all", *after, "--limit", 3, "--json"
            ).out
        ):
            seen += [(row["person"], row["info"]) for row in page]
            after = ["--after", page[-1]["person"]]
        assert seen == [(f"p{i}", f"note {i}") for i in range(7)]

    def test_nobody(self, vultus, people_db: Path):
        vultus("group", "add", people_db, "vip")
        assert vultus("group", "members", people_db, "vip").out == "nobody is in this group\n"

    def test_unknown(self, vultus, people_db: Path):
        ended = vultus("group", "members", people_db, "nope", "--json")
        assert (ended.code, json.loads(ended.out)["error"]["code"]) == (4, "group-unknown")


class TestChange:
    def test_note(self, vultus, people_db: Path):
        assert vultus("group", "note", people_db, "staff", "day").out == "staff: day\n"
        assert vultus("group", "note", people_db, "staff", "").out == "staff: no note\n"
        (said,) = rows(vultus("group", "note", people_db, "staff", "x", "--json").out)
        assert said["group"]["note"] == "x"

    def test_rename(self, vultus, people_db: Path):
        assert vultus("group", "rename", people_db, "staff", "crew").out == "staff: now crew\n"
        (said,) = rows(vultus("group", "rename", people_db, "crew", "team", "--json").out)
        assert said["group"]["name"] == "team"
        ended = vultus("group", "rename", people_db, "team", "guests")
        assert ended.code == 4
        assert ended.err.startswith("error group-exists: ")


class TestRemove:
    def test_asks_and_takes_no_for_an_answer(self, vultus, people_db: Path, answer):
        answer("n\n")
        ended = vultus("group", "remove", people_db, "staff")
        assert ended.code == 1
        assert "erase the group staff of 1 person; this cannot be undone. Go on?" in ended.err
        with SqliteGallery(people_db) as gallery:
            assert len(gallery.groups()) == 2

    def test_asks_and_takes_yes(self, vultus, people_db: Path, answer):
        answer("y\n")
        ended = vultus("group", "remove", people_db, "staff", "--orphans")
        assert "and everybody who is in no other group; this cannot" in ended.err
        assert (ended.code, ended.out) == (0, "staff: erased with 2 faces\n")
        with SqliteGallery(people_db) as gallery:
            assert [p.id for p in gallery.people()] == ["Béa [b]", "Zoe"]

    def test_nobody_to_answer(self, vultus, people_db: Path, answer):
        answer("")
        ended = vultus("group", "remove", people_db, "staff", "--json")
        assert ended.code == 4
        assert json.loads(ended.out)["error"] == {
            "code": "input",
            "message": "to erase the group staff of 1 person takes an answer, "
            "and there is none; pass --yes",
        }

    def test_json(self, vultus, people_db: Path):
        ended = vultus("group", "remove", people_db, "staff", "--yes", "--json")
        assert (ended.code, rows(ended.out)) == (0, [{"group": "staff", "samples": 1}])
        with SqliteGallery(people_db) as gallery:
            assert [(p.id, p.samples, p.groups) for p in gallery.people()] == [
                ("Ada", 1, ()),
                ("Béa [b]", 1, ("guests",)),
                ("Zoe", 0, ()),
            ]

    def test_unknown_is_told_before_any_question(self, vultus, people_db: Path, answer):
        answer("y\n")
        ended = vultus("group", "remove", people_db, "nope")
        assert ended.code == 4
        assert ended.err.startswith("error group-unknown: ")
