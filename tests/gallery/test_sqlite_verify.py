"""`verify` names whatever was changed behind a gallery's back."""

# ruff: noqa: S608 - statements of our own
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from vultus.gallery import NewSample, SqliteGallery
from vultus.types import Embedding

Unit = Callable[[int], Embedding]
KEY = 2**40


@pytest.fixture
def path(tmp_path: Path, unit: Unit) -> Path:
    """Ada (1, 3 in the group g) and Bea (2), with a crop."""
    file = tmp_path / "people.db"
    with SqliteGallery(file) as gallery:
        gallery.add("Ada", unit(1), crop=b"crop")
        gallery.add_many([NewSample("Bea", unit(2)), NewSample("Ada", unit(3), group="g")])
    return file


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "code", "message"),
    [
        ("UPDATE sample SET person_key = 9 WHERE number = 2", "orphan", "2 belongs to nobody"),
        ("UPDATE sample SET scope_key = 9 WHERE number = 3", "orphan", "3 is scoped to no group"),
        ("DELETE FROM membership", "orphan", "3 is scoped to a group its person is not in"),
        ("DELETE FROM person WHERE id = 'Bea'", "orphan", "sample 2 belongs to nobody"),
        ("DELETE FROM person_group", "orphan", "leads to no group (group 1)"),
        ("DELETE FROM sample WHERE number = 1", "orphan", "a crop is of no sample (number 1)"),
        ("DELETE FROM sample WHERE number = 2", "orphan", "an embedding is of no sample"),
        (f"UPDATE embedding SET id = {9 * KEY} + 1 WHERE id = {KEY} + 1", "orphan", "of no space"),
        (f"DELETE FROM embedding WHERE id = {KEY} + 2", "count", "have 3 embeddings, it has 2"),
        ("UPDATE space SET samples = 7", "count", "must have 7 embeddings, it has 3"),
        ("UPDATE gallery SET active_space = NULL", "space", "must be active, none is"),
        ("UPDATE gallery SET last_sample = 1", "number", "sample 3 must be at most"),
        ("UPDATE gallery SET last_person = 1", "number", "person 2 must be at most"),
        (f"UPDATE embedding SET vector = zeroblob(64) WHERE id = {KEY} + 2", "vector", "sample 2"),
        (f"UPDATE embedding SET vector = x'00' WHERE id = {KEY} + 1", "vector", "sample 1 must"),
        ("UPDATE audit SET actor = 'you' WHERE number = 2", "audit", "entry 2 is not as it was"),
        ("UPDATE audit SET detail = '{' WHERE number = 2", "audit", "is not as it was written"),
        ("DELETE FROM audit WHERE number = 2", "audit", "entry 2 must follow, entry 3 does"),
        ("DELETE FROM audit WHERE number = 5", "audit", "must end with entry 5, it ends with 4"),
    ],
)
def test_every_change_behind_its_back_is_named(
    path: Path, statement: str, code: str, message: str
) -> None:
    execute(path, statement)
    with SqliteGallery(path) as gallery:
        findings = gallery.verify()
        assert any(f.code == code and message in f.message for f in findings), findings


def test_an_index_that_disagrees(path: Path, unit: Unit) -> None:
    with SqliteGallery(path) as gallery:
        gallery.search(unit(1))
        vector = unit(9).vector.astype("<f4").tobytes().hex()
        execute(
            path,
            f"UPDATE embedding SET vector = x'{vector}' WHERE id = {KEY} + 2",
            f"DELETE FROM embedding WHERE id = {KEY} + 3",
            "DELETE FROM sample WHERE number = 3",
            "UPDATE space SET samples = 2",
        )
        messages = [f.message for f in gallery.verify() if f.code == "index"]
        assert messages == [
            "the index must hold sample 2 as it is stored",
            "the index holds sample 3, which is not stored",
        ]


def test_few_of_many_alike_are_named(path: Path, unit: Unit) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add_many([NewSample("Cleo", unit(i)) for i in range(50)])
    execute(path, "UPDATE embedding SET vector = zeroblob(64)")
    with SqliteGallery(path) as gallery:
        assert len([f for f in gallery.verify() if f.code == "vector"]) == 10


def test_damage_of_the_file_itself_comes_first(path: Path, unit: Unit) -> None:
    with SqliteGallery(path) as gallery:
        gallery.add_many([NewSample(f"p{i}", unit(i)) for i in range(300)])
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'sample_of_person'"
        (root,) = connection.execute(sql).fetchone()
    whole = bytearray(path.read_bytes())
    whole[8192 * (root - 1) + 4000 : 8192 * root] = b"\x07" * 4192
    path.write_bytes(whole)
    with SqliteGallery(path) as gallery:
        findings = gallery.verify()
    assert findings
    assert {finding.code for finding in findings} <= {"store", "orphan", "residue"}
    assert "SQLite finds: " in findings[0].message
