from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vultus import Recognizer
from vultus.gallery import SqliteGallery, open_gallery

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")


def rows(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def cells(text: str) -> list[list[str]]:
    """The cells of a printed table, headings first."""
    return [[c.strip() for c in line.split("  ") if c.strip()] for line in text.splitlines()]


def people(path: Path) -> list[tuple[str, int, tuple[str, ...]]]:
    with open_gallery(path, create=False) as gallery:
        return [(p.id, p.samples, p.groups) for p in gallery.people()]


def refused(ended: Any) -> str:
    """The code of the error that ended a command run with --json."""
    assert ended.code == 4
    return str(json.loads(ended.out.splitlines()[-1])["error"]["code"])


class TestList:
    def test_for_people(self, vultus, people_db: Path):
        ended = vultus("person", "list", people_db)
        assert (ended.code, ended.err) == (0, "")
        head, ada, bea, zoe = cells(ended.out)
        assert head == ["person", "name", "faces", "groups", "consent", "changed"]
        assert ada[:5] == ["Ada", "–", "2", "staff", "–"]
        assert bea[:5] == ["Béa [b]", "Beatrice", "1", "guests", "form 7"]
        assert zoe[:5] == ["Zoe", "–", "0", "–", "–"]
        assert all(TIME.fullmatch(row[5]) for row in (ada, bea, zoe))

    def test_json(self, vultus, people_db: Path):
        ada, bea, _ = rows(vultus("person", "list", people_db, "--json").out)
        assert list(ada) == [
            "id", "name", "samples", "groups", "consent", "created_at", "updated_at",
        ]  # fmt: skip
        assert (ada["id"], ada["samples"], ada["groups"]) == ("Ada", 2, ["staff"])
        assert (bea["name"], bea["consent"]) == ("Beatrice", "form 7")

    @pytest.mark.parametrize(
        ("options", "ids"),
        [
            (["--limit", "2"], ["Ada", "Béa [b]"]),
            (["--after", "Ada", "--limit", "1"], ["Béa [b]"]),
            (["--after", "Béa [b]"], ["Zoe"]),
            (["--group", "staff"], ["Ada"]),
            (["--group", "guests", "--after", "Béa [b]"], []),
        ],
    )
    def test_pages_and_groups(self, vultus, people_db: Path, options, ids):
        ended = vultus("person", "list", people_db, *options, "--json")
        assert [row["id"] for row in rows(ended.out)] == ids

    def test_more_than_one_page(self, vultus, tmp_path: Path, monkeypatch):
        monkeypatch.setattr("vultus.cli._gallery._PAGE", 3)
        path = tmp_path / "many.db"
        with SqliteGallery(path) as gallery:
            for i in range(10):
                gallery.put_person(f"p{i}")
        asked: list[int | None] = []
        whole = SqliteGallery.people

        def people(self: SqliteGallery, **arguments: Any) -> object:
            asked.append(arguments["limit"])
            return whole(self, **arguments)

        monkeypatch.setattr(SqliteGallery, "people", people)
        wanted = [f"p{i}" for i in range(10)]
        assert [r["id"] for r in rows(vultus("person", "list", path, "--json").out)] == wanted
        assert asked == [3, 3, 3, 3]  # never everybody at once
        assert [row[0] for row in cells(vultus("person", "list", path).out)] == ["person", *wanted]
        (line,) = {len(line) for line in vultus("person", "list", path).out.splitlines()}
        assert line > 0  # pages stand under one another

    def test_nobody_and_unknown_groups(self, vultus, people_db: Path, tmp_path: Path):
        SqliteGallery(tmp_path / "empty.db").close()
        assert vultus("person", "list", tmp_path / "empty.db").out == "nobody\n"
        assert refused(vultus("person", "list", people_db, "--group", "x", "--json")) == (
            "group-unknown"
        )
        assert vultus("person", "list", people_db, "--limit", "0").code == 2

    def test_narrow_terminals_lose_nothing(self, people_db: Path):
        """Long cells are folded, numbers and times are not."""
        pytest.importorskip("pty", reason="pseudo-terminals are POSIX")
        with SqliteGallery(people_db) as gallery:
            gallery.put_person("Ada", consent="a very long reference to a consent form of hers")
        seen = _on_terminal("person", "list", str(people_db), columns=60)
        assert all(len(line) <= 60 for line in seen.splitlines())
        folded = [line.split("  ") for line in seen.splitlines()]
        assert sum(bool(TIME.search(line)) for line in seen.splitlines()) == 3
        assert "".join("".join(line).replace(" ", "") for line in folded).count("Zoe") == 1


def _on_terminal(*arguments: str, columns: int) -> str:
    import pty

    parent, child = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vultus", *arguments],
        stdin=subprocess.DEVNULL, stdout=child, stderr=child, env=environment,
    )  # fmt: skip
    os.close(child)
    seen = b""
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(parent)
    assert process.wait(timeout=60) == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode()).replace("\r\n", "\n")


