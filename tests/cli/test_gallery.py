from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vultus import Recognizer, load_image
from vultus.gallery import NewSample, SqliteGallery, open_gallery
from vultus.gallery.crops import KEY_VARIABLE, new_key, pack_crop, parse_key
from vultus.types import Box, Embedding, EmbeddingSpace, Face, Frame

OTHER = EmbeddingSpace("other", "1" * 64, 2, "none")
TEST = "test/000000000000/4/none"


def rows(text: str) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def cells(text: str) -> list[list[str]]:
    """The cells of a printed table, headings first."""
    return [[c.strip() for c in line.split("  ") if c.strip()] for line in text.splitlines()]


def refused(ended: Any) -> str:
    """The code of the error that ended a command run with --json."""
    assert ended.code == 4
    return str(json.loads(ended.out.splitlines()[-1])["error"]["code"])


def state(path: Path | str) -> list[object]:
    """All that a gallery holds."""
    with open_gallery(str(path), create=False) as gallery:
        return [
            (r.number, r.embedding.vector.tobytes(), r.embedding.space)
            if hasattr(r, "embedding")
            else r
            for r in gallery.dump()
        ]


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> bytes:
    pytest.importorskip("cryptography", reason="install cryptography: pip install 'vultus[crops]'")
    text = new_key()
    monkeypatch.setenv(KEY_VARIABLE, text)
    return parse_key(text)


class TestInfo:
    def test_for_people(self, vultus, people_db: Path):
        place, held, space, search = vultus("gallery", "info", people_db).out.splitlines()
        assert place.startswith(f"{people_db}  sqlite, schema ")
        assert held == "3 people, 3 faces, 2 groups"
        assert space == f"space {TEST}: 3 faces, active"
        assert search.startswith("search exact: ")

    def test_json(self, vultus, people_db: Path):
        (said,) = rows(vultus("gallery", "info", people_db, "--json").out)
        assert list(said) == [
            "backend", "location", "schema", "space", "spaces", "groups", "people", "samples",
            "search",
        ]  # fmt: skip
        assert (said["people"], said["samples"], said["groups"]) == (3, 3, 2)
        assert said["spaces"] == [{"space": TEST, "samples": 3, "active": True}]
        assert (said["search"]["kind"], said["search"]["recall"]) == ("exact", 1.0)

    def test_empty(self, vultus, tmp_path: Path):
        SqliteGallery(tmp_path / "e.db").close()
        assert "0 people, 0 faces, 0 groups" in vultus("gallery", "info", tmp_path / "e.db").out

    def test_no_gallery(self, vultus, tmp_path: Path, samples: Path):
        assert refused(vultus("gallery", "info", tmp_path / "no.db", "--json")) == "gallery-file"
        photo = samples / "photos" / "wall.jpg"
        assert refused(vultus("gallery", "info", photo, "--json")) == "gallery-file"


class TestVerify:
    def test_sound(self, vultus, people_db: Path):
        ended = vultus("gallery", "verify", people_db)
        assert ended.code == 0
        assert ended.out.startswith("sound: records, vectors, audit log, index; ")
        ended = vultus("gallery", "verify", people_db, "--json")
        assert rows(ended.out) == [{"sound": True, "findings": []}]

    def test_a_forged_log(self, vultus, people_db: Path):
        with sqlite3.connect(people_db) as connection:
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in triggers.fetchall():
                connection.execute(f'DROP TRIGGER "{name}"')
            connection.execute("UPDATE audit SET actor = 'nobody' WHERE number = 2")
        connection.close()
        ended = vultus("gallery", "verify", people_db)
        assert ended.code == 1
        assert ended.out.startswith("not sound: ")
        assert "  audit: " in ended.out
        ended = vultus("gallery", "verify", people_db, "--json")
        assert ended.code == 1
        (said,) = rows(ended.out)
        assert said["sound"] is False
        assert "audit" in {finding["code"] for finding in said["findings"]}


