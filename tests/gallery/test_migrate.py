"""Schema steps: in order, together or not at all."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from vultus.errors import DuplicateSampleError, GalleryFileError
from vultus.gallery import Person, Sample, SpaceInfo, SqliteGallery
from vultus.gallery._migrate import Migration, read_migrations
from vultus.gallery.sqlite import file as _sqlite_file
from vultus.types import Embedding, EmbeddingSpace

SHIPPED = read_migrations()
LATEST = SHIPPED[-1].version
WHEN = "2026-01-02T03:04:05.678Z"
GROUPS = Migration(
    LATEST + 1,
    (
        "CREATE TABLE team (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        "ALTER TABLE person ADD COLUMN team_id INTEGER REFERENCES team (id)",
    ),
)
FILL = Migration(
    LATEST + 2, ("INSERT INTO team (name) VALUES ('all')", "UPDATE person SET team_id = 1")
)
BROKEN = Migration(LATEST + 2, ("INSERT INTO team (name) VALUES ('all')", "DELETE FROM nowhere"))
DANGLING = Migration(LATEST + 2, ("UPDATE person SET team_id = 99",))


@pytest.fixture
def path(tmp_path: Path, unit: Callable[[int], Embedding]) -> Path:
    """A gallery of today's schema with Ada in it."""
    file = tmp_path / "people.db"
    with SqliteGallery(file) as gallery:
        gallery.add("Ada", unit(1))
    return file