class TestShow:
    def test_for_people(self, vultus, people_db: Path):
        name, since, group, head, *faces = vultus("person", "show", people_db, "Ada").out.split(
            "\n"
        )
        assert name == "Ada  Ada"
        assert since.startswith("since 20")
        assert group == "in staff: night shift"
        assert cells(head)[0] == ["face", "only in", "quality", "crop", "source", "since"]
        one, two = cells("\n".join(faces))
        assert one[:5] == ["1", "–", "0.50", "–", "ada.jpg"]
        assert two[:5] == ["2", "staff", "–", "–", "–"]

    def test_unusual_ids(self, vultus, people_db: Path):
        ended = vultus("person", "show", people_db, " Be\u0301a [b] ")  # decomposed, untrimmed
        assert ended.out.startswith("Béa [b]  Beatrice\n")
        assert "consent form 7\n" in ended.out

    def test_no_faces(self, vultus, people_db: Path):
        assert vultus("person", "show", people_db, "Zoe").out.endswith("no faces\n")

    def test_json(self, vultus, people_db: Path):
        (said,) = rows(vultus("person", "show", people_db, "Ada", "--json").out)
        assert (said["id"], said["samples"]) == ("Ada", 2)
        assert said["memberships"] == [{"person": "Ada", "group": "staff", "info": "night shift"}]
        assert [(f["number"], f["group"], f["source"]) for f in said["faces"]] == [
            (1, None, "ada.jpg"),
            (2, "staff", None),
        ]

    def test_unknown(self, vultus, people_db: Path):
        ended = vultus("person", "show", people_db, "Adda")
        assert ended.code == 4
        assert ended.err == (
            "error person-unknown: nobody in this gallery is called 'Adda'\n"
            "  → did you mean 'Ada'?\n"
        )


class TestPut:
    def test_it_makes_the_gallery_too(self, vultus, tmp_path: Path):
        path = tmp_path / "new.db"
        ended = vultus("person", "put", path, "42", "--name", "Ann [x]", "--consent", "c1")
        assert ended == (0, "42: Ann [x]\n", "")
        (said,) = rows(vultus("person", "put", path, "42", "--consent", "", "--json").out)
        assert (said["person"]["name"], said["person"]["consent"]) == ("Ann [x]", None)
        (said,) = rows(vultus("person", "put", path, "42", "--name", "", "--json").out)
        assert said["person"]["name"] == "42"

    @pytest.mark.parametrize("person", ["", "  ", "a\x1b[2J", "x" * 257, "\u202eevil"])
    def test_ids_nobody_can_have(self, vultus, people_db: Path, person):
        assert refused(vultus("person", "put", people_db, person, "--json")) == "value-range"

    def test_a_consent_that_is_too_long(self, vultus, people_db: Path):
        ended = vultus("person", "put", people_db, "Ada", "--consent", "x" * 257, "--json")
        assert refused(ended) == "value-range"