class TestAudit:
    def test_for_people(self, vultus, people_db: Path):
        vultus("person", "remove-faces", people_db, 2, "--yes")
        lines = cells(vultus("gallery", "audit", people_db).out)
        assert lines[0] == ["no.", "at", "who", "what", "whom", "detail"]
        assert lines[1][2:] == ["test", "group.add", "–", "group staff"]
        assert [line[0] for line in lines[1:]] == [str(i) for i in range(1, len(lines))]
        assert lines[-1][2].startswith("cli:")
        assert lines[-1][3] == "sample.remove"

    def test_an_erased_person(self, vultus, people_db: Path):
        vultus("person", "remove", people_db, "Béa [b]", "--yes")
        ended = vultus("gallery", "audit", people_db, "--person", "Béa [b]", "--json")
        entries = rows(ended.out)
        assert list(entries[0]) == [
            "number", "at", "actor", "action", "subject", "detail", "hash",
        ]  # fmt: skip
        assert [entry["action"] for entry in entries] == [
            "sample.add", "person.update", "group.join", "person.remove",
        ]  # fmt: skip
        assert len({entry["subject"] for entry in entries}) == 1
        assert "Béa" not in ended.out

    def test_pages(self, vultus, people_db: Path, monkeypatch):
        monkeypatch.setattr("vultus.cli._gallery._PAGE", 2)
        everything = rows(vultus("gallery", "audit", people_db, "--json").out)
        assert [e["number"] for e in everything] == list(range(1, len(everything) + 1))
        page = rows(vultus("gallery", "audit", people_db, "--after", 2, "--limit", 3, "--json").out)
        assert page == everything[2:5]
        assert vultus("gallery", "audit", people_db, "--after", 999).out == "no entries\n"


class TestSearch:
    def test_an_enrolled_face(self, vultus, people_db: Path):
        lines = vultus("gallery", "search", people_db, "--face", 3).out.splitlines()
        assert lines[0] == "face 3"
        assert cells("\n".join(lines[1:])) == [
            ["similarity", "person", "name", "face"],
            ["1.0000", "Béa [b]", "Beatrice", "3"],
            ["0.8000", "Ada", "–", "2"],
        ]

    @pytest.mark.parametrize(
        ("options", "matches"),
        [
            ([], [("Béa [b]", 1.0, 3), ("Ada", 0.8, 2)]),
            (["--k", "1"], [("Béa [b]", 1.0, 3)]),
            (["--min-similarity", "0.9"], [("Béa [b]", 1.0, 3)]),
            (["--group", "staff"], [("Ada", 0.8, 2)]),
            (["--group", "staff", "--group", "guests"], [("Béa [b]", 1.0, 3), ("Ada", 0.8, 2)]),
            (["--group", "guests"], [("Béa [b]", 1.0, 3)]),
            # The mean of (1, 0) and (0, 1) is (1, 1) / √2: 0.6 / √2 + 0.8 / √2.
            (["--template", "fused"], [("Béa [b]", 1.0, 3), ("Ada", 0.989949, 2)]),
        ],
        ids=lambda value: " ".join(value) if value and isinstance(value[0], str) else "",
    )
    def test_json(self, vultus, people_db: Path, options, matches):
        ended = vultus("gallery", "search", people_db, "--face", 3, *options, "--json")
        (said,) = rows(ended.out)
        assert said["face"] == 3
        found = [(m["person"], m["similarity"], m["face"]) for m in said["matches"]]
        assert found == [(p, pytest.approx(s, abs=2e-6), f) for p, s, f in matches]

    def test_nobody(self, vultus, people_db: Path):
        vultus("group", "add", people_db, "none")
        ended = vultus("gallery", "search", people_db, "--face", 1, "--group", "none")
        assert ended.out == "face 1\nnobody so similar\n"

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (["--face", "99"], "sample-unknown"),
            (["--face", "1", "--group", "nope"], "group-unknown"),
            (["--face", "1", "--min-similarity", "2"], "value-range"),
        ],
        ids=lambda value: value if isinstance(value, str) else " ".join(value),
    )
    def test_refused(self, vultus, people_db: Path, options, code):
        assert refused(vultus("gallery", "search", people_db, *options, "--json")) == code

    @pytest.mark.parametrize(
        "options",
        [[], ["a.jpg", "--face", "1"], ["--face", "1", "--template", "mean"], ["-k", "0"]],
    )
    def test_wrong_usage(self, vultus, people_db: Path, options):
        assert vultus("gallery", "search", people_db, *options).code == 2

    def test_an_empty_gallery(self, vultus, tmp_path: Path):
        SqliteGallery(tmp_path / "e.db").close()
        ended = vultus("gallery", "search", tmp_path / "e.db", "--face", 1, "--json")
        assert refused(ended) == "gallery-empty"

    def test_a_model_this_machine_does_not_have(self, vultus, people_db: Path, samples: Path):
        photo = samples / "photos" / "wall.jpg"
        assert refused(vultus("gallery", "search", people_db, photo, "--json")) == "model-unknown"

    def test_a_picture(self, vultus, recognizer: Recognizer, samples: Path, tmp_path: Path):
        path = tmp_path / "g.db"
        for known in sorted((samples / "known").glob("*.jpg")):
            recognizer.enroll(path, known.stem, known)
        photo = samples / "photos" / "obama3.jpg"
        (said,) = rows(vultus("gallery", "search", path, photo, "--json").out)
        assert list(said) == ["image", "box", "score", "landmarks", "matches"]
        (answer,) = recognizer.identify(path, photo)
        assert [(m["person"], m["face"]) for m in said["matches"]] == [
            (m.person, m.sample) for m in answer.matches
        ]
        lines = vultus("gallery", "search", path, samples / "photos" / "wall.jpg", "-k", 1).out
        assert lines.count("  face at (") == 3
        ended = vultus("gallery", "search", path, samples / "photos" / "rocket.jpg", "--json")
        assert refused(ended) == "no-face"