@pytest.fixture
def future(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that these steps are shipped as well."""

    def ship(*more: Migration) -> None:
        monkeypatch.setattr(_sqlite_file, "read_migrations", lambda: [*SHIPPED, *more])

    return ship


def ask(path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()


def test_shipped_steps_are_numbered_without_gaps() -> None:
    assert [step.version for step in SHIPPED] == list(range(1, LATEST + 1))


def test_every_part_of_a_step_is_one_statement() -> None:
    for step in SHIPPED:
        for statement in step.statements:
            assert sqlite3.complete_statement(statement)


def test_a_new_file_has_the_latest_schema(path: Path) -> None:
    assert ask(path, "PRAGMA user_version") == [(LATEST,)]
    assert ask(path, "PRAGMA application_id") == [(int.from_bytes(b"vult", "big"),)]
    assert ask(path, "PRAGMA journal_mode") == [("wal",)]


@pytest.fixture
def schema_1(tmp_path: Path, unit: Callable[[int], Embedding]) -> Path:
    """A file as the first version wrote it: Ada with samples 1 and 4, Bea with 2, Cleo is gone."""
    file = tmp_path / "old.db"
    space = unit(1).space
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA page_size = 8192")
        for statement in SHIPPED[0].statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {int.from_bytes(b'vult', 'big')}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO space VALUES (3, ?, ?, ?, ?)",
            (space.model, space.digest, space.dimension, space.preprocessing),
        )
        connection.execute("UPDATE gallery SET space_id = 3, created_at = ?", (WHEN,))
        for key, name in enumerate(("Ada", "Bea", "Cleo"), 1):
            connection.execute("INSERT INTO person VALUES (?, ?, ?)", (key, name, WHEN))
        for number, person in ((1, 1), (2, 2), (3, 3), (4, 1), (5, 3)):
            vector = unit(number).vector.astype("<f4").tobytes()
            row = (number, person, 3, vector, 1.0, f"d{number}", f"{number}.jpg", WHEN)
            connection.execute("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM person WHERE id = 3")
        connection.execute("DELETE FROM sample WHERE person_id = 3")
    return file


def test_a_file_of_schema_1_is_carried_over(
    schema_1: Path, unit: Callable[[int], Embedding], space: EmbeddingSpace
) -> None:
    with SqliteGallery(schema_1) as gallery:
        assert gallery.people() == [
            Person("Ada", "Ada", 2, (), None, WHEN, WHEN),
            Person("Bea", "Bea", 1, (), None, WHEN, WHEN),
        ]
        assert gallery.samples() == [
            Sample(n, who, None, f"d{n}", f"{n}.jpg", None, False, (space.id,), WHEN)
            for n, who in ((1, "Ada"), (2, "Bea"), (4, "Ada"))
        ]
        assert gallery.spaces() == [SpaceInfo(space, 3, True)]
        assert next(gallery.dump()).created_at == WHEN
        for number in (1, 2, 4):
            kept = gallery.embedding(number)
            assert (kept.vector == unit(number).vector).all()
            assert kept.raw_norm == 1.0
        assert [(m.person, m.sample) for m in gallery.search(unit(2), 1)] == [("Bea", 2)]
        assert gallery.audit() == []
        with pytest.raises(DuplicateSampleError):
            gallery.add("Ada", unit(9), "d4")
        assert gallery.add("Cleo", unit(9), group="new") == 6  # 3 and 5 were hers
        assert [finding.code for finding in gallery.verify()] in ([], ["residue"])
        gallery.optimise()
        assert gallery.verify() == []
    assert ask(schema_1, "PRAGMA user_version") == [(LATEST,)]
    assert ask(schema_1, "SELECT length(salt) FROM gallery") == [(32,)]
    assert ask(schema_1, "SELECT DISTINCT typeof(raw_norm) FROM embedding") == [("real",)]
    assert ask(schema_1, "SELECT key FROM person WHERE id = 'Cleo'") == [(4,)]
    assert ask(schema_1, "SELECT name FROM sqlite_master WHERE name LIKE 'old%'") == []


def test_an_empty_file_of_schema_1_is_carried_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: Callable[[int], Embedding]
) -> None:
    file = tmp_path / "old.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in SHIPPED[0].statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {int.from_bytes(b'vult', 'big')}")
        connection.execute("PRAGMA user_version = 1")
    with SqliteGallery(file) as gallery:
        assert gallery.space is None
        assert gallery.add("Ada", unit(1)) == 1
        assert gallery.verify() == []


def test_a_file_of_schema_1_survives_a_crash_while_it_is_carried_over(
    schema_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ask(schema_1, "SELECT * FROM sample")
    whole = SHIPPED[1].statements
    for stop in (5, len(whole) - 1):
        cut = Migration(2, (*whole[:stop], "DELETE FROM nowhere"))
        monkeypatch.setattr(_sqlite_file, "read_migrations", lambda cut=cut: [SHIPPED[0], cut])
        with pytest.raises(GalleryFileError):
            SqliteGallery(schema_1)
        assert ask(schema_1, "SELECT * FROM sample") == before
        assert ask(schema_1, "PRAGMA user_version") == [(1,)]


def test_steps_run_in_order_and_keep_what_is_there(
    path: Path, future: Callable[..., None], unit: Callable[[int], Embedding]
) -> None:
    future(GROUPS, FILL)
    with SqliteGallery(path) as gallery:
        assert gallery.search(unit(1))[0].name == "Ada"
    assert ask(path, "PRAGMA user_version") == [(LATEST + 2,)]
    assert ask(path, "SELECT p.name, t.name FROM person p JOIN team t ON t.id = p.team_id") == [
        ("Ada", "all")
    ]
    with SqliteGallery(path) as gallery:  # nothing runs twice
        gallery.add("Bea", unit(2))
    assert ask(path, "SELECT count(*) FROM team") == [(1,)]


@pytest.mark.parametrize(("step", "reason"), [(BROKEN, "failed"), (DANGLING, "damaged")])
def test_a_failing_step_undoes_all(
    path: Path,
    future: Callable[..., None],
    unit: Callable[[int], Embedding],
    step: Migration,
    reason: str,
) -> None:
    future(GROUPS, step)
    before = ask(path, "SELECT type, name, sql FROM sqlite_master ORDER BY name")
    with pytest.raises(GalleryFileError) as caught:
        SqliteGallery(path)
    assert caught.value.fields["reason"] == reason
    assert ask(path, "PRAGMA user_version") == [(LATEST,)]
    assert ask(path, "SELECT type, name, sql FROM sqlite_master ORDER BY name") == before
    future()
    with SqliteGallery(path) as gallery:
        assert gallery.search(unit(1))[0].name == "Ada"


def test_a_failing_step_leaves_a_new_file_empty(
    tmp_path: Path, future: Callable[..., None]
) -> None:
    future(GROUPS, BROKEN)
    with pytest.raises(GalleryFileError, match="nowhere"):
        SqliteGallery(tmp_path / "new.db")
    assert ask(tmp_path / "new.db", "SELECT * FROM sqlite_master") == []
    future()
    SqliteGallery(tmp_path / "new.db").close()


def test_a_newer_schema_is_refused_untouched(path: Path, future: Callable[..., None]) -> None:
    future(GROUPS)
    SqliteGallery(path).close()
    before = path.read_bytes()
    future()
    with pytest.raises(GalleryFileError, match="newer vultus") as caught:
        SqliteGallery(path)
    assert caught.value.fields == {
        "path": str(path),
        "reason": "newer",
        "expected": LATEST,
        "actual": LATEST + 1,
    }
    assert path.read_bytes() == before


def test_an_older_schema_that_cannot_be_upgraded(
    open_folder: Path,
    path: Path,
    future: Callable[..., None],
    as_user: Callable[[], AbstractContextManager[None]],
) -> None:
    old = open_folder / "old.db"
    old.write_bytes(path.read_bytes())
    old.chmod(0o444)
    open_folder.chmod(0o555)
    future(GROUPS)
    with as_user(), pytest.raises(GalleryFileError, match="must be upgraded") as caught:
        SqliteGallery(old)
    assert caught.value.fields["reason"] == "older"