class TestRename:
    def test_for_people_and_programs(self, vultus, people_db: Path):
        assert vultus("person", "rename", people_db, "Ada", "Ada L.").out == "Ada: now Ada L.\n"
        (said,) = rows(vultus("person", "rename", people_db, "Ada L.", "A", "--json").out)
        assert (said["person"]["id"], said["person"]["name"]) == ("A", "A")

    def test_taken_and_unknown(self, vultus, people_db: Path):
        assert refused(vultus("person", "rename", people_db, "Ada", "Zoe", "--json")) == (
            "person-exists"
        )
        assert refused(vultus("person", "rename", people_db, "Eve", "E", "--json")) == (
            "person-unknown"
        )


class TestMergeAndSplit:
    def test_merge(self, vultus, people_db: Path):
        ended = vultus("person", "merge", people_db, "Zoe", "Ada", "--yes")
        assert (ended.code, ended.out) == (0, "Zoe: 2 faces taken over from Ada\n")
        assert people(people_db) == [("Béa [b]", 1, ("guests",)), ("Zoe", 2, ("staff",))]

    def test_merge_json(self, vultus, people_db: Path):
        (said,) = rows(vultus("person", "merge", people_db, "Ada", "Béa [b]", "-y", "--json").out)
        assert (said["samples"], said["person"]["samples"]) == (1, 3)

    def test_merge_asks(self, vultus, people_db: Path, answer):
        answer("\n")
        ended = vultus("person", "merge", people_db, "Zoe", "Ada")
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == "merge Ada into Zoe; this cannot be undone. Go on? [y/N] "
        assert len(people(people_db)) == 3

    @pytest.mark.parametrize(
        ("into", "other", "code"),
        [
            ("Ada", "Eve", "person-unknown"),
            ("Eve", "Ada", "person-unknown"),
            ("Ada", "Ada", "value-range"),
        ],
    )
    def test_merge_refused(self, vultus, people_db: Path, into, other, code):
        assert refused(vultus("person", "merge", people_db, into, other, "-y", "--json")) == code

    def test_split(self, vultus, people_db: Path):
        assert vultus("person", "split", people_db, "Ada", "Eve", 2).out == "Eve: 1 face of Ada\n"
        assert people(people_db)[2] == ("Eve", 1, ("staff",))
        (said,) = rows(vultus("person", "split", people_db, "Eve", "Ivy", 2, "--json").out)
        assert (said["person"]["id"], said["person"]["samples"]) == ("Ivy", 1)

    @pytest.mark.parametrize(
        ("new", "face", "code"),
        [("Zoe", 1, "person-exists"), ("Eve", 3, "sample-unknown"), ("Eve", 99, "sample-unknown")],
    )
    def test_split_refused(self, vultus, people_db: Path, new, face, code):
        assert refused(vultus("person", "split", people_db, "Ada", new, face, "--json")) == code


class TestRemove:
    def test_yes(self, vultus, people_db: Path):
        assert (
            vultus("person", "remove", people_db, "Ada", "-y").out == "Ada: erased with 2 faces\n"
        )
        assert [p[0] for p in people(people_db)] == ["Béa [b]", "Zoe"]
        ended = vultus("person", "remove", people_db, "Zoe", "--yes", "--json")
        assert rows(ended.out) == [{"person": "Zoe", "samples": 0}]

    def test_no(self, vultus, people_db: Path, answer):
        answer("no\n")
        ended = vultus("person", "remove", people_db, "Béa [b]")
        assert ended.code == 1
        assert ended.err.startswith("erase Béa [b] and 1 face; this cannot be undone.")
        assert len(people(people_db)) == 3

    def test_unknown_is_told_before_any_question(self, vultus, people_db: Path):
        ended = vultus("person", "remove", people_db, "Eve")
        assert ended.code == 4
        assert ended.err.startswith("error person-unknown: ")