class TestCopy:
    def test_everything_arrives(self, vultus, people_db: Path, tmp_path: Path):
        target = tmp_path / "copy.db"
        ended = vultus("gallery", "copy", people_db, target)
        assert (ended.code, ended.out) == (0, f"3 people and 3 faces copied to {target}\n")
        assert state(target) == state(people_db)
        assert vultus("gallery", "verify", target).code == 0

    def test_json(self, vultus, people_db: Path, tmp_path: Path):
        (said,) = rows(vultus("gallery", "copy", people_db, tmp_path / "c.db", "--json").out)
        assert (said["people"], said["samples"]) == (3, 3)
        assert said["records"]["Membership"] == 2
        assert said["records"]["EmbeddingRecord"] == 3

    def test_only_into_an_empty_one(self, vultus, people_db: Path):
        before = state(people_db)
        assert refused(vultus("gallery", "copy", people_db, people_db, "--json")) == "gallery"
        assert state(people_db) == before

    def test_no_source_makes_no_target(self, vultus, tmp_path: Path):
        ended = vultus("gallery", "copy", tmp_path / "no.db", tmp_path / "c.db", "--json")
        assert refused(ended) == "gallery-file"
        assert list(tmp_path.iterdir()) == []


class TestArchive:
    def test_there_and_back(self, vultus, people_db: Path, tmp_path: Path):
        archive, again = tmp_path / "a.vultus.zip", tmp_path / "again.db"
        ended = vultus("gallery", "export", people_db, archive)
        assert (ended.code, ended.out) == (0, f"3 people and 3 faces in {archive}\n")
        ended = vultus("gallery", "import", again, archive)
        assert (ended.code, ended.out) == (0, f"3 people and 3 faces in {again}\n")
        assert state(again) == state(people_db)

    def test_json(self, vultus, people_db: Path, tmp_path: Path):
        archive = tmp_path / "a.zip"
        assert rows(vultus("gallery", "export", people_db, archive, "--json").out) == [
            {"path": str(archive), "people": 3, "samples": 3}
        ]
        assert rows(vultus("gallery", "import", tmp_path / "b.db", archive, "--json").out) == [
            {"people": 3, "samples": 3}
        ]

    def test_refused(self, vultus, people_db: Path, tmp_path: Path, samples: Path):
        photo, target = samples / "photos" / "wall.jpg", tmp_path / "new.db"
        assert refused(vultus("gallery", "import", target, photo, "--json")) == "data-file"
        none = tmp_path / "none.zip"
        assert refused(vultus("gallery", "import", tmp_path / "x.db", none, "--json")) == (
            "data-file"
        )
        assert not (tmp_path / "x.db").exists()
        vultus("gallery", "export", people_db, tmp_path / "a.zip")
        ended = vultus("gallery", "import", people_db, tmp_path / "a.zip", "--json")
        assert refused(ended) == "gallery"
        assert vultus("gallery", "import", target, tmp_path / "a.zip", "--group", "x").code == 2

    def test_a_damaged_archive_leaves_no_gallery(self, vultus, people_db: Path, tmp_path: Path):
        archive = tmp_path / "a.zip"
        vultus("gallery", "export", people_db, archive)
        content = bytearray(archive.read_bytes())
        content[len(content) // 3] ^= 1
        archive.write_bytes(content)
        assert refused(vultus("gallery", "import", tmp_path / "b.db", archive, "--json"))
        assert not (tmp_path / "b.db").exists()

    @pytest.mark.parametrize("name", [".", "folder"])
    def test_a_folder_is_no_archive(
        self, vultus, people_db: Path, tmp_path: Path, name, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "folder").mkdir()
        ended = vultus("gallery", "export", people_db, name, "--json")
        assert refused(ended) == "output-failed"


def face(colour: int) -> Face:
    picture = np.full((40, 40, 3), colour, np.uint8)
    return Face(Box(10, 10, 30, 30), 0.9, None, Frame(picture))


@pytest.fixture
def with_crops(tmp_path: Path, key: bytes) -> Path:
    """Ids that a careless folder name would mix up; the last face keeps no crop."""
    path = tmp_path / "crops.db"
    space = EmbeddingSpace("test", "0" * 64, 4, "none")
    ids = ["a/b", "a_b", "A_B", "..", "Ann 贝", "Zed"]
    with SqliteGallery(path) as gallery:
        gallery.add_many(
            NewSample(
                person,
                Embedding(np.eye(4, dtype=np.float32)[i % 4], space),
                crop=pack_crop(face(20 * i), key) if person != "Zed" else None,
            )
            for i, person in enumerate(ids)
        )
    return path


class TestCrops:
    def test_a_folder_per_person(self, vultus, with_crops: Path, tmp_path: Path):
        out = tmp_path / "out"
        ended = vultus("gallery", "export", with_crops, out, "--crops", "--json")
        assert ended.code == 0
        assert ended.err == "warning: 1 face keeps no crop, and cannot be written\n"
        assert rows(ended.out) == [{"path": str(out), "faces": 5, "without_crop": 1}]
        found = {str(p.relative_to(out)): int(load_image(p)[20, 20, 0]) for p in out.rglob("*.png")}
        # One folder each, on systems that ignore case as well, and none outside.
        assert found == {
            "_/4.png": 60, "A_B/3.png": 40, "Ann 贝/5.png": 80, "a_b-2/1.png": 0, "a_b-3/2.png": 20,
        }  # fmt: skip
        ended = vultus("gallery", "export", with_crops, out, "--crops")
        assert ended.out == f"5 faces written to {out}\n"

    def test_one_face(self, vultus, with_crops: Path, tmp_path: Path):
        out = tmp_path / "c.png"
        ended = vultus("person", "face", with_crops, 2, "--crop", out)
        assert "crop kept" in ended.out.splitlines()
        assert (load_image(out) == 20).all()

    def test_no_key(self, vultus, with_crops: Path, tmp_path: Path, monkeypatch):
        monkeypatch.delenv(KEY_VARIABLE)
        ended = vultus("gallery", "export", with_crops, tmp_path / "o", "--crops", "--json")
        assert refused(ended) == "input"
        assert "VULTUS_GALLERY_KEY must hold their key" in ended.err

    @pytest.mark.parametrize(
        ("text", "code"), [("short", "input"), (new_key(), "gallery")], ids=["no-key", "another"]
    )
    def test_a_wrong_key(self, vultus, with_crops: Path, tmp_path: Path, monkeypatch, text, code):
        monkeypatch.setenv(KEY_VARIABLE, text)
        ended = vultus("gallery", "export", with_crops, tmp_path / "o", "--crops", "--json")
        assert refused(ended) == code
        assert text not in ended.out + ended.err

    def test_key(self, vultus):
        one, other = vultus("gallery", "key").out, vultus("gallery", "key").out
        assert one != other
        assert len(parse_key(one)) == 32


class TestImportFolder:
    def test_people_and_counts(self, vultus, samples: Path, tmp_path: Path, key: bytes):
        tree, path = tmp_path / "tree", tmp_path / "g.db"
        shutil.copytree(samples / "known", tree)
        shutil.copy(samples / "photos" / "rocket.jpg", tree / "Rocket.jpg")
        words = ("gallery", "import", path, tree, "--group", "press", "--keep-crop", "--json")
        ended = vultus(*words)
        assert ended.code == 3
        assert rows(ended.out) == [
            {"enrolled": 2, "known": 0, "failed": 1, "people": 2, "samples": 2}
        ]
        assert "Rocket.jpg shows no face [no-face]; this picture is left out" in ended.err
        with open_gallery(path) as gallery:
            assert [(p.id, p.groups) for p in gallery.people()] == [
                ("Barack Obama", ("press",)),
                ("Joe Biden", ("press",)),
            ]
            assert all(sample.has_crop for sample in gallery.samples())
        (tree / "Rocket.jpg").unlink()
        ended = vultus("gallery", "import", path, tree, "--group", "all")
        assert ended.code == 0
        assert ended.out == (
            f"0 pictures enrolled, 2 known already, 0 failed; 2 people and 2 faces in {path}\n"
        )
        with open_gallery(path) as gallery:
            assert gallery.person("Joe Biden").groups == ("all", "press")

    def test_a_gallery_of_another_space(self, vultus, people_db: Path, samples: Path):
        before = state(people_db)
        ended = vultus("gallery", "import", people_db, samples / "known", "--json")
        assert refused(ended) == "space-mismatch"
        assert state(people_db) == before

    def test_a_gate_that_lets_nobody_in(self, vultus, samples: Path, tmp_path: Path):
        from PIL import Image

        (tmp_path / "tree").mkdir()
        with Image.open(samples / "known" / "Joe Biden.jpg") as picture:
            small = picture.resize((picture.width // 8, picture.height // 8))
            small.save(tmp_path / "tree" / "Joe.png")
        words = ("gallery", "import", tmp_path / "g.db", tmp_path / "tree", "--min-face", "12")
        ended = vultus(*words, "--gate", "high", "--json")
        assert refused(ended) == "gallery-empty"
        assert "[face-refused]" in ended.err

    def test_an_empty_folder(self, vultus, tmp_path: Path):
        (tmp_path / "tree").mkdir()
        ended = vultus("gallery", "import", tmp_path / "g.db", tmp_path / "tree", "--json")
        assert refused(ended) == "gallery-empty"


class TestOptimise:
    def test_both(self, vultus, people_db: Path):
        assert "search exact: " in vultus("gallery", "optimise", people_db).out
        (said,) = rows(vultus("gallery", "optimise", people_db, "--json").out)
        assert (said["kind"], said["samples_indexed"]) == ("exact", 3)


class TestSpaces:
    @pytest.fixture
    def two(self, people_db: Path) -> Path:
        """Faces 1 and 3 have an embedding in another space as well."""
        with SqliteGallery(people_db) as gallery:
            gallery.add_space(OTHER)
            unit = [Embedding(np.eye(2, dtype=np.float32)[i], OTHER) for i in (0, 1)]
            gallery.put_embeddings(OTHER, [(1, unit[0]), (3, unit[1])])
        return people_db

    def test_pending(self, vultus, two: Path):
        lines = cells(vultus("gallery", "pending", two, "other").out)
        assert [line[:2] for line in lines] == [["face", "person"], ["2", "Ada"]]
        (said,) = rows(vultus("gallery", "pending", two, "other", "--json").out)
        assert said["number"] == 2
        assert vultus("gallery", "pending", two, "other", "--after", 2).out == "no faces\n"
        assert vultus("gallery", "pending", two, "test", "--limit", 1).out == "no faces\n"

    def test_activate_and_back(self, vultus, two: Path):
        assert refused(vultus("gallery", "activate", two, "other", "--json")) == "gallery"
        ended = vultus("gallery", "activate", two, "other", "--allow-missing")
        assert ended.out == "other/111111111111/2/none is active now\n"
        info = vultus("gallery", "info", two).out
        assert "space other/111111111111/2/none: 2 faces, active" in info
        ended = vultus("gallery", "activate", two, "test", "--json")
        assert rows(ended.out) == [{"space": TEST}]

    def test_drop(self, vultus, two: Path, answer):
        assert refused(vultus("gallery", "drop-space", two, "test", "--yes", "--json")) == "gallery"
        answer("n\n")
        ended = vultus("gallery", "drop-space", two, "other")
        assert ended.code == 1
        assert ended.err.startswith("erase all embeddings of other/111111111111/2/none; ")
        ended = vultus("gallery", "drop-space", two, "other", "--yes", "--json")
        assert rows(ended.out) == [{"space": "other/111111111111/2/none", "embeddings": 2}]
        with SqliteGallery(two) as gallery:
            assert len(gallery.spaces()) == 1

    @pytest.mark.parametrize("space", ["nope", ""])
    def test_not_one_space(self, vultus, two: Path, space):
        for command in ("activate", "drop-space", "pending"):
            ended = vultus("gallery", command, two, space, "--json")
            assert refused(ended) == "gallery"
            assert "must name one space of this gallery, it names" in ended.err


class TestMigrate:
    @pytest.fixture
    def home(self, shared_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A folder of models with a second embedder."""
        weight = shared_models / "mobilefacenet_foamliu.onnx"
        if not weight.is_file():
            pytest.skip(f"{weight} is absent")
        home = tmp_path / "home"
        monkeypatch.setenv("VULTUS_HOME", str(home))
        return weight

    @pytest.fixture
    def gallery(self, vultus, home: Path, key: bytes, samples: Path, tmp_path: Path) -> Path:
        path = tmp_path / "g.db"
        for name in ("Barack Obama", "Joe Biden"):
            picture = samples / "known" / f"{name}.jpg"
            assert vultus("enroll", path, name, picture, "--keep-crop").code == 0
        assert vultus("models", "add", home).code == 0
        return path

    def test_there_and_back(self, vultus, gallery: Path, samples: Path):
        photo = samples / "photos" / "obama2.jpg"
        ended = vultus("gallery", "migrate", gallery, "--to", "mobilefacenet", "--no-activate")
        assert ended.code == 0
        assert ended.out.startswith("2 faces embedded for mobilefacenet")
        assert ended.out.endswith("+mirror stays active\n")
        (said,) = rows(vultus("gallery", "migrate", gallery, "--to", "mobilefacenet", "--json").out)
        assert (said["embedded"], said["without_crop"], said["active"]) == (0, [], True)
        (found,) = rows(vultus("gallery", "search", gallery, photo, "-k", 1, "--json").out)
        assert found["matches"][0]["person"] == "Barack Obama"
        assert vultus("gallery", "activate", gallery, "dlib").code == 0
        (found,) = rows(vultus("gallery", "search", gallery, photo, "-k", 1, "--json").out)
        assert found["matches"][0]["person"] == "Barack Obama"
        ended = vultus("gallery", "drop-space", gallery, "mobilefacenet", "--yes")
        assert ended.out.startswith("2 embeddings of mobilefacenet")

    def test_faces_without_a_crop(self, vultus, gallery: Path, samples: Path):
        vultus("enroll", gallery, "Joe Biden", samples / "photos" / "astronaut.png")
        ended = vultus("gallery", "migrate", gallery, "--to", "mobilefacenet")
        assert ended.code == 3
        assert ended.err.startswith("warning: 1 face keeps no crop; `vultus gallery pending` ")
        ended = vultus("gallery", "migrate", gallery, "--to", "mobilefacenet", "--allow-missing")
        assert ended.code == 0
        assert ended.out.endswith("; it is active now\n")

    def test_no_key(self, vultus, gallery: Path, monkeypatch):
        monkeypatch.delenv(KEY_VARIABLE)
        ended = vultus("gallery", "migrate", gallery, "--to", "mobilefacenet", "--json")
        assert refused(ended) == "input"
        with open_gallery(gallery) as found:
            assert len(found.spaces()) == 1


def test_migrate_to_a_model_that_is_not_here(vultus, people_db: Path, key: bytes):
    ended = vultus("gallery", "migrate", people_db, "--to", "nope", "--json")
    assert refused(ended) == "model-unknown"
    assert os.environ[KEY_VARIABLE] not in ended.out + ended.err