class TestGroups:
    def test_join_note_leave(self, vultus, people_db: Path):
        said = vultus("person", "join", people_db, "Zoe", "staff", "--info", "desk")
        assert said.out == "Zoe is in staff: desk\n"
        assert vultus("person", "join", people_db, "Zoe", "staff").out == "Zoe is in staff: desk\n"
        assert vultus("person", "note", people_db, "Zoe", "staff", "").out == "Zoe is in staff\n"
        ended = vultus("person", "leave", people_db, "Zoe", "staff", "-y")
        assert ended.out == "Zoe left staff; 0 faces erased\n"
        assert people(people_db)[2] == ("Zoe", 0, ())

    def test_json(self, vultus, people_db: Path):
        ended = vultus("person", "join", people_db, "Zoe", "staff", "--info", "x", "--json")
        assert rows(ended.out) == [{"person": "Zoe", "group": "staff", "info": "x"}]
        ended = vultus("person", "note", people_db, "Zoe", "staff", "y", "--json")
        assert rows(ended.out) == [{"person": "Zoe", "group": "staff", "info": "y"}]
        ended = vultus("person", "leave", people_db, "Ada", "staff", "-y", "--json")
        assert rows(ended.out) == [{"person": "Ada", "group": "staff", "samples": 1}]

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["join", "Zoe", "nope"], "group-unknown"),
            (["join", "Eve", "staff"], "person-unknown"),
            (["join", "Zoe", "staff", "--info", "x" * 257], "value-range"),
            (["note", "Zoe", "staff", "x"], "person-unknown"),
            (["leave", "Zoe", "staff"], "person-unknown"),
            (["leave", "Zoe", "nope"], "group-unknown"),
            (["copy", "Ada", "guests", "staff"], "person-unknown"),
            (["copy", "Ada", "staff", "nope"], "group-unknown"),
            (["move", "Eve", "staff", "guests"], "person-unknown"),
        ],
        ids=lambda value: value if isinstance(value, str) else " ".join(value)[:30],
    )
    def test_refused_without_a_question(self, vultus, people_db: Path, words, code):
        command, person, *rest = words
        assert refused(vultus("person", command, people_db, person, *rest, "--json")) == code

    def test_copy(self, vultus, people_db: Path):
        said = vultus("person", "copy", people_db, "Ada", "staff", "guests")
        assert said.out == "Ada is in guests too; 1 face copied\n"
        assert people(people_db)[0] == ("Ada", 3, ("guests", "staff"))

    def test_move(self, vultus, people_db: Path):
        ended = vultus("person", "move", people_db, "Ada", "staff", "guests", "--json")
        assert rows(ended.out) == [{"person": "Ada", "group": "guests", "samples": 1}]
        assert people(people_db)[0] == ("Ada", 2, ("guests",))
        with SqliteGallery(people_db) as gallery:
            assert gallery.sample(2).group == "guests"
            assert gallery.memberships(person="Ada")[0].info == "night shift"


class TestFaces:
    def test_list(self, vultus, people_db: Path):
        head, one, two, three = cells(vultus("person", "faces", people_db).out)
        assert head == ["face", "person", "only in", "quality", "crop", "source", "since"]
        assert one[:6] == ["1", "Ada", "–", "0.50", "–", "ada.jpg"]
        assert two[:3] == ["2", "Ada", "staff"]
        assert three[:2] == ["3", "Béa [b]"]

    @pytest.mark.parametrize(
        ("options", "numbers"),
        [
            ([], [1, 2, 3]),
            (["--person", "Ada"], [1, 2]),
            (["--group", "guests"], [3]),
            (["--group", "staff", "--after", "1"], [2]),
            (["--limit", "1"], [1]),
            (["--after", "3"], []),
        ],
    )
    def test_json(self, vultus, people_db: Path, options, numbers):
        found = rows(vultus("person", "faces", people_db, *options, "--json").out)
        assert [face["number"] for face in found] == numbers
        assert all(list(face) == [
            "number", "person", "group", "source_digest", "source", "quality", "has_crop",
            "spaces", "created_at",
        ] for face in found)  # fmt: skip

    def test_one(self, vultus, people_db: Path):
        lines = vultus("person", "face", people_db, 1).out.splitlines()
        assert lines[:2] == ["face 1 of Ada", "source ada.jpg"]
        assert "quality score 0.5" in lines
        assert lines[-1] == "digest d1"
        (said,) = rows(vultus("person", "face", people_db, 2, "--vectors", "--json").out)
        assert (said["person"], said["group"], said["quality"]) == ("Ada", "staff", None)
        assert said["embeddings"] == [
            {"space": "test/000000000000/4/none", "vector": [0.0, 1.0, 0.0, 0.0]}
        ]
        (said,) = rows(vultus("person", "face", people_db, 2, "--json").out)
        assert "embeddings" not in said

    def test_one_without_a_crop(self, vultus, people_db: Path, tmp_path: Path):
        ended = vultus("person", "face", people_db, 1, "--crop", tmp_path / "c.png")
        assert ended.code == 4
        assert ended.err.startswith("error gallery: face 1 keeps no crop")
        assert not (tmp_path / "c.png").exists()

    @pytest.mark.parametrize("number", ["0", "-1", "99", str(10**30)])
    def test_unknown(self, vultus, people_db: Path, number):
        assert refused(vultus("person", "face", people_db, "--json", "--", number)) == (
            "sample-unknown"
        )

    def test_move(self, vultus, people_db: Path):
        said = vultus("person", "move-faces", people_db, "Zoe", 1, 3)
        assert said.out == "Zoe: 2 faces taken over\n"
        (said,) = rows(vultus("person", "move-faces", people_db, "Zoe", 2, "--json").out)
        assert (said["samples"], said["person"]["samples"]) == (1, 3)
        assert people(people_db)[2] == ("Zoe", 3, ("staff",))

    def test_remove(self, vultus, people_db: Path, answer):
        answer("n\n")
        ended = vultus("person", "remove-faces", people_db, 1, 3, 3)
        assert ended.code == 1
        assert ended.err.startswith("erase 2 faces; ")
        ended = vultus("person", "remove-faces", people_db, 1, 3, "--yes")
        assert ended.out == "2 faces erased\n"
        ended = vultus("person", "remove-faces", people_db, 2, "--yes", "--json")
        assert rows(ended.out) == [{"samples": 1}]
        assert refused(vultus("person", "remove-faces", people_db, 2, "--json")) == "sample-unknown"


class TestReplaceFaces:
    @pytest.fixture
    def gallery(self, recognizer: Recognizer, samples: Path, tmp_path: Path) -> Path:
        path = tmp_path / "g.db"
        recognizer.enroll(path, "Obama", samples / "photos" / "obama2.jpg")
        return path

    def test_all_or_none(self, vultus, gallery: Path, samples: Path):
        photos = samples / "photos"
        ended = vultus(
            "person", "replace-faces", gallery, "Obama", photos / "obama3.jpg",
            photos / "rocket.jpg", "--yes", "--json",
        )  # fmt: skip
        assert refused(ended) == "no-face"
        ended = vultus(
            "person", "replace-faces", gallery, "Obama", photos / "obama3.jpg", "-y", "--json"
        )
        (said,) = rows(ended.out)
        assert (said["faces"], said["person"]["samples"]) == ([2], 1)

    def test_asks(self, vultus, gallery: Path, samples: Path, answer):
        answer("n\n")
        photo = samples / "photos" / "wall.jpg"
        ended = vultus("person", "replace-faces", gallery, "Obama", photo, "--largest")
        assert ended.code == 1
        assert ended.err.startswith("erase the faces of Obama; this cannot be undone.")

    def test_in_one_group(self, vultus, gallery: Path, samples: Path):
        photo = samples / "photos" / "obama3.jpg"
        words = ("person", "replace-faces", gallery, "Obama", photo, "--group", "press")
        ended = vultus(*words, "--yes")
        assert ended.out == f"Obama: 1 face enrolled instead, 2 in the gallery {gallery}\n"
        assert people(gallery) == [("Obama", 2, ("press",))]

    def test_unknown(self, vultus, gallery: Path, samples: Path):
        words = ("person", "replace-faces", gallery, "Nobody", samples / "photos" / "obama3.jpg")
        assert refused(vultus(*words, "--json")) == "person-unknown"
